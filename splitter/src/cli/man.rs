//! `splitter man [COMMAND…]`.

use super::failure::Failure;
use super::output::Output;

/// What `man` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The command to describe, such as `get service`; none: splitter as a whole.
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
}

pub(super) fn run(it: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let mut command = super::command();
    command.build();
    for word in &it.words {
        let found = command.find_subcommand(word).cloned();
        command = found.ok_or_else(|| {
            let line = it.words.join(" ");
            Failure::Usage(format!("`{line}`: splitter has no such command"))
        })?;
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|e| Failure::Failed(format!("cannot write the page: {e}")))?;
    out.bytes(&page)
}
