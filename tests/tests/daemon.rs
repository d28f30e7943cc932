//! The daemon on a real kernel: maps, pins, links, lock. Root; a network namespace and a BPF file system of its own.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{LinkUnspec, LinkVeth};
use splitter::api::Request;
use splitter::api::types::{SetWeights, StatsView};
use splitter::daemon::{self, DaemonError, Options};
use splitter::dataplane::{self, Dataplane as _, DataplaneError, Kernel, Sizes};
use splitter::model::{
    Affinity, Announce, Backend, Configuration, DaemonSettings, Flows, Mode, PerFamily, Ports,
    Protocol, Service, Version, Weights, XdpMode,
};
use splitter::net::{self, Hop, Netlink, News, View};
use splitter_common::abi::ABI_VERSION;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A namespace with a veth pair `edge`/`peer`, and a folder on a BPF file system that only this test sees.
struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    /// Must run on the thread that the test's runtime runs on, before it is made.
    fn new() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("run as root")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("bpf"))?;
        mount(
            Some("bpf"),
            &folder.path().join("bpf"),
            Some("bpf"),
            MsFlags::empty(),
            none,
        )?;
        Ok(Self { folder })
    }

    async fn links(&self) -> Result<()> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        handle
            .link()
            .add(LinkVeth::new("edge", "peer").build())
            .execute()
            .await?;
        for (name, address) in [("edge", "192.0.2.1"), ("peer", "192.0.2.2")] {
            let index = nix::net::if_::if_nametoindex(name)?;
            let up = LinkUnspec::new_with_index(index).up().build();
            handle.link().set(up).execute().await?;
            let address: IpAddr = address.parse()?;
            handle.address().add(index, address, 24).execute().await?;
        }
        Ok(())
    }

    fn bpffs(&self) -> PathBuf {
        self.folder.path().join("bpf/splitter")
    }

    /// Where this layout's pins are.
    fn pins(&self) -> PathBuf {
        self.bpffs().join(format!("v{ABI_VERSION}"))
    }

    fn configuration(&self) -> Configuration {
        let version = |name: &str, port| Version {
            name: name.to_owned(),
            backends: vec![Backend {
                address: IpAddr::from([192, 0, 2, 1]),
                port,
                weight: 1,
            }],
        };
        Configuration {
            daemon: DaemonSettings {
                interfaces: vec!["edge".to_owned()],
                xdp_mode: XdpMode::Auto,
                socket: self.folder.path().join("socket"),
                state_dir: self.folder.path().join("state"),
                bpffs: self.bpffs(),
                max_slots: 4096,
                flow_records: 4096,
                reverse_records: 4096,
                hairpin_source: Vec::new(),
                seed: None,
                tunnel_source: PerFamily::default(),
                icmp_source: PerFamily::default(),
            },
            services: vec![Service {
                name: "web".to_owned(),
                vip: IpAddr::from([203, 0, 113, 10]),
                ports: Ports::one(80).expect("a port"),
                protocol: Protocol::Tcp,
                flows: Flows::Hash,
                mode: Mode::Nat,
                affinity: Affinity::Flow,
                client_prefix: None,
                announce: Announce::Arp,
                icmp_echo: false,
                slots: 256,
                stable: "blue".to_owned(),
                prepare: Duration::from_secs(1),
                drain_idle: Duration::from_secs(10),
                versions: vec![version("blue", 8001), version("green", 8002)],
                routes: Vec::new(),
                weights: Weights::all_to(0, 2),
            }],
            origin: splitter::model::Origin::default(),
        }
    }

    fn options(&self) -> Options {
        Options {
            configuration: self.configuration(),
            config_path: "test.toml".into(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The mount lives in this thread's namespace alone; lazily, since descriptors may still be open.
        let _ = umount2(&self.folder.path().join("bpf"), MntFlags::MNT_DETACH);
    }
}

/// A daemon in this process.
struct Running {
    requests: mpsc::Sender<Request>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), DaemonError>>,
}

impl Running {
    async fn start(options: Options) -> Result<Self> {
        let (requests, queue) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let task = tokio::spawn(daemon::run(options, queue, ready, async {
            let _ = stopped.await;
        }));
        if tokio::time::timeout(TIMEOUT, is_ready).await?.is_err() {
            task.await??;
            anyhow::bail!("ended without an error before it was ready");
        }
        Ok(Self {
            requests,
            stop,
            task,
        })
    }

