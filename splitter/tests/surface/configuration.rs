//! Commands that read the configuration.

use std::fs;
use std::path::PathBuf;

use super::fake::Fake;
use super::golden;
use super::process::{command, finish, run};

const GOOD: &str = r#"
[daemon]
interfaces = ["lo"]
socket = "SOCKET"
bpffs = "BPFFS"

[[service]]
name = "web"
vip = "203.0.113.10"
port = 443
protocol = "tcp"
mode = "dsr"
stable = "blue"

[[service.version]]
name = "blue"
backends = [{ address = "10.0.0.11" }, { address = "10.0.0.12", weight = 2 }]

[[service.version]]
name = "green"
backends = [{ address = "10.0.1.11" }]
"#;

/// A valid configuration, changed in one place.
fn file(fake: &Fake, from: &str, to: &str) -> PathBuf {
    assert!(from.is_empty() || GOOD.contains(from), "{from}");
    let socket = fake.socket().display().to_string();
    let pins = fake.folder().join("pins").display().to_string();
    let text = GOOD.replace("SOCKET", &socket).replace("BPFFS", &pins);
    let text = if from.is_empty() {
        text
    } else {
        text.replace(from, to)
    };
    let path = fake.folder().join("splitter.toml");
    fs::write(&path, text).expect("the file");
    path
}

#[test]
fn check_says_what_is_in_a_valid_file() {
    let fake = Fake::start();
    let path = file(&fake, "", "").display().to_string();
    let text = run(&["check", &path]).ok();
    golden::check("check", &text.replace(&path, "FILE"));
    let text = run(&["check", "--config", &path, "-o", "json"]).ok();
    let view: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(view["services"], 1);
    assert_eq!(view["backends"], 3);
    assert_eq!(view["host_checked"], true);
}

#[test]
fn check_asks_for_the_interfaces_unless_told_not_to() {
    let fake = Fake::start();
    let path = file(&fake, "[\"lo\"]", "[\"nosuch0\"]")
        .display()
        .to_string();
    let ran = run(&["check", &path]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("\"nosuch0\""), "{ran:?}");
    let text = run(&["check", "--no-host", &path]).ok();
    assert!(text.contains("nosuch0 (host not looked at)"), "{text}");
}

#[test]
fn a_file_that_is_not_there_is_one_error_and_exit_code_2() {
    for line in [
        &["check", "/nowhere/c.toml"][..],
        &["run", "--config", "/nowhere/c.toml"],
    ] {
        let ran = run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("error: /nowhere/c.toml:"), "{ran:?}");
        assert!(ran.stderr.contains("No such file or directory"), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}

#[test]
fn an_invalid_file_is_one_error_and_exit_code_2() {
    let fake = Fake::start();
    let path = file(&fake, "port = 443", "port = 0").display().to_string();
    for line in [&["check", &path][..], &["run", "--config", &path]] {
        let ran = run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        let place = format!("error: {path}:10:");
        assert!(ran.stderr.starts_with(&place), "{line:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{line:?}: {ran:?}");
    }
}

#[test]
fn the_socket_comes_from_option_environment_and_file_in_this_order() {
    let fake = Fake::start();
    let path = file(&fake, "", "").display().to_string();
    let services = run(&["get", "services", "--config", &path]).ok();
    assert!(services.contains("web"));

    // What is wrong elsewhere in the file keeps nobody from the daemon.
    let broken = file(&fake, "port = 443", "prot = 443")
        .display()
        .to_string();
    assert_eq!(
        run(&["get", "services", "--config", &broken]).ok(),
        services
    );

    let mut by_environment = command(&["get", "services"]);
    by_environment.env("SPLITTER_CONFIG", &path);
    assert_eq!(finish(by_environment).ok(), services);

    let mut by_environment = command(&["get", "services"]);
    by_environment.env("SPLITTER_SOCKET", fake.socket());
    assert_eq!(finish(by_environment).ok(), services);

    let nowhere = [
        "get",
        "services",
        "--socket",
        "/nowhere/s",
        "--config",
        &path,
    ];
    let mut option_first = command(&nowhere);
    option_first.env("SPLITTER_SOCKET", fake.socket());
    let ran = finish(option_first);
    let error = "error: cannot reach the daemon at /nowhere/s: No such file or directory (os error 2); \
                 is `splitter run` running?\n";
    let got = (ran.code, ran.stdout.as_str(), ran.stderr.as_str());
    assert_eq!(got, (Some(3), "", error));

    let ran = run(&["get", "services", "--config", "/nowhere/c"]);
    let error = "error: /nowhere/c: cannot be read: No such file or directory (os error 2)\n";
    let got = (ran.code, ran.stdout.as_str(), ran.stderr.as_str());
    assert_eq!(got, (Some(2), "", error));
}

#[test]
fn a_dry_detach_lists_the_pins_and_leaves_them() {
    let fake = Fake::start();
    let path = file(&fake, "", "").display().to_string();
    let pins = fake.folder().join("pins");
    let line = ["detach", "--dry-run", "--config", &path];
    let nothing = format!("nothing is pinned in {}\n", pins.display());
    assert_eq!(run(&line).ok(), nothing);

    for pin in ["v1/links/xdp-lo", "v1/maps/SLOTS", "v1/maps/FLOWS"] {
        let pin = pins.join(pin);
        fs::create_dir_all(pin.parent().unwrap()).unwrap();
        fs::write(pin, "").unwrap();
    }
    let text = run(&line).ok();
    let text = text.replace(&pins.display().to_string(), "FOLDER");
    golden::check("detach_dry_run", &text);
    assert!(pins.join("v1/links/xdp-lo").exists());
    let json = run(&[&line[..], &["-o", "json"]].concat()).ok();
    let view: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(view["links"], serde_json::json!(["xdp-lo"]));
    assert_eq!(view["dry_run"], true);
}

#[test]
fn a_second_daemon_does_not_start_and_says_who_is_there() {
    let fake = Fake::start();
    let path = file(&fake, "", "").display().to_string();
    let ran = run(&["run", "--config", &path]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    let owner = format!("another splitter daemon (process {})", std::process::id());
    assert!(ran.stderr.contains(&owner), "{ran:?}");
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused() {
    let fake = Fake::start();
    let path = file(&fake, "", "").display().to_string();
    let mut daemon = command(&["run", "--config", &path]);
    daemon.env("SPLITTER_LOG", "info=loud=x");
    let ran = finish(daemon);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.starts_with("error: SPLITTER_LOG: "), "{ran:?}");
}
