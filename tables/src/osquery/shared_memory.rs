//! `shared_memory`: System V segments of shared memory (`/proc/sysvipc/shm`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Segments of System V shared memory.
    shared_memory: live_only {
        shmid: Integer,
        owner_uid: BigInt,
        creator_uid: BigInt,
        pid: BigInt,
        creator_pid: BigInt,
        atime: BigInt,
        dtime: BigInt,
        ctime: BigInt,
        permissions: Text,
        size: BigInt,
        attached: Integer,
        status: Text,
        locked: Integer,
    }
}

const DESTROY_WHEN_UNUSED: u32 = 0o1000;
const LOCKED: u32 = 0o2000;

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("sysvipc/shm").unwrap_or_default();
    Box::new(text.lines().skip(1).filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| words.get(index).and_then(|word| word.parse::<i64>().ok());
    let mode = u32::from_str_radix(words.get(2)?, 8).ok()?;
    Some(row! {
        shmid: number(1)?,
        permissions: format!("{:04o}", mode & 0o777),
        size: number(3),
        creator_pid: number(4),
        pid: number(5),
        attached: number(6),
        owner_uid: number(7),
        creator_uid: number(9),
        atime: number(11),
        dtime: number(12),
        ctime: number(13),
        status: if mode & DESTROY_WHEN_UNUSED != 0 { "dest" } else { "" },
        locked: mode & LOCKED != 0,
    })
}
