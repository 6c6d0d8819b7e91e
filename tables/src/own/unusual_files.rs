//! `unusual_files`: files that are set-uid, set-gid, writable by everyone, or owned by nobody, and programs with capabilities.
//! From one walk of the local file systems that all queries of an engine share.

use crate::osquery::file::type_name;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Set-uid and set-gid files, files and folders that everyone may write, those whose owner or group does not exist, and programs with capabilities (as `getcap` writes them).
    unusual_files {
        path: Text,
        r#type: Text,
        mode: Text,
        uid: BigInt,
        gid: BigInt,
        size: BigInt,
        mtime: BigInt,
        setuid: Integer,
        setgid: Integer,
        world_writable: Integer,
        sticky: Integer,
        no_user: Integer,
        no_group: Integer,
        capabilities: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let walk = scan.source.walk.get(scan);
    Box::new((0..walk.unusual.len()).map(move |index| {
        let file = &walk.unusual[index];
        row! {
            path: paths::display(&file.path),
            r#type: type_name(file.metadata.kind),
            mode: format!("{:04o}", file.metadata.mode),
            uid: file.metadata.uid,
            gid: file.metadata.gid,
            size: file.metadata.size,
            mtime: file.metadata.modified,
            setuid: file.is_setuid(),
            setgid: file.is_setgid(),
            world_writable: file.is_world_writable(),
            sticky: file.is_sticky(),
            no_user: file.has_no_user,
            no_group: file.has_no_group,
            capabilities: file.capabilities.clone(),
        }
    }))
}