    async fn ask<T>(&self, request: impl FnOnce(splitter::api::Answer<T>) -> Request) -> Result<T> {
        let (to, answer) = oneshot::channel();
        self.requests.send(request(to)).await?;
        Ok(tokio::time::timeout(TIMEOUT, answer).await???)
    }

    async fn stats(&self) -> Result<StatsView> {
        self.ask(Request::Stats).await
    }

    async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

/// Runs a test in a namespace of its own: on a new thread, so that the others keep theirs.
fn isolated<F>(test: impl FnOnce(Host) -> F + Send + 'static) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let thread = std::thread::spawn(move || {
        let host = Host::new()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            host.links().await?;
            test(host).await
        })
    });
    thread.join().expect("the test's thread does not panic")
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_restart_keeps_the_link_and_swaps_the_program() -> Result<()> {
    isolated(|host| async move {
        let first = Running::start(host.options()).await?;
        let before = first.stats().await?.daemon.interfaces;
        ensure!(before.len() == 1 && before[0].name == "edge", "{before:?}");
        let green = SetWeights {
            weights: [("green".to_owned(), 100.0)].into(),
            now: false,
            dry_run: false,
        };
        let change = first
            .ask(|to| Request::Weights("web".to_owned(), green, to))
            .await?;
        assert_eq!((change.slots_moved, change.slots), (256, 256));
        first.stop().await?;
        let pins = host.pins();
        assert_eq!(names(&pins.join("links")), ["tc-egress-edge", "xdp-edge"]);
        let maps = names(&pins.join("maps"));
        ensure!(maps.contains(&"SLOTS".to_owned()), "{maps:?}");

        let second = Running::start(host.options()).await?;
        let after = second.stats().await?.daemon.interfaces;
        assert_eq!(after[0].link_id, before[0].link_id);
        assert_eq!(after[0].xdp_mode, before[0].xdp_mode);
        assert_ne!(after[0].program_id, before[0].program_id);
        let view = second
            .ask(|to| Request::Service("web".to_owned(), to))
            .await?;
        assert_eq!(view.versions[1].set_percent, 100.0);
        assert_eq!(view.versions[1].backends[0].next_hop, "local");
        assert_eq!(view.transition.context("goes on")?.track, 256);
        second.stop().await
    })
}

#[test]
fn a_second_daemon_is_told_who_owns_the_folder() -> Result<()> {
    isolated(|host| async move {
        let first = Running::start(host.options()).await?;
        let error = Running::start(host.options())
            .await
            .err()
            .context("refused")?;
        let text = error.to_string();
        let owner = format!("another splitter daemon (process {})", std::process::id());
        ensure!(text.contains(&owner), "{text}");
        ensure!(text.contains(&*host.bpffs().to_string_lossy()), "{text}");
        let refused = dataplane::detach(&host.bpffs());
        ensure!(
            matches!(refused, Err(DataplaneError::Owned { .. })),
            "{refused:?}"
        );
        // Neither of the two did any harm.
        assert_eq!(first.stats().await?.daemon.interfaces.len(), 1);
        first.stop().await
    })
}

#[test]
fn detach_leaves_nothing_behind() -> Result<()> {
    isolated(|host| async move {
        Running::start(host.options()).await?.stop().await?;
        let pinned = names(&host.pins().join("maps"));
        let gone = dataplane::detach(&host.bpffs())?;
        assert_eq!(gone.links, ["tc-egress-edge", "xdp-edge"]);
        let mut maps = gone.maps;
        maps.sort();
        assert_eq!(maps, pinned);
        ensure!(!pinned.is_empty());
        ensure!(!host.bpffs().exists(), "the folder is gone");
        // The interface is free: another start attaches anew.
        let again = Running::start(host.options()).await?;
        assert_eq!(again.stats().await?.daemon.interfaces.len(), 1);
        again.stop().await
    })
}

#[test]
fn maps_of_other_sizes_are_refused() -> Result<()> {
    isolated(|host| async move {
        Running::start(host.options()).await?.stop().await?;
        let mut options = host.options();
        options.configuration.daemon.flow_records = 8192;
        let error = Running::start(options).await.err().context("refused")?;
        let text = error.to_string();
        for part in [
            "FLOWS",
            "1024 entries",
            "2048 entries",
            "daemon.flow_records",
            "splitter detach",
        ] {
            ensure!(text.contains(part), "{part} is missing in: {text}");
        }
        Running::start(host.options()).await?.stop().await
    })
}

