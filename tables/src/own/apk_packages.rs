//! `apk_packages`: packages of Alpine, from apk's own list (`/lib/apk/db/installed`): a letter and its value a line, an empty
//! line after each package.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Packages of Alpine Linux; size in bytes once installed.
    apk_packages: kept {
        name: Text,
        version: Text,
        arch: Text,
        description: Text,
        url: Text,
        license: Text,
        origin: Text,
        maintainer: Text,
        size: BigInt,
        build_time: BigInt,
        commit_hash: Text,
    }
}

/// Newer systems keep it below `/usr`.
const FILES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

fn rows(scan: &Scan) -> Rows {
    let Some(lines) = FILES.iter().find_map(|file| scan.lines(file)) else { return Box::new(std::iter::empty()) };
    Box::new(packages(lines))
}

fn packages(lines: impl Iterator<Item = String>) -> impl Iterator<Item = Row> {
    let mut lines = lines.fuse();
    std::iter::from_fn(move || {
        loop {
            let mut package = Package::default();
            let mut is_over = true;
            for line in lines.by_ref() {
                is_over = false;
                if line.is_empty() {
                    break;
                }
                package.add(&line);
            }
            if is_over {
                return None;
            }
            if !package.name.is_empty() {
                return Some(package.into());
            }
        }
    })
}

#[derive(Default)]
struct Package {
    name: String,
    version: String,
    arch: Option<String>,
    description: Option<String>,
    url: Option<String>,
    license: Option<String>,
    origin: Option<String>,
    maintainer: Option<String>,
    size: Option<i64>,
    build_time: Option<i64>,
    commit: Option<String>,
}

impl Package {
    fn add(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(':') else { return };
        let text = || Some(value.to_owned());
        match key {
            "P" => value.clone_into(&mut self.name),
            "V" => value.clone_into(&mut self.version),
            "A" => self.arch = text(),
            "T" => self.description = text(),
            "U" => self.url = text(),
            "L" => self.license = text(),
            "o" => self.origin = text(),
            "m" => self.maintainer = text(),
            "I" => self.size = value.parse().ok(),
            "t" => self.build_time = value.parse().ok(),
            "c" => self.commit = text(),
            // Dependencies, and every file with its digest.
            _ => {}
        }
    }
}

impl From<Package> for Row {
    fn from(package: Package) -> Self {
        row! {
            name: package.name,
            version: package.version,
            arch: package.arch,
            description: package.description,
            url: package.url,
            license: package.license,
            origin: package.origin,
            maintainer: package.maintainer,
            size: package.size,
            build_time: package.build_time,
            commit_hash: package.commit,
        }
    }
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    packages(text.lines().map(str::to_owned)).count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_package_ends_at_an_empty_line() {
        let text = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nI:667648\nF:lib\nR:ld-musl.so\n\n\nP:busybox\nV:1.36\n";
        let rows: Vec<Row> = packages(text.lines().map(str::to_owned)).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].0[..2], ["musl", "1.2.5-r0"].map(crate::Value::from));
        assert_eq!(rows[0].0[8], 667_648_i64.into());
        assert_eq!(rows[1].0[0], "busybox".into());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "([PVAI]?:?[a-z0-9]{0,4}\n){0,20}") {
            packages(text.lines().map(str::to_owned)).count();
        }
    }
}
