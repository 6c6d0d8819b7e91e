//! Opens what lies below a host's root. Links inside an image point where its author wanted: every path is resolved as
//! if the root were `/` (`openat2(2)` with `RESOLVE_IN_ROOT`), and by hand where the kernel lacks that call.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::{self, LOOK};
use crate::posix::{self, AsFd, Errno, FileType, Mode, OFlags, OsStrExt, OsStringExt, OwnedFd};

/// Links in one path, as the kernel's own limit.
const MAX_LINKS: usize = 40;
/// Folders that are open at once on the way to one path. Each takes a descriptor, of which a worker has a thousand.
const MAX_OPEN_FOLDERS: usize = 256;

/// How a file is opened to be read: without waiting, whatever it is.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Whether the last part of a path may be a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Yes, below the root. For paths that only administrators write.
    Links,
    /// No. For what lies in a folder that a user may write: a link there must not make the agent read for them.
    Never,
}

/// What `statx(2)` says of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metadata {
    /// The permissions with the set-id and sticky bits, without the type.
    pub mode: u32,
    pub kind: FileType,
    pub uid: u32,
    pub gid: u32,
    pub inode: u64,
    pub device: u64,
    pub raw_device: u64,
    pub size: u64,
    pub block_size: u32,
    pub links: u32,
    pub accessed: i64,
    pub modified: i64,
    pub changed: i64,
    pub born: i64,
    /// The nanoseconds of `modified` and of `changed`.
    pub modified_nanoseconds: u32,
    pub changed_nanoseconds: u32,
}

impl Metadata {
    #[cfg(target_os = "linux")]
    pub fn of_statx(stat: &rustix::fs::Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        Metadata {
            mode: mode & 0o7777,
            kind: FileType::from_raw_mode(mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            inode: stat.stx_ino,
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            raw_device: rustix::fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
            size: stat.stx_size,
            block_size: stat.stx_blksize,
            links: stat.stx_nlink,
            accessed: stat.stx_atime.tv_sec,
            modified: stat.stx_mtime.tv_sec,
            changed: stat.stx_ctime.tv_sec,
            born: stat.stx_btime.tv_sec,
            modified_nanoseconds: stat.stx_mtime.tv_nsec,
            changed_nanoseconds: stat.stx_ctime.tv_nsec,
        }
    }

    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }
}

/// The name and type of an entry of a folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub name: OsString,
    pub kind: FileType,
}

