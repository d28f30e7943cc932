//! What must survive the daemon and the machine: `state.json` in the state folder.
//!
//! Written whole to a new file, flushed to disk, then renamed over the old one; a checksum tells damage. What is
//! damaged is set aside, never overwritten.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Seed;

const FORMAT: u64 = 1;
const FILE: &str = "state.json";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The secret of hash and placement, two words in hexadecimal.
    pub seed: Option<(String, String)>,
    /// By identity of the service, such as `tcp 203.0.113.10:443`.
    pub services: BTreeMap<String, ServiceState>,
    /// Routes, by the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, RoutesState>,
}

/// What is kept of a service's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoutesState {
    /// The routes.
    pub routes: Vec<RouteState>,
    /// Prefixes that the file routes and that were removed by hand.
    pub removed: Vec<String>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RouteState {
    /// Prefix of the clients.
    pub clients: String,
    /// Their version; none: the route leaves.
    pub version: Option<String>,
    /// When it leaves.
    pub expires: Option<Timestamp>,
    /// Whether it is the file's.
    pub of_file: bool,
    /// Whether its row may lack the stamps of the time when the route came into force.
    pub fresh: bool,
}

/// What is kept of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServiceState {
    /// Its name, for readers of the file.
    pub name: String,
    /// Weights in force, basis points by version.
    pub weights: BTreeMap<String, u16>,
    /// When they were last changed.
    pub changed: Option<Timestamp>,
    /// When the first slot now in transition left rest.
    pub began: Option<Timestamp>,
    /// Completed handshakes by backend (`address port`) from which the measured share counts.
    pub baseline: BTreeMap<String, u64>,
    /// Whether `baseline` is of the moment when new flows followed, `prepare` after the change.
    pub baseline_settled: bool,
}

impl State {
    /// The seed, if one is kept.
    pub(super) fn seed(&self) -> Option<Seed> {
        let (first, second) = self.seed.as_ref()?;
        let word = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Seed([word(first)?, word(second)?]))
    }

    /// Keeps a seed.
    pub(super) fn set_seed(&mut self, Seed([first, second]): Seed) {
        self.seed = Some((format!("{first:016x}"), format!("{second:016x}")));
    }
}

/// The file, of this and of every later format: so the checksum tells a file of another format from a damaged one.
#[derive(Serialize, Deserialize)]
struct Envelope {
    format: u64,
    checksum: String,
    state: Value,
}

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file system call failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another daemon keeps its state here.
    #[error("another splitter daemon keeps its state in {} (daemon.state_dir)", .0.display())]
    Owned(PathBuf),
    /// Written by another version of splitter.
    #[error(
        "{} has format {found}, expected {FORMAT}: it was written by another version of splitter; run that version, or \
         move the file away and start: while maps are pinned, slots stay as they are until weights are set",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { what, path, source }
}

/// How the state was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// Whole.
    Whole(State),
    /// There was none.
    Missing,
    /// Damaged, and set aside under this name.
    Damaged(PathBuf),
}

/// The state folder, held exclusively.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    _lock: Flock<File>,
}

