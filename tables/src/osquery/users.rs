//! `users`: the accounts of `/etc/passwd`, or of a Windows image's hive SAM. Accounts of a directory service are not below the root and not shown.

use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::windows::{self, machine::Machine};

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
        r#type: Text [hidden],
    }
}

/// What a Windows starts for an account, as osquery shows it.
const WINDOWS_SHELL: &str = r"C:\Windows\system32\cmd.exe";

fn rows(scan: &Scan) -> Rows {
    if let Some(machine) = Machine::of(scan) {
        return Box::new(windows::accounts::accounts(&machine).into_iter().map(|account| {
            row! {
                uid: account.id,
                gid: account.group,
                uid_signed: account.id.cast_signed(),
                gid_signed: account.group.cast_signed(),
                username: account.name,
                description: account.comment,
                directory: account.folder,
                shell: WINDOWS_SHELL,
                uuid: account.sid,
                include_remote: 0,
                r#type: account.kind,
            }
        }));
    }
    accounts::expect_file(scan, accounts::USERS);
    Box::new(accounts::each_user(scan).map(|user| {
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
