//! The one walk of the file system that all queries of an engine share: every inode of local disks below the root, looked at
//! once by two threads. Kept are only the few files that a check may ask for; a host has half a million others. A walk that
//! comes to no end in its time is ended, and what it found is told together with that.

use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::accounts;
use crate::filesystems::LocalDevices;
use crate::osquery::extended_attributes;
use crate::posix::{self, Dir, Errno, FileType, Mode, OFlags, OsStrExt, OwnedFd};
use crate::reader::Scan;
use crate::root::{self, Follow, Metadata};

const THREADS: usize = 2;
/// Files kept, and the bytes that they take; a host with more has a problem that a longer list does not explain better.
const MAX_KEPT: usize = 50_000;
const MAX_KEPT_BYTES: usize = 12 << 20;
/// Folders that are named as closed; that there is one is what counts.
const MAX_CLOSED: usize = 8;
/// Folders that are open because others wait below them: a worker has a thousand descriptors. What is found when so many
/// are open is opened by its whole path.
const MAX_OPEN: usize = 256;
/// Folders that wait, and the bytes of their paths. Beyond it a folder is visited at once, within the one above it.
const MAX_WAITING: usize = 50_000;
const MAX_WAITING_BYTES: usize = 8 << 20;
/// Folders visited within each other; each has a buffer of names.
const MAX_NESTING: usize = 32;
/// Longer paths are not gone into: the kernel itself takes none of more than 4 KiB.
const MAX_PATH_BYTES: usize = 64 << 10;
/// Entries between two looks at the clock.
const ENTRIES_BETWEEN_CHECKS: u64 = 256;
/// A longer one is said in other words.
const MAX_MESSAGE_BYTES: usize = 900;
/// A walk leaves this part of a query's time to the rest of it.
const RESERVED: u32 = 8;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const WORLD_WRITABLE: u32 = 0o0002;
const EXECUTABLE: u32 = 0o0111;

/// A file that is more open, or more powerful, than others.
#[derive(Debug, Clone)]
pub(crate) struct Unusual {
    pub path: PathBuf,
    pub metadata: Metadata,
    pub has_no_user: bool,
    pub has_no_group: bool,
    /// Of a program that has some, as `getcap` writes them.
    pub capabilities: Option<String>,
}

impl Unusual {
    pub fn is_setuid(&self) -> bool {
        self.metadata.is_file() && self.metadata.mode & SETUID != 0
    }

    pub fn is_setgid(&self) -> bool {
        self.metadata.is_file() && self.metadata.mode & SETGID != 0
    }

    pub fn is_world_writable(&self) -> bool {
        self.metadata.mode & WORLD_WRITABLE != 0
    }

    pub fn is_sticky(&self) -> bool {
        self.metadata.mode & STICKY != 0
    }

    fn is_worth_keeping(&self) -> bool {
        self.is_setuid()
            || self.is_setgid()
            || self.is_world_writable()
            || self.has_no_user
            || self.has_no_group
            || self.capabilities.is_some()
    }
}

/// What one walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub unusual: Vec<Unusual>,
    /// There were more than are kept.
    is_cut: bool,
    /// The first folders that could not be read, and why.
    closed: Vec<String>,
    kept_bytes: usize,
    /// It was ended after this time.
    ended_after: Option<Duration>,
    entries: u64,
}

impl Walk {
    /// Says what this walk did not see.
    fn tell_gaps(&self, scan: &Scan) {
        if self.is_cut {
            scan.warn("there are more unusual files than are kept; the list is not complete");
        }
        if let Some(time) = self.ended_after {
            scan.warn(format!(
                "the walk of the file system was ended after {} s and {} entries; what it did not reach is not known",
                time.as_secs(),
                self.entries
            ));
        }
        for message in &self.closed {
            scan.warn(message);
        }
    }
}

/// The walk of an engine, made when first asked for.
#[derive(Debug, Default)]
pub(crate) struct WalkCache {
    done: Mutex<Option<Arc<Walk>>>,
}

impl WalkCache {
    /// The walk; the table that asks says what it lacks.
    pub fn get(&self, scan: &Scan) -> Arc<Walk> {
        let walk = self.made(scan);
        walk.tell_gaps(scan);
        walk
    }

    /// A walk that came to no end serves all who have not much more time for it. One that was ended for another reason,
    /// such as too little memory, is not kept.
    fn made(&self, scan: &Scan) -> Arc<Walk> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let is_enough = |walk: &Walk| walk.ended_after.is_none_or(|time| scan.budget().left() < time * 2);
        if let Some(walk) = done.as_ref().filter(|walk| is_enough(walk)) {
            return Arc::clone(walk);
        }
        let walk = Arc::new(walk(scan));
        if !scan.budget().has_failed() {
            *done = Some(Arc::clone(&walk));
        }
        walk
    }
}

