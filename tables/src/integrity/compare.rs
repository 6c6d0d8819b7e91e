//! A walk and the record of the last one, side by side.

use std::collections::VecDeque;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::baseline::{Content, Kind, Made, Reader, Record, Writer};
use super::change::{Change, ChangeKind, was_unknown};
use super::digests::{Done, Job, Work, too_large};
use super::walk::{Gaps, Walk};
use super::{Error, Gap, Survey, order};
use crate::paths::Pattern;
use crate::posix::FileType;
use crate::root::{Metadata, Root};

const THREADS: usize = 2;
/// Entries between the walk and the slowest file: each holds an open file at most.
const MAX_WAITING: usize = 128;
/// A file that changed this shortly before it was read could change again within the same tick of the file system's clock.
const SETTLING_SECONDS: i64 = 2;
const BUFFER_BYTES: usize = 64 << 10;

/// The result of a survey in figures.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Entries of the tree.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Files whose content was read.
    pub files_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Entries that the baseline does not have.
    pub added: u64,
    /// Entries of the baseline that are no more.
    pub removed: u64,
    /// Entries that differ.
    pub changed: u64,
    /// How much is not known.
    pub gap_count: u64,
    /// The first of it.
    pub gaps: Vec<Gap>,
    /// Paths of the survey that are not there.
    pub missing: Vec<PathBuf>,
    /// Wall time.
    pub elapsed: Duration,
}

/// Surveys what is below `root`, compares it with `previous` and writes `record`, which is whole only if this returns
/// without an error. Each difference is told as it is found, in the order of the walk; without `previous` there is none.
pub fn compare(
    root: &Path,
    survey: &Survey,
    previous: Option<&mut dyn Read>,
    record: Option<&mut dyn Write>,
    tell: impl FnMut(Change),
) -> Result<Summary, Error> {
    let root = Root::open(root).map_err(|source| Error::Root { path: root.to_owned(), source })?;
    compare_in(&root, survey, previous, record, tell)
}

/// The same below a root that is open.
pub(crate) fn compare_in(
    root: &Root,
    survey: &Survey,
    previous: Option<&mut dyn Read>,
    record: Option<&mut dyn Write>,
    tell: impl FnMut(Change),
) -> Result<Summary, Error> {
    let begun = Instant::now();
    let excludes = check(survey)?;
    let made = Made::of(survey);
    let previous = previous.map(|input| Reader::new(BufReader::with_capacity(BUFFER_BYTES, input))).transpose()?;
    if let Some(before) = previous.as_ref().map(Reader::made).filter(|before| **before != made) {
        return Err(Error::Other { made: before.to_string(), asked: made.to_string() });
    }
    let output = record.map(|output| Writer::new(BufWriter::with_capacity(BUFFER_BYTES, output), &made)).transpose()?;

    let (give, jobs) = sync_channel(MAX_WAITING);
    let (done, results) = channel();
    let (jobs, is_over) = (Mutex::new(jobs), AtomicBool::new(false));
    let mut summary = std::thread::scope(|threads| {
        for _ in 0..THREADS {
            let (jobs, is_over, done) = (&jobs, &is_over, done.clone());
            let work = Work { jobs, done, digest: survey.digest, file_bytes: survey.limits.file_bytes, is_over };
            threads.spawn(move || work.run());
        }
        drop(done);
        let comparison = Comparison {
            survey,
            begun,
            walk: Walk::new(root, &survey.paths, excludes),
            has_baseline: previous.is_some(),
            previous,
            before: None,
            output,
            tell,
            give,
            results,
            waiting: VecDeque::new(),
            first_number: 0,
            summary: Summary::default(),
        };
        // Dropped at the end, with it the channel: the threads end.
        comparison.run().inspect_err(|_| is_over.store(true, Ordering::Relaxed))
    })?;
    summary.elapsed = begun.elapsed();
    Ok(summary)
}

fn check(survey: &Survey) -> Result<Vec<Pattern>, Error> {
    if survey.paths.is_empty() {
        return Err(Error::NoPath);
    }
    if let Some(path) = survey.paths.iter().find(|path| !is_plain(Path::new(path))) {
        return Err(Error::Path(path.clone()));
    }
    if let Some(exclude) = survey.excludes.iter().find(|exclude| !exclude.starts_with(['/', '*'])) {
        return Err(Error::Exclude(exclude.clone()));
    }
    Ok(survey.excludes.iter().map(|exclude| Pattern::glob(exclude)).collect())
}

