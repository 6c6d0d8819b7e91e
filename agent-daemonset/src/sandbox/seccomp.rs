//! Filters of system calls. They name what is refused, not what is permitted: the C library, SQLite and the kernel of the
//! host differ, and what a scan must not do is a short list.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::Error;

/// What no part of the agent ever does: change the kernel, the clock, mounts, or another process.
const SYSTEM: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_init_module,
    // Its requests pass by every filter.
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// What changes a file, a folder or what is said about them; landlock does not know the second half.
const WRITES: &[c_long] = &[
    libc::SYS_copy_file_range,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    libc::SYS_unlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fremovexattr,
    libc::SYS_fsetxattr,
    libc::SYS_lremovexattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_setxattr,
    libc::SYS_utimensat,
];

/// The same in the calls that only this machine still has.
#[cfg(target_arch = "x86_64")]
const OLD_WRITES: &[c_long] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_creat,
    libc::SYS_futimesat,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_WRITES: &[c_long] = &[];

pub fn deny_changes_of_the_system() -> Result<(), Error> {
    refuse(always(SYSTEM), libc::EPERM)
}

/// Refuses each write, and each opening of a file for writing.
pub fn deny_writes() -> Result<(), Error> {
    let mut rules = always(WRITES);
    rules.extend(always(OLD_WRITES));
    rules.insert(libc::SYS_openat, opened_for_writing(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, opened_for_writing(1)?);
    refuse(rules, libc::EPERM)?;
    // A filter cannot see the flags of `openat2`: they lie in memory. "Not known" makes callers fall back to `openat`.
    refuse(always(&[libc::SYS_openat2]), libc::ENOSYS)
}

/// Refuses to connect, and to send without a connection. Netlink, which tables ask about sockets, stays.
pub fn deny_network() -> Result<(), Error> {
    let mut families = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6, libc::AF_PACKET, libc::AF_VSOCK] {
        families.push(when(0, SeccompCmpOp::Eq, family.unsigned_abs().into())?);
    }
    let mut rules = always(&[libc::SYS_connect, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4]);
    rules.insert(libc::SYS_socket, families);
    refuse(rules, libc::EPERM)
}

/// Refuses every socket but netlink's and TCP's, and to wait for connections.
pub fn deny_all_but_tcp() -> Result<(), Error> {
    let is_of =
        |family: i32| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family.unsigned_abs().into());
    // The lower four bits; above them stand flags.
    let is_no_stream = |kind: i32| {
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(0xf), kind.unsigned_abs().into())
    };
    let mut sockets = Vec::new();
    for family in [libc::AF_UNIX, libc::AF_PACKET, libc::AF_VSOCK] {
        sockets.push(SeccompRule::new(vec![is_of(family)?])?);
    }
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            sockets.push(SeccompRule::new(vec![is_of(family)?, is_no_stream(kind)?])?);
        }
    }
    refuse(Rules::from([(libc::SYS_socket, sockets)]), libc::EPERM)?;
    refuse(always(&[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4]), libc::EPERM)
}

/// The same for a program of the host that has to ask services of this machine, and over a datagram socket what the
/// interfaces are called: that socket stays, but it can neither be connected nor send to an address. What a filter cannot
/// see lies in memory (`sendmsg`, an address of another length): it holds against a program that fetches something or
/// looks a name up, not against one that was taken over.
pub fn deny_reaching_networks() -> Result<(), Error> {
    let bits = |number: i32| u64::from(number.unsigned_abs());
    let mut sockets = Vec::new();
    for family in [libc::AF_INET6, libc::AF_PACKET, libc::AF_VSOCK] {
        sockets.push(when(0, SeccompCmpOp::Eq, bits(family))?);
    }
    for kind in [libc::SOCK_STREAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET] {
        let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, bits(libc::AF_INET))?;
        // Beside the kind are flags.
        let kind = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(0xf), bits(kind))?;
        sockets.push(SeccompRule::new(vec![family, kind])?);
    }
    // Addresses are told by their lengths: those of IPv4 and IPv6. Netlink's, which lists interfaces, is shorter.
    let lengths = [size_of::<libc::sockaddr_in>() as u64, size_of::<libc::sockaddr_in6>() as u64];
    let to_networks = |argument: u8| {
        lengths.iter().map(|length| when(argument, SeccompCmpOp::Eq, *length)).collect::<Result<Vec<_>, _>>()
    };
    let mut rules = always(&[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_sendmmsg]);
    rules.insert(libc::SYS_socket, sockets);
    rules.insert(libc::SYS_connect, to_networks(2)?);
    rules.insert(libc::SYS_sendto, to_networks(5)?);
    refuse(rules, libc::EPERM)
}

/// Refuses signals to other processes; a thread may still end its own process.
pub fn deny_signals() -> Result<(), Error> {
    refuse(always(&[libc::SYS_kill, libc::SYS_pidfd_send_signal, libc::SYS_rt_sigqueueinfo]), libc::EPERM)
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// An empty list of conditions matches every call.
fn always(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn opened_for_writing(argument: u8) -> Result<Vec<SeccompRule>, Error> {
    let bits = |flags: i32| u64::from(flags.unsigned_abs());
    let access = bits(libc::O_ACCMODE);
    Ok(vec![
        when(argument, SeccompCmpOp::MaskedEq(access), bits(libc::O_WRONLY))?,
        when(argument, SeccompCmpOp::MaskedEq(access), bits(libc::O_RDWR))?,
        // The fourth value of the two bits means read and write on some devices.
        when(argument, SeccompCmpOp::MaskedEq(access), access)?,
        when(argument, SeccompCmpOp::MaskedEq(bits(libc::O_CREAT)), bits(libc::O_CREAT))?,
        when(argument, SeccompCmpOp::MaskedEq(bits(libc::O_TRUNC)), bits(libc::O_TRUNC))?,
    ])
}

fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, Error> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?])?)
}

/// Installs a filter on this thread; what it starts inherits it.
fn refuse(rules: Rules, error: i32) -> Result<(), Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(error.unsigned_abs()), architecture)?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    Ok(())
}
