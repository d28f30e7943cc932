//! Changes: what reaches the daemon, and what its refusals become.

use splitter::api::types::SetWeights;

use super::fake::Fake;
use super::process::run_at;

#[test]
fn weights_now_and_dry_run_reach_the_daemon() {
    let fake = Fake::start();
    let mut expected = Vec::new();
    let mut ask = |line: &str, weights: &[(&str, f64)], now: bool, dry_run: bool| {
        let words: Vec<&str> = line.split(' ').collect();
        run_at(&fake.socket(), &words).ok();
        let weights = weights.iter().map(|(v, w)| ((*v).to_owned(), *w));
        let set = SetWeights {
            weights: weights.collect(),
            now,
            dry_run,
        };
        expected.push(("web".to_owned(), set));
        assert_eq!(fake.asked(), expected, "{line}");
    };
    let thirds = [("blue", 33.33), ("green", 66.67)];
    ask("weight web blue=33.33 green=66.67", &thirds, false, false);
    ask(
        "weight web --now green=100",
        &[("green", 100.0)],
        true,
        false,
    );
    let least = [("blue", 99.99), ("green", 0.01)];
    ask(
        "weight web blue=99.99 green=0.01 --dry-run",
        &least,
        false,
        true,
    );
    let all = [("blue", 0.0), ("green", 100.0)];
    ask(
        "weight web blue=0 green=100.00 --now --dry-run",
        &all,
        true,
        true,
    );
    ask("cutover web green", &[("green", 100.0)], false, false);
    ask("cutover web green --now", &[("green", 100.0)], true, false);
    ask(
        "cutover web blue --dry-run",
        &[("blue", 100.0)],
        false,
        true,
    );
}

#[test]
fn refusals_of_the_daemon_have_their_exit_codes() {
    let fake = Fake::start();
    for (line, code, error) in [
        (
            "weight web blue=50 red=50",
            2,
            "error: found version \"red\", expected one of blue, green\n",
        ),
        (
            "cutover web red",
            2,
            "error: found version \"red\", expected one of blue, green\n",
        ),
        (
            "cutover nope blue",
            2,
            "error: there is no service `nope`; there are: web, dns\n",
        ),
        (
            "cutover held blue",
            1,
            "error: `held` is held as things stand\n",
        ),
        (
            "cutover broken blue",
            1,
            "error: the map cannot be written\n",
        ),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = run_at(&fake.socket(), &words);
        let got = (ran.code, ran.stdout.as_str(), ran.stderr.as_str());
        assert_eq!(got, (Some(code), "", error), "{line}");
    }
}

#[test]
fn names_of_any_kind_reach_the_daemon_as_they_are() {
    let fake = Fake::start();
    for name in ["a b", "a/b", "a?b#c", "ü", "%41", "..", "a%2Fb", "\"", "-"] {
        let ran = run_at(&fake.socket(), &["cutover", "--", name, "blue"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let error = format!("error: there is no service `{name}`; there are: web, dns\n");
        assert_eq!(ran.stderr, error);
    }
}
