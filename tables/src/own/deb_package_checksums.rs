//! `deb_package_checksums`: the digests that packages say their files have. Joined with `hash` they show what was changed after it
//! was installed.

use std::path::Path;

use crate::osquery::deb_package_files::package_lists;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// MD5 of the files of Debian packages, from dpkg's md5sums; a condition on package reads one list only.
    deb_package_checksums {
        package: Text [index],
        path: Text,
        md5: Text,
    }
}

const FOLDER: &str = "/var/lib/dpkg/info";

fn rows(scan: &Scan) -> Rows {
    let lists = package_lists(scan, Path::new(FOLDER), ".md5sums");
    Box::new(lists.flat_map(|(package, lines)| lines.shown_paths().filter_map(move |line| parse(&line, &package))))
}

/// `d41d8cd9…  usr/bin/x`: the path is written without its slash in front.
fn parse(line: &str, package: &str) -> Option<Row> {
    let (md5, path) = line.split_once("  ")?;
    let is_digest = md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| row! { package, path: format!("/{path}"), md5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_digest_and_a_path() {
        let row = parse("d41d8cd98f00b204e9800998ecf8427e  usr/share/a b", "x").unwrap();
        assert!(row.0.contains(&"/usr/share/a b".into()));
        assert!(parse("nonsense  usr/x", "x").is_none());
    }
}
