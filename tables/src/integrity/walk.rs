//! The walk of a survey: every entry below some paths, in the order of [`super::order`], in bounded memory. A folder with
//! a million names is read several times over, a part of its names each time.

use std::collections::{BinaryHeap, VecDeque};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::Gap;
use super::order::is_within;
use crate::filesystems::LocalDevices;
use crate::paths::Pattern;
use crate::posix::{self, Dir, Mode, OFlags, OsStrExt, OwnedFd};
use crate::root::{Follow, Metadata, Root, metadata_at, metadata_of};

/// Names of one folder that are held at once.
const MAX_NAMES: usize = 50_000;
/// Names held in all; above it, folders further up give theirs back and are read again later.
const MAX_HELD: usize = 100_000;
/// Folders open within each other.
const MAX_DEPTH: usize = 400;
/// Gaps that are named; all are counted.
const MAX_GAPS: usize = 100;

/// What a walk did not see.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    pub named: Vec<Gap>,
    pub count: u64,
}

impl Gaps {
    pub fn add(&mut self, path: &[u8], reason: impl Into<String>) {
        self.count += 1;
        if self.named.len() < MAX_GAPS {
            self.named.push(Gap { path: String::from_utf8_lossy(path).into_owned(), reason: reason.into() });
        }
    }
}

/// An open folder and the names in it that are still to come, the next one last.
struct Level {
    folder: OwnedFd,
    path_bytes: usize,
    names: Vec<CString>,
    after: CString,
    has_more: bool,
}