/// An opened root folder.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    /// It is this process's own root: every path is right as it is.
    is_own: bool,
    kernel_resolves: AtomicBool,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = posix::open(path, LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Root { folder, is_own: path == Path::new("/"), kernel_resolves: AtomicBool::new(true) })
    }

    /// Opens a regular file for reading; anything else is refused without waiting for it.
    pub fn open_file(&self, path: &Path, follow: Follow) -> io::Result<(std::fs::File, Metadata)> {
        // To open a device can set off what it does, such as a watchdog: what is there is asked first. By hand that is
        // done on the way.
        if self.is_own || self.kernel_resolves.load(Ordering::Relaxed) {
            regular(self.metadata(path, follow)?)?;
        }
        let file = self.resolve(path, FILE, follow)?;
        let metadata = metadata_of(&file)?;
        regular(metadata).map(|metadata| (file.into(), metadata))
    }

    pub fn open_folder(&self, path: &Path, follow: Follow) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, follow)
    }

    /// A socket of the host, opened only so far that a connection can be made through it.
    #[cfg(unix)]
    pub fn open_socket(&self, path: &Path) -> io::Result<OwnedFd> {
        let socket = self.resolve(path, LOOK | OFlags::CLOEXEC, Follow::Links)?;
        match metadata_of(&socket)?.kind {
            FileType::Socket => Ok(socket),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a socket")),
        }
    }

    /// Opens a regular file below a folder, refusing a link in any part below it.
    pub fn open_file_below(&self, folder: &Path, below: &Path) -> io::Result<(std::fs::File, Metadata)> {
        let file = self.open_below(folder, below, FILE)?;
        let metadata = metadata_of(&file)?;
        regular(metadata).map(|metadata| (file.into(), metadata))
    }

    /// Opens a folder below a folder under the same rule.
    pub fn open_folder_below(&self, folder: &Path, below: &Path) -> io::Result<OwnedFd> {
        self.open_below(folder, below, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    fn open_below(&self, folder: &Path, below: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let mut here = self.resolve(folder, LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC, Follow::Links)?;
        let mut waiting = parts_reversed(below);
        while let Some(part) = waiting.pop() {
            if part == ".." {
                return Err(Errno::XDEV.into());
            }
            let last = waiting.is_empty();
            if last && flags == FILE {
                // A link is refused below, as one.
                let found = metadata_at(&here, &CString::new(part.as_bytes())?)?;
                if found.kind != FileType::Symlink {
                    regular(found)?;
                }
            }
            let flags = if last { flags } else { LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC };
            here = posix::openat(&here, part.as_os_str(), flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(here)
    }

    pub fn metadata(&self, path: &Path, follow: Follow) -> io::Result<Metadata> {
        if let (Follow::Never, Some((folder, name))) = (follow, self.folder_of(path)?) {
            return metadata_at(&folder, &name);
        }
        metadata_of(&self.resolve(path, LOOK | OFlags::CLOEXEC, follow)?)
    }

    /// Where a link points, as written in it.
    pub fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let target = if let Some((folder, name)) = self.folder_of(path)? {
            posix::readlinkat(&folder, &name, Vec::new())?
        } else {
            let link = self.resolve(path, LOOK | OFlags::CLOEXEC, Follow::Never)?;
            posix::readlinkat(&link, c"", Vec::new())?
        };
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    pub fn file_system(&self, path: &Path) -> io::Result<posix::StatVfs> {
        Ok(posix::fstatvfs(self.resolve(path, LOOK | OFlags::CLOEXEC, Follow::Links)?)?)
    }

    /// Where the kernel opens no link to look at it: the folder that the path ends in, and the last name.
    fn folder_of(&self, path: &Path) -> io::Result<Option<(OwnedFd, CString)>> {
        let (Some(folder), Some(name), false) = (path.parent(), path.file_name(), kernel::OPENS_LINKS) else {
            return Ok(None);
        };
        let folder = self.resolve(folder, LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC, Follow::Links)?;
        Ok(Some((folder, CString::new(name.as_bytes())?)))
    }

    fn resolve(&self, path: &Path, flags: OFlags, follow: Follow) -> io::Result<OwnedFd> {
        let flags = if follow == Follow::Never { flags | OFlags::NOFOLLOW } else { flags };
        if self.is_own {
            // A relative path is below the root as well.
            let absolute = if path.is_absolute() { path.to_owned() } else { Path::new("/").join(path) };
            return Ok(posix::open(absolute, flags, Mode::empty())?);
        }
        if self.kernel_resolves.load(Ordering::Relaxed) {
            if let Some(opened) = kernel::open_below_root(&self.folder, path, flags) {
                return opened;
            }
            self.kernel_resolves.store(false, Ordering::Relaxed);
        }
        self.resolve_by_hand(path, flags, follow)
    }

    /// Walks the path part by part, never letting the kernel follow a link itself.
    fn resolve_by_hand(&self, path: &Path, flags: OFlags, follow: Follow) -> io::Result<OwnedFd> {
        let mut waiting = parts_reversed(path);
        let mut folders: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(part) = waiting.pop() {
            if part == ".." {
                folders.pop();
                continue;
            }
            let here = folders.last().unwrap_or(&self.folder).as_fd();
            let is_last = waiting.is_empty();
            let only_itself = LOOK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            // Most parts are folders, and need no second look.
            let opened = (!is_last)
                .then(|| posix::openat(here, part.as_os_str(), only_itself | OFlags::DIRECTORY, Mode::empty()));
            if let Some(Ok(folder)) = opened {
                if folders.len() >= MAX_OPEN_FOLDERS {
                    return Err(Errno::NAMETOOLONG.into());
                }
                folders.push(folder);
                continue;
            }
            let name = CString::new(part.as_bytes())?;
            let metadata = metadata_at(here, &name)?;
            if metadata.kind == FileType::Symlink && !(is_last && follow == Follow::Never) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = posix::readlinkat(here, &name, Vec::new())?.into_bytes();
                if target.first() == Some(&b'/') {
                    folders.clear();
                }
                waiting.extend(parts_reversed(Path::new(OsStr::from_bytes(&target))));
            } else if let Some(Err(error)) = opened {
                return Err(error.into());
            } else {
                if flags.contains(FILE) && metadata.kind != FileType::Symlink {
                    regular(metadata)?;
                }
                return Ok(posix::openat(here, part.as_os_str(), flags | OFlags::NOFOLLOW, Mode::empty())?);
            }
        }
        let here = folders.last().unwrap_or(&self.folder).as_fd();
        Ok(posix::openat(here, c".", flags, Mode::empty())?)
    }
}

/// Opens a file of the kernel, `/proc/stat` or one below `/sys`. Below the root of a container what is there need not be the
/// kernel's: nothing is waited for.
pub(crate) fn open_kernel_file(path: &Path) -> io::Result<std::fs::File> {
    let file = posix::open(path, FILE, Mode::empty())?;
    regular(metadata_of(&file)?).map(|_| file.into())
}

/// The beginning of a file below a root as text, at most 64 KiB; links are resolved as if the root were `/`. For what a
/// program wants to know of a host before it asks any table.
pub fn text_below(root: &Path, path: &Path) -> io::Result<String> {
    use io::Read as _;
    const MOST: u64 = 64 << 10;
    let (file, _) = Root::open(root)?.open_file(path, Follow::Links)?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(crate::reader::lossy(bytes))
}

/// Refuses what is no regular file. A link to `/dev/null` is how an administrator says that there is none.
fn regular(metadata: Metadata) -> io::Result<Metadata> {
    let null = kernel::device(1, 3);
    match metadata.kind {
        FileType::RegularFile => Ok(metadata),
        FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
        FileType::CharacterDevice if metadata.raw_device == null => Err(io::ErrorKind::NotFound.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn parts_reversed(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

pub(crate) fn metadata_of(file: impl AsFd) -> io::Result<Metadata> {
    metadata_at(file, c"")
}

/// The metadata of an entry of an opened folder; a link is not followed. An empty name means the folder itself. What the
/// kernel knows already is enough: a server that does not answer must not hold up a scan.
pub(crate) fn metadata_at(folder: impl AsFd, name: &CStr) -> io::Result<Metadata> {
    kernel::stat_at(folder, name)
}

/// The entries of an opened folder without `.` and `..`, as the file system orders them.
pub(crate) fn entries_of(folder: OwnedFd) -> io::Result<impl Iterator<Item = Entry>> {
    let folder = posix::Dir::new(folder)?;
    Ok(folder.filter_map(Result::ok).filter_map(|entry| {
        let name = entry.file_name().to_bytes();
        (name != b"." && name != b"..")
            .then(|| Entry { name: OsStr::from_bytes(name).to_owned(), kind: entry.file_type() })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn image() -> (tempfile::TempDir, tempfile::TempDir) {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "outside").unwrap();
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/deep")).unwrap();
        std::fs::write(root.path().join("etc/inside"), "inside").unwrap();
        symlink(outside.path().join("secret"), root.path().join("etc/absolute")).unwrap();
        symlink("../../../../../../../../etc/hostname", root.path().join("etc/climbs")).unwrap();
        symlink("/etc/inside", root.path().join("etc/deep/fine")).unwrap();
        symlink("loop", root.path().join("etc/loop")).unwrap();
        (root, outside)
    }

    fn both_ways(root: &Path) -> [Root; 2] {
        let by_hand = Root::open(root).unwrap();
        by_hand.kernel_resolves.store(false, Ordering::Relaxed);
        [Root::open(root).unwrap(), by_hand]
    }

    #[test]
    fn a_link_does_not_leave_the_root() {
        let (folder, outside) = image();
        for root in both_ways(folder.path()) {
            assert!(root.open_file(Path::new("/etc/absolute"), Follow::Links).is_err());
            assert!(root.open_file(Path::new("/etc/climbs"), Follow::Links).is_err());
            let up = PathBuf::from("/../../../..").join(outside.path().strip_prefix("/").unwrap()).join("secret");
            assert!(root.open_file(&up, Follow::Links).is_err());
            assert!(root.open_file(Path::new("/etc/loop"), Follow::Links).is_err());
        }
    }

    #[test]
    fn a_link_inside_the_root_is_followed_only_where_asked() {
        let (folder, _outside) = image();
        for root in both_ways(folder.path()) {
            let (mut file, _) = root.open_file(Path::new("/etc/deep/fine"), Follow::Links).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside");
            assert!(root.open_file(Path::new("/etc/deep/fine"), Follow::Never).is_err());
            assert_eq!(root.read_link(Path::new("/etc/deep/fine")).unwrap(), Path::new("/etc/inside"));
            assert!(root.metadata(Path::new("/"), Follow::Links).unwrap().is_dir());
        }
    }

    #[test]
    fn a_fifo_is_refused_at_once() {
        let (folder, _outside) = image();
        let fifo = folder.path().join("etc/fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        for root in both_ways(folder.path()) {
            assert!(root.open_file(Path::new("/etc/fifo"), Follow::Links).is_err());
        }
    }
}
