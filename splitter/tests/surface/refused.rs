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
    (
        "weight web blue=",
        "`blue=`: found \"\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=x",
        "`blue=x`: found \"x\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=100%",
        "`blue=100%`: found \"100%\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=1e2",
        "`blue=1e2`: found \"1e2\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=+100",
        "`blue=+100`: found \"+100\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=-5 green=105",
        "`blue=-5`: found \"-5\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=105",
        "`blue=105`: found \"105\", expected at most 100 %",
    ),
    (
        "weight web blue=100.01",
        "`blue=100.01`: found \"100.01\", expected at most 100 %",
    ),
    (
        "weight web blue=33.333 green=66.667",
        "`blue=33.333`: found \"33.333\", expected at most two decimals, steps of 0.01 %",
    ),
    (
        "weight web blue=0,5 green=99,5",
        "`blue=0,5`: found \"0,5\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=.5 green=99.5",
        "`blue=.5`: found \".5\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=5. green=95",
        "`blue=5.`: found \"5.\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=inf",
        "`blue=inf`: found \"inf\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=NaN",
        "`blue=NaN`: found \"NaN\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=50=50",
        "`blue=50=50`: found \"50=50\", expected a percentage from 0 to 100",
    ),
    (
        "weight web blue=99999999999999999999",
        "`blue=99999999999999999999`: found \"99999999999999999999\", expected at most 100 %",
    ),
    (
        "weight web blue=50",
        "found a sum of 50.00 %, expected 100 %",
    ),
    (
        "weight web blue=50 green=49.99",
        "found a sum of 99.99 %, expected 100 %",
    ),
    (
        "weight web blue=50 green=50.01",
        "found a sum of 100.01 %, expected 100 %",
    ),
    ("weight web blue=0", "found a sum of 0.00 %, expected 100 %"),
    (
        "weight web blue=50 blue=50",
        "found version \"blue\" twice, expected each version once",
    ),
    (
        "weight web blue=100 blue=100",
        "found version \"blue\" twice, expected each version once",
    ),
    ("man nope", "`nope`: splitter has no such command"),
    ("man get nope", "`get nope`: splitter has no such command"),
];

/// What the argument parser refuses: the error without line breaks; usage and a pointer to `--help` follow.
const PARSERS: &[(&str, &str)] = &[
    ("frobnicate", "unrecognized subcommand 'frobnicate'"),
    (
        "route add web --clients 10.8.0.1/16 --version green",
        "invalid value '10.8.0.1/16' for '--clients <CIDR>': `10.8.0.1/16` has host bits set: the prefix is 10.8.0.0/16",
    ),
    (
        "route add web --clients 10.8.0.0/16,x --version green",
        "invalid value 'x' for '--clients <CIDR>': `x` is not a CIDR such as 10.8.0.0/16 or 2001:db8::/32",
    ),
    (
        "route add web --clients 10.8.0.0/16 --version green --ttl 10",
        "invalid value '10' for '--ttl <TIME>': expected a number and a unit, such as 90s, 30m or 12h",
    ),
    (
        "get service web --interval 2s",
        "the following required arguments were not provided: <--watch|--wait <STATE>>",
    ),
    ("get pods", "unrecognized subcommand 'pods'"),
    (
        "get service",
        "the following required arguments were not provided: <NAME>",
    ),
    ("get services web", "unexpected argument 'web' found"),
    (
        "get service web --interval 0",
        "invalid value '0' for '--interval <TIME>': expected at least 10ms",
    ),
    (
        "get service web --interval 1",
        "invalid value '1' for '--interval <TIME>': expected a number and a unit, such as 500ms, 2s or 5m",
    ),
    (
        "get service web --interval 1ms",
        "invalid value '1ms' for '--interval <TIME>': expected at least 10ms",
    ),
    (
        "get service web --interval -1s",
        "unexpected argument '-1' found",
    ),
    (
        "get service web --wait gone",
        "invalid value 'gone' for '--wait <STATE>' [possible values: settled]",
    ),
    (
        "get service web --timeout 5s",
        "the following required arguments were not provided: --wait <STATE>",
    ),
    (
        "weight",
        "the following required arguments were not provided: <SERVICE> <VERSION=PERCENT>...",
    ),
    (
        "weight web",
        "the following required arguments were not provided: <VERSION=PERCENT>...",
    ),
    (
        "weight web blue=100 --soon",
        "unexpected argument '--soon' found",
    ),
    (
        "weight web blue=100 --now=yes",
        "unexpected value 'yes' for '--now' found; no more were expected",
    ),
    (
        "cutover web",
        "the following required arguments were not provided: <VERSION>",
    ),
    ("cutover web green blue", "unexpected argument 'blue' found"),
    (
        "explain web",
        "the following required arguments were not provided: --client <IP[:PORT]>",
    ),
    (
        "explain --client 192.0.2.7",
        "the following required arguments were not provided: <SERVICE>",
    ),
    (
        "explain web --client localhost",
        "invalid value 'localhost' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client 192.0.2.256",
        "invalid value '192.0.2.256' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client 192.0.2.7:",
        "invalid value '192.0.2.7:' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client 192.0.2.7:0",
        "invalid value '192.0.2.7:0' for '--client <IP[:PORT]>': port 0 is nobody's",
    ),
    (
        "explain web --client 192.0.2.7:65536",
        "invalid value '192.0.2.7:65536' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client 192.0.2.0/24",
        "invalid value '192.0.2.0/24' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client [192.0.2.7]:80",
        "invalid value '[192.0.2.7]:80' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client [2001:db8::7",
        "invalid value '[2001:db8::7' for '--client <IP[:PORT]>': expected IP or IP:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000",
    ),
    (
        "explain web --client [fe80::1%2]:80",
        "invalid value '[fe80::1%2]:80' for '--client <IP[:PORT]>': expected an address without a zone",
    ),
    (
        "flows",
        "the following required arguments were not provided: <SERVICE>",
    ),
    ("flows web --limit -1", "unexpected argument '-1' found"),
    (
        "flows web --limit 100001",
        "invalid value '100001' for '--limit <N>': 100001 is not in 0..=100000",
    ),
    (
        "flows web --limit many",
        "invalid value 'many' for '--limit <N>': invalid digit found in string",
    ),
    ("stats --dry-run", "unexpected argument '--dry-run' found"),
    (
        "stats -o yaml",
        "invalid value 'yaml' for '--output <FORMAT>' [possible values: table, json]",
    ),
    ("detach web", "unexpected argument 'web' found"),
    (
        "completion",
        "the following required arguments were not provided: <SHELL>",
    ),
    (
        "completion tcsh",
        "invalid value 'tcsh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]",
    ),
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
        let first = said.split("\n\n").next().unwrap_or_default();
        let words: Vec<&str> = first.split_whitespace().collect();
        assert_eq!(words.join(" "), format!("error: {error}"), "{line}");
        assert!(said.contains("--help"), "{line}: where to read on: {said}");
    }
}

#[test]
fn no_command_at_all_shows_the_commands() {
    for (line, usage, command) in [
        (&[][..], "Usage: splitter", "cutover"),
        (&["get"], "Usage: splitter get", "services"),
    ] {
        let ran = super::process::run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line:?}");
        assert!(ran.stderr.contains(usage), "{line:?}: {ran:?}");
        assert!(ran.stderr.contains(command), "{line:?}: {ran:?}");
    }
}
