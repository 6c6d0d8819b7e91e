//! `groups`: the groups of `/etc/group`.

use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Local groups.
    groups {
        gid: BigInt [index],
        gid_signed: BigInt,
        groupname: Text,
        pid_with_namespace: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(
        accounts::groups(scan)
            .into_iter()
            .map(|group| row! { gid: group.gid, gid_signed: group.gid.cast_signed(), groupname: group.name }),
    )
}