/// See the module.
pub(super) struct Walk<'a> {
    root: &'a Root,
    starts: VecDeque<PathBuf>,
    /// All of them, also those that are done.
    all_starts: Vec<PathBuf>,
    excludes: Vec<Pattern>,
    levels: Vec<Level>,
    held: usize,
    local: LocalDevices,
    path: Vec<u8>,
    name: CString,
    /// The entry of this step is one of the paths that were asked for, and has no open folder above it.
    is_start: bool,
    enters: bool,
    /// The last folder whose content is hidden: nothing can be said of what is in it.
    hidden: Option<Vec<u8>>,
    pub gaps: Gaps,
    /// Paths that were asked for and are not there.
    pub missing: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    /// `paths` may repeat each other; `/usr/lib` is part of `/usr`.
    pub fn new(root: &'a Root, paths: &[String], excludes: Vec<Pattern>) -> Self {
        let mut starts: Vec<PathBuf> = paths.iter().map(|path| Path::new(path).components().collect()).collect();
        starts.sort_unstable_by(|left, right| super::order::of_paths(bytes(left), bytes(right)));
        starts.dedup_by(|later, earlier| is_within(bytes(later), bytes(earlier)));
        Self {
            root,
            all_starts: starts.clone(),
            starts: starts.into(),
            excludes,
            levels: Vec::new(),
            held: 0,
            local: LocalDevices::mounted(),
            path: Vec::new(),
            name: CString::default(),
            is_start: false,
            enters: false,
            hidden: None,
            gaps: Gaps::default(),
            missing: Vec::new(),
        }
    }

    /// Goes to the next entry.
    pub fn next(&mut self) -> Option<Metadata> {
        if std::mem::take(&mut self.enters) {
            self.enter();
        }
        loop {
            let found = if let Some(name) = self.next_name() {
                self.set_name(&name);
                self.is_start = false;
                if self.is_excluded() {
                    continue;
                }
                self.levels.last().map(|level| metadata_at(&level.folder, &name))
            } else if self.levels.pop().is_some() {
                None
            } else {
                let start = self.starts.pop_front()?;
                self.path = bytes(&start).to_vec();
                self.is_start = true;
                (!self.is_excluded()).then(|| self.root.metadata(&start, Follow::Never))
            };
            match found {
                Some(Ok(metadata)) => {
                    self.enters = metadata.is_dir();
                    return Some(metadata);
                }
                Some(Err(error)) => {
                    if self.is_start && error.kind() == io::ErrorKind::NotFound {
                        self.missing.push(PathBuf::from(OsStr::from_bytes(&self.path)));
                    }
                    self.hide(&error);
                }
                None => {}
            }
        }
    }

    /// The path of the entry, below the root.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Opens the entry, a regular file, for reading.
    pub fn open_file(&self) -> io::Result<std::fs::File> {
        let Some(level) = self.levels.last().filter(|_| !self.is_start) else {
            let path = Path::new(OsStr::from_bytes(&self.path));
            return self.root.open_file(path, Follow::Never).map(|(file, _)| file);
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = posix::openat(&level.folder, &self.name, flags, Mode::empty())?;
        if metadata_of(&file)?.is_file() { Ok(file.into()) } else { Err(io::Error::other("it is no file any more")) }
    }

    /// Where the entry, a link, points.
    pub fn read_link(&self) -> io::Result<Vec<u8>> {
        if let Some(level) = self.levels.last().filter(|_| !self.is_start) {
            return Ok(posix::readlinkat(&level.folder, &self.name, Vec::new())?.into_bytes());
        }
        let target = self.root.read_link(Path::new(OsStr::from_bytes(&self.path)))?;
        Ok(bytes(&target).to_vec())
    }

    /// Whether the entry, a link, is a path that was asked for and points to what no such path holds. Links are not
    /// followed, so nobody would look there.
    pub fn leads_away(&self, target: &[u8]) -> bool {
        if !self.is_start {
            return false;
        }
        let above = Path::new(OsStr::from_bytes(&self.path)).parent().unwrap_or(Path::new("/"));
        let mut leads_to = PathBuf::from("/");
        for part in above.join(OsStr::from_bytes(target)).components() {
            match part {
                Component::Normal(name) => leads_to.push(name),
                Component::ParentDir => {
                    leads_to.pop();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        !self.all_starts.iter().any(|start| bytes(start) != self.path && is_within(bytes(&leads_to), bytes(start)))
    }

    /// Whether a path of an earlier walk may still be there, unseen.
    pub fn is_hidden(&self, path: &[u8]) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| is_within(path, hidden))
    }

    fn set_name(&mut self, name: &CStr) {
        let above = self.levels.last().map_or(0, |level| level.path_bytes);
        self.path.truncate(above);
        if self.path.last() != Some(&b'/') {
            self.path.push(b'/');
        }
        self.path.extend(name.to_bytes());
        name.clone_into(&mut self.name);
    }

    fn is_excluded(&self) -> bool {
        self.excludes.iter().any(|pattern| pattern.matches(&self.path))
    }

    /// What is gone meanwhile is gone; of what cannot be read nothing is known.
    fn hide(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.gaps.add(&self.path, error.to_string());
            self.hidden = Some(self.path.clone());
        }
    }

    fn enter(&mut self) {
        if self.levels.len() >= MAX_DEPTH {
            self.gaps.add(&self.path, format!("is {MAX_DEPTH} folders deep; what is in it is not looked at"));
            self.hidden = Some(self.path.clone());
            return;
        }
        let folder = match self.open_folder() {
            Ok(folder) => folder,
            Err(error) => return self.hide(&error),
        };
        match metadata_of(&folder) {
            Ok(found) if self.local.is_local(found.device, &folder) => {}
            Ok(_) => {
                self.gaps.add(&self.path, "lies on a file system of the kernel or of another machine");
                self.hidden = Some(self.path.clone());
                return;
            }
            Err(error) => return self.hide(&error),
        }
        let path_bytes = self.path.len();
        self.levels.push(Level { folder, path_bytes, names: Vec::new(), after: CString::default(), has_more: true });
    }

    fn open_folder(&self) -> io::Result<OwnedFd> {
        match self.levels.last().filter(|_| !self.is_start) {
            Some(level) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                Ok(posix::openat(&level.folder, &self.name, flags, Mode::empty())?)
            }
            None => self.root.open_folder(Path::new(OsStr::from_bytes(&self.path)), Follow::Never),
        }
    }

    /// The next name of the innermost folder; none at its end.
    fn next_name(&mut self) -> Option<CString> {
        if self.levels.last().is_some_and(|level| level.names.is_empty() && level.has_more) {
            self.read_names();
        }
        let level = self.levels.last_mut()?;
        let name = level.names.pop()?;
        self.held -= 1;
        level.after.clone_from(&name);
        Some(name)
    }

    fn read_names(&mut self) {
        let Some((level, above)) = self.levels.split_last_mut() else { return };
        let (names, has_more, failure) = names_after(&level.folder, &level.after);
        self.held += names.len();
        (level.names, level.has_more) = (names, has_more);
        if self.held > MAX_HELD {
            for level in above {
                self.held -= level.names.len();
                level.has_more |= !level.names.is_empty();
                level.names = Vec::new();
            }
        }
        if let Some(error) = failure {
            let folder = self.path.get(..self.levels.last().map_or(0, |level| level.path_bytes)).unwrap_or_default();
            let folder = folder.to_vec();
            self.gaps.add(&folder, error.to_string());
            self.hidden = Some(folder);
        }
    }
}

/// The first names in order that come after one, in reverse; whether there are more; and why the folder was not read to
/// its end.
fn names_after(folder: &OwnedFd, after: &CStr) -> (Vec<CString>, bool, Option<io::Error>) {
    let mut first = BinaryHeap::new();
    let mut has_more = false;
    let mut failure = None;
    match Dir::read_from(folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        failure = Some(error.into());
                        break;
                    }
                };
                let name = entry.file_name();
                if name == c"." || name == c".." || name <= after {
                    continue;
                }
                if first.len() < MAX_NAMES {
                    first.push(name.to_owned());
                    continue;
                }
                has_more = true;
                if let Some(mut last) = first.peek_mut()
                    && name < last.as_c_str()
                {
                    name.clone_into(&mut last);
                }
            }
        }
        Err(error) => failure = Some(error.into()),
    }
    let mut names = first.into_sorted_vec();
    names.reverse();
    (names, has_more, failure)
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
