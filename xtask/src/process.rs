//! Paths of the source tree, and commands that are shown before they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Where things are.
pub(crate) struct Tree {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// What set-up installs for this checkout alone: always below the workspace, wherever cargo's target folder is,
    /// so that the build script finds it.
    pub(crate) tools: PathBuf,
}

impl Tree {
    /// From what cargo says at run time, so that a moved checkout works.
    pub(crate) fn find() -> Self {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().map(Path::to_path_buf).unwrap_or(manifest);
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |folder| root.join(folder));
        let tools = root.join("target/tools");
        Self {
            root,
            target,
            tools,
        }
    }
}

/// A command as data: it can be shown, compared in a test, and run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    env: Vec<(String, String)>,
    without: &'static [&'static str],
    argv: Vec<String>,
}

impl Line {
    /// From its words.
    pub(crate) fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            env: Vec::new(),
            without: &[],
            argv: argv.into_iter().map(Into::into).collect(),
        }
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Without these variables of ours in its environment.
    pub(crate) fn without(mut self, names: &'static [&'static str]) -> Self {
        self.without = names;
        self
    }

    /// With more words.
    pub(crate) fn args<S: Into<String>>(mut self, more: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(more.into_iter().map(Into::into));
        self
    }

    /// As one would type it.
    pub(crate) fn show(&self) -> String {
        let env = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={}", quote(value)));
        let argv = self.argv.iter().map(|word| quote(word));
        env.chain(argv).collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> Result<Command> {
        let (program, arguments) = self.argv.split_first().context("an empty command")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        // `cargo run` points the loader at rustup's libraries, which are not those of Debian's compiler.
        command.env_remove("LD_LIBRARY_PATH");
        for name in self.without {
            command.env_remove(name);
        }
        Ok(command)
    }

    /// Shows and runs it in `folder`; anything but success is an error.
    pub(crate) fn run(&self, folder: &Path) -> Result<()> {
        eprintln!("$ {}", self.show());
        let status = self
            .command()?
            .current_dir(folder)
            .status()
            .with_context(|| format!("cannot run `{}`", self.argv.join(" ")))?;
        if !status.success() {
            bail!("`{}` failed: {status}", self.show());
        }
        Ok(())
    }

    /// Runs it silently; none where it cannot be run or fails.
    pub(crate) fn ask(&self) -> Option<String> {
        let Output { status, stdout, .. } = self
            .command()
            .ok()?
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        status
            .success()
            .then(|| String::from_utf8_lossy(&stdout).into_owned())
    }
}

/// For display: `$(…)` in a word is left to be substituted by the reader's shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if word.contains("$(") {
        format!("\"{word}\"")
    } else if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let line = Line::new(["cargo", "test"])
            .env("SEED", "1")
            .args(["--", "a b", "it's"]);
        assert_eq!(line.show(), r"SEED=1 cargo test -- 'a b' 'it'\''s'");
    }

    #[test]
    fn failure_is_an_error_and_success_is_not() {
        let here = Path::new(".");
        Line::new(["true"]).run(here).expect("`true` succeeds");
        let error = Line::new(["false"])
            .run(here)
            .expect_err("`false` fails")
            .to_string();
        assert!(error.contains("`false` failed"), "{error}");
        assert_eq!(Line::new(["false"]).ask(), None);
        assert_eq!(
            Line::new(["printf", "hello"]).ask().as_deref(),
            Some("hello")
        );
        assert_eq!(Line::new(["splitter-no-such-program"]).ask(), None);
    }
}
