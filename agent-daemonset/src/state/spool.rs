//! Finished results that the server has not acknowledged yet: encrypted files, oldest first, bounded in bytes. They are
//! unsigned; each attempt to send signs anew. A file's name is part of what the encryption authenticates, so that entries
//! cannot be swapped.

use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Error, StateDir};

const FOLDER: &str = "spool";
const KEY: &str = "spool.key";
const NONCE_BYTES: usize = 12;
const COMPRESSION_LEVEL: i32 = 3;
/// A result larger than this after decompression was not written by the agent: the API takes 32 MiB in one request.
const MAX_ENTRY_BYTES: usize = 48 << 20;
const ADVICE: &str = "it was set aside; the server leases the job again";

/// The name of an entry: later entries have larger numbers, and whose result it is can be told without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    number: u64,
    /// The run.
    pub run_id: Uuid,
    /// The job it answers.
    pub job_id: Option<Uuid>,
}

impl EntryId {
    fn file_name(self) -> String {
        let job = self.job_id.unwrap_or_default().simple();
        format!("{:020}_{}_{job}.run", self.number, self.run_id.simple())
    }

    fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(".run")?.split('_');
        let number = parts.next()?.parse().ok()?;
        let run_id = Uuid::try_parse(parts.next()?).ok()?;
        let job_id = Uuid::try_parse(parts.next()?).ok().filter(|id| !id.is_nil());
        Some(EntryId { number, run_id, job_id })
    }
}

/// The queue of finished results.
pub struct Spool {
    state: Arc<StateDir>,
    cipher: ChaCha20Poly1305,
    entries: VecDeque<(EntryId, u64)>,
    next: u64,
    limit_bytes: u64,
}

impl Spool {
    /// Opens the spool and finds what an earlier process left in it.
    pub fn open(state: Arc<StateDir>, limit_bytes: u64) -> Result<Self, Error> {
        let cipher = ChaCha20Poly1305::new(&key(&state)?);
        let folder = state.folder(FOLDER)?;
        let failed = |source| Error::Folder { path: folder.clone(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(id) = EntryId::parse(&entry.file_name().to_string_lossy()) {
                entries.push((id, entry.metadata().map_err(failed)?.len()));
            }
        }
        entries.sort_unstable();
        let next = entries.last().map_or(1, |(id, _)| id.number + 1);
        Ok(Spool { state, cipher, entries: entries.into(), next, limit_bytes })
    }

    /// How many results wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|(_, size)| size).sum()
    }

    /// Whether no new job may be taken. A result that is finished is still accepted: the spool may be over its bound by
    /// that one.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.limit_bytes
    }

    /// The waiting results with their size on disk in bytes, oldest first.
    pub fn entries(&self) -> Vec<(EntryId, u64)> {
        self.entries.iter().copied().collect()
    }

    /// Adds a result; on the disk when this returns.
    pub fn push<T: Serialize>(&mut self, run_id: Uuid, job_id: Option<Uuid>, result: &T) -> Result<EntryId, Error> {
        let id = EntryId { number: self.next, run_id, job_id };
        let name = format!("{FOLDER}/{}", id.file_name());
        let failed = |reason: String| Error::Write {
            path: self.state.path().join(&name),
            source: std::io::Error::other(reason),
        };
        let json = serde_json::to_vec(result).map_err(|error| failed(error.to_string()))?;
        let packed = zstd::bulk::compress(&json, COMPRESSION_LEVEL).map_err(|error| failed(error.to_string()))?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: &packed, aad: id.file_name().as_bytes() })
            .map_err(|_| failed("the result is too large to encrypt".to_owned()))?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        self.state.write(&name, &bytes)?;
        self.entries.push_back((id, bytes.len() as u64));
        self.next += 1;
        Ok(id)
    }

    /// Reads a result.
    pub fn read<T: DeserializeOwned>(&self, id: EntryId) -> Result<T, Error> {
        let name = format!("{FOLDER}/{}", id.file_name());
        let damaged = |reason: String| Error::Damaged { path: self.state.path().join(&name), reason, advice: ADVICE };
        let bytes = self.state.read(&name)?.ok_or_else(|| damaged("it is gone".to_owned()))?;
        let (nonce, sealed) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or_else(|| damaged("it is shorter than what the agent writes".to_owned()))?;
        let packed = self
            .cipher
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: id.file_name().as_bytes() })
            .map_err(|_| damaged("it does not decrypt with this folder's key".to_owned()))?;
        let json = zstd::bulk::decompress(&packed, MAX_ENTRY_BYTES).map_err(|error| damaged(error.to_string()))?;
        serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
    }

    /// Forgets a result that the server acknowledged.
    pub fn remove(&mut self, id: EntryId) -> Result<(), Error> {
        self.state.remove(&format!("{FOLDER}/{}", id.file_name()))?;
        self.entries.retain(|(entry, _)| *entry != id);
        Ok(())
    }

    /// Takes a result that can never be sent out of the queue, and keeps its file (one only, the last) for whoever looks
    /// into it.
    pub fn set_aside(&mut self, id: EntryId) -> Result<(), Error> {
        let from = self.state.path().join(FOLDER).join(id.file_name());
        let to = self.state.path().join(FOLDER).join("rejected");
        match fs::rename(&from, &to) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Write { path: to, source }),
            _ => {
                self.entries.retain(|(entry, _)| *entry != id);
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spool").field("entries", &self.entries).finish_non_exhaustive()
    }
}

