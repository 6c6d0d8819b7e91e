//! What stands for the calls of POSIX on Windows.
#![allow(dead_code, reason = "the names of POSIX, also those that nothing gives here")]
#![allow(clippy::needless_pass_by_value, clippy::struct_field_names, reason = "as the calls of Unix take and give it")]

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::root::Metadata;

const GENERIC_READ: u32 = 0x8000_0000;
const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
const FILE_ATTRIBUTE_READONLY: u32 = 0x1;
/// Between 1601, where Windows begins to count, and 1970, in seconds.
const EPOCH_DIFFERENCE: i64 = 11_644_473_600;
/// Of a hundred nanoseconds each.
const TICKS_PER_SECOND: u64 = 10_000_000;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileType {
    RegularFile,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
    Unknown,
}

impl FileType {
    fn of(kind: std::fs::FileType) -> Self {
        if kind.is_symlink() {
            Self::Symlink
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::RegularFile
        } else {
            Self::Unknown
        }
    }

    /// The kind in a mode of POSIX, as other systems' packages and disks hold it.
    pub(crate) const fn from_raw_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::RegularFile,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            0o020_000 => Self::CharacterDevice,
            0o060_000 => Self::BlockDevice,
            _ => Self::Unknown,
        }
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OFlags(u32);

impl OFlags {
    /// Every opening is for reading or for nothing.
    pub(crate) const RDONLY: Self = Self(0);
    /// Only to look at it.
    pub(crate) const PATH: Self = Self(1);
    pub(crate) const DIRECTORY: Self = Self(2);
    pub(crate) const NOFOLLOW: Self = Self(4);
    /// Handles are not inherited, and no file waits.
    pub(crate) const CLOEXEC: Self = Self(0);
    pub(crate) const NONBLOCK: Self = Self(8);
    pub(crate) const NOCTTY: Self = Self(16);

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for OFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// The mode of a file that is made: none is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode;

impl Mode {
    pub(crate) const fn empty() -> Self {
        Self
    }
}

/// Errors that are told apart, by the numbers of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(i32);

impl Errno {
    /// `ERROR_FILE_NOT_FOUND`.
    pub(crate) const NOENT: Self = Self(2);
    /// `ERROR_DIRECTORY`.
    pub(crate) const NOTDIR: Self = Self(267);
    /// `ERROR_CANT_RESOLVE_FILENAME`.
    pub(crate) const LOOP: Self = Self(1921);
    /// `ERROR_NOT_SAME_DEVICE`.
    pub(crate) const XDEV: Self = Self(17);
    /// `ERROR_FILENAME_EXCED_RANGE`.
    pub(crate) const NAMETOOLONG: Self = Self(206);
    /// `ERROR_NOT_SUPPORTED`.
    pub(crate) const NOTSUP: Self = Self(50);

    pub(crate) const fn raw_os_error(self) -> i32 {
        self.0
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// An opened file or folder and where it was found.
#[derive(Debug)]
pub(crate) struct OwnedFd {
    file: File,
    path: PathBuf,
}

impl From<OwnedFd> for File {
    fn from(opened: OwnedFd) -> Self {
        opened.file
    }
}

/// An opened file or folder of somebody else; only one with a path has names below it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BorrowedFd<'opened> {
    file: &'opened File,
    path: Option<&'opened Path>,
}

/// What is opened.
pub(crate) trait AsFd {
    fn as_fd(&self) -> BorrowedFd<'_>;
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd { file: &self.file, path: Some(&self.path) }
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd { file: self, path: None }
    }
}

impl AsFd for BorrowedFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        *self
    }
}

impl<T: AsFd + ?Sized> AsFd for &T {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (**self).as_fd()
    }
}

impl BorrowedFd<'_> {
    fn below(self, name: &Path) -> io::Result<PathBuf> {
        let path = self.path.ok_or(Errno::NOTDIR)?;
        Ok(if name.as_os_str().is_empty() || name == Path::new(".") { path.to_owned() } else { path.join(name) })
    }
}

