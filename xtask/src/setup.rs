//! Looks, says what is missing, brings it, looks again.

use std::path::Path;

use anyhow::{Result, bail};

use crate::facts::{Compiler, Facts};
use crate::needs::{self, Need, Remedy, State};
use crate::process::{Line, Tree};
use crate::steps::Steps;

/// Makes everything ready and returns the compiler for the BPF crate.
pub(crate) fn run(tree: &Tree, steps: &mut Steps, may_install: bool) -> Result<Compiler> {
    steps.step("setup", || ready(tree, may_install))
}

fn ready(tree: &Tree, may_install: bool) -> Result<Compiler> {
    let mut facts = Facts::gather(tree);
    let mut tried: Vec<Vec<Line>> = Vec::new();
    loop {
        let needs = needs::all(&facts);
        let missing: Vec<&Need> = needs
            .iter()
            .filter(|need| matches!(need.state, State::Missing(..)))
            .collect();
        if missing.is_empty() || tried.is_empty() {
            show(&needs, facts.root);
        }
        let Some(first) = missing.first() else {
            return match needs::chosen(&facts) {
                Some(compiler) => Ok(compiler.clone()),
                None => bail!("no BPF compiler, though nothing is missing"),
            };
        };
        if !may_install {
            bail!("{}", refusal(&missing));
        }
        let lines = match &first.state {
            State::Missing(_, Remedy::Commands(lines)) => lines.clone(),
            State::Missing(why, Remedy::ByHand(what)) => {
                bail!("{}: {why}; {what}", first.name)
            }
            State::Met(_) => bail!("{} is there and was taken for missing", first.name),
        };
        if tried.contains(&lines) {
            bail!(
                "{} is still missing after `{}`",
                first.name,
                shown(&lines).join(" && ")
            );
        }
        eprintln!("installing {}:", first.name);
        install(&lines, facts.root, &tree.root)?;
        tried.push(lines);
        facts = Facts::gather(tree);
        facts.lists_fresh |= tried
            .iter()
            .flatten()
            .any(|line| line == &needs::apt_update());
    }
}

fn install(lines: &[Line], root: bool, folder: &Path) -> Result<()> {
    for line in lines {
        let of_apt = line.show().contains("apt-get ");
        if of_apt && !root {
            bail!(
                "`{}` needs root, and we are not root: type it as root, then run this again",
                line.show()
            );
        }
        if let Err(error) = line.run(folder) {
            if !of_apt || line == &needs::apt_update() {
                return Err(error);
            }
            // Lists that are a few weeks old name package files that the mirror has replaced.
            eprintln!("{error}; once more with new package lists:");
            needs::apt_update().run(folder)?;
            line.run(folder)?;
        }
    }
    Ok(())
}

fn show(needs: &[Need], root: bool) {
    for need in needs {
        match &need.state {
            State::Met(which) => eprintln!("  {:<15} {which}", need.name),
            State::Missing(why, remedy) => {
                eprintln!("  {:<15} MISSING: {why}", need.name);
                if let Remedy::Commands(lines) = remedy {
                    for line in shown(lines) {
                        eprintln!("  {:<15} comes with: {line}", "");
                    }
                }
            }
        }
    }
    if !root {
        eprintln!("  not root: `build` and `lint` can do without, `test` and `demo` cannot");
    }
}

fn shown(lines: &[Line]) -> Vec<String> {
    lines.iter().map(Line::show).collect()
}

fn refusal(missing: &[&Need]) -> String {
    let mut text = "something is missing and --no-install was given; type:\n".to_owned();
    for need in missing {
        match &need.state {
            State::Missing(_, Remedy::Commands(lines)) => {
                for line in shown(lines) {
                    text += &format!("  {line}\n");
                }
                if lines == &[needs::apt_update()] {
                    text += "  # then this command again: new package lists tell what to install\n";
                }
            }
            State::Missing(why, Remedy::ByHand(what)) => {
                text += &format!("  # {}: {why}; {what}\n", need.name);
            }
            State::Met(_) => {}
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lists_what_to_type_in_order() {
        let missing = |name, remedy| Need {
            name,
            state: State::Missing("why".into(), remedy),
        };
        let needs = [
            missing(
                "one",
                Remedy::Commands(vec![Line::new(["a", "b"]), Line::new(["c"])]),
            ),
            missing("two", Remedy::ByHand("do it".into())),
            missing("three", Remedy::Commands(vec![needs::apt_update()])),
        ];
        assert_eq!(
            refusal(&needs.iter().collect::<Vec<_>>()),
            "something is missing and --no-install was given; type:\n  a b\n  c\n  # two: why; do it\n  \
             apt-get update -o Acquire::Retries=3\n  # then this command again: new package lists tell what to install"
        );
    }

    #[test]
    fn apt_is_not_tried_without_root() {
        let line = Line::new(["apt-get", "install", "--yes", "splitter-no-such-package"]);
        let error =
            install(&[line], false, Path::new(".")).expect_err("not root, so it must not run");
        assert!(error.to_string().contains("needs root"), "{error}");
    }
}