/// Whether a path may be surveyed: absolute and without `..`.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir)
}

/// An entry between the walk and the record.
struct Waiting {
    before: Option<Record>,
    after: Option<Record>,
    /// Its content is still being read.
    is_read: bool,
}

struct Comparison<'a, R: Read, W: Write, F> {
    survey: &'a Survey,
    begun: Instant,
    walk: Walk<'a>,
    has_baseline: bool,
    previous: Option<Reader<R>>,
    /// The record of the baseline that is not reached yet.
    before: Option<Record>,
    output: Option<Writer<W>>,
    tell: F,
    give: SyncSender<Job>,
    results: Receiver<Done>,
    waiting: VecDeque<Waiting>,
    /// The number of the first entry that waits.
    first_number: u64,
    summary: Summary,
}

impl<R: Read, W: Write, F: FnMut(Change)> Comparison<'_, R, W, F> {
    fn run(mut self) -> Result<Summary, Error> {
        self.advance()?;
        while let Some(metadata) = self.walk.next() {
            if self.begun.elapsed() > self.survey.limits.time {
                return Err(Error::OverTime(self.survey.limits.time));
            }
            self.summary.entries += 1;
            if self.summary.entries > self.survey.limits.entries {
                return Err(Error::OverEntries(self.survey.limits.entries));
            }
            let before = self.catch_up()?;
            self.look(metadata, before);
            self.flush(MAX_WAITING)?;
        }
        while let Some(gone) = self.before.take() {
            self.lost(gone);
            self.advance()?;
            self.flush(MAX_WAITING)?;
        }
        self.flush(0)?;
        if let Some(output) = self.output {
            output.finish()?;
        }
        let Gaps { named, count } = self.walk.gaps;
        Ok(Summary { gaps: named, gap_count: count, missing: self.walk.missing, ..self.summary })
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.before = self.previous.as_mut().map(Reader::read).transpose()?.flatten();
        Ok(())
    }

    /// Passes over the records that come before this entry, and gives the one that is about it.
    fn catch_up(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(before) = &self.before else { return Ok(None) };
            match order::of_paths(&before.path, self.walk.path()) {
                std::cmp::Ordering::Greater => return Ok(None),
                std::cmp::Ordering::Equal => {
                    let found = self.before.take();
                    self.advance()?;
                    return Ok(found);
                }
                std::cmp::Ordering::Less => {
                    if let Some(gone) = self.before.take() {
                        self.lost(gone);
                    }
                    self.advance()?;
                    self.flush(MAX_WAITING)?;
                }
            }
        }
    }

    /// A record without an entry. Where the walk could not look, it stays as it was.
    fn lost(&mut self, gone: Record) {
        let stays = self.walk.is_hidden(&gone.path).then(|| gone.clone());
        self.waiting.push_back(Waiting { before: Some(gone), after: stays, is_read: true });
    }

    fn look(&mut self, metadata: Metadata, before: Option<Record>) {
        let mut after = record_of(self.walk.path().to_vec(), &metadata);
        let mut is_read = true;
        match metadata.kind {
            FileType::RegularFile => {
                self.summary.files += 1;
                match before.as_ref().filter(|before| !self.survey.reads_all && is_as_it_was(before, &after)) {
                    Some(before) => (after.content, after.is_settled) = (before.content.clone(), true),
                    None => is_read = !self.begin_to_read(&mut after),
                }
            }
            FileType::Symlink => match self.walk.read_link() {
                Ok(target) => {
                    if self.walk.leads_away(&target) {
                        let reason = "is a link, and what it points to is not surveyed; name that path itself";
                        self.walk.gaps.add(&after.path, reason);
                    }
                    after.content = Content::Target(target);
                }
                Err(error) => self.unknown(&mut after, error.to_string()),
            },
            FileType::CharacterDevice | FileType::BlockDevice => after.content = Content::Device(metadata.raw_device),
            _ => {}
        }
        self.waiting.push_back(Waiting { before, after: Some(after), is_read });
    }

    /// Hands the file to the threads; false if its content stays unknown.
    fn begin_to_read(&mut self, after: &mut Record) -> bool {
        if after.size > self.survey.limits.file_bytes {
            self.unknown(after, too_large(self.survey.limits.file_bytes));
            return false;
        }
        let number = self.first_number + self.waiting.len() as u64;
        match self.walk.open_file() {
            // The threads end only after this.
            Ok(file) => self.give.send(Job { number, file }).is_ok(),
            Err(error) => {
                self.unknown(after, error.to_string());
                false
            }
        }
    }

    fn unknown(&mut self, after: &mut Record, reason: String) {
        after.content = Content::Unknown;
        self.walk.gaps.add(&after.path, reason);
    }

    /// Writes and tells what is complete, until at most so many wait.
    fn flush(&mut self, most: usize) -> Result<(), Error> {
        loop {
            while self.waiting.front().is_some_and(|first| first.is_read) {
                if let Some(first) = self.waiting.pop_front() {
                    self.first_number += 1;
                    self.settle(first)?;
                }
            }
            if self.waiting.len() <= most {
                return Ok(());
            }
            let left = self.survey.limits.time.saturating_sub(self.begun.elapsed());
            let done = self.results.recv_timeout(left).map_err(|_| Error::OverTime(self.survey.limits.time))?;
            self.take(done);
        }
    }

    fn take(&mut self, done: Done) {
        let position = usize::try_from(done.number - self.first_number).unwrap_or(usize::MAX);
        let Some(waiting) = self.waiting.get_mut(position) else { return };
        waiting.is_read = true;
        let Some(after) = &mut waiting.after else { return };
        match done.result {
            Ok((content, bytes)) => {
                after.content = content;
                self.summary.files_read += 1;
                self.summary.bytes_read += bytes;
            }
            Err(reason) => {
                after.content = Content::Unknown;
                self.walk.gaps.add(&after.path, reason);
            }
        }
    }

    fn settle(&mut self, Waiting { before, after, .. }: Waiting) -> Result<(), Error> {
        if let (Some(output), Some(after)) = (&mut self.output, &after) {
            output.add(after)?;
        }
        if !self.has_baseline {
            return Ok(());
        }
        if let (Some(before), Some(after)) = (&before, &after)
            && was_unknown(before, after)
        {
            let reason = "what it holds was not known when the baseline was made; it is not compared";
            self.walk.gaps.add(&after.path, reason);
        }
        let change = match (before, after) {
            (Some(before), Some(after)) => Change::between(&before, &after),
            (Some(before), None) => Some(Change::removed(before)),
            (None, Some(after)) => Some(Change::added(after)),
            (None, None) => None,
        };
        if let Some(change) = change {
            match change.kind {
                ChangeKind::Added => self.summary.added += 1,
                ChangeKind::Removed => self.summary.removed += 1,
                ChangeKind::Changed => self.summary.changed += 1,
            }
            (self.tell)(change);
        }
        Ok(())
    }
}

/// Whether a file need not be read again.
fn is_as_it_was(before: &Record, after: &Record) -> bool {
    before.is_settled
        && matches!(before.content, Content::Digest(..))
        && (before.kind, before.inode, before.size) == (after.kind, after.inode, after.size)
        && (before.modified, before.changed) == (after.modified, after.changed)
}

fn record_of(path: Vec<u8>, metadata: &Metadata) -> Record {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Record {
        path,
        kind: match metadata.kind {
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::Character,
            FileType::BlockDevice => Kind::Block,
            FileType::RegularFile | FileType::Unknown => Kind::File,
        },
        mode: u16::try_from(metadata.mode).unwrap_or(u16::MAX),
        uid: metadata.uid,
        gid: metadata.gid,
        size: metadata.size,
        modified: (metadata.modified, metadata.modified_nanoseconds),
        changed: (metadata.changed, metadata.changed_nanoseconds),
        inode: metadata.inode,
        is_settled: metadata.changed.saturating_add(SETTLING_SECONDS) < i64::try_from(now).unwrap_or(i64::MAX),
        content: Content::None,
    }
}
