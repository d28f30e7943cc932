//! The house rules, each with its reason. A rule that no breach could trip would be worse than none, so each is also
//! shown planted breaches, which it must notice, and innocent look-alikes, which it must leave alone.

#[path = "house_rules/boundaries.rs"]
mod boundaries;
#[path = "house_rules/form.rs"]
mod form;
#[path = "house_rules/links.rs"]
mod links;
#[path = "house_rules/rule.rs"]
mod rule;
#[path = "house_rules/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use rule::Rule;
use source::Source;

fn rules() -> impl Iterator<Item = &'static Rule> {
    boundaries::RULES.iter().chain(form::RULES)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is a folder of the workspace")
        .to_path_buf()
}

/// Every text file that git would track, with its path from the root.
fn files(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let relative = path.strip_prefix(root).expect("below the root");
            let name = relative.display().to_string();
            // In a linked work tree `.git` is a file.
            if name == ".git" {
                continue;
            }
            if path.is_dir() {
                // `proptest-regressions` holds what proptest writes, not what people do.
                if !["target", "proptest-regressions"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push(Source::new(&name, &text));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn breaches(rule: &Rule, files: &[Source], root: &Path) -> Vec<String> {
    files
        .iter()
        .filter(|file| (rule.applies)(&file.path))
        .flat_map(|file| {
            (rule.find)(file, root)
                .into_iter()
                .map(|(line, what)| format!("{}:{line}: {what}", file.path))
        })
        .collect()
}

#[test]
fn the_house_rules_hold() {
    let root = root();
    let files = files(&root);
    let mut report = String::new();
    for rule in rules() {
        let looked_at = files
            .iter()
            .filter(|file| (rule.applies)(&file.path))
            .count();
        assert!(looked_at > 0, "the rule `{}` looks at no file", rule.name);
        let found = breaches(rule, &files, &root);
        if !found.is_empty() {
            report += &format!(
                "\n{}\n  because {}\n  {}\n",
                rule.name,
                rule.reason,
                found.join("\n  ")
            );
        }
    }
    assert!(report.is_empty(), "house rules broken:\n{report}");
}

#[test]
fn each_rule_notices_planted_breaches() {
    let root = root();
    for rule in rules() {
        assert!(
            !rule.breaches.is_empty(),
            "no breach is planted for `{}`",
            rule.name
        );
        for (path, text) in rule.breaches {
            let file = Source::new(path, text);
            assert!(
                (rule.applies)(path),
                "`{}` does not apply to {path}",
                rule.name
            );
            assert!(
                !(rule.find)(&file, &root).is_empty(),
                "`{}` did not notice in {path}:\n{text}",
                rule.name
            );
        }
    }
}

#[test]
fn each_rule_leaves_the_innocent_alone() {
    let root = root();
    for rule in rules() {
        for (path, text) in rule.innocent {
            let files = [Source::new(path, text)];
            let found = breaches(rule, &files, &root);
            assert!(
                found.is_empty(),
                "`{}` took offence at {path}: {found:?}",
                rule.name
            );
        }
    }
}
