//! `rpm_package_files`: which package a file belongs to, and what it looked like when it was installed.

use std::ffi::OsStr;
use std::path::Path;

use super::rpm::{self, Header, tag};
use crate::constraints::Operator;
use crate::paths;
use crate::posix::OsStrExt;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Files of RPM packages; a condition on package or path makes fewer rows.
    rpm_package_files {
        package: Text [index],
        path: Text [index],
        username: Text,
        groupname: Text,
        mode: Text,
        size: BigInt,
        sha256: Text,
    }
}

/// A digest in hexadecimal that is SHA-256; older packages have MD5.
const SHA256_DIGITS: usize = 64;
/// Rows of one package: each repeats the names of its package and folder, so that a header of some kilobytes could otherwise
/// fill the memory. The largest packages have 30,000 files.
const MAX_PACKAGE_BYTES: usize = 32 << 20;
/// What a row takes beside its path.
const ROW_BYTES: usize = 400;

fn rows(scan: &Scan) -> Rows {
    let packages = scan.texts("package", Operator::Equals);
    let paths = scan.texts("path", Operator::Equals);
    let warner = scan.clone();
    Box::new(rpm::headers(scan).flat_map(move |header| {
        let (rows, is_whole) = parse(&header, &packages, &paths);
        if !is_whole {
            warner.warn("a package names more files than one can have; the rest of them is not shown");
        }
        rows.into_iter()
    }))
}

/// The files of a package, and whether these are all.
fn parse(bytes: &[u8], packages: &[String], paths: &[String]) -> (Vec<Row>, bool) {
    let Some(header) = Header::new(bytes) else { return (Vec::new(), true) };
    let Some(package) = header.text(tag::NAME) else { return (Vec::new(), true) };
    if !packages.is_empty() && !packages.contains(&package) {
        return (Vec::new(), true);
    }
    let folders: Vec<&[u8]> = header.texts(tag::DIR_NAMES).collect();
    let mut indexes = header.numbers::<4>(tag::DIR_INDEXES).map(|bytes| u32::from_be_bytes(*bytes));
    let mut modes = header.numbers::<2>(tag::FILE_MODES).map(|bytes| u16::from_be_bytes(*bytes));
    let mut sizes = header.numbers::<4>(tag::FILE_SIZES).map(|bytes| u64::from(u32::from_be_bytes(*bytes)));
    let mut long_sizes = header.numbers::<8>(tag::LONG_FILE_SIZES).map(|bytes| u64::from_be_bytes(*bytes));
    let [mut users, mut groups, mut digests] =
        [tag::FILE_USERS, tag::FILE_GROUPS, tag::FILE_DIGESTS].map(|tag| header.texts(tag));
    let shown = |text: Option<&[u8]>| text.map(|text| String::from_utf8_lossy(text).into_owned());
    let mut rows = Vec::new();
    let mut size_bytes = 0;
    for name in header.texts(tag::BASE_NAMES) {
        // Every list has one value a file, in one order: each must take its step.
        let folder = indexes.next().and_then(|index| folders.get(usize::try_from(index).ok()?));
        let (mode, size, long_size) = (modes.next(), sizes.next(), long_sizes.next());
        let (user, group, digest) = (users.next(), groups.next(), digests.next());
        let path = format!(
            "{}{}",
            paths::display(Path::new(OsStr::from_bytes(folder.copied().unwrap_or_default()))),
            paths::display(Path::new(OsStr::from_bytes(name)))
        );
        if !paths.is_empty() && !paths.contains(&path) {
            continue;
        }
        size_bytes += ROW_BYTES + package.len() + path.len();
        if size_bytes > MAX_PACKAGE_BYTES {
            return (rows, false);
        }
        rows.push(row! {
            package: package.as_str(),
            path,
            username: shown(user),
            groupname: shown(group),
            mode: mode.map(|mode| format!("{:04o}", mode & 0o7777)),
            size: size.or(long_size),
            sha256: shown(digest.filter(|digest| digest.len() == SHA256_DIGITS)),
        });
    }
    (rows, true)
}

/// Reads any bytes as such a header, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    parse(input, &[], &[]);
}

#[cfg(test)]
mod tests {
    use super::super::rpm::tests::header;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_have_their_folder_and_what_was_recorded() {
        let digests = [&[b'a'; 64][..], b"\0\0"].concat();
        let bytes = header(&[
            (tag::NAME, 6, 1, b"bash\0"),
            (tag::DIR_INDEXES, 4, 2, &[0, 0, 0, 1, 0, 0, 0, 0]),
            (tag::BASE_NAMES, 8, 2, b"bash\0skel\0"),
            (tag::DIR_NAMES, 8, 2, b"/etc/\0/usr/bin/\0"),
            (tag::FILE_MODES, 3, 2, &[0x81, 0xed, 0x41, 0xed]),
            (tag::FILE_SIZES, 4, 2, &[0, 0, 1, 0, 0, 0, 0, 0]),
            (tag::FILE_USERS, 8, 2, b"root\0root\0"),
            (tag::FILE_DIGESTS, 8, 2, &digests),
        ]);
        let (rows, is_whole) = parse(&bytes, &[], &[]);
        assert!(is_whole);
        let shown: Vec<String> = rows[0].0.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..6], ["bash", "/usr/bin/bash", "root", "", "0755", "256"]);
        assert_eq!(shown[6].len(), 64);
        assert_eq!((rows.len(), rows[1].0[1].to_string().as_str()), (2, "/etc/skel"));
        assert!(parse(&bytes, &["zsh".to_owned()], &[]).0.is_empty());
        assert_eq!(parse(&bytes, &[], &["/etc/skel".to_owned()]).0.len(), 1);
    }

    #[test]
    fn many_files_in_a_folder_with_a_long_name_stay_within_memory() {
        const FILES: u32 = 50_000;
        let folder = ["/".repeat(20_000).as_bytes(), b"\0"].concat();
        let bytes = header(&[
            (tag::NAME, 6, 1, b"x\0"),
            (tag::DIR_INDEXES, 4, FILES, &vec![0; FILES as usize * 4]),
            (tag::BASE_NAMES, 8, FILES, &b"a\0".repeat(FILES as usize)),
            (tag::DIR_NAMES, 8, 1, &folder),
        ]);
        let (rows, is_whole) = parse(&bytes, &[], &[]);
        assert!(!is_whole);
        assert!((1_000..3_000).contains(&rows.len()), "{}", rows.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes, &[], &[]);
        }
    }
}
