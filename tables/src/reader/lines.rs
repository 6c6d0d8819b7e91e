//! Files below the host's root, line by line, so that of a long one no more than a line is in memory.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::Scan;
use super::files::{CHUNK_BYTES, Reader, lossy};
use crate::paths;
use crate::posix::OsStrExt;
use crate::root::Follow;

/// How much of a file is read line by line; dpkg's list of 200,000 packages is shorter.
const MAX_LINES_BYTES: u64 = 256 << 20;
/// The longest line that is kept; the rest of it is left out.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// How far the end of a longer line is looked for; a file without one is no text.
const MAX_SKIPPED_BYTES: u64 = 1 << 20;

impl Scan {
    /// The lines of a file below the root, one at a time, of its first 256 MiB; links are followed.
    pub fn lines(&self, path: impl AsRef<Path>) -> Option<Lines> {
        self.lines_of(path.as_ref(), Follow::Links)
    }

    /// The same of a file whose last part must not be a link.
    pub fn unlinked_lines(&self, path: impl AsRef<Path>) -> Option<Lines> {
        self.lines_of(path.as_ref(), Follow::Never)
    }

    fn lines_of(&self, path: &Path, follow: Follow) -> Option<Lines> {
        let (reader, _) = self.open(path, follow)?;
        let reader = BufReader::with_capacity(CHUNK_BYTES, reader.take(MAX_LINES_BYTES));
        Some(Lines { reader, scan: self.clone(), path: path.to_owned(), is_over: false })
    }
}

/// The lines of a file, without their ends.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<io::Take<Reader>>,
    scan: Scan,
    path: PathBuf,
    /// The rest of the file is not wanted.
    is_over: bool,
}

impl Lines {
    /// The next line with its end, as far as it is kept; empty at the end.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let count = (&mut self.reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        if count as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            self.scan.warn(format!("{} has a line of more than 1 MiB; its rest is not read", self.path.display()));
            let skipped = (&mut self.reader).take(MAX_SKIPPED_BYTES).skip_until(b'\n')?;
            if skipped as u64 == MAX_SKIPPED_BYTES {
                self.scan.warn(format!("{} is no text; the rest of it is not read", self.path.display()));
                self.reader.get_mut().set_limit(0);
                self.reader.consume(self.reader.buffer().len());
                self.is_over = true;
            }
        }
        if count == 0
            && !self.is_over
            && self.reader.get_ref().limit() == 0
            && self.reader.get_mut().get_mut().read(&mut [0])? > 0
        {
            let most = MAX_LINES_BYTES >> 20;
            self.scan.warn(format!("{} is longer than {most} MiB; the rest is not read", self.path.display()));
        }
        Ok(line)
    }
}

impl Lines {
    /// The lines of a list of paths, each as [`paths::display`] writes it, so that a file is compared with it.
    pub fn shown_paths(mut self) -> impl Iterator<Item = String> {
        std::iter::from_fn(move || self.next_bytes().map(|line| paths::display(Path::new(OsStr::from_bytes(&line)))))
    }

    fn next_bytes(&mut self) -> Option<Vec<u8>> {
        let read = self.read();
        let mut line = self.scan.found(&self.path, read).filter(|line| !line.is_empty())?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.next_bytes().map(lossy)
    }
}
