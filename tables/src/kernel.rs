//! What the kernels do not have in common. Linux resolves a path below a root by itself, opens files only to look at them, and
//! answers over netlink; other systems get the same with what they have, or say that they cannot. Only Linux is tested: for
//! the others this is checked by the compiler, and no more.

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(all(unix, not(target_os = "linux")))]
use other as system;
#[cfg(windows)]
use windows as system;

pub(crate) use system::{LOOK, OPENS_LINKS, cpu_time, device, holds_own_files, open_below_root, stat_at};
#[cfg(unix)]
pub(crate) use system::{netlink, stream_socket};

/// Protocols of netlink that the tables ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Netlink {
    /// Interfaces and their addresses.
    Routes,
    /// Rules of the firewall.
    Netfilter,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CStr;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;

    use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

    use super::Netlink;
    use crate::root::Metadata;

    /// Opens anything without reading it.
    pub(crate) const LOOK: OFlags = OFlags::PATH;
    /// A link can be opened itself.
    pub(crate) const OPENS_LINKS: bool = true;

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

    /// Opens a path as if the folder were the root (`openat2(2)`); none where the kernel or a sandbox lacks that.
    pub(crate) fn open_below_root(folder: impl AsFd, path: &Path, flags: OFlags) -> Option<io::Result<OwnedFd>> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(&folder, path, flags, Mode::empty(), how);
        let opened = match open() {
            // Something was renamed meanwhile.
            Err(rustix::io::Errno::AGAIN) => open(),
            opened => opened,
        };
        match opened {
            // A sandbox that does not know the call answers EPERM; a plain EPERM comes again by hand.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => None,
            opened => Some(opened.map_err(io::Error::from)),
        }
    }

    /// The metadata of an entry of an opened folder; a link is not followed. An empty name means the folder itself. What the
    /// kernel knows already is enough: a server that does not answer must not hold up a scan.
    pub(crate) fn stat_at(folder: impl AsFd, name: &CStr) -> io::Result<Metadata> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        Ok(Metadata::of_statx(&stat))
    }

    /// Whether an opened folder lies on a file system that holds files of this host.
    pub(crate) fn holds_own_files(folder: impl AsFd) -> bool {
        rustix::fs::fstatfs(folder).is_ok_and(|stat| !FOREIGN.contains(&stat.f_type))
    }

    pub(crate) use super::clock::cpu_time;

    /// The number of a device.
    pub(crate) fn device(major: u32, minor: u32) -> u64 {
        rustix::fs::makedev(major, minor)
    }

    /// A socket on which nothing waits.
    pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(socket_with(family, SocketType::STREAM, flags, None)?)
    }

    pub(crate) fn netlink(protocol: Netlink) -> io::Result<OwnedFd> {
        let protocol = match protocol {
            Netlink::Routes => None,
            Netlink::Netfilter => Some(rustix::net::netlink::NETFILTER),
        };
        Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?)
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod other {
    use std::ffi::CStr;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, OFlags};
    use rustix::io::FdFlags;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

    use super::Netlink;
    use crate::root::Metadata;

    /// Opens a folder or file for reading without waiting for it; a link is asked through its folder.
    pub(crate) const LOOK: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);
    /// A link is asked through its folder.
    pub(crate) const OPENS_LINKS: bool = false;
    /// `MNT_LOCAL` of `statfs(2)`.
    const IS_LOCAL: u32 = 0x1000;

    /// Paths are walked by hand.
    pub(crate) fn open_below_root(_: impl AsFd, _: &Path, _: OFlags) -> Option<io::Result<OwnedFd>> {
        None
    }

    /// See Linux.
    pub(crate) fn stat_at(folder: impl AsFd, name: &CStr) -> io::Result<Metadata> {
        let stat = if name.is_empty() {
            rustix::fs::fstat(folder)?
        } else {
            rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?
        };
        let mode = u32::from(stat.st_mode);
        let nanoseconds = |value: i64| u32::try_from(value).unwrap_or(0);
        Ok(Metadata {
            mode: mode & 0o7777,
            kind: FileType::from_raw_mode(stat.st_mode),
            uid: stat.st_uid,
            gid: stat.st_gid,
            inode: stat.st_ino,
            device: u64::from(stat.st_dev.cast_unsigned()),
            raw_device: u64::from(stat.st_rdev.cast_unsigned()),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            block_size: u32::try_from(stat.st_blksize).unwrap_or(0),
            links: u32::from(stat.st_nlink),
            accessed: stat.st_atime,
            modified: stat.st_mtime,
            changed: stat.st_ctime,
            born: stat.st_birthtime,
            modified_nanoseconds: nanoseconds(stat.st_mtime_nsec),
            changed_nanoseconds: nanoseconds(stat.st_ctime_nsec),
        })
    }

    /// See Linux.
    pub(crate) fn holds_own_files(folder: impl AsFd) -> bool {
        rustix::fs::fstatfs(folder).is_ok_and(|stat| stat.f_flags & IS_LOCAL != 0)
    }

    pub(crate) use super::clock::cpu_time;

    /// See Linux.
    pub(crate) fn device(major: u32, minor: u32) -> u64 {
        u64::from(rustix::fs::makedev(major, minor).cast_unsigned())
    }

    /// See Linux.
    pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(socket)
    }

    /// Only Linux has it.
    pub(crate) fn netlink(_: Netlink) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(unix)]
mod clock {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    /// User and system time of this process.
    pub(crate) fn cpu_time() -> Duration {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}

#[cfg(windows)]
mod windows {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    pub(crate) use crate::posix::stat_at;
    use crate::posix::{AsFd, OFlags, OwnedFd};

    /// Opens anything without reading it.
    pub(crate) const LOOK: OFlags = OFlags::PATH;
    /// A link can be opened itself.
    pub(crate) const OPENS_LINKS: bool = true;

    /// Paths are walked by hand.
    pub(crate) fn open_below_root(_: impl AsFd, _: &Path, _: OFlags) -> Option<io::Result<OwnedFd>> {
        None
    }

    /// Drives of other machines are not told apart.
    pub(crate) fn holds_own_files(_: impl AsFd) -> bool {
        true
    }

    /// See Linux.
    pub(crate) fn device(major: u32, minor: u32) -> u64 {
        u64::from(major) << 32 | u64::from(minor)
    }

    /// Not measured.
    pub(crate) fn cpu_time() -> Duration {
        Duration::ZERO
    }
}
