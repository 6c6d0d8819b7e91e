//! `groups`: the groups of `/etc/group`, or of a Windows image's hive SAM.

use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::windows::{self, machine::Machine};

table! {
    /// Local groups.
    groups {
        gid: BigInt [index],
        gid_signed: BigInt,
        groupname: Text,
        pid_with_namespace: Integer [hidden],
        group_sid: Text [hidden],
        comment: Text [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    if let Some(machine) = Machine::of(scan) {
        return Box::new(windows::accounts::groups(&machine).into_iter().map(|group| {
            row! {
                gid: group.id,
                gid_signed: group.id.cast_signed(),
                groupname: group.name,
                group_sid: group.sid,
                comment: group.comment,
            }
        }));
    }
    accounts::expect_file(scan, accounts::GROUPS);
    Box::new(
        accounts::each_group(scan)
            .map(|group| row! { gid: group.gid, gid_signed: group.gid.cast_signed(), groupname: group.name }),
    )
}
