//! What people see: tables, help.

use super::fake::Fake;
use super::golden;
use super::process::{run, run_at};

#[test]
fn every_command_that_asks_the_daemon_prints_its_table() {
    let fake = Fake::start();
    for (name, line) in [
        ("get_services", "get services"),
        ("get_service_transition", "get service web"),
        ("get_service_rest", "get service dns"),
        ("weight", "weight web blue=50 green=50"),
        ("weight_now", "weight web blue=99.99 green=0.01 --now"),
        ("weight_same", "weight web blue=87.5 green=12.50"),
        ("weight_dry_run", "weight web green=100 --dry-run"),
        ("cutover", "cutover web green"),
        (
            "route_add",
            "route add web --clients 10.8.0.0/16,10.9.0.0/16 --version green --ttl 1h",
        ),
        (
            "route_add_dry_run",
            "route add web --clients 10.8.0.1 --version green --now --dry-run",
        ),
        ("route_remove", "route remove web --clients 10.8.0.0/16"),
        ("route_list", "route list web"),
        ("route_list_none", "route list dns"),
        ("explain_port", "explain web --client 192.0.2.7:40000"),
        ("explain_ipv6", "explain web --client [2001:db8::7]:40000"),
        ("explain_address", "explain web --client 192.0.2.7"),
        ("flows", "flows web"),
        ("flows_limit", "flows web --limit 2"),
        ("flows_none", "flows dns"),
        ("stats", "stats"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let text = run_at(&fake.socket(), &words).ok();
        assert!(!text.contains('\x1b'), "{line}: colours in a pipe");
        assert!(
            text.lines().all(|l| l == l.trim_end()),
            "{line}: blanks at a line's end"
        );
        golden::check(name, &text);
    }
}

#[test]
fn help_of_every_command_lists_its_options() {
    fn visit(command: &clap::Command, path: &[String], seen: &mut usize) {
        let mut line: Vec<&str> = path.iter().map(String::as_str).collect();
        line.push("--help");
        let text = run(&line).ok();
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(text.contains(&format!("--{long}")), "{line:?}: --{long}");
            }
        }
        for global in ["--output", "--socket", "--config"] {
            assert!(text.contains(global), "{line:?}: {global}");
        }
        golden::check(&format!("help_{}", path.join("_")), &text);
        *seen += 1;
        for command in command.get_subcommands() {
            let path = [path, &[command.get_name().to_owned()]].concat();
            visit(command, &path, seen);
        }
    }
    let mut seen = 0;
    visit(&splitter::cli::command(), &[], &mut seen);
    assert!(seen >= 14, "{seen} helps");
}

#[test]
fn completions_and_man_pages_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completion", shell]).ok();
        for word in ["cutover", "explain", "detach"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = run(&["man"]).ok();
    assert!(page.contains(".TH splitter 1"), "{page}");
    let page = run(&["man", "get", "service"]).ok();
    for word in ["splitter\\-get\\-service", "\\-\\-interval", "\\-\\-socket"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[test]
fn the_version_is_told() {
    let version = format!("splitter {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]).ok(), version);
}