#[test]
fn a_missing_interface_is_named() -> Result<()> {
    isolated(|host| async move {
        let mut options = host.options();
        options
            .configuration
            .daemon
            .interfaces
            .push("eth77".to_owned());
        let error = Running::start(options).await.err().context("refused")?;
        ensure!(error.to_string().contains("eth77"), "{error}");
        ensure!(!host.bpffs().exists(), "nothing was made");
        Ok(())
    })
}

/// Another configuration than [`Host::configuration`]: its service is at another port.
fn moved(host: &Host) -> Options {
    let mut options = host.options();
    options.configuration.services[0].ports = Ports::one(81).expect("a port");
    options
}

/// Ports of the look-up keys in the maps.
fn ports_in_force(host: &Host) -> Result<Vec<u16>> {
    let settings = host.configuration().daemon;
    let sizes = Sizes {
        slots: settings.max_slots,
        flow_records: settings.flow_records,
        reverse_records: settings.reverse_records,
    };
    let kernel = Kernel::open(&settings.bpffs, sizes, splitter::object::OBJECT)?;
    let keys = kernel.service_keys()?.into_iter();
    Ok(keys.map(|(key, _)| key.port).collect())
}

#[test]
fn a_start_refused_for_its_mode_changes_nothing() -> Result<()> {
    isolated(|host| async move {
        let first = Running::start(host.options()).await?;
        let mode = first.stats().await?.daemon.interfaces[0].xdp_mode.clone();
        first.stop().await?;
        let ports = ports_in_force(&host)?;
        let state = host.configuration().daemon.state_dir.join("state.json");
        let kept = fs::read(&state)?;

        let mut options = moved(&host);
        options.configuration.daemon.xdp_mode = match mode.as_str() {
            "native" => XdpMode::Skb,
            _ => XdpMode::Native,
        };
        let error = Running::start(options).await.err().context("refused")?;
        ensure!(error.to_string().contains("daemon.xdp_mode"), "{error}");
        assert_eq!(ports_in_force(&host)?, ports);
        assert_eq!(fs::read(&state)?, kept);
        // What was asked for was another configuration indeed.
        Running::start(moved(&host)).await?.stop().await?;
        assert_ne!(ports_in_force(&host)?, ports);
        Ok(())
    })
}

#[test]
fn a_start_refused_for_anothers_program_changes_nothing() -> Result<()> {
    isolated(|host| async move {
        // A program of another folder is someone else's.
        let mut options = host.options();
        options.configuration.daemon.bpffs = host.folder.path().join("bpf/other");
        options.configuration.daemon.state_dir = host.folder.path().join("other");
        Running::start(options).await?.stop().await?;

        let error = Running::start(host.options())
            .await
            .err()
            .context("refused")?;
        let text = error.to_string();
        ensure!(text.contains("another XDP program"), "{text}");
        ensure!(text.contains("edge"), "{text}");
        ensure!(ports_in_force(&host)?.is_empty(), "no service was written");
        let state = host.configuration().daemon.state_dir.join("state.json");
        ensure!(!state.exists(), "no state was kept");
        Ok(())
    })
}

#[test]
fn a_changed_mac_is_news_and_is_followed() -> Result<()> {
    isolated(|_host| async move {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let edge = nix::net::if_::if_nametoindex("edge")?;
        let backend = IpAddr::from([192, 0, 2, 9]);
        let set_mac = async |mac: [u8; 6]| {
            let entry = handle.neighbours().add(edge, backend);
            entry.link_local_address(&mac).replace().execute().await
        };
        let mut news = News::subscribe()?;
        // Until the links have settled: then nothing but the change itself is news.
        let quiet = Duration::from_secs(3);
        while let Ok(heard) = tokio::time::timeout(quiet, news.wait()).await {
            heard?;
        }
        set_mac([2, 0, 0, 0, 0, 1]).await?;
        tokio::time::timeout(TIMEOUT, news.wait()).await??;

        let (_want, wanted) = watch::channel([backend].into());
        let (view, mut seen) = watch::channel(View::default());
        let watcher = tokio::spawn(net::watch(Netlink::connect()?, news, wanted, view));
        for last in [1, 2] {
            set_mac([2, 0, 0, 0, 0, last]).await?;
            let followed = seen.wait_for(|view| {
                matches!(view.hops.get(&backend), Some(Hop::Via { destination_mac, .. })
                    if destination_mac[5] == last)
            });
            tokio::time::timeout(TIMEOUT, followed).await??;
        }
        watcher.abort();
        Ok(())
    })
}
