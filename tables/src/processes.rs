//! Processes as procfs shows them (`proc(5)`): what the tables about processes and sockets share.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::PathBuf;

use crate::paths;
use crate::reader::Scan;

/// Kernel ticks in a second as user space sees them: 100 on every architecture that Linux still builds for.
const TICKS_PER_SECOND: i64 = 100;

/// The processes to read: those that the query names by `pid`, else all.
pub(crate) fn pids(scan: &Scan) -> Vec<i64> {
    let wanted = scan.numbers("pid");
    if !wanted.is_empty() {
        return wanted.into_iter().filter(|pid| *pid > 0).collect();
    }
    let mut pids: Vec<i64> =
        scan.kernel_names(&scan.host().proc).iter().filter_map(|name| name.parse::<i64>().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Where a link of a process points, such as `exe` or `ns/net`.
pub(crate) fn link(scan: &Scan, pid: i64, name: &str) -> Option<PathBuf> {
    std::fs::read_link(scan.host().proc.join(pid.to_string()).join(name)).ok()
}

/// Like [`link`], where a row or a cell is missing without it: a refusal is said.
pub(crate) fn shown_link(scan: &Scan, pid: i64, name: &str) -> Option<PathBuf> {
    std::fs::read_link(scan.host().proc.join(pid.to_string()).join(name))
        .inspect_err(|error| warn_if_closed(scan, error))
        .ok()
}

/// One sentence for all processes: there may be thousands.
fn warn_if_closed(scan: &Scan, error: &std::io::Error) {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        scan.warn_of_closed_processes(format!("some processes may not be looked into: {error}"));
    }
}

/// Whether this thread may look into every process that can be looked into: it holds `CAP_SYS_PTRACE` (`capabilities(7)`),
/// and no security module takes that back.
pub(crate) fn may_trace() -> bool {
    thread_local! {
        // Landlock confines threads.
        static MAY: OnceCell<bool> = const { OnceCell::new() };
    }
    MAY.with(|may| *may.get_or_init(|| has_capability() && is_without_label() && sees_its_parent()))
}

fn has_capability() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_trace_capability(&status))
}

/// Where the kernel has no such module, reading its label fails.
fn is_without_label() -> bool {
    ["/proc/self/attr/current", "/proc/self/attr/apparmor/current"]
        .iter()
        .all(|path| is_unconfined(&std::fs::read_to_string(path).unwrap_or_default()))
}

/// Whether a label of `AppArmor` (`docker-default (enforce)`) or `SELinux` (`user:role:type:level`) stands for no limit. Any
/// other may close processes to this one that are open to others.
fn is_unconfined(label: &str) -> bool {
    let label = label.trim_end_matches(['\0', '\n']);
    let is_open_mode = [" (complain)", " (unconfined)"].iter().any(|mode| label.ends_with(mode));
    let kind = label.split(':').nth(2);
    label.is_empty()
        || label == "unconfined"
        || is_open_mode
        || kind.is_some_and(|kind| ["unconfined_t", "unconfined_service_t", "spc_t"].contains(&kind))
}

/// Landlock closes every process outside of it, the parent too, and nothing else tells that there is one.
fn sees_its_parent() -> bool {
    let own = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
    own.is_some_and(|own| match std::fs::read_link(format!("/proc/{}/exe", own.parent)) {
        Err(error) => error.kind() != std::io::ErrorKind::PermissionDenied,
        Ok(_) => true,
    })
}

fn has_trace_capability(status: &str) -> bool {
    const SYS_PTRACE: u64 = 1 << 19;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SYS_PTRACE != 0)
}

/// The inode in a link such as `socket:[4026]`.
pub(crate) fn inode_of<'a>(target: &'a str, kind: &str) -> Option<&'a str> {
    target.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')
}

/// The open files of a process: number and target. A process that has ended, or that may not be looked at, has none.
pub(crate) fn open_files(scan: &Scan, pid: i64) -> Vec<(i64, String)> {
    let folder = scan.host().proc.join(pid.to_string()).join("fd");
    scan.kernel_names(&folder)
        .into_iter()
        .filter_map(|name| {
            let target = std::fs::read_link(folder.join(&name)).ok()?;
            Some((name.parse().ok()?, paths::display(&target)))
        })
        .collect()
}

/// Like [`open_files`], for the table of them: a refusal is said.
pub(crate) fn shown_open_files(scan: &Scan, pid: i64) -> Vec<(i64, String)> {
    let files = open_files(scan, pid);
    if files.is_empty()
        && let Err(error) = std::fs::read_dir(scan.host().proc.join(pid.to_string()).join("fd"))
    {
        warn_if_closed(scan, &error);
    }
    files
}

/// Which process holds a socket, by the socket's inode. That some processes may not be looked into is said.
pub(crate) fn socket_owners(scan: &Scan, pids: &[i64]) -> HashMap<i64, (i64, i64)> {
    let mut owners = HashMap::new();
    for pid in pids {
        if !scan.budget().is_open() {
            break;
        }
        for (number, target) in shown_open_files(scan, *pid) {
            if let Some(inode) = inode_of(&target, "socket").and_then(|inode| inode.parse::<i64>().ok()) {
                owners.entry(inode).or_insert((*pid, number));
            }
        }
    }
    owners
}

/// The fields of `/proc/<pid>/stat` that tables show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    pub name: String,
    pub state: String,
    pub parent: i64,
    pub group: i64,
    pub user_ms: i64,
    pub system_ms: i64,
    pub nice: i64,
    pub threads: i64,
    /// Seconds after the start of the kernel.
    pub started: i64,
    pub total_bytes: i64,
}

impl Stat {
    /// The name may hold blanks and parentheses: what counts is the last closing one.
    pub fn parse(text: &str) -> Option<Self> {
        let (start, rest) = text.rsplit_once(')')?;
        let (_, name) = start.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<i64>().ok());
        let milliseconds = |ticks: i64| ticks.saturating_mul(1_000 / TICKS_PER_SECOND);
        Some(Stat {
            name: name.to_owned(),
            state: (*fields.first()?).to_owned(),
            parent: number(1)?,
            group: number(2)?,
            user_ms: milliseconds(number(11)?),
            system_ms: milliseconds(number(12)?),
            nice: number(16)?,
            threads: number(17)?,
            started: number(19)? / TICKS_PER_SECOND,
            total_bytes: number(20)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 0 0 20 5 3 0 12345 1000 5 18446744073709551615 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent, stat.user_ms, stat.started), ("a) b (c)", 1, 100, 123));
    }

    #[test]
    fn the_right_to_trace_is_read_from_the_effective_capabilities() {
        assert!(has_trace_capability("Name:\tx\nCapEff:\t000001fffeffffff\n"));
        assert!(!has_trace_capability("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000004\n"));
        assert!(!has_trace_capability("Name:\tx\n"));
    }

    #[test]
    fn a_label_that_limits_is_told_from_one_that_does_not() {
        for label in [
            "",
            "unconfined\n",
            "chrome (unconfined)",
            "x (complain)\n",
            "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0",
            "system_u:system_r:spc_t:s0",
        ] {
            assert!(is_unconfined(label), "{label}");
        }
        for label in [
            "docker-default (enforce)\n",
            "cri-containerd.apparmor.d (enforce)",
            "system_u:system_r:container_t:s0:c1,c2\0",
            "_",
        ] {
            assert!(!is_unconfined(label), "{label}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            Stat::parse(&text);
            inode_of(&text, "socket");
        }
    }
}
