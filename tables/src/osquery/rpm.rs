//! The database of RPM since Fedora 33 and RHEL 9, for the tables that show it: SQLite with a header in each row. Older
//! databases (Berkeley DB) are named in a warning. The file is read through an open descriptor, so its path cannot lead
//! out of the root; one header is in memory at a time.

use std::sync::Arc;

use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::reader::{Reader, Scan};
use crate::root::Follow;

const DATABASES: [&str; 2] = ["/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite"];
/// A header of the largest packages has 10 MiB.
const MAX_HEADER_BYTES: i32 = 16 << 20;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_CHECKS: i32 = 2_000;
const OLD_DATABASES: [&str; 2] = ["/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db"];

/// Tags of RPM's header (`rpmtag.h`).
pub(super) mod tag {
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
    pub const FILE_SIZES: u32 = 1028;
    pub const FILE_MODES: u32 = 1030;
    pub const FILE_DIGESTS: u32 = 1035;
    pub const FILE_USERS: u32 = 1039;
    pub const FILE_GROUPS: u32 = 1040;
    pub const SOURCE: u32 = 1044;
    pub const DIR_INDEXES: u32 = 1116;
    pub const BASE_NAMES: u32 = 1117;
    pub const DIR_NAMES: u32 = 1118;
    pub const LONG_FILE_SIZES: u32 = 5008;
}

/// The headers of all packages, one at a time.
pub(super) fn headers(scan: &Scan) -> impl Iterator<Item = Vec<u8>> + use<> {
    let mut database = Database::open(scan);
    std::iter::from_fn(move || database.as_mut()?.next())
}

struct Database {
    scan: Scan,
    path: &'static str,
    connection: Connection,
    /// The connection reads through this descriptor.
    _file: Reader,
    last: i64,
}

impl Database {
    fn open(scan: &Scan) -> Option<Self> {
        let Some(path) = DATABASES.iter().find(|path| scan.exists(path)) else {
            if let Some(path) = OLD_DATABASES.iter().find(|path| scan.exists(path)) {
                scan.warn(format!("{path} has a format that is not read"));
            }
            return None;
        };
        let (file, _) = scan.open(path, Follow::Links)?;
        match connect(file.descriptor(), scan) {
            Ok(connection) => Some(Database { scan: scan.clone(), path, connection, _file: file, last: i64::MIN }),
            Err(error) => {
                scan.warn(format!("{path} cannot be read: {error}"));
                None
            }
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        if !self.scan.budget().is_open() {
            return None;
        }
        let sql = "SELECT hnum, blob FROM Packages WHERE hnum > ?1 ORDER BY hnum LIMIT 1";
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| {
            statement.query_row([self.last], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()
        });
        match found {
            Ok(Some((number, header))) => {
                self.last = number;
                self.scan.budget().spend_bytes(header.len()).then_some(header)
            }
            Ok(None) => None,
            Err(error) => {
                self.scan.warn(format!("{} cannot be read: {error}", self.path));
                None
            }
        }
    }
}

/// The name under which this process itself finds an opened file.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // other systems have none
fn own_name(file: &std::fs::File) -> rusqlite::Result<String> {
    Ok(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))
}

/// Only Linux gives it one.
#[cfg(not(unix))]
fn own_name(_: &std::fs::File) -> rusqlite::Result<String> {
    Err(rusqlite::Error::InvalidPath("an opened file".into()))
}

fn connect(file: &std::fs::File, scan: &Scan) -> rusqlite::Result<Connection> {
    let uri = format!("file:{}?immutable=1&mode=ro", own_name(file)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    // The schema belongs to whoever made the image.
    connection.pragma_update(None, "trusted_schema", "off")?;
    connection.pragma_update(None, "cell_size_check", "on")?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_HEADER_BYTES)?;
    // `Packages` may be a view that computes without end.
    let query = Arc::clone(&scan.query);
    connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || !query.budget.is_open()))?;
    Ok(connection)
}

/// A header: the number of entries and of bytes, the entries (tag, type, offset, count), then the bytes they point into.
pub(super) struct Header<'a> {
    entries: &'a [[u8; 16]],
    store: &'a [u8],
}

impl<'a> Header<'a> {
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (sizes, rest) = bytes.split_first_chunk::<8>()?;
        let count = usize::try_from(number(&sizes[..4])?).ok()?;
        let (entries, store) = rest.split_at_checked(count.checked_mul(16)?)?;
        Some(Header { entries: entries.as_chunks().0, store })
    }

    /// The bytes from where a tag's values begin, and how many values there are.
    fn values(&self, tag: u32) -> Option<(&'a [u8], usize)> {
        let entry = self.entries.iter().find(|entry| number(&entry[..4]) == Some(tag))?;
        let store = self.store.get(usize::try_from(number(&entry[8..12])?).ok()?..)?;
        Some((store, usize::try_from(number(&entry[12..])?).ok()?))
    }

    pub fn text(&self, tag: u32) -> Option<String> {
        self.texts(tag).next().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The texts of a tag, each ended by a zero.
    pub fn texts(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut store, count) = self.values(tag).unwrap_or_default();
        (0..count).map_while(move |_| {
            let end = store.iter().position(|byte| *byte == 0)?;
            let (text, rest) = store.split_at(end);
            store = rest.get(1..).unwrap_or_default();
            Some(text)
        })
    }

    pub fn number(&self, tag: u32) -> Option<i64> {
        self.numbers::<4>(tag).next().map(|bytes| i64::from(u32::from_be_bytes(*bytes)))
    }

    /// The numbers of a tag, as so many bytes each, the highest first.
    pub fn numbers<const N: usize>(&self, tag: u32) -> impl Iterator<Item = &'a [u8; N]> + use<'a, N> {
        let (store, count) = self.values(tag).unwrap_or_default();
        store.as_chunks::<N>().0.iter().take(count)
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of these values: tag, type, count, bytes.
    pub fn header(values: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let size: usize = values.iter().map(|(.., bytes)| bytes.len()).sum();
        let mut header = [values.len(), size].map(|word| u32::try_from(word).unwrap().to_be_bytes()).concat();
        let mut offset = 0;
        for (tag, kind, count, bytes) in values {
            for word in [*tag, *kind, offset, *count] {
                header.extend(word.to_be_bytes());
            }
            offset += u32::try_from(bytes.len()).unwrap();
        }
        for (.., bytes) in values {
            header.extend(*bytes);
        }
        header
    }

    #[test]
    fn a_header_has_texts_and_numbers() {
        let bytes = header(&[
            (tag::NAME, 6, 1, b"bash\0"),
            (tag::EPOCH, 4, 1, &[0, 0, 0, 7]),
            (tag::DIR_NAMES, 8, 2, b"/usr/\0/etc/\0"),
            (tag::FILE_MODES, 3, 2, &[0x81, 0xa4, 0x41, 0xed]),
        ]);
        let header = Header::new(&bytes).unwrap();
        assert_eq!((header.text(tag::NAME).as_deref(), header.number(tag::EPOCH)), (Some("bash"), Some(7)));
        assert_eq!(header.texts(tag::DIR_NAMES).collect::<Vec<_>>(), [b"/usr/", b"/etc/"]);
        assert_eq!(header.numbers::<2>(tag::FILE_MODES).count(), 2);
        assert_eq!(header.text(tag::VENDOR), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(header) = Header::new(&bytes) {
                header.texts(0).count();
                header.numbers::<8>(0).count();
            }
        }
    }
}
