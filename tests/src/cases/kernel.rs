//! The object loaded in the kernel, in a network namespace of its own whose routing knows the way to `client` alone.

use super::cast::{Family, mac};
use super::window::Window;
use super::world::World;
use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, lpm_trie};
use aya::programs::{ProgramInfo, SchedClassifier, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, Pod};
use bytemuck::bytes_of;
use futures_util::TryStreamExt;
use rtnetlink::{LinkUnspec, LinkVeth, RouteMessageBuilder};
use splitter::object::{EGRESS, INGRESS, OBJECT};
use splitter_common::abi::{
    Address, Counter, Fragment, FragmentKey, Hairpin, HairpinKey, Stamps, Traffic, maps,
};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Shorter frames are refused by the kernel's test runs: they have no whole Ethernet header.
pub const SHORTEST: usize = 14;
/// The same at TC, where test runs want a whole IP header too.
pub const SHORTEST_AT_EGRESS: usize = 54;

/// A program's size as the verifier saw it, and how long it took to load it.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Name of the program.
    pub name: &'static str,
    /// Instructions that the verifier went through.
    pub instructions: u32,
    /// Time from the object's bytes to the loaded program.
    pub load: Duration,
}

/// The loaded object. Test runs happen in the namespace of the thread that loaded it, so it stays there.
pub struct Kernel {
    bpf: Ebpf,
    flows: Window,
    reverse: Window,
    stamps: Window,
    verified: Vec<Verified>,
    vips: Vec<Address>,
    keys: Vec<[u8; 20]>,
    replies: Vec<[u8; 20]>,
    nat: Vec<Address>,
    rows: Vec<[u8; 24]>,
    own: Vec<Address>,
    stays_in_its_thread: PhantomData<*const ()>,
}