/// An open folder that others wait below.
struct Opened {
    descriptor: OwnedFd,
    open: Arc<AtomicUsize>,
}

impl Opened {
    fn new(descriptor: OwnedFd, open: &Arc<AtomicUsize>) -> Arc<Self> {
        open.fetch_add(1, Ordering::Relaxed);
        Arc::new(Opened { descriptor, open: Arc::clone(open) })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A folder to visit. Opened through its parent, because resolving a whole path costs more than reading most folders.
struct Job {
    path: PathBuf,
    parent: Option<Arc<Opened>>,
}

/// Folders still to visit, and how many threads may still add to them.
struct Pending {
    jobs: Vec<Job>,
    path_bytes: usize,
    busy: usize,
    idle: usize,
}

struct Walker<'a> {
    scan: &'a Scan,
    /// None if there are more accounts than are read: whether an owner exists is then not known.
    uids: Option<HashSet<u32>>,
    gids: Option<HashSet<u32>>,
    began: Instant,
    time: Duration,
    pending: Mutex<Pending>,
    changed: Condvar,
    open: Arc<AtomicUsize>,
    entries: AtomicU64,
    is_over: AtomicBool,
    local: Mutex<LocalDevices>,
    found: Mutex<Walk>,
}

fn walk(scan: &Scan) -> Walk {
    let left = scan.budget().left();
    let root = Job { path: PathBuf::from("/"), parent: None };
    let walker = Walker {
        scan,
        uids: known(accounts::each_user(scan).map(|user| user.uid)),
        gids: known(accounts::each_group(scan).map(|group| group.gid)),
        began: Instant::now(),
        time: left.saturating_sub(left / RESERVED),
        pending: Mutex::new(Pending { jobs: vec![root], path_bytes: 1, busy: 0, idle: 0 }),
        changed: Condvar::new(),
        open: Arc::default(),
        entries: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        local: Mutex::new(LocalDevices::mounted()),
        found: Mutex::default(),
    };
    if walker.uids.is_none() || walker.gids.is_none() {
        let message = "there are more accounts or groups than are read; files of those that do not exist are not told";
        walker.lock_found().closed.push(message.to_owned());
    }
    std::thread::scope(|threads| {
        for _ in 1..THREADS {
            threads.spawn(|| walker.work());
        }
        walker.work();
    });
    let time = walker.is_over.into_inner().then(|| walker.began.elapsed());
    let mut found = walker.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    (found.ended_after, found.entries) = (time, walker.entries.into_inner());
    found.unusual.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    found
}

/// The ids that exist; none if there are too many to know them all.
fn known(ids: impl Iterator<Item = u32>) -> Option<HashSet<u32>> {
    const MOST: usize = 200_000;
    let mut known = HashSet::new();
    for id in ids {
        known.insert(id);
        if known.len() > MOST {
            return None;
        }
    }
    Some(known)
}

impl Walker<'_> {
    fn work(&self) {
        while let Some(job) = self.take() {
            if self.may_go_on() {
                self.visit(&job, 0);
            }
            drop(job);
            let mut pending = self.lock_pending();
            pending.busy -= 1;
            if !self.may_go_on() {
                pending.jobs.clear();
            }
            self.changed.notify_all();
        }
    }

    /// The next folder; none when all are visited and nobody can add more. The newest first: so few parents stay open.
    fn take(&self) -> Option<Job> {
        let mut pending = self.lock_pending();
        loop {
            if let Some(job) = pending.jobs.pop() {
                pending.path_bytes = pending.path_bytes.saturating_sub(job.path.as_os_str().len());
                pending.busy += 1;
                return Some(job);
            }
            if pending.busy == 0 {
                return None;
            }
            pending.idle += 1;
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
            pending.idle -= 1;
        }
    }

    /// Puts a folder to those that wait; gives it back if there is no room.
    fn put(&self, job: Job) -> Option<Job> {
        let mut pending = self.lock_pending();
        let path_bytes = job.path.as_os_str().len();
        if pending.jobs.len() >= MAX_WAITING || pending.path_bytes + path_bytes > MAX_WAITING_BYTES {
            return Some(job);
        }
        pending.path_bytes += path_bytes;
        pending.jobs.push(job);
        if pending.idle > 0 {
            self.changed.notify_one();
        }
        None
    }

    /// Whether there is still time for the walk.
    fn may_go_on(&self) -> bool {
        if self.began.elapsed() > self.time {
            self.is_over.store(true, Ordering::Relaxed);
        }
        !self.is_over.load(Ordering::Relaxed) && self.scan.budget().is_open()
    }

