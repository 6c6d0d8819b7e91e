//! `magic`: what files hold, in the words of `file(1)`. osquery asks libmagic, a library in C with a database of thousands of
//! kinds; here the few that say something about a host are known, and read with every offset checked.

use std::io::Read;

use super::elf;
use super::file_kind::{self, HEAD_BYTES, Kind};
use crate::paths;
use crate::places::{self, Place};
use crate::posix::FileType;
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// What files hold, by path, in the words of file(1): programs, scripts, archives, text; other kinds are data. No other database is read.
    magic {
        path: Text [required],
        magic_db_files: Text,
        data: Text,
        mime_type: Text,
        mime_encoding: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(places::asked_for(&scan).filter_map(move |place| describe(&scan, &place)))
}

fn describe(scan: &Scan, place: &Place) -> Option<Row> {
    let path = place.path.as_path();
    let metadata = scan.metadata(path, Follow::Never)?;
    let kind = match metadata.kind {
        FileType::RegularFile => content(scan, place)?,
        FileType::Symlink => {
            let target = scan.read_link(path).map(|target| paths::display(&target)).unwrap_or_default();
            Kind::binary(format!("symbolic link to {target}"), "inode/symlink")
        }
        FileType::Directory => Kind::binary("directory", "inode/directory"),
        FileType::Fifo => Kind::binary("fifo (named pipe)", "inode/fifo"),
        FileType::Socket => Kind::binary("socket", "inode/socket"),
        FileType::CharacterDevice => Kind::binary("character special", "inode/chardevice"),
        FileType::BlockDevice => Kind::binary("block special", "inode/blockdevice"),
        FileType::Unknown => return None,
    };
    Some(row! {
        path: place.shown.as_str(),
        magic_db_files: "",
        data: kind.data,
        mime_type: kind.mime_type,
        mime_encoding: kind.encoding,
    })
}

fn content(scan: &Scan, place: &Place) -> Option<Kind> {
    let (mut reader, _) = scan.open(&place.path, Follow::Never)?;
    let mut head = Vec::new();
    (&mut reader).take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    Some(elf::describe(reader.descriptor(), &head).unwrap_or_else(|| file_kind::of(&head)))
}
