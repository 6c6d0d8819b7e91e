//! `background_activities_moderator`: programs that accounts of a Windows image ran, with when last, as the driver that throttles
//! them in the background notes it.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::{u64_of, unix_time};
use crate::windows::machine::Machine;

table! {
    /// Programs that ran on a Windows image, by account.
    background_activities_moderator {
        path: Text,
        last_execution_time: BigInt,
        sid: Text,
    }
}

/// Where Windows 10 keeps them, since 1809 and before.
const LISTS: [&str; 2] = [r"Services\bam\State\UserSettings", r"Services\bam\UserSettings"];

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let mut rows: Vec<Row> = Vec::new();
    for list in LISTS.iter().filter_map(|path| machine.control_set(path)) {
        for user in list.children() {
            // The other values are the list's own version and number.
            let programs = user.values().filter(|value| value.bytes.len() >= 8 && value.name.contains('\\'));
            rows.extend(programs.map(|value| {
                row! { last_execution_time: unix_time(u64_of(&value.bytes, 0)), path: value.name, sid: user.name() }
            }));
        }
    }
    Box::new(rows.into_iter())
}
