//! Command lines that are wrong: one clear error, exit code 2, before anybody is asked.

use super::process::run_at;
use std::path::Path;

/// Weights and the like: splitter's own errors, whole.
const OURS: &[(&str, &str)] = &[
    (
        "weight web blue",
        "`blue`: expected VERSION=PERCENT, such as blue=90",
    ),
    (
        "weight web blue:90",
        "`blue:90`: expected VERSION=PERCENT, such as blue=90",
    ),
    ("weight web =100", "`=100`: expected a version before `=`"),
    ("weight web blue=", "`blue=`: "),
    ("weight web blue=x", "`blue=x`: "),
    ("weight web blue=100%", "`blue=100%`: "),
    ("weight web blue=1e2", "`blue=1e2`: "),
    ("weight web blue=+100", "`blue=+100`: "),
    ("weight web blue=-5 green=105", "`blue=-5`: "),
    ("weight web blue=105", "`blue=105`: "),
    ("weight web blue=100.01", "`blue=100.01`: "),
    ("weight web blue=33.333 green=66.667", "`blue=33.333`: "),
    ("weight web blue=0,5 green=99,5", "`blue=0,5`: "),
    ("weight web blue=.5 green=99.5", "`blue=.5`: "),
    ("weight web blue=5. green=95", "`blue=5.`: "),
    ("weight web blue=inf", "`blue=inf`: "),
    ("weight web blue=NaN", "`blue=NaN`: "),
    ("weight web blue=50=50", "`blue=50=50`: "),
    (
        "weight web blue=99999999999999999999",
        "`blue=99999999999999999999`: ",
    ),
    ("weight web blue=50", ""),
    ("weight web blue=50 green=49.99", ""),
    ("weight web blue=50 green=50.01", ""),
    ("weight web blue=0", ""),
    ("weight web blue=50 blue=50", ""),
    ("weight web blue=100 blue=100", ""),
    ("man nope", ""),
    ("man get nope", ""),
    ("check /nowhere/splitter.toml", ""),
    ("run --config /nowhere/splitter.toml", ""),
];

/// What the argument parser refuses: the first line.
const PARSERS: &[(&str, &str)] = &[
    ("frobnicate", ""),
    ("get", ""),
    ("get pods", ""),
    ("get service", ""),
    ("get services web", ""),
    ("get service web --interval 0", ""),
    ("get service web --interval 1", ""),
    ("get service web --interval 1ms", ""),
    ("get service web --interval -1s", ""),
    ("get service web --wait gone", ""),
    ("get service web --timeout 5s", ""),
    ("weight", ""),
    ("weight web", ""),
    ("weight web blue=100 --soon", ""),
    ("weight web blue=100 --now=yes", ""),
    ("cutover web", ""),
    ("cutover web green blue", ""),
    ("explain web", ""),
    ("explain --client 192.0.2.7", ""),
    ("explain web --client localhost", ""),
    ("explain web --client 192.0.2.256", ""),
    ("explain web --client 192.0.2.7:", ""),
    ("explain web --client 192.0.2.7:0", ""),
    ("explain web --client 192.0.2.7:65536", ""),
    ("explain web --client 192.0.2.0/24", ""),
    ("explain web --client [192.0.2.7]:80", ""),
    ("explain web --client [2001:db8::7", ""),
    ("explain web --client [fe80::1%2]:80", ""),
    ("flows", ""),
    ("flows web --limit -1", ""),
    ("flows web --limit 100001", ""),
    ("flows web --limit many", ""),
    ("stats --dry-run", ""),
    ("stats -o yaml", ""),
    ("detach web", ""),
    ("completion", ""),
    ("completion tcsh", ""),
];

fn refused(line: &str) -> String {
    let nowhere = Path::new("/nowhere/splitter.sock");
    let words: Vec<&str> = line.split(' ').collect();
    let ran = run_at(nowhere, &words);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(2), ""),
        "{line}: {ran:?}"
    );
    ran.stderr
}

#[test]
fn wrong_values_earn_one_error_and_exit_code_2() {
    for (line, error) in OURS {
        assert_eq!(refused(line), format!("error: {error}\n"), "{line}");
    }
}

#[test]
fn wrong_usage_earns_one_error_and_exit_code_2() {
    for (line, error) in PARSERS {
        let said = refused(line);
        assert_eq!(
            said.lines().next(),
            Some(format!("error: {error}").as_str()),
            "{line}"
        );
        assert!(said.contains("--help"), "{line}: where to read on: {said}");
    }
}

#[test]
fn no_command_at_all_shows_the_commands() {
    let ran = super::process::run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: splitter") && ran.stderr.contains("cutover"));
}
