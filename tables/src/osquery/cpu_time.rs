//! `cpu_time`: what each processor did since the start (`/proc/stat`), in hundredths of a second.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Time of each processor by what it did, in hundredths of a second.
    cpu_time: live_only {
        core: Integer,
        user: BigInt,
        nice: BigInt,
        system: BigInt,
        idle: BigInt,
        iowait: BigInt,
        irq: BigInt,
        softirq: BigInt,
        steal: BigInt,
        guest: BigInt,
        guest_nice: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("stat").unwrap_or_default();
    Box::new(text.lines().filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let core: i64 = words.next()?.strip_prefix("cpu")?.parse().ok()?;
    let mut next = || words.next().and_then(|word| word.parse::<i64>().ok());
    Some(row! {
        core,
        user: next(),
        nice: next(),
        system: next(),
        idle: next(),
        iowait: next(),
        irq: next(),
        softirq: next(),
        steal: next(),
        guest: next(),
        guest_nice: next(),
    })
}
