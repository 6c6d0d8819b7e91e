//! `logged_in_users`: who is logged in now (`/run/utmp`).

use crate::logins;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Sessions that are open now.
    logged_in_users: live_only {
        r#type: Text,
        user: Text,
        tty: Text,
        host: Text,
        time: BigInt,
        pid: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let records = logins::read(scan, &["/run/utmp", "/var/run/utmp"]);
    let records = records.into_iter().filter(|record| matches!(record.kind, 1 | 2 | 5 | 6 | 7));
    Box::new(records.map(|record| {
        row! {
            r#type: record.kind_name(),
            user: record.user,
            tty: record.tty,
            host: record.host,
            time: record.time,
            pid: record.pid,
        }
    }))
}
