//! The calls about files that the reader of a root and the walks make, under the names of POSIX. On Unix they are the
//! kernel's own. On Windows the same names stand for what that system has: a folder is a handle and its path, names
//! below it are joined to the path, links are not followed unasked. That is checked by the compiler alone; nothing of it
//! has run. What Windows lacks (owners by number, set-id bits, extended attributes) reads as nothing or is refused.

#[cfg(unix)]
mod unix {
    pub(crate) use std::os::fd::{AsFd, OwnedFd};
    pub(crate) use std::os::unix::ffi::{OsStrExt, OsStringExt};
    pub(crate) use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};

    pub(crate) use rustix::fs::{
        Dir, FileType, Mode, OFlags, StatVfs, fgetxattr, flistxattr, fstatvfs, open, openat, readlinkat,
    };
    pub(crate) use rustix::io::Errno;
}
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
