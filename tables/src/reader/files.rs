//! Files below the host's root, whole and within limits: as bytes, as text, as JSON. Those of a home folder only where no link
//! leads out of it.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Query, Scan};
use crate::posix::FileExt;
use crate::root::{Follow, Metadata};

/// The longest file that is read whole.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;
/// The longest configuration file that is read whole, and the most lines of one: a table may hold a row for each.
const MAX_TEXT_BYTES: u64 = 8 << 20;
const MAX_TEXT_LINES: usize = 50_000;
const BEGINNING_BYTES: u64 = 1 << 20;
/// How much is read between two looks at the budget.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
const MAX_JSON_VALUES: usize = 200_000;

impl Scan {
    /// Opens a regular file below the root.
    pub fn open(&self, path: impl AsRef<Path>, follow: Follow) -> Option<(Reader, Metadata)> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return None;
        }
        let (file, metadata) = self.found(path, self.source.root.open_file(path, follow))?;
        Some((Reader { file, query: self.query.clone() }, metadata))
    }

    /// The text of a file below the root, at most 8 MiB and 50,000 lines, of a longer file the first MiB; links are followed.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let path = path.as_ref();
        let (reader, metadata) = self.open(path, Follow::Links)?;
        self.text_of(path, reader, &metadata)
    }

    /// The text of a file in a home folder, within the same limits. No part below the home may be a link: its owner must
    /// not choose what is read.
    pub fn home_text(&self, home: &str, below: impl AsRef<Path>) -> Option<String> {
        let (path, reader, metadata) = self.open_at_home(home, below.as_ref())?;
        self.text_of(&path, reader, &metadata)
    }

    /// The bytes of a file in a home folder, at most 16 MiB, under the same rule as [`Scan::home_text`].
    pub fn home_bytes(&self, home: &str, below: impl AsRef<Path>) -> Option<Vec<u8>> {
        let (path, reader, metadata) = self.open_at_home(home, below.as_ref())?;
        self.whole(&path, reader, metadata.size, MAX_FILE_BYTES)
    }

    fn open_at_home(&self, home: &str, below: &Path) -> Option<(PathBuf, Reader, Metadata)> {
        let path = Path::new(home).join(below);
        if !home.starts_with('/') || !self.budget().is_open() {
            return None;
        }
        let (file, metadata) = self.found(&path, self.source.root.open_file_below(Path::new(home), below))?;
        Some((path, Reader { file, query: self.query.clone() }, metadata))
    }

    /// The JSON in the text of a file; none if it is none, or holds too much.
    pub fn json(&self, path: impl AsRef<Path>, text: &str) -> Option<serde_json::Value> {
        if is_crowded_json(text.as_bytes()) {
            self.warn(format!("{} holds more values than are read", path.as_ref().display()));
            return None;
        }
        serde_json::from_str(text).ok()
    }

    fn text_of(&self, path: &Path, reader: Reader, metadata: &Metadata) -> Option<String> {
        // What is so long is no configuration; its beginning shows what it is.
        let most = if metadata.size > MAX_TEXT_BYTES { BEGINNING_BYTES } else { MAX_TEXT_BYTES };
        let mut bytes = self.whole(path, reader, metadata.size, most)?;
        let mut rest = bytes.as_slice();
        // No text can have more lines than bytes.
        for _ in 0..MAX_TEXT_LINES.min(bytes.len()) {
            self.found(path, rest.skip_until(b'\n'))?;
        }
        let end = bytes.len() - rest.len();
        if end < bytes.len() {
            self.warn(format!("{} has more than {MAX_TEXT_LINES} lines; the rest is not read", path.display()));
            bytes.truncate(end);
        }
        Some(lossy(bytes))
    }

    /// The bytes of an opened file from its beginning to its end, or to the limit, which is said.
    fn whole(&self, path: &Path, reader: Reader, size: u64, most: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(most) + 1).unwrap_or_default());
        self.found(path, reader.take(most + 1).read_to_end(&mut bytes))?;
        if bytes.len() as u64 > most {
            self.warn(format!("{} is longer than {} MiB; the rest is not read", path.display(), most >> 20));
            bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Some(bytes)
    }

    /// The bytes of a file below the root, at most 16 MiB.
    pub fn bytes(&self, path: impl AsRef<Path>, follow: Follow) -> Option<Vec<u8>> {
        let path = path.as_ref();
        let (reader, metadata) = self.open(path, follow)?;
        self.whole(path, reader, metadata.size, MAX_FILE_BYTES)
    }
}

/// Whether JSON has so many values that they would not fit in memory: one of two bytes takes thirty.
pub(crate) fn is_crowded_json(text: &[u8]) -> bool {
    text.iter().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count() > MAX_JSON_VALUES
}

/// Text of bytes; what is not UTF-8 is replaced.
pub(crate) fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A file whose bytes count against the budget.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) file: std::fs::File,
    pub(super) query: Arc<Query>,
}

impl Reader {
    /// The opened file, for a library that reads by itself.
    pub fn descriptor(&self) -> &std::fs::File {
        &self.file
    }

    /// Reads from an offset on, wherever the reading before ended.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.file.read_at(buffer, offset)?;
        if self.query.budget.spend_bytes(count) { Ok(count) } else { Err(io::Error::other("over the budget")) }
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(CHUNK_BYTES);
        let count = self.file.read(&mut buffer[..wanted])?;
        if self.query.budget.spend_bytes(count) { Ok(count) } else { Err(io::Error::other("over the budget")) }
    }
}
