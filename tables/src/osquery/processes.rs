//! `processes`: what runs now. Times are milliseconds of processor time, sizes bytes.

use std::path::Path;

use crate::paths;
use crate::processes::{self, Stat};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Running processes.
    processes: live_only {
        pid: BigInt [index],
        name: Text,
        path: Text,
        cmdline: Text,
        state: Text,
        cwd: Text,
        root: Text,
        uid: BigInt,
        gid: BigInt,
        euid: BigInt,
        egid: BigInt,
        suid: BigInt,
        sgid: BigInt,
        on_disk: Integer,
        wired_size: BigInt,
        resident_size: BigInt,
        total_size: BigInt,
        user_time: BigInt,
        system_time: BigInt,
        disk_bytes_read: BigInt,
        disk_bytes_written: BigInt,
        start_time: BigInt,
        parent: BigInt,
        pgroup: BigInt,
        threads: Integer,
        nice: Integer,
        cgroup_path: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let boot = scan
        .proc("stat")
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<i64>().ok());
    let scan = scan.clone();
    Box::new(processes::pids(&scan).into_iter().filter_map(move |pid| describe(&scan, pid, boot)))
}

fn describe(scan: &Scan, pid: i64, boot: Option<i64>) -> Option<Row> {
    let file = |name: &str| scan.proc(Path::new(&pid.to_string()).join(name));
    let stat = Stat::parse(&file("stat")?)?;
    let status = file("status").unwrap_or_default();
    let field = |name: &str, index: usize| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().nth(index)?.parse::<i64>().ok()
    };
    let shows_program = scan.uses("path") || scan.uses("on_disk");
    let exe =
        if shows_program { processes::shown_link(scan, pid, "exe") } else { None }.map(|path| paths::display(&path));
    let path = exe.as_deref().map(|path| path.strip_suffix(" (deleted)").unwrap_or(path));
    let on_disk = match (&exe, path) {
        (Some(exe), Some(path)) => i64::from(!exe.ends_with(" (deleted)") && scan.exists(paths::path_of(path))),
        _ => -1,
    };
    let io = if scan.uses("disk_bytes_read") || scan.uses("disk_bytes_written") { file("io") } else { None }
        .unwrap_or_default();
    let counted = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i64>().ok());
    let command_line = if scan.uses("cmdline") { file("cmdline") } else { None }.unwrap_or_default();
    let cgroup = if scan.uses("cgroup_path") { file("cgroup") } else { None }.unwrap_or_default();
    let folder = |name: &str| {
        scan.uses(name)
            .then(|| processes::shown_link(scan, pid, name))
            .flatten()
            .map(|path| paths::display(&path))
            .unwrap_or_default()
    };
    Some(row! {
        pid,
        path: path.unwrap_or_default(),
        cmdline: command_line.trim_end_matches('\0').replace('\0', " "),
        state: stat.state,
        cwd: folder("cwd"),
        root: folder("root"),
        uid: field("Uid", 0),
        euid: field("Uid", 1),
        suid: field("Uid", 2),
        gid: field("Gid", 0),
        egid: field("Gid", 1),
        sgid: field("Gid", 2),
        on_disk,
        wired_size: 0,
        resident_size: field("VmRSS", 0).map(|kib| kib * 1_024),
        total_size: stat.total_bytes,
        user_time: stat.user_ms,
        system_time: stat.system_ms,
        disk_bytes_read: counted("read_bytes:"),
        disk_bytes_written: counted("write_bytes:"),
        start_time: boot.map(|boot| boot + stat.started),
        parent: stat.parent,
        pgroup: stat.group,
        threads: stat.threads,
        nice: stat.nice,
        name: stat.name,
        cgroup_path: cgroup.lines().next().and_then(|line| line.splitn(3, ':').nth(2)),
    })
}
