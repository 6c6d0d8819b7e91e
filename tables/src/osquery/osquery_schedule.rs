//! `osquery_schedule`: empty. The table exists so that packs that watch osquery's daemon run; this program has modules instead.

use crate::reader::Scan;
use crate::schema::{Rows, table};

table! {
    /// Queries of osquery's daemon; always empty, modules are scheduled by the platform.
    osquery_schedule {
        name: Text,
        query: Text,
        interval: Integer,
        executions: BigInt,
        last_executed: BigInt,
        denylisted: Integer,
        output_size: BigInt,
        wall_time: BigInt,
        wall_time_ms: BigInt,
        last_wall_time_ms: BigInt,
        user_time: BigInt,
        last_user_time: BigInt,
        system_time: BigInt,
        last_system_time: BigInt,
        average_memory: BigInt,
        last_memory: BigInt,
    }
}

fn rows(_: &Scan) -> Rows {
    Box::new(std::iter::empty())
}
