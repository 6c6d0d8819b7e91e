//! `time`: now, in UTC.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// The time of this machine, in UTC.
    time {
        weekday: Text,
        year: Integer,
        month: Integer,
        day: Integer,
        hour: Integer,
        minutes: Integer,
        seconds: Integer,
        timezone: Text,
        local_timezone: Text,
        unix_time: Integer,
        timestamp: Text,
        datetime: Text,
        iso_8601: Text,
    }
}

fn rows(_: &Scan) -> Rows {
    let now = chrono::Utc::now();
    let part = |format: &str| now.format(format).to_string();
    let number = |format: &str| part(format).trim().parse::<i64>().ok();
    Box::new(std::iter::once(row! {
        weekday: part("%A"),
        year: number("%Y"),
        month: number("%-m"),
        day: number("%-d"),
        hour: number("%-H"),
        minutes: number("%-M"),
        seconds: number("%-S"),
        timezone: "UTC",
        local_timezone: "UTC",
        unix_time: now.timestamp(),
        timestamp: part("%a %b %e %H:%M:%S %Y UTC"),
        datetime: part("%Y-%m-%dT%H:%M:%SZ"),
        iso_8601: part("%Y-%m-%dT%H:%M:%SZ"),
    }))
}