/// A name or path, as the calls take it.
pub(crate) trait Name {
    fn as_path(&self) -> Cow<'_, Path>;
}

impl Name for &OsStr {
    fn as_path(&self) -> Cow<'_, Path> {
        Cow::Borrowed(Path::new(self))
    }
}

impl Name for &Path {
    fn as_path(&self) -> Cow<'_, Path> {
        Cow::Borrowed(self)
    }
}

impl Name for &CStr {
    fn as_path(&self) -> Cow<'_, Path> {
        Cow::Owned(path_of(self))
    }
}

impl Name for &CString {
    fn as_path(&self) -> Cow<'_, Path> {
        Cow::Owned(path_of(self))
    }
}

impl Name for PathBuf {
    fn as_path(&self) -> Cow<'_, Path> {
        Cow::Borrowed(self)
    }
}

/// A name that a folder listed: its bytes are text, for that is how they were made.
fn path_of(name: &CStr) -> PathBuf {
    PathBuf::from(OsString::from(String::from_utf8_lossy(name.to_bytes()).into_owned()))
}

pub(crate) fn open(path: impl Name, flags: OFlags, _: Mode) -> io::Result<OwnedFd> {
    open_path(path.as_path().into_owned(), flags)
}

pub(crate) fn openat(folder: impl AsFd, name: impl Name, flags: OFlags, _: Mode) -> io::Result<OwnedFd> {
    open_path(folder.as_fd().below(&name.as_path())?, flags)
}

fn open_path(path: PathBuf, flags: OFlags) -> io::Result<OwnedFd> {
    let access = if flags.contains(OFlags::PATH) || flags.contains(OFlags::DIRECTORY) { 0 } else { GENERIC_READ };
    let link = if flags.contains(OFlags::NOFOLLOW) { FILE_FLAG_OPEN_REPARSE_POINT } else { 0 };
    let file = OpenOptions::new().access_mode(access).custom_flags(FILE_FLAG_BACKUP_SEMANTICS | link).open(&path)?;
    let kind = FileType::of(file.metadata()?.file_type());
    if kind == FileType::Symlink && !flags.contains(OFlags::PATH) {
        return Err(Errno::LOOP.into());
    }
    if flags.contains(OFlags::DIRECTORY) && kind != FileType::Directory {
        return Err(Errno::NOTDIR.into());
    }
    Ok(OwnedFd { file, path })
}

/// Where a link points, with slashes.
pub(crate) fn readlinkat(folder: impl AsFd, name: &CStr, _: Vec<u8>) -> io::Result<CString> {
    let target = std::fs::read_link(folder.as_fd().below(&path_of(name))?)?;
    CString::new(target.to_string_lossy().replace('\\', "/")).map_err(io::Error::other)
}

/// What is known of an entry of an opened folder; a link is not followed. An empty name means the folder itself.
pub(crate) fn stat_at(folder: impl AsFd, name: &CStr) -> io::Result<Metadata> {
    let folder = folder.as_fd();
    let metadata = if name.is_empty() {
        folder.file.metadata()?
    } else {
        std::fs::symlink_metadata(folder.below(&path_of(name))?)?
    };
    let kind = FileType::of(metadata.file_type());
    let is_read_only = metadata.file_attributes() & FILE_ATTRIBUTE_READONLY != 0;
    let (modified, modified_nanoseconds) = time(metadata.last_write_time());
    let (accessed, _) = time(metadata.last_access_time());
    let (born, _) = time(metadata.creation_time());
    Ok(Metadata {
        mode: if is_read_only { 0o444 } else { 0o644 } | if kind == FileType::Directory { 0o111 } else { 0 },
        kind,
        uid: 0,
        gid: 0,
        inode: 0,
        device: 0,
        raw_device: 0,
        size: metadata.file_size(),
        block_size: 0,
        links: 1,
        accessed,
        modified,
        // A change of attributes has no time of its own here.
        changed: modified,
        born,
        modified_nanoseconds,
        changed_nanoseconds: modified_nanoseconds,
    })
}

