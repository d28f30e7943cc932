//! The stage: what runs while the acts are played, and how an act is played.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use splitter::api::types::ServiceView;

use super::Pace;
use super::judge::{ENOUGH, Share, Verdict};
use super::screen::Screen;
use super::table::Live;
use crate::clients::Client;
use crate::clients::report::HeldTotals;
use crate::lab::{Config, Family, Lab, Splitter, now_ns};
use crate::servers::{Fault, Servers};

/// Short requests a second.
const REQUESTS: u32 = 300;
/// Connections opened in each act, to be held to the end.
const HELD: usize = 20;
/// Time between messages on a held connection.
const EVERY: Duration = Duration::from_millis(100);
/// For how long a share is measured at most, however few requests there are.
const LIMIT: Duration = Duration::from_secs(60);
/// A share that is measured again is measured so many times as long.
const LONGER: u32 = 3;

/// What changes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// `splitter weight`.
    Weights(&'static str, &'static str),
    /// `splitter cutover`.
    Cutover(&'static str),
}

impl Change {
    fn arguments(self) -> Vec<&'static str> {
        match self {
            Self::Weights(blue, green) => vec!["weight", "web", blue, green],
            Self::Cutover(version) => vec!["cutover", "web", version],
        }
    }
}

/// One change and what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    /// What the audience is told.
    pub(super) title: &'static str,
    /// What changes.
    pub(super) change: Option<Change>,
    /// Green's share of new flows from then on, percent.
    pub(super) green: f64,
    /// Whether the daemon is killed while the change is under way.
    pub(super) kill: bool,
}

/// All that runs.
pub(super) struct Stage<'lab> {
    lab: &'lab Lab,
    family: Family,
    pace: Pace,
    splitter: Splitter<'lab>,
    requests: Client,
    held: Vec<Client>,
    screen: Screen,
    start: Instant,
    _servers: Servers,
}

impl<'lab> Stage<'lab> {
    /// Starts servers, daemon and clients.
    pub(super) fn set(
        lab: &'lab Lab,
        family: Family,
        pace: Pace,
        fault: Option<Fault>,
    ) -> Result<Self> {
        let mut screen = Screen::new();
        screen.say(&format!(
            "A client, an edge host and two versions of a web server, blue and green, two servers each: every one in a \
             network namespace.\nClients dial {}; splitter runs on the edge host and forwards in {} mode.\n",
            lab.vip(family),
            lab.mode(),
        ));
        let servers = Servers::start(lab, fault)?;
        let mut config = Config::web(lab, family);
        for service in &mut config.services {
            service.prepare = format!("{}ms", pace.prepare.as_millis());
            service.idle = format!("{}ms", pace.idle.as_millis());
        }
        let mut splitter = Splitter::prepare(lab, &config)?;
        let file = std::fs::read_to_string(splitter.config())?;
        screen.say(&format!("splitter.toml\n{}", indented(&file)));
        screen.say("$ splitter check splitter.toml");
        let path = splitter.config();
        let path = path
            .to_str()
            .context("the folder for temporary files is not UTF-8")?;
        screen.say(&indented(&splitter.ok(&["check", path])?));
        screen.say("$ splitter run --config splitter.toml &\n");
        splitter.run()?;
        let requests = Client::request(lab, family, REQUESTS)?;
        let held = Vec::new();
        Ok(Self {
            lab,
            family,
            pace,
            splitter,
            requests,
            held,
            screen,
            start: Instant::now(),
            _servers: servers,
        })
    }

    /// Plays an act; gives green's share of the requests after the change had taken hold.
    pub(super) fn play(&mut self, act: &Act) -> Result<Share> {
        self.screen.say(&format!("\n# {}", act.title));
        let mut holds_at = Instant::now();
        if let Some(change) = act.change {
            self.command(&change.arguments())?;
            holds_at = Instant::now() + self.pace.prepare;
        }
        if act.kill {
            self.die_and_come_back()?;
        }
        self.look_until(holds_at + self.pace.margin)?;
        self.held
            .push(Client::start_holding(self.lab, self.family, HELD, EVERY)?);
        let share = self.measure(act.green, 1)?;
        if !share.is_doubtful() {
            return Ok(share);
        }
        self.screen.say(&format!(
            "\n{:.1} standard deviations off, which chance does once in a long while: measured again, {LONGER} times as \
             long. That alone counts.\n",
            share.worst()
        ));
        self.measure(act.green, LONGER)
    }

    /// Measures green's share from now on, by clients and by splitter, until there are enough requests for it.
    fn measure(&mut self, set: f64, times: u32) -> Result<Share> {
        let enough = ENOUGH * u64::from(times);
        let begin = Instant::now();
        let told_before = self.handshakes()?;
        let from = now_ns();
        self.look_until(begin + self.pace.window * times)?;
        let mut share = Share {
            set,
            ..Share::default()
        };
        loop {
            let told = self.handshakes()?;
            share.told = (told.0 - told_before.0, told.1 - told_before.1);
            (share.green, share.total) = self.answered(from, u64::MAX);
            if share.has(enough) || begin.elapsed() > LIMIT {
                break;
            }
            self.look_until(Instant::now() + Duration::from_millis(100))?;
        }
        let to = now_ns();
        // Requests of the window that are still under way.
        self.look_until(Instant::now() + self.pace.margin)?;
        (share.green, share.total) = self.answered(from, to);
        Ok(share)
    }

