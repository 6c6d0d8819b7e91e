//! `rpm_packages`: the database of RPM since Fedora 33 and RHEL 9, which is SQLite with a header in each row. Older databases
//! (Berkeley DB) are named in a warning. The file is read through an open descriptor, so its path cannot lead out of the root.

use std::os::fd::AsRawFd;

use rusqlite::{Connection, OpenFlags};

use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// RPM packages, from the database in SQLite.
    rpm_packages: kept {
        name: Text,
        version: Text,
        release: Text,
        source: Text,
        size: BigInt,
        sha1: Text,
        arch: Text,
        epoch: Integer,
        install_time: Integer,
        vendor: Text,
        package_group: Text,
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
    }
}

const DATABASES: [&str; 2] = ["/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"];
const OLD_DATABASES: [&str; 2] = ["/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db"];

fn rows(scan: &Scan) -> Rows {
    let Some(path) = DATABASES.iter().find(|path| scan.exists(path)) else {
        if let Some(path) = OLD_DATABASES.iter().find(|path| scan.exists(path)) {
            scan.warn(format!("{path} has a format that is not read"));
        }
        return Box::new(std::iter::empty());
    };
    let rows = scan.open(path, Follow::Links).map(|(reader, _)| packages(scan, reader.descriptor()));
    match rows {
        Some(Ok(rows)) => Box::new(rows.into_iter()),
        Some(Err(error)) => {
            scan.warn(format!("{path} cannot be read: {error}"));
            Box::new(std::iter::empty())
        }
        None => Box::new(std::iter::empty()),
    }
}

fn packages(scan: &Scan, file: &impl AsRawFd) -> rusqlite::Result<Vec<Row>> {
    let uri = format!("file:/proc/self/fd/{}?immutable=1&mode=ro", file.as_raw_fd());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    // The schema belongs to whoever made the image.
    connection.pragma_update(None, "trusted_schema", "off")?;
    connection.pragma_update(None, "cell_size_check", "on")?;
    let mut statement = connection.prepare("SELECT blob FROM Packages")?;
    let mut found = statement.query([])?;
    let mut packages = Vec::new();
    while let Some(record) = found.next()? {
        let header = record.get_ref(0)?.as_blob().unwrap_or_default();
        if !scan.budget().spend_bytes(header.len()) {
            break;
        }
        packages.extend(parse(header));
    }
    Ok(packages)
}

/// Tags of RPM's header (`rpmtag.h`).
mod tag {
    pub const SHA1: u32 = 269;
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const INSTALL_TIME: u32 = 1008;
    pub const SIZE: u32 = 1009;
    pub const VENDOR: u32 = 1011;
    pub const GROUP: u32 = 1016;
    pub const ARCH: u32 = 1022;
    pub const SOURCE: u32 = 1044;
}

/// A header: the number of entries and of bytes, the entries (tag, type, offset, count), then the bytes they point into.
struct Header<'a> {
    entries: &'a [[u8; 16]],
    store: &'a [u8],
}

impl<'a> Header<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let (sizes, rest) = bytes.split_first_chunk::<8>()?;
        let count = usize::try_from(number(&sizes[..4])?).ok()?;
        let (entries, store) = rest.split_at_checked(count.checked_mul(16)?)?;
        Some(Header { entries: entries.as_chunks().0, store })
    }

    fn value(&self, tag: u32) -> Option<&'a [u8]> {
        let entry = self.entries.iter().find(|entry| number(&entry[..4]) == Some(tag))?;
        self.store.get(usize::try_from(number(&entry[8..12])?).ok()?..)
    }

    fn text(&self, tag: u32) -> Option<String> {
        let value = self.value(tag)?;
        let end = value.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&value[..end]).into_owned())
    }

    fn number(&self, tag: u32) -> Option<i64> {
        self.value(tag).and_then(|value| number(value.get(..4)?)).map(i64::from)
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

fn parse(bytes: &[u8]) -> Option<Row> {
    let header = Header::new(bytes)?;
    Some(row! {
        name: header.text(tag::NAME)?,
        version: header.text(tag::VERSION),
        release: header.text(tag::RELEASE),
        source: header.text(tag::SOURCE),
        size: header.number(tag::SIZE),
        sha1: header.text(tag::SHA1),
        arch: header.text(tag::ARCH),
        epoch: header.number(tag::EPOCH),
        install_time: header.number(tag::INSTALL_TIME),
        vendor: header.text(tag::VENDOR),
        package_group: header.text(tag::GROUP),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_names_its_package() {
        let mut bytes = vec![0, 0, 0, 2, 0, 0, 0, 13];
        for (tag, kind, offset) in [(tag::NAME, 6_u32, 0_u32), (tag::EPOCH, 4, 5)] {
            for word in [tag, kind, offset, 1] {
                bytes.extend(word.to_be_bytes());
            }
        }
        bytes.extend(b"bash\0");
        bytes.extend([0, 0, 0, 7]);
        let header = Header::new(&bytes).unwrap();
        assert_eq!((header.text(tag::NAME).as_deref(), header.number(tag::EPOCH)), (Some("bash"), Some(7)));
        assert!(parse(&bytes).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }
    }
}