/// Seconds since 1970 and nanoseconds, of ticks since 1601.
fn time(ticks: u64) -> (i64, u32) {
    let seconds = i64::try_from(ticks / TICKS_PER_SECOND).unwrap_or(i64::MAX);
    let nanoseconds = u32::try_from(ticks % TICKS_PER_SECOND * 100).unwrap_or(0);
    (seconds.saturating_sub(EPOCH_DIFFERENCE), nanoseconds)
}

/// The entries of a folder.
#[derive(Debug)]
pub(crate) struct Dir(std::fs::ReadDir);

impl Dir {
    pub(crate) fn new(folder: OwnedFd) -> io::Result<Self> {
        Self::read_from(&folder)
    }

    pub(crate) fn read_from(folder: impl AsFd) -> io::Result<Self> {
        Ok(Self(std::fs::read_dir(folder.as_fd().below(Path::new(""))?)?))
    }
}

impl Iterator for Dir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(|entry| {
            let name = CString::new(entry.file_name().as_encoded_bytes()).map_err(io::Error::other)?;
            Ok(DirEntry { name, kind: FileType::of(entry.file_type()?) })
        }))
    }
}

/// An entry of a folder.
#[derive(Debug)]
pub(crate) struct DirEntry {
    name: CString,
    kind: FileType,
}

impl DirEntry {
    pub(crate) fn file_name(&self) -> &CStr {
        &self.name
    }

    pub(crate) fn file_type(&self) -> FileType {
        self.kind
    }
}

/// How full a file system is; only asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatVfs {
    pub f_bsize: u64,
    pub f_frsize: u64,
    pub f_blocks: u64,
    pub f_bfree: u64,
    pub f_bavail: u64,
    pub f_files: u64,
    pub f_ffree: u64,
}

pub(crate) fn fstatvfs(_: impl AsFd) -> io::Result<StatVfs> {
    Err(Errno::NOTSUP.into())
}

/// There are no extended attributes of POSIX.
pub(crate) fn flistxattr(_: impl AsFd, _: &mut [u8]) -> io::Result<usize> {
    Err(Errno::NOTSUP.into())
}

pub(crate) fn fgetxattr<N>(_: impl AsFd, _: N, _: &mut [u8]) -> io::Result<usize> {
    Err(Errno::NOTSUP.into())
}

/// Names as bytes: those that are no text are as this system's library encodes them.
pub(crate) trait OsStrExt {
    fn as_bytes(&self) -> &[u8];
    fn from_bytes(bytes: &[u8]) -> &Self;
}

impl OsStrExt for OsStr {
    fn as_bytes(&self) -> &[u8] {
        self.as_encoded_bytes()
    }

    /// Bytes that are no text name nothing on this system.
    fn from_bytes(bytes: &[u8]) -> &Self {
        Self::new(std::str::from_utf8(bytes).unwrap_or("\u{fffd}"))
    }
}

pub(crate) trait OsStringExt {
    fn from_vec(bytes: Vec<u8>) -> Self;
}

impl OsStringExt for OsString {
    fn from_vec(bytes: Vec<u8>) -> Self {
        OsStr::from_bytes(&bytes).to_owned()
    }
}

/// Reads at a place.
pub(crate) trait FileExt {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.seek_read(buffer, offset)
    }

    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let count = self.seek_read(buffer, offset)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[count..];
            offset += count as u64;
        }
        Ok(())
    }
}

/// What only POSIX says of a file.
pub(crate) trait MetadataExt {
    fn mode(&self) -> u32;
    fn ino(&self) -> u64;
}

impl MetadataExt for std::fs::Metadata {
    fn mode(&self) -> u32 {
        0o444
    }

    fn ino(&self) -> u64 {
        0
    }
}

pub(crate) trait FileTypeExt {
    fn is_fifo(&self) -> bool;
}

impl FileTypeExt for std::fs::FileType {
    fn is_fifo(&self) -> bool {
        false
    }
}