impl Store {
    /// Makes the folder where it is missing, and takes it.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(failed("create folder", folder))?;
        let file = File::open(folder).map_err(failed("open", folder))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self {
                folder: folder.to_path_buf(),
                _lock: lock,
            }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(StoreError::Owned(folder.to_path_buf()))
            }
            Err((_, errno)) => Err(failed("lock", folder)(errno.into())),
        }
    }

    /// Reads what is kept.
    pub(super) fn load(&self) -> Result<Loaded, StoreError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Missing),
            Err(e) => return Err(failed("read", &path)(e)),
        };
        let whole = serde_json::from_slice::<Envelope>(&bytes)
            .ok()
            .filter(|file| file.checksum == checksum(file.format, &file.state));
        if let Some(found) = whole.as_ref().map(|file| file.format)
            && found != FORMAT
        {
            return Err(StoreError::Format { path, found });
        }
        match whole.and_then(|file| serde_json::from_value(file.state).ok()) {
            Some(state) => Ok(Loaded::Whole(state)),
            None => self.set_aside(&path).map(Loaded::Damaged),
        }
    }

    fn set_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let free = (1_u32..)
            .map(|n| self.folder.join(format!("{FILE}.damaged-{n}")))
            .find(|path| !path.exists())
            .expect("a free number below four billion");
        fs::rename(path, &free).map_err(failed("set aside", path))?;
        Ok(free)
    }

    /// Writes it durably: when this returns, a loss of power does not undo it.
    pub(super) fn save(&self, state: &State) -> Result<(), StoreError> {
        let path = self.folder.join(FILE);
        let new = self.folder.join(format!("{FILE}.new"));
        let text = serde_json::to_value(state)
            .and_then(|state| {
                serde_json::to_vec_pretty(&Envelope {
                    format: FORMAT,
                    checksum: checksum(FORMAT, &state),
                    state,
                })
            })
            .map_err(|e| failed("write", &new)(e.into()))?;
        // The seed is a secret: nobody else may read the file.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(failed("create", &new))?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("replace", &path))?;
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("flush", &self.folder))
    }
}

/// FNV-1a, 64 bits, over the format and the state as compact JSON: tells damage, not malice.
fn checksum(format: u64, state: &Value) -> String {
    let text = format!("{format} {state}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::default();
        state.set_seed(Seed([1, u64::MAX]));
        state.services.insert(
            "tcp 203.0.113.10:443".to_owned(),
            ServiceState {
                name: "web".to_owned(),
                weights: [("blue".to_owned(), 9_000), ("green".to_owned(), 1_000)].into(),
                began: Some(Timestamp::UNIX_EPOCH),
                ..ServiceState::default()
            },
        );
        state
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = Store::open(&folder.path().join("new/state")).expect("a folder is made");
        assert_eq!(store.load().expect("readable"), Loaded::Missing);
        store.save(&state()).expect("saved");
        assert_eq!(store.load().expect("readable"), Loaded::Whole(state()));
        assert_eq!(state().seed(), Some(Seed([1, u64::MAX])));
    }

    #[test]
    fn every_damaged_byte_is_noticed_and_the_file_is_set_aside() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = Store::open(folder.path()).expect("free");
        store.save(&state()).expect("saved");
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).expect("readable");
        let mut noticed = 0;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x01;
            fs::write(&path, &damaged).expect("writable");
            match store.load() {
                Ok(Loaded::Damaged(aside)) => {
                    assert_eq!(fs::read(&aside).expect("set aside"), damaged);
                    fs::remove_file(aside).expect("removable");
                    noticed += 1;
                }
                // A blank that became another one.
                Ok(Loaded::Whole(found)) => assert_eq!(found, state(), "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        assert!(noticed > whole.len() / 2, "{noticed} of {}", whole.len());
        fs::write(&path, &whole[..whole.len() / 2]).expect("writable");
        assert!(matches!(store.load(), Ok(Loaded::Damaged(_))));
    }

    #[test]
    fn a_file_of_another_format_is_refused_and_stays() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = Store::open(folder.path()).expect("free");
        let state = serde_json::json!({ "what": "this version does not know" });
        let text = serde_json::to_vec(&Envelope {
            format: FORMAT + 1,
            checksum: checksum(FORMAT + 1, &state),
            state,
        })
        .expect("JSON");
        let path = folder.path().join(FILE);
        fs::write(&path, &text).expect("writable");
        let error = store.load().expect_err("refused");
        assert!(matches!(error, StoreError::Format { found: 2, .. }));
        assert!(error.to_string().contains("move the file away"), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), text);
    }

    #[test]
    fn a_folder_has_one_owner() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let held = Store::open(folder.path()).expect("free");
        assert!(matches!(
            Store::open(folder.path()),
            Err(StoreError::Owned(_))
        ));
        drop(held);
        Store::open(folder.path()).expect("free again");
    }
}
