//! The agent's state folder: its key, its registration, the spool and what the server last acknowledged. One agent owns
//! it at a time. Every file is replaced whole (written beside, synced, renamed), so that a crash leaves the old one or the
//! new one and never a part.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub mod acknowledged;
pub mod baselines;
pub mod bundle;
pub mod keys;
pub mod leased;
pub mod registration;
pub mod sequence;
pub mod spool;

const LOCK: &str = "lock";
/// Files of this prefix were being written when an agent died.
const UNFINISHED: &str = ".new-";

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be made or read.
    #[error("cannot use {path} as the agent's state folder: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent holds the lock.
    #[error(
        "another agent{holder} uses the state folder {path}; stop it, or give this one a folder of its own with --state-dir"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// " (process 123)", or nothing when unknown.
        holder: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what the agent writes there.
    #[error("{path} is damaged: {reason}; {advice}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What the operator of the host can do.
        advice: &'static str,
    },
    /// The folder belongs to an enrolment with another server.
    #[error(
        "the state folder {path} is enrolled with {enrolled}, not with {asked}; give this agent another --state-dir, or remove that one to enrol anew"
    )]
    OtherServer {
        /// The folder.
        path: PathBuf,
        /// The server that it is enrolled with.
        enrolled: String,
        /// The server that was asked for.
        asked: String,
    },
}

impl Error {
    /// Whether the disk is full, which passes.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Error::Write { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// The state folder, locked for this process.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    // The lock ends with the file.
    _lock: File,
}

impl StateDir {
    /// Opens the folder, makes it if it is missing, and closes it to every other user and agent.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let folder = |source| Error::Folder { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(folder)?;
        let path = fs::canonicalize(path).map_err(folder)?;
        let folder = |source| Error::Folder { path: path.clone(), source };
        // A hostPath folder that the kubelet made is 0755.
        if fs::metadata(&path).map_err(folder)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(folder)?;
        }
        let lock = lock(&path)?;
        let state = StateDir { path, _lock: lock };
        state.remove_unfinished(Path::new(""))?;
        Ok(state)
    }

    /// The folder's path, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder inside, for this agent's user alone, and clears what was never finished there.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| Error::Folder { path: path.clone(), source })?;
        self.remove_unfinished(Path::new(name))?;
        Ok(path)
    }

    /// The content of a file, or `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Replaces a file (0600) by `bytes`; on the disk when this returns.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        replace(&path, bytes).map_err(|source| Error::Write { path, source })
    }

    /// Removes a file; it may be gone already.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Write { path, source }),
            _ => Ok(()),
        }
    }

    fn remove_unfinished(&self, folder: &Path) -> Result<(), Error> {
        let path = self.path.join(folder);
        let failed = |source| Error::Folder { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Writes beside, syncs, renames, syncs the folder.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!("{UNFINISHED}{name}"));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    })();
    if written.is_err() {
        // On a full disk the part that was written is what is needed most.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let failed = |source| Error::Write { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            // Who holds it is a courtesy to whoever starts the second one; a full disk must not stop the first.
            let _ = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim().parse::<u32>().map(|pid| format!(" (process {pid})")).unwrap_or_default();
            Err(Error::InUse { path: folder.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _first = StateDir::open(folder.path()).unwrap();
        let message = StateDir::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another agent (process"), "{message}");
    }

    #[test]
    fn the_folder_and_its_files_are_for_this_user_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let state = StateDir::open(&path).unwrap();
        state.write("x", b"1").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(path.join("x")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_a_crash_left_unfinished_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".new-x"), b"half").unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(!state.path().join(".new-x").exists());
        assert_eq!(state.read("x").unwrap(), None);
    }
}
