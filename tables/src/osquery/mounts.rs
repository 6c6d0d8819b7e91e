//! `mounts`: what is mounted now, as process 1 sees it. Sizes are asked of local file systems only: a dead server would not answer.

use crate::own::mount_options_configured::unescape;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Mounted file systems; flags are the mount options.
    mounts: live_only {
        device: Text,
        device_alias: Text,
        path: Text,
        r#type: Text,
        blocks_size: BigInt,
        blocks: BigInt,
        blocks_free: BigInt,
        blocks_available: BigInt,
        inodes: BigInt,
        inodes_free: BigInt,
        flags: Text,
    }
}

const REMOTE: [&str; 9] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "autofs"];

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("1/mounts").or_else(|| scan.proc("self/mounts")).unwrap_or_default();
    let wants_sizes = ["blocks_size", "blocks", "blocks_free", "blocks_available", "inodes", "inodes_free"]
        .iter()
        .any(|column| scan.uses(column));
    let rows: Vec<Row> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [device, path, kind, flags, ..] = words[..] else { return None };
            let path = unescape(path);
            let is_local = !REMOTE.contains(&kind) && !kind.starts_with("fuse");
            let sizes = if wants_sizes && is_local { scan.source.root.file_system(path.as_ref()).ok() } else { None };
            Some(row! {
                device: unescape(device),
                device_alias: unescape(device),
                path,
                r#type: kind,
                blocks_size: sizes.as_ref().map(|sizes| sizes.f_bsize),
                blocks: sizes.as_ref().map(|sizes| sizes.f_blocks),
                blocks_free: sizes.as_ref().map(|sizes| sizes.f_bfree),
                blocks_available: sizes.as_ref().map(|sizes| sizes.f_bavail),
                inodes: sizes.as_ref().map(|sizes| sizes.f_files),
                inodes_free: sizes.as_ref().map(|sizes| sizes.f_ffree),
                flags,
            })
        })
        .collect();
    Box::new(rows.into_iter())
}
