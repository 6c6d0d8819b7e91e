//! The one walk of the file system that all queries of an engine share: every inode of local disks below the root, looked at
//! once by two threads. Kept are only the few files that a check may ask for; a host has half a million others.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Dir, FileType, Mode, OFlags};

use crate::accounts;
use crate::filesystems::LocalDevices;
use crate::reader::Scan;
use crate::root::{self, Follow, Metadata};

const THREADS: usize = 2;
/// Files kept; a host with more has a problem that a longer list does not explain better.
const MAX_KEPT: usize = 50_000;
/// Folders that are named as closed; that there is one is what counts.
const MAX_CLOSED: usize = 8;

/// Deeper folders are opened by their whole path: each level of open parents takes a descriptor in each thread.
const MAX_OPEN_DEPTH: usize = 48;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const WORLD_WRITABLE: u32 = 0o0002;

/// A file that is more open, or more powerful, than others.
#[derive(Debug, Clone)]
pub(crate) struct Unusual {
    pub path: PathBuf,
    pub metadata: Metadata,
    pub has_no_user: bool,
    pub has_no_group: bool,
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
        self.is_setuid() || self.is_setgid() || self.is_world_writable() || self.has_no_user || self.has_no_group
    }
}

/// What one walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub unusual: Vec<Unusual>,
    /// There were more than are kept.
    pub is_cut: bool,
    /// The first folders that could not be read, and why.
    pub closed: Vec<String>,
}

/// The walk of an engine, made when first asked for.
#[derive(Debug, Default)]
pub(crate) struct WalkCache {
    done: Mutex<Option<Arc<Walk>>>,
}

impl WalkCache {
    /// The finished walk; the table that asks says what it lacks.
    pub fn get(&self, scan: &Scan) -> Arc<Walk> {
        let walk = self.finished(scan);
        if walk.is_cut {
            scan.warn("there are more unusual files than are kept; the list is not complete");
        }
        for message in &walk.closed {
            scan.warn(message);
        }
        walk
    }

    /// A walk that the budget ended is not kept, the next query starts anew.
    fn finished(&self, scan: &Scan) -> Arc<Walk> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(walk) = &*done {
            return Arc::clone(walk);
        }
        let walk = Arc::new(walk(scan));
        if !scan.budget().has_failed() {
            *done = Some(Arc::clone(&walk));
        }
        walk
    }
}

/// A folder to visit. Opened through its parent, because resolving a whole path costs more than reading most folders.
struct Job {
    path: PathBuf,
    parent: Option<Arc<OwnedFd>>,
    depth: usize,
}

/// Folders still to visit, and how many threads may still add to them.
struct Pending {
    jobs: Vec<Job>,
    busy: usize,
}

struct Walker<'a> {
    scan: &'a Scan,
    uids: HashSet<u32>,
    gids: HashSet<u32>,
    pending: Mutex<Pending>,
    changed: Condvar,
    local: Mutex<LocalDevices>,
    found: Mutex<Walk>,
}

fn walk(scan: &Scan) -> Walk {
    let walker = Walker {
        scan,
        uids: accounts::users(scan).iter().map(|user| user.uid).collect(),
        gids: accounts::groups(scan).iter().map(|group| group.gid).collect(),
        pending: Mutex::new(Pending { jobs: vec![Job { path: PathBuf::from("/"), parent: None, depth: 0 }], busy: 0 }),
        changed: Condvar::new(),
        local: Mutex::new(LocalDevices::mounted()),
        found: Mutex::default(),
    };
    std::thread::scope(|threads| {
        for _ in 1..THREADS {
            threads.spawn(|| walker.work());
        }
        walker.work();
    });
    let mut found = walker.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.unusual.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    found
}

impl Walker<'_> {
    fn work(&self) {
        while let Some(job) = self.take() {
            let mut below = Vec::new();
            let may_go_on = self.scan.budget().is_open();
            if may_go_on {
                self.visit(&job, &mut below);
            }
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.busy -= 1;
            if may_go_on {
                pending.jobs.append(&mut below);
            } else {
                pending.jobs.clear();
            }
            self.changed.notify_all();
        }
    }

    /// The next folder; none when all are visited and nobody can add more. The newest first: so few parents stay open.
    fn take(&self) -> Option<Job> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = pending.jobs.pop() {
                pending.busy += 1;
                return Some(job);
            }
            if pending.busy == 0 {
                return None;
            }
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn local(&self) -> MutexGuard<'_, LocalDevices> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, job: &Job) -> Option<OwnedFd> {
        match job.parent.as_ref().zip(job.path.file_name()) {
            Some((parent, name)) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(parent, name, flags, Mode::empty())
                    .inspect_err(|error| self.note(&job.path, *error))
                    .ok()
            }
            None => self.scan.folder(&job.path, Follow::Never),
        }
    }

    fn visit(&self, job: &Job, below: &mut Vec<Job>) {
        let Some(opened) = self.open(job).map(Arc::new) else { return };
        let Ok(here) = root::metadata_of(&opened) else { return };
        if !self.local().is_local(here.device, &opened) {
            return;
        }
        let Ok(entries) = Dir::read_from(&opened) else { return };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            // Permissions of a link mean nothing.
            if entry.file_type() == FileType::Symlink || name == c"." || name == c".." {
                continue;
            }
            let Ok(metadata) = root::metadata_at(&opened, name) else { continue };
            let has_no_user = !self.uids.contains(&metadata.uid);
            let has_no_group = !self.gids.contains(&metadata.gid);
            let is_open = metadata.mode & (SETUID | SETGID | WORLD_WRITABLE) != 0;
            if metadata.kind == FileType::Symlink || !(metadata.is_dir() || has_no_user || has_no_group || is_open) {
                continue;
            }
            let path = job.path.join(OsStr::from_bytes(name.to_bytes()));
            if metadata.is_dir() && !self.local().is_known_foreign(metadata.device) {
                let parent = (job.depth < MAX_OPEN_DEPTH).then(|| Arc::clone(&opened));
                below.push(Job { path: path.clone(), parent, depth: job.depth + 1 });
            }
            self.keep(Unusual { path, metadata, has_no_user, has_no_group });
        }
    }

    /// A folder that is gone meanwhile is no news; one that may not be read hides what is in it.
    fn note(&self, folder: &Path, error: rustix::io::Errno) {
        if matches!(error, rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.closed.len() < MAX_CLOSED {
                found.closed.push(format!("cannot read {}: {error}", folder.display()));
            }
        }
    }

    fn keep(&self, file: Unusual) {
        if !file.is_worth_keeping() {
            return;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.unusual.len() < MAX_KEPT {
            found.unusual.push(file);
        } else {
            found.is_cut = true;
        }
    }
}
