//! What is expected of an instance: what its case says, and what `goes_to` stands for.

use super::craft::Frame;
use super::icmp;
use super::made::Outer;
use super::spec::{Instance, Way};
use super::world::World;
use anyhow::{Context, Result};
use splitter_common::abi::Counter;
use toml::{Table, Value};

/// What a case says, for one of its instances.
pub(super) struct Expectation {
    pub(super) counter: Option<Counter>,
    pub(super) changes: Table,
    pub(super) via: Option<u32>,
    /// The outer packet, in `ipip` mode.
    pub(super) outer: Option<Outer>,
}

/// What the case says; `goes_to` stands for what the mode does to a packet for that backend.
pub(super) fn expectation(
    instance: &Instance,
    world: &World,
    input: &Frame,
) -> Result<Expectation> {
    let case = &instance.case;
    let mut changes = Table::new();
    let mut via = case.via;
    let mut outer = None;
    let mut name = case.counter.as_deref();
    if let Some(number) = case.goes_to {
        let backend = &world.backends[usize::from(number)];
        let mut set = |key: &str, value: Value| changes.insert(key.into(), value);
        if instance.way != Way::Local {
            via = Some(backend.interface);
            let own = if number.is_multiple_of(2) {
                "own"
            } else {
                "own7"
            };
            set("destination_mac", format!("b{number}").into());
            set("source_mac", own.into());
            if matches!(instance.way, Way::Ipip | Way::Cross) {
                outer = Some(Outer {
                    family: instance.way.outer(instance.family),
                    backend: format!("b{number}"),
                    macs: [format!("b{number}"), own.into()],
                });
            }
        }
        if matches!(instance.way, Way::Nat | Way::Local) {
            let quote = icmp::quoted(input)?;
            let dialled = quote.as_ref().map_or(&input.to, |quote| &quote.from);
            let (_, dialled) = dialled.rsplit_once(':').context("no port")?;
            let port = match backend.port {
                0 => dialled.to_string(),
                port => port.to_string(),
            };
            let backend = format!("b{number}:{port}");
            if quote.is_some() {
                let mut quote = Table::new();
                quote.insert("from".into(), backend.clone().into());
                set("quote", quote.into());
            }
            set("to", backend.into());
        }
        if matches!(instance.way, Way::Nat | Way::Ipip | Way::Cross) {
            set("ttl", i64::from(input.ttl - 1).into());
        }
        let error = input.quote.is_some();
        name = Some(match instance.way {
            Way::Dsr | Way::Nat | Way::Ipip | Way::Cross if error => "forward_icmp",
            Way::Local if error => "deliver_icmp",
            Way::Dsr => "forward_dsr",
            Way::Nat => "forward_nat",
            Way::Local => "deliver_local",
            Way::Ipip | Way::Cross => "forward_ipip",
        });
    }
    icmp::merge(&mut changes, case.out.clone());
    let counter = match name {
        None => None,
        Some(name) => Some(
            *Counter::ALL
                .iter()
                .find(|counter| counter.name() == name)
                .with_context(|| format!("no counter is called {name:?}"))?,
        ),
    };
    Ok(Expectation {
        counter,
        changes,
        via,
        outer,
    })
}
