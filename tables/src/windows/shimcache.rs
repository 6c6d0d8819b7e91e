//! `shimcache`: programs that Windows looked at for its compatibility cache, newest first. The format is undocumented; the three
//! since Windows 8 are read, each entry of which begins with a mark and its length.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::{u16_of, u32_of, u64_of, unix_time, utf16};
use crate::windows::machine::{Entry, Machine};

table! {
    /// The compatibility cache of a Windows image; execution_flag is -1 where Windows keeps none.
    shimcache {
        entry: Integer,
        path: Text,
        modified_time: Integer,
        execution_flag: Integer,
    }
}

const CACHE: &str = r"Control\Session Manager\AppCompatCache";
const MARKS: [&[u8; 4]; 2] = [b"10ts", b"00ts"];
/// The mark, four bytes unused, and the length of what follows.
const ENTRY_HEADER_BYTES: usize = 12;
/// Windows keeps 1024.
const MAX_ENTRIES: usize = 10_000;

/// A program in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub path: String,
    pub modified: i64,
    pub was_executed: Option<bool>,
}

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let Some(system) = machine.system_hive("SYSTEM") else { return Box::new(std::iter::empty()) };
    let mut rows: Vec<Row> = Vec::new();
    let is_control_set = |key: &Entry| key.name().to_ascii_lowercase().starts_with("controlset");
    for set in system.children().filter(is_control_set) {
        let Some(cache) = set.at(CACHE).and_then(|key| key.value("AppCompatCache")) else { continue };
        let Some(entries) = parse(&cache.bytes) else {
            scan.warn(format!("the cache of {} has a format that is not read", set.name()));
            continue;
        };
        rows.extend((1_i64..).zip(entries).map(|(entry, seen)| {
            row! {
                entry,
                path: seen.path,
                modified_time: seen.modified,
                execution_flag: seen.was_executed.map_or(-1, i64::from),
            }
        }));
    }
    Box::new(rows.into_iter())
}

/// The entries of a cache; none if its format is not known.
pub(crate) fn parse(cache: &[u8]) -> Option<Vec<Seen>> {
    // The first number is the length of the header, which tells the version.
    let start = usize::try_from(u32_of(cache, 0)).ok()?;
    let is_windows_8 = start == 0x80;
    if !matches!(start, 0x30 | 0x34 | 0x80) {
        return None;
    }
    let mut entries = Vec::new();
    let mut rest = cache.get(start..)?;
    while let Some(header) = rest.get(..ENTRY_HEADER_BYTES) {
        if !MARKS.iter().any(|mark| header[..4] == mark[..]) || entries.len() >= MAX_ENTRIES {
            break;
        }
        let length = usize::try_from(u32_of(header, 8)).ok()?;
        let Some((body, next)) = rest[ENTRY_HEADER_BYTES..].split_at_checked(length) else { break };
        entries.extend(parse_entry(body, is_windows_8));
        rest = next;
    }
    Some(entries)
}

fn parse_entry(body: &[u8], is_windows_8: bool) -> Option<Seen> {
    let length = usize::from(u16_of(body, 0));
    let path = body.get(2..2 + length)?;
    let mut after = body.get(2 + length..)?;
    let mut was_executed = None;
    if is_windows_8 {
        // The name of a package of the store, then two sets of flags.
        let package = usize::from(u16_of(after, 0));
        after = after.get(2 + package..)?;
        was_executed = Some(after.first()? & 2 != 0);
        after = after.get(8..)?;
    }
    let modified = after.first_chunk::<8>().map(|time| u64_of(time, 0))?;
    // A package's fields are parted by tabs.
    let path = utf16(path).replace('\t', " ");
    Some(Seen { path, modified: if modified == 0 { 0 } else { unix_time(modified) }, was_executed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(header_bytes: u32, entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = header_bytes.to_le_bytes().to_vec();
        bytes.resize(header_bytes as usize, 0);
        for (path, after) in entries {
            let path: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let body = [&u16::try_from(path.len()).unwrap().to_le_bytes()[..], &path, after].concat();
            bytes.extend(b"10ts\0\0\0\0");
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(body);
        }
        bytes
    }

    #[test]
    fn entries_of_each_version_are_read() {
        let time = 132_539_328_000_000_000_u64.to_le_bytes();
        let ten = cache(0x34, &[(r"C:\a.exe", &time), (r"C:\b.exe", &[0; 8])]);
        let entries = parse(&ten).unwrap();
        assert_eq!(entries[0], Seen { path: r"C:\a.exe".to_owned(), modified: 1_609_459_200, was_executed: None });
        assert_eq!((entries[1].modified, entries.len()), (0, 2));
        let flags = [&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0][..], &time].concat();
        let eight = cache(0x80, &[(r"C:\a.exe", &flags)]);
        assert_eq!(parse(&eight).unwrap()[0].was_executed, Some(true));
        assert_eq!(parse(&[0xee, 0xff, 0xad, 0xba]), None);
        assert!(parse(&ten[..ten.len() - 4]).unwrap().len() == 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(start in 0_u32..0x90, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&[&start.to_le_bytes()[..], &bytes].concat());
        }
    }
}
