//! The layout of the maps does not change unseen: sizes and offsets of every value against `tests/data/abi.txt`, and
//! the map definitions of the object against those values. After a change that is meant, raise `ABI_VERSION` and run
//! with `SPLITTER_BLESS=1`.

use splitter_common::abi::{
    ABI_VERSION, Address, Backend, Counter, FlowSet, Fragment, FragmentKey, Hairpin, HairpinKey,
    Interface, Reply, ReplyKey, RouteKey, Service, ServiceKey, Settings, SlotState, SlotWord,
    Stamps, Traffic, Vip, maps,
};
use splitter_tests::cases::kernel::Kernel;
use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};

macro_rules! layout {
    ($out:ident, $name:ident { $($field:ident),* }) => {
        writeln!($out, "{} size {} align {}", stringify!($name), size_of::<$name>(), align_of::<$name>())
            .expect("a string");
        $(writeln!($out, "  {:3} {}", offset_of!($name, $field), stringify!($field)).expect("a string");)*
        // All fields are named here: this does not compile when one is missing.
        let $name { $($field: _),* } = $name::default();
    };
}

#[test]
fn layouts_are_the_blessed_ones() {
    let mut out = format!("ABI_VERSION {ABI_VERSION}\n");
    layout!(
        out,
        Settings {
            hash_key,
            flow_set_mask,
            handshake_mask,
            reverse_set_mask,
            reserved,
            hairpin_source
        }
    );
    layout!(
        out,
        ServiceKey {
            vip,
            port,
            protocol,
            reserved
        }
    );
    layout!(out, Vip { flags });
    layout!(out, Interface { mac, reserved });
    layout!(
        out,
        Service {
            vip,
            prepare_ns,
            record_ns,
            pending_ns,
            fin_ns,
            window,
            first_slot,
            slot_mask,
            first_backend,
            backend_count,
            port,
            protocol,
            mode,
            affinity,
            in_use,
            client_prefix,
            index,
            routed,
            flows,
            reserved
        }
    );
    layout!(
        out,
        Backend {
            address,
            interface,
            flags,
            destination_mac,
            source_mac,
            port,
            mtu,
            reserved
        }
    );
    layout!(
        out,
        RouteKey {
            prefix_length,
            first_slot,
            address
        }
    );
    layout!(
        out,
        ReplyKey {
            address,
            port,
            protocol,
            reserved
        }
    );
    layout!(out, Reply { vip, port, shared });
    layout!(
        out,
        FragmentKey {
            source,
            destination,
            id,
            protocol
        }
    );
    layout!(
        out,
        Fragment {
            seen_ns,
            way,
            service,
            backend,
            end,
            vip
        }
    );
    layout!(
        out,
        Traffic {
            packets,
            bytes,
            syns,
            handshakes
        }
    );
    layout!(out, FlowSet { words });
    layout!(
        out,
        HairpinKey {
            near,
            far,
            near_port,
            far_port,
            protocol,
            leg,
            reserved
        }
    );
    layout!(
        out,
        Hairpin {
            caller,
            vip,
            backend,
            caller_port,
            vip_port,
            backend_port,
            port,
            seen
        }
    );
    layout!(
        out,
        Stamps {
            unlogged,
            bare_syn,
            foreign,
            reserved
        }
    );
    writeln!(
        out,
        "SlotWord size {} align {}",
        size_of::<SlotWord>(),
        align_of::<SlotWord>()
    )
    .expect("a string");
    for state in [
        SlotState::Steady,
        SlotState::Track,
        SlotState::Residue,
        SlotState::Handover,
    ] {
        let word = SlotWord::new(state, 0x1234, 0x5678).0;
        writeln!(out, "  {state:?} {word:#x}").expect("a string");
    }
    writeln!(out, "Counter").expect("a string");
    for counter in Counter::ALL {
        writeln!(
            out,
            "  {:3} {} {:?}",
            *counter as u32,
            counter.name(),
            counter.verdict()
        )
        .expect("a string");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/abi.txt");
    if std::env::var_os("SPLITTER_BLESS").is_some() {
        std::fs::write(path, &out).expect("the golden file");
    }
    let golden = std::fs::read_to_string(path).expect("the golden file");
    assert_eq!(
        out, golden,
        "the layout changed: raise ABI_VERSION and bless {path}"
    );
}

#[test]
fn the_object_has_the_maps() {
    let kernel = Kernel::load().expect("the object");
    let mut expected = vec![
        (maps::SETTINGS, 4, size_of::<Settings>()),
        (maps::VIPS, size_of::<Address>(), size_of::<Vip>()),
        (maps::SERVICE_KEYS, size_of::<ServiceKey>(), 4),
        (maps::SERVICES, 4, size_of::<Service>()),
        (maps::SLOTS, 4, size_of::<SlotWord>()),
        (maps::STAMPS, 4, size_of::<Stamps>()),
        (maps::BACKENDS, 4, size_of::<Backend>()),
        (maps::FLOWS, 4, size_of::<FlowSet>()),
        (maps::ROUTES, size_of::<RouteKey>(), 4),
        (maps::REPLIES, size_of::<ReplyKey>(), size_of::<Reply>()),
        (maps::REVERSE, 4, size_of::<FlowSet>()),
        (maps::NAT_ADDRESSES, size_of::<Address>(), 4),
        (
            maps::HAIRPINS,
            size_of::<HairpinKey>(),
            size_of::<Hairpin>(),
        ),
        (
            maps::FRAGMENTS,
            size_of::<FragmentKey>(),
            size_of::<Fragment>(),
        ),
        (maps::OWN_ADDRESSES, size_of::<Address>(), 4),
        (maps::INTERFACES, 4, size_of::<Interface>()),
        (maps::COUNTERS, 4, 8),
        (maps::TRAFFIC, 4, size_of::<Traffic>()),
        (maps::HANDSHAKES, 4, 8),
    ];
    expected.sort_unstable();
    let found = kernel.maps().expect("the maps");
    let found: Vec<(&str, usize, usize)> = found
        .iter()
        .map(|(name, key, value)| (name.as_str(), *key as usize, *value as usize))
        .collect();
    assert_eq!(found, expected);
}
