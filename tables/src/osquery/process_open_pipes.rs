//! `process_open_pipes`: pipes between processes, one row for each end and each of its partners. A pipe that only one end is
//! known of has no row, as in osquery.

use std::collections::HashMap;

use crate::posix::{FileTypeExt, MetadataExt};
use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Pipes and named pipes that processes share.
    process_open_pipes: live_only {
        pid: BigInt,
        fd: BigInt,
        mode: Text,
        inode: BigInt,
        r#type: Text,
        partner_pid: BigInt,
        partner_fd: BigInt,
        partner_mode: Text,
    }
}

/// Partners of one end; a pipe that more processes share says no more by more rows.
const MAX_PARTNERS: usize = 16;
/// Ends that are looked at; all of them must be known before the first row.
const MAX_ENDS: usize = 200_000;

/// An end of a pipe.
#[derive(Debug, Clone, Copy)]
struct End {
    pid: i64,
    fd: i64,
    mode: &'static str,
    kind: &'static str,
}

fn rows(scan: &Scan) -> Rows {
    let mut pipes: HashMap<i64, Vec<End>> = HashMap::new();
    let mut ends = 0;
    for pid in processes::pids(scan) {
        if !scan.budget().is_open() || ends == MAX_ENDS {
            break;
        }
        for (fd, target) in processes::shown_open_files(scan, pid) {
            if ends == MAX_ENDS {
                scan.warn("there are more pipes than are looked at; the list is not complete");
                break;
            }
            if let Some((inode, kind)) = pipe(scan, pid, fd, &target) {
                ends += 1;
                pipes.entry(inode).or_default().push(End { pid, fd, mode: mode(scan, pid, fd), kind });
            }
        }
    }
    let mut pipes: Vec<(i64, Vec<End>)> = pipes.into_iter().collect();
    pipes.sort_unstable_by_key(|(inode, _)| *inode);
    Box::new(pipes.into_iter().flat_map(|(inode, ends)| {
        (0..ends.len()).flat_map(move |at| {
            let own = ends[at];
            let partners: Vec<End> =
                ends.iter().copied().filter(|end| (end.pid, end.fd) != (own.pid, own.fd)).take(MAX_PARTNERS).collect();
            partners.into_iter().map(move |partner| {
                row! {
                    pid: own.pid,
                    fd: own.fd,
                    mode: own.mode,
                    inode,
                    r#type: own.kind,
                    partner_pid: partner.pid,
                    partner_fd: partner.fd,
                    partner_mode: partner.mode,
                }
            })
        })
    }))
}

/// The inode and the kind of a pipe; none for any other file.
fn pipe(scan: &Scan, pid: i64, fd: i64, target: &str) -> Option<(i64, &'static str)> {
    if let Some(inode) = processes::inode_of(target, "pipe") {
        return Some((inode.parse().ok()?, "anonymous"));
    }
    // Few files are named pipes, and most targets are no paths at all.
    if !target.starts_with('/') || target.starts_with("/dev/") {
        return None;
    }
    let link = scan.host().proc.join(pid.to_string()).join("fd").join(fd.to_string());
    let metadata = std::fs::metadata(link).ok().filter(|metadata| metadata.file_type().is_fifo())?;
    Some((metadata.ino().cast_signed(), "fifo"))
}

/// How the file is open, by the lowest two bits of its flags (`proc_pid_fdinfo(5)`).
fn mode(scan: &Scan, pid: i64, fd: i64) -> &'static str {
    let text = scan.proc(format!("{pid}/fdinfo/{fd}")).unwrap_or_default();
    let flags = text.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    match flags.map(|flags| flags & 3) {
        Some(0) => "r",
        Some(1) => "w",
        Some(2) => "rw",
        _ => "",
    }
}
