//! The demo: real servers, real clients and the real daemon, while traffic moves from blue to green and back.

mod judge;
mod screen;
mod stage;
mod table;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::lab::{Family, Lab, Topology};
use crate::servers::Fault;
use judge::Verdict;
use stage::{Act, Change, Stage};

/// Moves real traffic from blue to green and back, and shows that not one connection breaks.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "demo")]
pub struct Options {
    /// About 20 seconds instead of a minute
    #[arg(long)]
    pub fast: bool,
    /// How splitter forwards to the backends
    #[arg(long, value_enum, default_value = "dsr")]
    pub mode: Mode,
    /// Let servers misbehave, to see that the demo notices
    #[arg(long, value_enum, env = "SPLITTER_DEMO_FAULT", hide = true)]
    pub fault: Option<Fault>,
}

/// How splitter forwards to the backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// New MAC addresses only: backends on the same link hold the VIP
    Dsr,
    /// New destination address: backends on another link answer by the edge host
    Nat,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// `prepare` of the service.
    pub(crate) prepare: Duration,
    /// `drain.idle` of the service.
    pub(crate) idle: Duration,
    /// For how long a share is measured, at least.
    pub(crate) window: Duration,
    /// Between the moment when new flows follow and the first measured one: reports and clocks are not exact.
    pub(crate) margin: Duration,
    /// For how long no daemon runs.
    pub(crate) dead: Duration,
    /// How long to wait at most for the transition to end.
    pub(crate) settle: Duration,
}

impl Pace {
    fn of(fast: bool) -> Self {
        let ms = Duration::from_millis;
        if fast {
            Self {
                prepare: ms(500),
                // Longer than a process may be stalled while its connection is held.
                idle: ms(4000),
                window: ms(1300),
                margin: ms(300),
                dead: ms(500),
                settle: ms(60_000),
            }
        } else {
            Self {
                prepare: ms(2000),
                idle: ms(4000),
                window: ms(6500),
                margin: ms(500),
                dead: ms(2000),
                settle: ms(60_000),
            }
        }
    }
}

const ACTS: &[Act] = &[
    Act {
        title: "Blue is stable: every new flow goes there.",
        change: None,
        green: 0.0,
        kill: false,
    },
    Act {
        title: "Ten percent of new flows to green. Connections that exist stay where they are.",
        change: Some(Change::Weights("blue=90", "green=10")),
        green: 10.0,
        kill: false,
    },
    Act {
        title: "Half and half; and in the middle of it the daemon dies.",
        change: Some(Change::Weights("blue=50", "green=50")),
        green: 50.0,
        kill: true,
    },
    Act {
        title: "All new flows to green.",
        change: Some(Change::Cutover("green")),
        green: 100.0,
        kill: false,
    },
    Act {
        title: "Something is wrong with green, let us say: back to blue.",
        change: Some(Change::Cutover("blue")),
        green: 0.0,
        kill: false,
    },
];

/// Runs the demo; true if every promise was kept.
pub fn run(options: &Options) -> Result<bool> {
    let pace = Pace::of(options.fast);
    let topology = if options.mode == Mode::Nat {
        Topology::NatElsewhere
    } else {
        Topology::Dsr
    };
    let lab = Lab::new(topology)?;
    let mut stage = Stage::set(&lab, Family::V4, pace, options.fault)?;
    let mut verdict = Verdict::default();
    for act in ACTS {
        verdict.shares.push(stage.play(act)?);
    }
    stage.close(&mut verdict)?;
    print!("{}", verdict.summary());
    Ok(verdict.kept())
}