    /// Short requests of a time that were answered: by green, by anyone.
    fn answered(&self, from: u64, to: u64) -> (u64, u64) {
        let answers = self.requests.answers_between(from, to);
        let green = answers.iter().filter(|a| a.is_from("green")).count() as u64;
        let all = answers.iter().filter(|a| a.backend.is_ok()).count() as u64;
        (green, all)
    }

    /// Handshakes that splitter has seen up to now: with green, with any version. They never go back, unlike the
    /// samples of the view, which begin anew when a change has taken hold.
    fn handshakes(&self) -> Result<(u64, u64)> {
        let versions = self.splitter.service("web")?.versions;
        let of = |name| {
            let versions = versions.iter().filter(|v| v.name == name);
            let backends = versions.flat_map(|v| &v.backends);
            backends.map(|b| b.handshakes).sum::<u64>()
        };
        Ok((of("green"), of("green") + of("blue")))
    }

    /// Ends the traffic, waits for rest, and completes the verdict.
    pub(super) fn close(mut self, verdict: &mut Verdict) -> Result<()> {
        self.screen
            .say("\n# Clients hang up; the memory of flows ends with the transition.");
        // A connection that its client hangs up stays in the count of open ones: it was held to the end.
        for client in std::mem::take(&mut self.held) {
            let reported = client.finish()?;
            add(&mut verdict.held, &reported.held);
            verdict.faults.extend(reported.faults);
        }
        let deadline = Instant::now() + self.pace.settle;
        let at_rest = loop {
            let service = self.splitter.service("web")?;
            if service.transition.is_none() {
                break true;
            }
            if Instant::now() > deadline {
                break false;
            }
            self.look_until(Instant::now() + Duration::from_millis(200))?;
        };
        self.screen.say("$ splitter get service web");
        let text = self.splitter.ok(&["get", "service", "web"])?;
        self.screen.say(&indented(&text));
        if at_rest {
            verdict.records_at_rest = Some(self.splitter.flows("web")?.total);
        }
        let reported = self.requests.finish()?;
        verdict.answered = reported
            .answers
            .iter()
            .filter(|a| a.backend.is_ok())
            .count() as u64;
        verdict.failed = reported
            .answers
            .into_iter()
            .filter_map(|a| a.backend.err())
            .collect();
        self.splitter.terminate()
    }

    fn command(&mut self, arguments: &[&str]) -> Result<()> {
        self.screen
            .say(&format!("$ splitter {}", arguments.join(" ")));
        let text = self.splitter.ok(arguments)?;
        self.screen.say(&indented(&text));
        Ok(())
    }

    fn die_and_come_back(&mut self) -> Result<()> {
        self.look_until(Instant::now() + self.pace.prepare / 4)?;
        let pid = self.splitter.pid().context("no daemon runs")?;
        self.screen.say(&format!("$ kill -9 {pid}"));
        self.splitter.kill();
        self.look_until(Instant::now() + self.pace.dead)?;
        self.screen.say("$ splitter run --config splitter.toml &");
        self.splitter.run()
    }

    /// Draws the table again and again.
    fn look_until(&mut self, until: Instant) -> Result<()> {
        while Instant::now() < until {
            if self.screen.is_due() {
                self.look()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        let service: Option<ServiceView> = match self.splitter.pid() {
            Some(_) => Some(self.splitter.service("web")?),
            None => None,
        };
        let held = self.held_totals();
        let (answered, failed) = {
            let view = self.requests.view();
            let count = |prefix| view.answers.iter().filter(|a| a.is_from(prefix)).count() as u64;
            let failed = view.answers.iter().filter(|a| a.backend.is_err()).count() as u64;
            ([count("blue"), count("green")], failed)
        };
        let live = Live {
            seconds: self.start.elapsed().as_secs_f64(),
            service: service.as_ref(),
            held: &held,
            answered,
            failed,
        };
        let text = if self.screen.is_terminal() {
            live.table()
        } else {
            live.line()
        };
        self.screen.draw(&text);
        Ok(())
    }

    fn held_totals(&self) -> HeldTotals {
        let mut sum = HeldTotals::default();
        for client in &self.held {
            add(&mut sum, &client.view().held);
        }
        sum
    }
}

fn add(sum: &mut HeldTotals, more: &HeldTotals) {
    for (name, open) in &more.open {
        *sum.open.entry(name.clone()).or_default() += open;
    }
    sum.messages += more.messages;
    sum.moved += more.moved;
    sum.broken += more.broken;
}

fn indented(text: &str) -> String {
    let line = |line: &str| {
        if line.is_empty() {
            "\n".to_owned()
        } else {
            format!("    {line}\n")
        }
    };
    text.lines().map(line).collect()
}
