//! `suid_bin`: programs that run with the rights of their owner or group. osquery looks only in folders of programs; here the
//! walk of all local file systems is shared with `unusual_files`.

use std::collections::HashMap;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Set-uid and set-gid files; permissions is S, G or both.
    suid_bin {
        path: Text,
        username: Text,
        groupname: Text,
        permissions: Text,
        pid_with_namespace: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    let walk = scan.source.walk.get(scan);
    let users: HashMap<u32, String> = accounts::users(scan).into_iter().map(|user| (user.uid, user.name)).collect();
    let groups: HashMap<u32, String> =
        accounts::groups(scan).into_iter().map(|group| (group.gid, group.name)).collect();
    Box::new((0..walk.unusual.len()).filter_map(move |index| {
        let file = &walk.unusual[index];
        let permissions = match (file.is_setuid(), file.is_setgid()) {
            (true, true) => "SG",
            (true, false) => "S",
            (false, true) => "G",
            (false, false) => return None,
        };
        let name = |names: &HashMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        Some(row! {
            path: paths::display(&file.path),
            username: name(&users, file.metadata.uid),
            groupname: name(&groups, file.metadata.gid),
            permissions,
        })
    }))
}