impl Kernel {
    /// Loads the object, in a new namespace that this thread is in from now on.
    pub fn load() -> Result<Self> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
            .context("a network namespace of its own (root is needed)")?;
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(routes())?;
        let mut bpf = EbpfLoader::new().load(OBJECT)?;
        let mut verified = Vec::new();
        for name in [INGRESS, EGRESS] {
            let start = Instant::now();
            let program = bpf.program_mut(name).context(name)?;
            if name == INGRESS {
                <&mut Xdp>::try_from(program)?.load()?;
            } else {
                <&mut SchedClassifier>::try_from(program)?.load()?;
            }
            let load = start.elapsed();
            let info: ProgramInfo = bpf.program(name).context(name)?.info()?;
            verified.push(Verified {
                name,
                instructions: info
                    .verified_instruction_count()
                    .context("the kernel does not tell verified instructions")?,
                load,
            });
        }
        let window = |name| Window::new(map_data(bpf.map(name).context("no such map")?)?);
        Ok(Self {
            flows: window(maps::FLOWS)?,
            reverse: window(maps::REVERSE)?,
            stamps: window(maps::STAMPS)?,
            bpf,
            verified,
            vips: Vec::new(),
            keys: Vec::new(),
            replies: Vec::new(),
            nat: Vec::new(),
            rows: Vec::new(),
            own: Vec::new(),
            stays_in_its_thread: PhantomData,
        })
    }

    /// What the verifier said.
    pub fn verified(&self) -> &[Verified] {
        &self.verified
    }

    /// Name, key size and value size of every map of the object.
    pub fn maps(&self) -> Result<Vec<(String, u32, u32)>> {
        let mut all = Vec::new();
        for (name, map) in self.bpf.maps() {
            let info = map_data(map)?.info()?;
            all.push((name.to_string(), info.key_size(), info.value_size()));
        }
        all.sort();
        Ok(all)
    }

    /// Empties the tables that steering looks things up in and fills them from `world`. Counters stay.
    pub fn fill(&mut self, world: &World) -> Result<()> {
        for key in std::mem::take(&mut self.vips) {
            self.hash::<16, 4>(maps::VIPS)?.remove(&key)?;
        }
        for key in std::mem::take(&mut self.keys) {
            self.hash::<20, 4>(maps::SERVICE_KEYS)?.remove(&key)?;
        }
        for key in std::mem::take(&mut self.replies) {
            self.hash::<20, 20>(maps::REPLIES)?.remove(&key)?;
        }
        for key in std::mem::take(&mut self.nat) {
            self.hash::<16, 4>(maps::NAT_ADDRESSES)?.remove(&key)?;
        }
        for key in self.hairpins()?.keys() {
            let key = raw(key)?;
            self.hash::<40, 64>(maps::HAIRPINS)?.remove(&key)?;
        }
        for (key, _) in self.fragments()? {
            self.hash::<40, 40>(maps::FRAGMENTS)?.remove(&raw(&key)?)?;
        }
        for key in std::mem::take(&mut self.rows) {
            self.trie()?.remove(&trie_key(&key))?;
        }
        for key in std::mem::take(&mut self.own) {
            self.hash::<16, 4>(maps::OWN_ADDRESSES)?.remove(&key)?;
        }
        self.put::<_, 64>(maps::SETTINGS, std::slice::from_ref(&world.settings))?;
        self.put::<_, 80>(maps::SERVICES, &world.services)?;
        self.put::<_, 8>(maps::SLOTS, &world.slots)?;
        self.put::<_, 32>(maps::STAMPS, &world.stamps)?;
        self.put::<_, 64>(maps::BACKENDS, &world.backends)?;
        self.put::<_, 64>(maps::FLOWS, &world.flows)?;
        self.put::<_, 64>(maps::REVERSE, &world.reverse)?;
        for address in &world.nat {
            self.hash::<16, 4>(maps::NAT_ADDRESSES)?
                .insert(address, raw(&1_u32)?, 0)?;
            if !self.nat.contains(address) {
                self.nat.push(*address);
            }
        }
        for (key, hairpin) in &world.hairpins {
            let (key, hairpin) = (raw(key)?, raw(hairpin)?);
            self.hash::<40, 64>(maps::HAIRPINS)?
                .insert(key, hairpin, 0)?;
        }
        self.put::<_, 8>(
            maps::HANDSHAKES,
            &vec![0_u64; world.settings.handshake_mask as usize + 1],
        )?;
        for (address, vip) in &world.vips {
            let value = raw(vip)?;
            self.hash::<16, 4>(maps::VIPS)?.insert(address, value, 0)?;
            self.vips.push(*address);
        }
        for (key, index) in &world.keys {
            let key = raw(key)?;
            self.hash::<20, 4>(maps::SERVICE_KEYS)?
                .insert(key, raw(index)?, 0)?;
            self.keys.push(key);
        }
        for (key, reply) in &world.replies {
            let key = raw(key)?;
            self.hash::<20, 20>(maps::REPLIES)?
                .insert(key, raw(reply)?, 0)?;
            self.replies.push(key);
        }
        for (key, note) in &world.fragments {
            self.hash::<40, 40>(maps::FRAGMENTS)?
                .insert(raw::<_, 40>(key)?, raw(note)?, 0)?;
        }
        for (key, row) in &world.rows {
            let key = raw(key)?;
            self.trie()?.insert(&trie_key(&key), raw(row)?, 0)?;
            self.rows.push(key);
        }
        for address in &world.own {
            self.hash::<16, 4>(maps::OWN_ADDRESSES)?
                .insert(address, raw(&1_u32)?, 0)?;
            self.own.push(*address);
        }
        for (index, interface) in &world.interfaces {
            self.hash::<4, 8>(maps::INTERFACES)?
                .insert(raw::<_, 4>(index)?, raw(interface)?, 0)?;
        }
        Ok(())
    }

    /// The first `count` flow sets.
    pub fn flows(&self, count: usize) -> Vec<[u64; 8]> {
        (0..count)
            .map(|set| std::array::from_fn(|word| self.flows.word(set * 8 + word)))
            .collect()
    }

    /// The first `count` sets of reverse records.
    pub fn reverse(&self, count: usize) -> Vec<[u64; 8]> {
        (0..count)
            .map(|set| std::array::from_fn(|word| self.reverse.word(set * 8 + word)))
            .collect()
    }

    /// The calls that come back to their link.
    pub fn hairpins(&mut self) -> Result<BTreeMap<HairpinKey, Hairpin>> {
        let map = self.hash::<40, 64>(maps::HAIRPINS)?;
        map.iter()
            .map(|entry| {
                let (key, hairpin) = entry?;
                Ok((
                    bytemuck::pod_read_unaligned(&key),
                    bytemuck::pod_read_unaligned(&hairpin),
                ))
            })
            .collect()
    }

    /// The first `count` rows of stamps.
    pub fn stamps(&self, count: usize) -> Vec<Stamps> {
        (0..count)
            .map(|slot| Stamps {
                unlogged: self.stamps.word(slot * 4),
                bare_syn: self.stamps.word(slot * 4 + 1),
                foreign: self.stamps.word(slot * 4 + 2),
                reserved: 0,
            })
            .collect()
    }

    /// What is noted of first fragments.
    pub fn fragments(&mut self) -> Result<Vec<(FragmentKey, Fragment)>> {
        let map = self.hash::<40, 40>(maps::FRAGMENTS)?;
        let mut all = map
            .iter()
            .map(|entry| {
                let (key, note) = entry?;
                Ok((
                    bytemuck::pod_read_unaligned(&key),
                    bytemuck::pod_read_unaligned(&note),
                ))
            })
            .collect::<Result<Vec<(FragmentKey, Fragment)>>>()?;
        all.sort_by_key(|(key, _)| *key);
        Ok(all)
    }

    /// All counters, summed over CPUs.
    pub fn counters(&mut self) -> Result<Vec<u64>> {
        let map = self.bpf.map_mut(maps::COUNTERS).context(maps::COUNTERS)?;
        let counters = PerCpuArray::<_, u64>::try_from(map)?;
        (0..Counter::ALL.len() as u32)
            .map(|index| Ok(counters.get(&index, 0)?.iter().sum()))
            .collect()
    }

    /// What was sent to the first `count` backends, summed over CPUs.
    pub fn traffic(&mut self, count: usize) -> Result<Vec<Traffic>> {
        let map = self.bpf.map_mut(maps::TRAFFIC).context(maps::TRAFFIC)?;
        let traffic = PerCpuArray::<_, [u8; 32]>::try_from(map)?;
        let mut sums = vec![Traffic::default(); count];
        for (index, sum) in (0..).zip(&mut sums) {
            for bytes in traffic.get(&index, 0)?.iter() {
                let one: Traffic = bytemuck::pod_read_unaligned(bytes);
                sum.packets += one.packets;
                sum.bytes += one.bytes;
                sum.syns += one.syns;
                sum.handshakes += one.handshakes;
            }
        }
        Ok(sums)
    }

    /// Runs a program on a frame: what it returned, and the frame afterwards.
    pub fn run(&self, name: &str, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        ensure!(frame.len() >= SHORTEST, "too short for a test run");
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        };
        let program = self.bpf.program(name).context("no such program")?;
        let result = if name == INGRESS {
            <&Xdp>::try_from(program)?.test_run(options)?
        } else {
            <&SchedClassifier>::try_from(program)?.test_run(options)?
        };
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value, out))
    }

    fn hash<const K: usize, const V: usize>(
        &mut self,
        name: &str,
    ) -> Result<HashMap<&mut MapData, [u8; K], [u8; V]>>
    where
        [u8; K]: Pod,
        [u8; V]: Pod,
    {
        Ok(HashMap::try_from(
            self.bpf.map_mut(name).context("no such map")?,
        )?)
    }

    fn trie(&mut self) -> Result<LpmTrie<&mut MapData, [u8; 20], [u8; 4]>> {
        let map = self.bpf.map_mut(maps::ROUTES).context("no such map")?;
        Ok(LpmTrie::try_from(map)?)
    }

    /// Writes entries from index 0 on.
    fn put<T: bytemuck::Pod, const V: usize>(&mut self, name: &str, values: &[T]) -> Result<()> {
        let map = self.bpf.map_mut(name).with_context(|| name.to_string())?;
        let mut array = Array::<_, [u8; V]>::try_from(map).with_context(|| name.to_string())?;
        for (index, value) in values.iter().enumerate() {
            array.set(u32::try_from(index)?, raw::<_, V>(value)?, 0)?;
        }
        Ok(())
    }
}

