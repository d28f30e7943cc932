//! What stands in the BPF file system, and taking it away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use splitter_common::abi::{ABI_VERSION, maps};

use super::error::DataplaneError;
use super::lock::FolderLock;
use super::unlink::detach_link;

/// Where distributions mount the BPF file system.
const USUAL_MOUNT: &str = "/sys/fs/bpf";

/// Which program a pinned link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// The packet path.
    Xdp,
    /// Replies of backends on this host.
    TcEgress,
}

impl Hook {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Xdp => "xdp-",
            Self::TcEgress => "tc-egress-",
        }
    }
}

/// The folders of one layout version.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
}

impl Pins {
    pub(super) fn new(bpffs: &Path) -> Self {
        Self {
            root: bpffs.join(format!("v{ABI_VERSION}")),
        }
    }

    pub(super) fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    pub(super) fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    pub(super) fn link(&self, hook: Hook, interface: &str) -> PathBuf {
        self.links()
            .join(format!("{}{}", hook.prefix(), pin_name(interface)))
    }

    /// Makes the folders.
    pub(super) fn create(&self) -> Result<(), DataplaneError> {
        for folder in [self.maps(), self.links()] {
            fs::create_dir_all(&folder)
                .map_err(|e| DataplaneError::io("create folder", &folder, e))?;
        }
        Ok(())
    }

    /// Pinned links of a hook: path and interface's name.
    pub(super) fn pinned_links(
        &self,
        hook: Hook,
    ) -> Result<Vec<(PathBuf, String)>, DataplaneError> {
        Ok(entries(&self.links())?
            .into_iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?.strip_prefix(hook.prefix())?;
                Some((path.clone(), interface_of(name)?))
            })
            .collect())
    }
}

/// bpffs reserves the dot, and interface names may have it (`eth0.100`): everything but letters, digits, `_` and `-`
/// becomes `%` and two hexadecimal digits.
fn pin_name(interface: &str) -> String {
    interface
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02x}")
            }
        })
        .collect()
}

fn interface_of(pin: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = pin.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(more.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &more[2..];
        } else {
            bytes.push(first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Makes `folder` on a BPF file system; mounts one at the usual place where none is there yet.
pub(super) fn ensure_bpffs(folder: &Path) -> Result<(), DataplaneError> {
    if !on_bpffs(folder)? {
        let mount_point = Path::new(USUAL_MOUNT);
        if !folder.starts_with(mount_point) {
            return Err(DataplaneError::NotBpffs {
                folder: folder.to_path_buf(),
                mount: folder.to_path_buf(),
            });
        }
        mount(
            Some("bpf"),
            mount_point,
            Some("bpf"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
            Some("mode=0700"),
        )
        .map_err(|errno| {
            DataplaneError::io("mount a BPF file system on", mount_point, errno.into())
        })?;
    }
    fs::create_dir_all(folder).map_err(|e| DataplaneError::io("create folder", folder, e))
}

/// Whether `folder`, or where it would be made, is on a BPF file system.
fn on_bpffs(folder: &Path) -> Result<bool, DataplaneError> {
    let existing = folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    statfs(existing)
        .map(|found| found.filesystem_type() == BPF_FS_MAGIC)
        .map_err(|errno| DataplaneError::io("examine", existing, errno.into()))
}

/// What [`detach`] took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detached {
    /// Names of the pinned links that are gone.
    pub links: Vec<String>,
    /// Names of the pinned maps that are gone.
    pub maps: Vec<String>,
}

/// Takes the programs off their interfaces and removes all pins in `bpffs`, of this and of other layout versions.
/// Works without a daemon and refuses while one runs. Nothing there is no error: an empty answer.
pub fn detach(bpffs: &Path) -> Result<Detached, DataplaneError> {
    let mut gone = Detached::default();
    if !bpffs.exists() {
        return Ok(gone);
    }
    if !on_bpffs(bpffs)? {
        return Err(DataplaneError::NotBpffs {
            folder: bpffs.to_path_buf(),
            mount: bpffs.to_path_buf(),
        });
    }
    let _lock = FolderLock::take(bpffs)?;
    let versions = entries(bpffs)?.into_iter().filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.strip_prefix('v'))
            .is_some_and(|version| version.parse::<u32>().is_ok())
    });
    for version in versions {
        // Links first: the program must not run on maps that a next daemon would not find.
        let links = version.join("links");
        for pin in entries(&links)? {
            detach_link(&pin).map_err(|e| DataplaneError::io("detach", &pin, e))?;
        }
        gone.links.extend(remove_all(&links)?);
        gone.maps.extend(remove_all(&version.join("maps"))?);
        remove_folder(&version)?;
    }
    // The folder itself may hold what is not ours.
    match fs::remove_dir(bpffs) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {}
        Err(e) => return Err(DataplaneError::io("remove folder", bpffs, e)),
    }
    Ok(gone)
}

/// Maps that go before all others. A start after a `detach` that was killed half way goes on from the services that it
/// finds, and would take slots and backends that are made anew for theirs; without services it begins anew, and flow
/// records of before would name numbers that mean other backends by then.
const FIRST_TO_GO: [&str; 3] = [maps::SERVICES, maps::SERVICE_KEYS, maps::FLOWS];

/// The order in which pins are removed.
fn in_order(mut pins: Vec<PathBuf>) -> Vec<PathBuf> {
    pins.sort_by_key(|path| {
        let first = |name: &&str| path.ends_with(name);
        FIRST_TO_GO
            .iter()
            .position(first)
            .unwrap_or(FIRST_TO_GO.len())
    });
    pins
}

fn remove_all(folder: &Path) -> Result<Vec<String>, DataplaneError> {
    let mut names = Vec::new();
    for path in in_order(entries(folder)?) {
        fs::remove_file(&path).map_err(|e| DataplaneError::io("remove", &path, e))?;
        if let Some(name) = path.file_name() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    remove_folder(folder)?;
    names.sort();
    Ok(names)
}

fn remove_folder(folder: &Path) -> Result<(), DataplaneError> {
    match fs::remove_dir(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(DataplaneError::io("remove folder", folder, e))
        }
        _ => Ok(()),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(DataplaneError::io("list", folder, e)),
    };
    read.map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|e| DataplaneError::io("list", folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_survive_the_way_through_bpffs() {
        for name in ["eth0", "eth0.100", "br-lan", "a%2e", "wg:1"] {
            let pin = pin_name(name);
            assert!(!pin.contains('.') && !pin.contains('/'), "{pin}");
            assert_eq!(interface_of(&pin).as_deref(), Some(name));
        }
        assert_ne!(pin_name("a.b"), pin_name("a_b"));
    }

    #[test]
    fn services_go_before_what_they_refer_to() {
        let pins = Pins::new(Path::new("/bpf"));
        let listing = [
            maps::BACKENDS,
            maps::SERVICE_KEYS,
            maps::SLOTS,
            maps::FLOWS,
            maps::SERVICES,
        ];
        let order = in_order(listing.map(|name| pins.map(name)).to_vec());
        assert_eq!(order[..3], FIRST_TO_GO.map(|name| pins.map(name)));
        assert_eq!(order[0], pins.map(maps::SERVICES));
        assert_eq!(order.len(), listing.len());
    }

    #[test]
    fn detach_wants_a_bpf_file_system() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(matches!(
            detach(folder.path()),
            Err(DataplaneError::NotBpffs { .. })
        ));
        assert_eq!(
            detach(&folder.path().join("missing")).expect("nothing to do"),
            Detached::default()
        );
    }
}
