//! `uptime`: how long the kernel has been running.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Time since the kernel started.
    uptime: live_only {
        days: Integer,
        hours: Integer,
        minutes: Integer,
        seconds: Integer,
        total_seconds: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("uptime").unwrap_or_default();
    let seconds = text.split(['.', ' ']).next().and_then(|seconds| seconds.parse::<i64>().ok());
    Box::new(seconds.into_iter().map(|total| {
        row! {
            days: total / 86_400,
            hours: total / 3_600 % 24,
            minutes: total / 60 % 60,
            seconds: total % 60,
            total_seconds: total,
        }
    }))
}
