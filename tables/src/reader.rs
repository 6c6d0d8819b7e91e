//! What a table may touch while it is read: the host's files below its root, the kernel's proc and sys where they belong
//! to that root, and the conditions of the query. All reading goes through here, so that the budget sees every byte.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::budget::Budget;
use crate::constraints::{Constraints, Operator};
use crate::error::Error;
use crate::host::Host;
use crate::kept::KeptRows;
use crate::paths;
use crate::posix::{FileExt, MetadataExt, OsStrExt};
use crate::processes;
use crate::root::{self, Entry, Follow, Metadata, Root};
use crate::schema::Table;
use crate::value::Value;
use crate::vtab::without_nul;
use crate::walk::WalkCache;

/// The longest file that is read whole.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The longest configuration file that is read whole, and the most lines of one: a table may hold a row for each.
const MAX_TEXT_BYTES: u64 = 8 << 20;
const MAX_TEXT_LINES: usize = 50_000;
const BEGINNING_BYTES: u64 = 1 << 20;
/// How much of a file is read line by line; dpkg's list of 200,000 packages is shorter.
const MAX_LINES_BYTES: u64 = 256 << 20;
/// The longest line that is kept; the rest of it is left out.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// How far the end of a longer line is looked for; a file without one is no text.
const MAX_SKIPPED_BYTES: u64 = 1 << 20;
/// Names of one folder that are held at once, and their bytes.
const MAX_NAMES: usize = 200_000;
const MAX_NAMES_BYTES: usize = 8 << 20;
/// How much is read between two looks at the budget.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
const MAX_JSON_VALUES: usize = 200_000;
/// Warnings of one query that are listed; of more it is said by table and gap that there are more, because one of them can
/// be what makes an answer prove nothing.
const MAX_WARNINGS: usize = 64;
const MORE_WARNINGS: &str = "more is missing than is listed here";
/// A path can have 64 KiB, and a result holds no message of more than 4,000 letters.
const MAX_WARNING_BYTES: usize = 1_000;

/// What rows that are missing mean for a question whose answer is no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// There is something that was not read: that no row came proves nothing.
    Unread,
    /// The table is whole or nothing: neither its rows nor their absence prove anything, since what others are compared with
    /// may be missing.
    Undecided,
    /// There is nothing to read, such as a running kernel below the root of an image.
    NoSubject,
    /// There is something that the kernel shows to nobody on this host, whatever their rights. What everybody else can see
    /// decides.
    Closed,
}

/// Something a table could not read; the rows it has are still right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The table.
    pub table: &'static str,
    /// What is missing, and why.
    pub message: String,
    /// What follows from it.
    pub gap: Gap,
}

/// What belongs to one query.
#[derive(Debug)]
pub(crate) struct Query {
    pub budget: Budget,
    warnings: Mutex<Vec<Warning>>,
}

impl Query {
    pub fn new(budget: Budget) -> Self {
        Query { budget, warnings: Mutex::default() }
    }

    pub fn warn(&self, mut warning: Warning) {
        cut(&mut warning.message, MAX_WARNING_BYTES);
        warning.message = without_nul(warning.message.into());
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.contains(&warning) {
            return;
        }
        if warnings.len() >= MAX_WARNINGS {
            MORE_WARNINGS.clone_into(&mut warning.message);
            if warnings.contains(&warning) {
                return;
            }
        }
        warnings.push(warning);
    }

    /// The warnings of one table so far.
    pub fn warnings_of(&self, table: &'static str) -> Vec<Warning> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.iter().filter(|warning| warning.table == table).cloned().collect()
    }

    pub fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What belongs to an engine: the host, and what its tables share.
#[derive(Debug)]
pub(crate) struct Source {
    pub host: Host,
    pub root: Root,
    pub walk: WalkCache,
    pub kept: KeptRows,
}

/// One reading of one table.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub table: &'static Table,
    pub constraints: Arc<Constraints>,
    pub query: Arc<Query>,
    pub source: Arc<Source>,
}

impl Scan {
    pub fn host(&self) -> &Host {
        &self.source.host
    }

    pub fn budget(&self) -> &Budget {
        &self.query.budget
    }