    fn lock_pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_found(&self) -> MutexGuard<'_, Walk> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn local(&self) -> MutexGuard<'_, LocalDevices> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, job: &Job) -> Option<OwnedFd> {
        let opened = match job.parent.as_ref().zip(job.path.file_name()) {
            Some((parent, name)) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                posix::openat(&parent.descriptor, name, flags, Mode::empty()).map_err(io::Error::from)
            }
            None => self.scan.source.root.open_folder(&job.path, Follow::Never),
        };
        opened.inspect_err(|error| self.note(&job.path, error)).ok()
    }

    fn visit(&self, job: &Job, nesting: usize) {
        let Some(opened) = self.open(job).map(|opened| Opened::new(opened, &self.open)) else { return };
        let folder = &opened.descriptor;
        let here = match root::metadata_of(folder) {
            Ok(here) => here,
            Err(error) => return self.note(&job.path, &error),
        };
        if !self.local().is_local(here.device, folder) {
            return;
        }
        let entries = match Dir::read_from(folder) {
            Ok(entries) => entries,
            Err(error) => return self.note(&job.path, &error.into()),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.note(&job.path, &error.into()),
            };
            if self.entries.fetch_add(1, Ordering::Relaxed).is_multiple_of(ENTRIES_BETWEEN_CHECKS) && !self.may_go_on()
            {
                return;
            }
            let name = entry.file_name();
            // Permissions of a link mean nothing.
            if entry.file_type() == FileType::Symlink || name == c"." || name == c".." {
                continue;
            }
            let metadata = match root::metadata_at(folder, name) {
                Ok(metadata) => metadata,
                Err(error) => {
                    self.note(&job.path.join(OsStr::from_bytes(name.to_bytes())), &error);
                    continue;
                }
            };
            let has_no_user = self.uids.as_ref().is_some_and(|uids| !uids.contains(&metadata.uid));
            let has_no_group = self.gids.as_ref().is_some_and(|gids| !gids.contains(&metadata.gid));
            let is_program = metadata.is_file() && metadata.mode & EXECUTABLE != 0;
            let capabilities = if is_program { self.capabilities(folder, name, job) } else { None };
            let is_open = metadata.mode & (SETUID | SETGID | WORLD_WRITABLE) != 0 || capabilities.is_some();
            if metadata.kind == FileType::Symlink || !(metadata.is_dir() || has_no_user || has_no_group || is_open) {
                continue;
            }
            let path = job.path.join(OsStr::from_bytes(name.to_bytes()));
            if metadata.is_dir() && !self.local().is_known_foreign(metadata.device) {
                self.descend(path.clone(), &opened, nesting);
            }
            self.keep(Unusual { path, metadata, has_no_user, has_no_group, capabilities });
        }
    }

    /// What a program may do whoever starts it (`capabilities(7)`); most may nothing. A file that nobody may execute gives
    /// nothing to anybody.
    fn capabilities(&self, folder: &OwnedFd, name: &CStr, job: &Job) -> Option<String> {
        /// Three times what the kernel keeps there.
        const MOST_BYTES: usize = 72;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = posix::openat(folder, name, flags, Mode::empty())
            .map_err(io::Error::from)
            .inspect_err(|error| self.note(&job.path.join(OsStr::from_bytes(name.to_bytes())), error))
            .ok()?;
        let mut value = [0; MOST_BYTES];
        let length = posix::fgetxattr(&file, c"security.capability", &mut value[..]).ok()?;
        Some(extended_attributes::capabilities(value.get(..length)?).unwrap_or_else(|| "unreadable".to_owned()))
    }

    fn descend(&self, path: PathBuf, above: &Arc<Opened>, nesting: usize) {
        if path.as_os_str().len() > MAX_PATH_BYTES {
            return self.note(&path, &Errno::NAMETOOLONG.into());
        }
        let parent = (self.open.load(Ordering::Relaxed) < MAX_OPEN).then(|| Arc::clone(above));
        match self.put(Job { path, parent }) {
            None => {}
            Some(job) if nesting < MAX_NESTING => self.visit(&job, nesting + 1),
            Some(job) => self.note(&job.path, &io::Error::other("too many folders wait to be looked into")),
        }
    }

    /// A folder that is gone meanwhile, or something else now, is no news; one that may not be read hides what is in it.
    fn note(&self, path: &Path, error: &io::Error) {
        let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
        if gone.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            return;
        }
        let mut found = self.lock_found();
        if found.closed.len() < MAX_CLOSED {
            let mut message = format!("cannot read {}: {error}", path.display());
            // Why must not be lost where the path is long.
            if message.len() > MAX_MESSAGE_BYTES {
                message = format!("cannot read a folder with a path of {} bytes: {error}", path.as_os_str().len());
            }
            found.closed.push(message);
        }
    }

    fn keep(&self, file: Unusual) {
        if !file.is_worth_keeping() {
            return;
        }
        let size_bytes = file.path.as_os_str().len() + size_of::<Unusual>();
        let mut found = self.lock_found();
        if found.unusual.len() < MAX_KEPT && found.kept_bytes + size_bytes <= MAX_KEPT_BYTES {
            found.kept_bytes += size_bytes;
            found.unusual.push(file);
        } else {
            found.is_cut = true;
        }
    }
}
