//! `splitter detach`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::Failure;
use super::format::plural;
use super::output::{Output, Paint};
use super::{Global, places};
use crate::dataplane::{self, DataplaneError};

/// What `detach` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
}

/// What was, or would be, removed.
#[derive(Debug, Serialize)]
struct Removed {
    bpffs: PathBuf,
    links: Vec<String>,
    maps: Vec<String>,
    dry_run: bool,
}

pub(super) fn run(it: &Arguments, global: &Global, out: &mut Output) -> Result<(), Failure> {
    let bpffs = places::bpffs(global)?;
    let (links, maps) = if it.dry_run {
        let pinned = |kind| pinned(&bpffs, kind);
        let failed = |e: io::Error| Failure::Failed(format!("{}: {e}", bpffs.display()));
        (
            pinned("links").map_err(failed)?,
            pinned("maps").map_err(failed)?,
        )
    } else {
        let gone = dataplane::detach(&bpffs).map_err(refused)?;
        (gone.links, gone.maps)
    };
    let removed = Removed {
        bpffs,
        links,
        maps,
        dry_run: it.dry_run,
    };
    out.view(&removed, table)
}

fn refused(error: DataplaneError) -> Failure {
    Failure::Failed(match error {
        DataplaneError::Owned { .. } => format!("{error}; stop it first"),
        error => error.to_string(),
    })
}

/// Names of what is pinned, of every layout version: `v1/links/…`, `v1/maps/…`.
fn pinned(bpffs: &Path, kind: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for version in entries(bpffs)? {
        for pin in entries(&version.join(kind))? {
            names.extend(
                pin.file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

/// What is in a folder; one that does not exist is empty.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|e| e.path())).collect(),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(e) => Err(e),
    }
}

fn table(removed: &Removed, paint: Paint) -> String {
    let verb = if removed.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let folder = removed.bpffs.display();
    if removed.links.is_empty() && removed.maps.is_empty() {
        return format!("nothing is pinned in {folder}\n");
    }
    let mut text = String::new();
    for (kind, names) in [("link", &removed.links), ("map", &removed.maps)] {
        for name in names {
            text += &format!("{verb} {kind} {}\n", paint.bold(name));
        }
    }
    text += &format!(
        "{verb} {} and {} from {folder}\n",
        plural(removed.links.len() as u64, "link"),
        plural(removed.maps.len() as u64, "map"),
    );
    if removed.dry_run {
        text += &paint.dim("dry run: nothing was changed");
        text.push('\n');
    }
    text
}