    /// Says that something is there which was not read.
    pub fn warn(&self, message: impl Into<String>) {
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap: Gap::Unread });
    }

    /// Says that a list broke off, so that nothing may be concluded from it, not even from what others lack in it.
    pub fn warn_undecided(&self, message: impl Into<String>) {
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap: Gap::Undecided });
    }

    /// Says that there is nothing to read.
    pub fn warn_of_no_subject(&self, message: impl Into<String>) {
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap: Gap::NoSubject });
    }

    /// Says that processes may not be looked into. To who may trace every process that is no lack of rights: the kernel
    /// closes some to everybody, such as the first one of a virtual machine that its host looks after.
    pub fn warn_of_closed_processes(&self, message: impl Into<String>) {
        let gap = if processes::may_trace() { Gap::Closed } else { Gap::Unread };
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap });
    }

    /// Ends the query: a condition has a value that this table cannot use.
    pub fn refuse(&self, message: impl Into<String>) {
        self.query.budget.fail(Error::BadConstraint { table: self.table.name, message: message.into() });
    }

    /// Whether the query looks at the column; what is costly to find need not be found otherwise.
    pub fn uses(&self, column: &str) -> bool {
        self.table.position(column).is_none_or(|position| self.constraints.uses(position))
    }

    /// Texts that the column must equal, without repeats.
    pub fn texts(&self, column: &str, operator: Operator) -> Vec<String> {
        let mut texts: Vec<String> =
            self.constraints.of(self.table, column, operator).map(ToString::to_string).collect();
        texts.dedup();
        texts
    }

    /// Numbers that the column must equal.
    pub fn numbers(&self, column: &str) -> Vec<i64> {
        self.constraints.equals(self.table, column).filter_map(Value::as_i64).collect()
    }

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

    /// The names in a folder of a home folder that are text, under the same rule as [`Scan::home_text`]. Another is told.
    pub fn home_names(&self, home: &str, below: &str) -> Vec<String> {
        let as_text = |name: OsString| {
            name.into_string()
                .inspect_err(|name| {
                    let path = Path::new(home).join(below).join(name);
                    self.warn(format!("{} has a name that is no text; it is not looked at", paths::display(&path)));
                })
                .ok()
        };
        self.home_entries(home, below).into_iter().filter_map(as_text).collect()
    }

    /// The same names as they are, in order.
    pub fn home_entries(&self, home: &str, below: &str) -> Vec<OsString> {
        let path = Path::new(home).join(below);
        if !home.starts_with('/') || !self.budget().is_open() {
            return Vec::new();
        }
        let entries = self
            .found(&path, self.source.root.open_folder_below(Path::new(home), Path::new(below)))
            .and_then(|folder| self.found(&path, root::entries_of(folder)));
        let mut names: Vec<OsString> = self
            .bounded(&path, entries.into_iter().flatten(), |entry| entry.name.len())
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        names.sort_unstable();
        names
    }

    /// The bytes of a file below the root, at most 16 MiB.
    pub fn bytes(&self, path: impl AsRef<Path>, follow: Follow) -> Option<Vec<u8>> {
        let path = path.as_ref();
        let (reader, metadata) = self.open(path, follow)?;
        self.whole(path, reader, metadata.size, MAX_FILE_BYTES)
    }

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

    /// The entries of a folder below the root, by name; none if it does not exist.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<Entry> {
        self.list_of(path, Follow::Links)
    }

    fn list_of(&self, path: impl AsRef<Path>, follow: Follow) -> Vec<Entry> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return Vec::new();
        }
        let entries = self
            .found(path, self.source.root.open_folder(path, follow))
            .and_then(|folder| self.found(path, root::entries_of(folder)));
        let mut entries = self.bounded(path, entries.into_iter().flatten(), |entry| entry.name.len());
        entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        entries
    }

    /// As many names of a folder as are held at once; that there are more is said.
    fn bounded<T>(&self, folder: &Path, names: impl Iterator<Item = T>, size_of: impl Fn(&T) -> usize) -> Vec<T> {
        let mut taken = Vec::new();
        let mut size_bytes = 0;
        for name in names {
            size_bytes += size_of(&name);
            if !self.budget().is_open() {
                break;
            }
            if taken.len() >= MAX_NAMES || size_bytes > MAX_NAMES_BYTES {
                self.warn(format!(
                    "{} holds more than {} names; the others are not looked at",
                    folder.display(),
                    taken.len()
                ));
                break;
            }
            taken.push(name);
        }
        taken
    }

    /// Paths in a folder whose name ends as given, in order.
    pub fn paths(&self, folder: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
        let folder = folder.as_ref();
        self.list(folder)
            .into_iter()
            .filter(|entry| entry.name.to_string_lossy().ends_with(ending))
            .map(|entry| folder.join(entry.name))
            .collect()
    }

    pub fn metadata(&self, path: impl AsRef<Path>, follow: Follow) -> Option<Metadata> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return None;
        }
        self.found(path, self.source.root.metadata(path, follow))
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.metadata(path, Follow::Links).is_some()
    }

    pub fn read_link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return None;
        }
        match self.source.root.read_link(path) {
            // Most paths are no links, and that is the answer.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => None,
            read => self.found(path, read),
        }
    }

    /// The text of a file of the kernel's procfs, such as `meminfo`; none for an image.
    pub fn proc(&self, path: impl AsRef<Path>) -> Option<String> {
        self.kernel_file(&self.host().proc.join(path))
    }

    /// The text of a file of the kernel's sysfs without its final newline; none for an image.
    pub fn sys(&self, path: impl AsRef<Path>) -> Option<String> {
        self.kernel_file(&self.host().sys.join(path)).map(|text| text.trim_end().to_owned())
    }

    /// The names in a folder of procfs or sysfs.
    pub fn kernel_names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let path = path.as_ref();
        if !self.host().live || !self.budget().is_open() {
            return Vec::new();
        }
        let Ok(folder) = std::fs::read_dir(path) else { return Vec::new() };
        let names = folder.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names = self.bounded(path, names, String::len);
        names.sort_unstable();
        names
    }

    /// A file about the host's network; a container with its own network sees the host's through process 1.
    pub fn net(&self, name: &str) -> Option<String> {
        self.kernel_file(&self.host().proc.join("1/net").join(name))
            .or_else(|| self.kernel_file(&self.host().proc.join("net").join(name)))
    }

    /// The bytes of a file of sysfs, such as the tables of the firmware; none for an image.
    pub fn sys_bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.kernel_bytes(&self.host().sys.join(path))
    }

    fn kernel_file(&self, path: &Path) -> Option<String> {
        self.kernel_bytes(path).map(lossy)
    }

    fn kernel_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        if !self.host().live || !self.budget().is_open() {
            return None;
        }
        let mut bytes = Vec::new();
        let read = root::open_kernel_file(path).and_then(|file| {
            Reader { file, query: self.query.clone() }.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => {
                if bytes.len() as u64 > MAX_FILE_BYTES {
                    self.warn(format!("{} is longer than 16 MiB; the rest is not read", path.display()));
                    bytes.truncate(usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX));
                }
                Some(bytes)
            }
            Err(error) => {
                self.warn_if_refused(path, &error);
                None
            }
        }
    }

    /// The kernel's files come and go with what they are about, and some can only be written: no news but a refusal to who
    /// could be another user.
    fn warn_if_refused(&self, path: &Path, error: &io::Error) {
        let is_readable = || std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o444 != 0);
        if error.kind() == io::ErrorKind::PermissionDenied && is_readable() {
            let below_proc = path.strip_prefix(&self.host().proc).ok().and_then(|below| below.iter().next());
            let is_of_a_process = below_proc.is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok());
            if is_of_a_process {
                self.warn_of_closed_processes(format!("cannot read what belongs to other processes: {error}"));
            } else {
                self.warn(format!("cannot read {}: {error}", path.display()));
            }
        }
    }

    /// The value of a call; a refusal becomes a warning, absence is no news.
    fn found<T>(&self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                // Where a file is expected, a folder is none: no program reads its settings from it.
                let is_absent = matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
                );
                if !is_absent && !self.budget().has_failed() {
                    self.warn(format!("cannot read {}: {error}", path.display()));
                }
                None
            }
        }
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
    file: std::fs::File,
    query: Arc<Query>,
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

