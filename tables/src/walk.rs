//! The one walk of the file system that all queries of an engine share: every inode of local disks below the root, looked at
//! once by two threads. Kept are only the few files that a check may ask for; a host has half a million others.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::fs::FileType;

use crate::accounts;
use crate::reader::Scan;
use crate::root::{self, Follow, Metadata};

const THREADS: usize = 2;
/// Files kept; a host with more has a problem that a longer list does not explain better.
const MAX_KEPT: usize = 50_000;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const WORLD_WRITABLE: u32 = 0o0002;

/// File systems that hold no files of their own (`/proc`, cgroups) or those of another machine; by `statfs(2)`.
const FOREIGN: [i64; 20] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6165_676c, // pstore
    0xcafe_4a11, // bpf
    0x9584_58f6, // hugetlbfs
    0x1980_0202, // mqueue
    0x6265_6570, // configfs
    0x6e73_6673, // nsfs
    0x0187,      // autofs
    0x6969,      // nfs
    0xff53_4d42, // cifs
    0xfe53_4d42, // smb2
    0x6573_5546, // fuse
    0x0102_1997, // 9p
];

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
}

/// The walk of an engine, made when first asked for.
#[derive(Debug, Default)]
pub(crate) struct WalkCache {
    done: Mutex<Option<Arc<Walk>>>,
}

impl WalkCache {
    /// The finished walk; a walk that the budget ended is not kept, the next query starts anew.
    pub fn get(&self, scan: &Scan) -> Arc<Walk> {
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

/// Folders still to visit, and how many threads may still add to them.
struct Pending {
    folders: Vec<PathBuf>,
    busy: usize,
}

struct Walker<'a> {
    scan: &'a Scan,
    uids: HashSet<u32>,
    gids: HashSet<u32>,
    pending: Mutex<Pending>,
    changed: Condvar,
    devices: Mutex<HashMap<u64, bool>>,
    found: Mutex<Walk>,
}

fn walk(scan: &Scan) -> Walk {
    let walker = Walker {
        scan,
        uids: accounts::users(scan).iter().map(|user| user.uid).collect(),
        gids: accounts::groups(scan).iter().map(|group| group.gid).collect(),
        pending: Mutex::new(Pending { folders: vec![PathBuf::from("/")], busy: 0 }),
        changed: Condvar::new(),
        devices: Mutex::default(),
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
        while let Some(folder) = self.take() {
            let mut below = Vec::new();
            if self.scan.budget().is_open() {
                self.visit(&folder, &mut below);
            } else {
                self.pending.lock().unwrap_or_else(PoisonError::into_inner).folders.clear();
            }
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.busy -= 1;
            pending.folders.append(&mut below);
            self.changed.notify_all();
        }
    }

    /// The next folder; none when all are visited and nobody can add more.
    fn take(&self) -> Option<PathBuf> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(folder) = pending.folders.pop() {
                pending.busy += 1;
                return Some(folder);
            }
            if pending.busy == 0 {
                return None;
            }
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn visit(&self, folder: &Path, below: &mut Vec<PathBuf>) {
        let Some(opened) = self.scan.folder(folder, Follow::Never) else { return };
        let Ok(listed) = opened.try_clone() else { return };
        let Ok(here) = root::metadata_of(&opened) else { return };
        if !self.is_local(here.device, &opened) {
            return;
        }
        let Ok(entries) = root::entries_of(listed) else { return };
        for entry in entries {
            let Ok(metadata) = root::metadata_at(&opened, &entry.name) else { continue };
            // Permissions of a link mean nothing.
            if metadata.kind == FileType::Symlink {
                continue;
            }
            let has_no_user = !self.uids.contains(&metadata.uid);
            let has_no_group = !self.gids.contains(&metadata.gid);
            if !(metadata.is_dir()
                || has_no_user
                || has_no_group
                || metadata.mode & (SETUID | SETGID | WORLD_WRITABLE) != 0)
            {
                continue;
            }
            let path = folder.join(&entry.name);
            if metadata.is_dir() {
                below.push(path.clone());
            }
            self.keep(Unusual { path, metadata, has_no_user, has_no_group });
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

    fn is_local(&self, device: u64, folder: impl std::os::fd::AsFd) -> bool {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        *devices
            .entry(device)
            .or_insert_with(|| rustix::fs::fstatfs(folder).is_ok_and(|stat| !FOREIGN.contains(&stat.f_type)))
    }
}