fn key(state: &StateDir) -> Result<Key, Error> {
    if let Some(bytes) = state.read(KEY)? {
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| Error::Damaged {
            path: state.path().join(KEY),
            reason: format!("a key has 32 bytes, this file {}", bytes.len()),
            advice: "remove it together with the folder spool; results that were not sent are lost",
        })?;
        return Ok(Key::from(key));
    }
    let key: [u8; 32] = rand::random();
    state.write(KEY, &key)?;
    Ok(Key::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(folder: &tempfile::TempDir, limit: u64) -> (Arc<StateDir>, Spool) {
        let state = Arc::new(StateDir::open(folder.path()).unwrap());
        (Arc::clone(&state), Spool::open(state, limit).unwrap())
    }

    #[test]
    fn results_come_back_in_order_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (state, mut first) = spool(&folder, 1 << 20);
        for number in 0..12 {
            first.push(Uuid::new_v4(), None, &format!("result {number}")).unwrap();
        }
        drop(first);
        let again = Spool::open(state, 1 << 20).unwrap();
        let read: Vec<String> = again.entries().into_iter().map(|(id, _)| again.read(id).unwrap()).collect();
        assert_eq!(read, (0..12).map(|number| format!("result {number}")).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_of_a_result_is_readable_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (state, mut spool) = spool(&folder, 1 << 20);
        let id = spool.push(Uuid::new_v4(), None, &"PermitRootLogin yes").unwrap();
        let bytes = fs::read(state.path().join(FOLDER).join(id.file_name())).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"PermitRootLogin"));
    }

    #[test]
    fn a_changed_or_swapped_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (state, mut spool) = spool(&folder, 1 << 20);
        let (one, two) =
            (spool.push(Uuid::new_v4(), None, &"one").unwrap(), spool.push(Uuid::new_v4(), None, &"two").unwrap());
        let path = |id: EntryId| state.path().join(FOLDER).join(id.file_name());
        fs::copy(path(two), path(one)).unwrap();
        assert!(matches!(spool.read::<String>(one), Err(Error::Damaged { .. })));
        let mut bytes = fs::read(path(two)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path(two), bytes).unwrap();
        assert!(matches!(spool.read::<String>(two), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_full_spool_says_so_and_still_takes_what_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut spool) = spool(&folder, 100);
        while !spool.is_full() {
            spool.push(Uuid::new_v4(), None, &"a result of some length").unwrap();
        }
        let id = spool.push(Uuid::new_v4(), None, &"the last one").unwrap();
        assert_eq!(spool.read::<String>(id).unwrap(), "the last one");
        for (id, _) in spool.entries() {
            spool.remove(id).unwrap();
        }
        assert!(!spool.is_full() && spool.is_empty());
    }
}
