//! `docs/cli.md` and the command line say the same.

use std::collections::BTreeMap;
use std::path::Path;

/// Sections of the document by the command in their heading.
fn sections() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let text = std::fs::read_to_string(file).expect("docs/cli.md");
    let mut sections = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').expect("a heading's end");
        if let Some(command) = heading.strip_prefix("`splitter ") {
            let words = command.trim_end_matches('`').split(' ');
            let words: Vec<&str> = words
                .take_while(|w| w.starts_with(|c: char| c.is_ascii_lowercase()))
                .collect();
            sections.insert(words.join(" "), body.to_owned());
        }
    }
    sections
}

/// Every command that does something, with its arguments.
fn commands() -> BTreeMap<String, clap::Command> {
    fn visit(command: &clap::Command, path: &str, found: &mut BTreeMap<String, clap::Command>) {
        if !command.has_subcommands() {
            found.insert(path.trim_start().to_owned(), command.clone());
        }
        for command in command.get_subcommands() {
            visit(command, &format!("{path} {}", command.get_name()), found);
        }
    }
    let mut found = BTreeMap::new();
    visit(&splitter::cli::command(), "", &mut found);
    found
}

#[test]
fn every_command_is_documented_with_an_example_and_all_its_options() {
    let (sections, commands) = (sections(), commands());
    let documented: Vec<&String> = sections.keys().collect();
    let existing: Vec<&String> = commands.keys().collect();
    assert_eq!(documented, existing);
    for (name, command) in &commands {
        let text = &sections[name];
        assert!(
            text.contains(&format!("\n$ splitter {name}")),
            "{name}: an example"
        );
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(text.contains(&format!("--{long}")), "{name}: --{long}");
            }
        }
    }
}

#[test]
fn every_example_is_a_valid_command_line() {
    let mut examples = 0;
    for text in sections().values() {
        for line in text.lines().filter_map(|l| l.strip_prefix("$ splitter ")) {
            let line = line.split(" | ").next().unwrap_or(line);
            let line = line.split(" > ").next().unwrap_or(line);
            let words = std::iter::once("splitter").chain(line.split_whitespace());
            let matched = splitter::cli::command().try_get_matches_from(words);
            assert!(matched.is_ok(), "{line}: {}", matched.unwrap_err());
            examples += 1;
        }
    }
    assert!(examples >= 12, "{examples} examples");
}
