//! `load_average`: the mean number of processes that wanted to run.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Load over one, five and fifteen minutes.
    load_average: live_only {
        period: Text,
        average: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("loadavg").unwrap_or_default();
    let rows: Vec<Row> = ["1m", "5m", "15m"]
        .into_iter()
        .zip(text.split_whitespace())
        .map(|(period, average)| row! { period, average })
        .collect();
    Box::new(rows.into_iter())
}