/// Shortens a text to so many bytes, at the boundary of a letter, and shows that it was longer.
pub(crate) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_warnings_there_are_no_table_and_no_gap_is_left_out() {
        let query = Query::new(Budget::new(crate::budget::Limits::default()));
        let warn = |table, message: String, gap| query.warn(Warning { table, message, gap });
        for number in 0..MAX_WARNINGS + 10 {
            warn("file_lines", format!("cannot read {number}"), Gap::Unread);
        }
        warn("sysctl_configured", "cannot read /etc/sysctl.d/99.conf".to_owned(), Gap::Unread);
        warn("sysctl_configured", "the list broke off".to_owned(), Gap::Undecided);
        warn("sysctl_configured", "the list broke off again".to_owned(), Gap::Undecided);
        // Rows that are kept are kept with these.
        let kept: Vec<Gap> = query.warnings_of("sysctl_configured").iter().map(|warning| warning.gap).collect();
        assert_eq!(kept, [Gap::Unread, Gap::Undecided]);
        assert_eq!(query.take_warnings().len(), MAX_WARNINGS + 3);
    }

    #[test]
    fn a_cut_ends_at_a_letter() {
        let mut text = "aéé".to_owned();
        cut(&mut text, 5);
        assert_eq!(text, "aéé");
        cut(&mut text, 4);
        assert_eq!(text, "aé…");
    }
}