fn trie_key(bytes: &[u8; 24]) -> lpm_trie::Key<[u8; 20]> {
    let [a, b, c, d, data @ ..] = *bytes;
    lpm_trie::Key::new(u32::from_ne_bytes([a, b, c, d]), data)
}

/// The bytes of a value; `N` is its size.
fn raw<T: bytemuck::Pod, const N: usize>(value: &T) -> Result<[u8; N]> {
    Ok(bytes_of(value).try_into()?)
}

fn map_data(map: &aya::maps::Map) -> Result<&MapData> {
    match map {
        aya::maps::Map::Array(data)
        | aya::maps::Map::HashMap(data)
        | aya::maps::Map::LruHashMap(data)
        | aya::maps::Map::LpmTrie(data)
        | aya::maps::Map::PerCpuArray(data) => Ok(data),
        other => bail!("a map of an unexpected type: {other:?}"),
    }
}

/// The coarse monotonic clock, nanoseconds: the one that the programs read.
pub fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a writable timespec and a clock that every Linux has.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Forwarding on; a link of two ends, and over it the way to `client`, whose MAC is known.
async fn routes() -> Result<()> {
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        let path = format!("/proc/sys/net/{switch}");
        std::fs::write(&path, "1").context(path)?;
    }
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    let up = |index| {
        handle
            .link()
            .set(LinkUnspec::new_with_index(index).up().build())
            .execute()
    };
    up(1).await?;
    handle
        .link()
        .add(LinkVeth::new("exit", "beyond").build())
        .execute()
        .await?;
    let mut ends = [0; 2];
    for (end, name) in ends.iter_mut().zip(["exit", "beyond"]) {
        let link = handle.link().get().match_name(name.into()).execute();
        *end = link
            .try_collect::<Vec<_>>()
            .await?
            .first()
            .context("the link that was made is gone")?
            .header
            .index;
    }
    let exit = ends[0];
    let address = LinkUnspec::new_with_index(exit).address(mac("exit")?.to_vec());
    handle.link().set(address.build()).execute().await?;
    up(ends[0]).await?;
    up(ends[1]).await?;

    let [.., a, b, c, d] = Family::V4.address("client")?;
    let v4 = Ipv4Addr::new(a, b, c, d);
    let v6 = Ipv6Addr::from(Family::V6.address("client")?);
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(v4, 32)
        .output_interface(exit);
    handle.route().add(route.build()).execute().await?;
    let route = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix(v6, 128)
        .output_interface(exit);
    handle.route().add(route.build()).execute().await?;
    for client in [IpAddr::V4(v4), IpAddr::V6(v6)] {
        handle
            .neighbours()
            .add(exit, client)
            .link_local_address(&mac("router")?)
            .execute()
            .await?;
    }
    Ok(())
}
