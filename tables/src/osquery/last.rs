//! `last`: logins and logouts (`/var/log/wtmp`).

use crate::logins;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Logins and logouts as they were recorded.
    last {
        username: Text,
        tty: Text,
        pid: Integer,
        r#type: Integer,
        type_name: Text,
        time: Integer,
        host: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let records = logins::read(scan, &["/var/log/wtmp"]);
    let records = records.into_iter().filter(|record| matches!(record.kind, 7 | 8));
    Box::new(records.map(|record| {
        row! {
            r#type: record.kind,
            type_name: record.kind_name(),
            username: record.user,
            tty: record.tty,
            pid: record.pid,
            time: record.time,
            host: record.host,
        }
    }))
}
