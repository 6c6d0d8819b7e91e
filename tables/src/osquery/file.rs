//! `file`: what `stat(2)` says of paths. As in osquery a link is followed for everything but `symlink` and its target, here
//! below the root only.

use crate::paths;
use crate::places::{self, Place};
use crate::posix::FileType;
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Files and folders, by path or folder; LIKE and GLOB on either expand wildcards.
    file: any_required {
        path: Text [required],
        directory: Text [required],
        filename: Text,
        inode: BigInt,
        uid: BigInt,
        gid: BigInt,
        mode: Text,
        device: BigInt,
        size: BigInt,
        block_size: Integer,
        atime: BigInt,
        mtime: BigInt,
        ctime: BigInt,
        btime: BigInt,
        hard_links: Integer,
        symlink: Integer,
        r#type: Text,
        symlink_target_path: Text,
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(places::asked_for(&scan).filter_map(move |place| describe(&scan, &place)))
}

fn describe(scan: &Scan, place: &Place) -> Option<Row> {
    let path = place.path.as_path();
    let own = scan.metadata(path, Follow::Never)?;
    let is_link = own.kind == FileType::Symlink;
    let target = if is_link { scan.source.root.metadata(path, Follow::Links).ok() } else { None };
    let stat = target.unwrap_or(own);
    let link_target = if is_link { scan.read_link(path) } else { None };
    Some(row! {
        path: place.shown.as_str(),
        directory: place.directory.as_str(),
        filename: path.file_name().map(paths::name).unwrap_or_default(),
        inode: stat.inode,
        uid: stat.uid,
        gid: stat.gid,
        mode: format!("{:04o}", stat.mode),
        device: stat.raw_device,
        size: stat.size,
        block_size: stat.block_size,
        atime: stat.accessed,
        mtime: stat.modified,
        ctime: stat.changed,
        btime: stat.born,
        hard_links: stat.links,
        symlink: is_link,
        r#type: type_name(stat.kind),
        symlink_target_path: link_target.map(|target| paths::display(&target)).unwrap_or_default(),
    })
}

/// osquery's word for a type of file.
pub(crate) fn type_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "regular",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::BlockDevice => "block",
        FileType::CharacterDevice => "character",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::Unknown => "unknown",
    }
}
