//! Digests of files, by as many threads as there are processors to spare: the walk goes on meanwhile.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use sha2::Digest as _;

use super::baseline::{Content, Digest};
use crate::posix::fgetxattr;

const CHUNK_BYTES: usize = 256 << 10;
/// What a file may carry beside its content and mode, and what opens doors.
const ATTRIBUTES: [&std::ffi::CStr; 2] = [c"security.capability", c"system.posix_acl_access"];
/// An access list has a few dozen bytes.
const MAX_ATTRIBUTE_BYTES: usize = 4 << 10;

/// A file to read.
pub(super) struct Job {
    /// Which one it is in the walk.
    pub number: u64,
    pub file: File,
}

/// What reading gave.
pub(super) struct Done {
    pub number: u64,
    /// The content, and the bytes that were read; or why there is none.
    pub result: Result<(Content, u64), String>,
}

/// What all threads share.
pub(super) struct Work<'a> {
    pub jobs: &'a Mutex<Receiver<Job>>,
    pub done: Sender<Done>,
    pub digest: Digest,
    pub file_bytes: u64,
    pub is_over: &'a AtomicBool,
}

impl Work<'_> {
    /// Works until there are no more jobs.
    pub fn run(&self) {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { number, file }) = job else { return };
            let result = self.read(file, &mut buffer);
            if self.done.send(Done { number, result }).is_err() {
                return;
            }
        }
    }

    fn read(&self, mut file: File, buffer: &mut [u8]) -> Result<(Content, u64), String> {
        let attributes = attributes_of(&file);
        let mut hash = Hash::new(self.digest);
        let mut read_bytes = 0;
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return Err("the time was up".to_owned());
            }
            let count = file.read(buffer).map_err(|error| error.to_string())?;
            if count == 0 {
                return Ok((Content::Digest(hash.finish(), attributes), read_bytes));
            }
            read_bytes += count as u64;
            if read_bytes > self.file_bytes {
                return Err(too_large(self.file_bytes));
            }
            hash.update(&buffer[..count]);
        }
    }
}

pub(super) fn too_large(most: u64) -> String {
    format!("is larger than {most} bytes; its content is not compared")
}

enum Hash {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Hash {
    fn new(digest: Digest) -> Self {
        match digest {
            Digest::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Digest::Blake3 => Self::Blake3(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Blake3(hash) => {
                hash.update(bytes);
            }
        }
    }

    fn finish(self) -> [u8; 32] {
        match self {
            Self::Sha256(hash) => hash.finalize().into(),
            Self::Blake3(hash) => hash.finalize().into(),
        }
    }
}

/// A digest of capabilities and access list; zeros if there are none, as with nearly every file.
fn attributes_of(file: &File) -> [u8; 16] {
    let mut hash = sha2::Sha256::new();
    let mut has_any = false;
    for name in ATTRIBUTES {
        let mut value = [0; MAX_ATTRIBUTE_BYTES];
        if let Ok(length) = fgetxattr(file, name, &mut value) {
            has_any = true;
            hash.update(name.to_bytes_with_nul());
            hash.update(value.get(..length).unwrap_or_default());
        }
    }
    let mut digest = [0; 16];
    if has_any {
        digest.copy_from_slice(&hash.finalize()[..16]);
    }
    digest
}
