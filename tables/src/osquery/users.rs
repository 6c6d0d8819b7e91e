//! `users`: the accounts of `/etc/passwd`. Accounts of a directory service are not below the root and not shown.

use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Local accounts.
    users {
        uid: BigInt [index],
        gid: BigInt,
        uid_signed: BigInt,
        gid_signed: BigInt,
        username: Text [index],
        description: Text,
        directory: Text,
        shell: Text,
        uuid: Text [index],
        pid_with_namespace: Integer [hidden],
        include_remote: Integer [index, hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(accounts::users(scan).into_iter().map(|user| {
        row! {
            uid: user.uid,
            gid: user.gid,
            uid_signed: user.uid.cast_signed(),
            gid_signed: user.gid.cast_signed(),
            username: user.name,
            description: user.description,
            directory: user.home,
            shell: user.shell,
            uuid: "",
            include_remote: 0,
        }
    }))
}
