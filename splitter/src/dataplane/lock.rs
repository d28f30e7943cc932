//! One owner per folder: a lock on the folder itself, which the kernel drops with the process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::error::DataplaneError;

/// The exclusive right to a folder, for as long as it lives.
#[derive(Debug)]
pub(super) struct FolderLock {
    _held: Flock<File>,
}

impl FolderLock {
    /// Takes the lock, or says who holds it. The folder must exist.
    pub(super) fn take(folder: &Path) -> Result<Self, DataplaneError> {
        loop {
            let file = File::open(folder).map_err(|e| DataplaneError::io("open", folder, e))?;
            let opened = file
                .metadata()
                .map_err(|e| DataplaneError::io("examine", folder, e))?;
            let held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => held,
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                    return Err(DataplaneError::Owned {
                        pid: owner(opened.dev(), opened.ino()),
                        folder: folder.to_path_buf(),
                    });
                }
                Err((_, errno)) => {
                    return Err(DataplaneError::io("lock", folder, errno.into()));
                }
            };
            // `detach` removes the folder while it holds the lock: a lock on what was removed is worth nothing.
            match fs::metadata(folder) {
                Ok(now) if (now.dev(), now.ino()) == (opened.dev(), opened.ino()) => {
                    return Ok(Self { _held: held });
                }
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(DataplaneError::io("open", folder, e));
                }
                Err(e) => return Err(DataplaneError::io("examine", folder, e)),
            }
        }
    }
}

/// Process that holds a lock on an inode, from `/proc/locks`; none when it lives in another PID namespace.
fn owner(device: u64, inode: u64) -> Option<u32> {
    let wanted = format!(
        "{:02x}:{:02x}:{inode}",
        nix::sys::stat::major(device),
        nix::sys::stat::minor(device)
    );
    fs::read_to_string("/proc/locks")
        .ok()?
        .lines()
        .map(str::split_whitespace)
        .map(Iterator::collect::<Vec<_>>)
        .find(|fields| fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&wanted.as_str()))
        .and_then(|fields| fields[4].parse().ok())
        .filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_who_has_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let held = FolderLock::take(folder.path()).expect("free");
        match FolderLock::take(folder.path()) {
            Err(DataplaneError::Owned { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("expected a refusal, got {other:?}"),
        }
        drop(held);
        FolderLock::take(folder.path()).expect("free again");
    }
}
