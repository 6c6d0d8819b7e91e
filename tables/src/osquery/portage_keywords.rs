//! `portage_keywords`: what an administrator of Gentoo accepts, masks and unmasks in `/etc/portage`.

use super::portage;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Keywords, masks and unmasks of /etc/portage.
    portage_keywords {
        package: Text,
        version: Text,
        keyword: Text,
        mask: Integer,
        unmask: Integer,
    }
}

/// The files, and whether they mask or unmask.
const FILES: [(&str, bool, bool); 4] = [
    ("package.keywords", false, false),
    ("package.accept_keywords", false, false),
    ("package.mask", true, false),
    ("package.unmask", false, true),
];

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for (file, mask, unmask) in FILES {
        for line in portage::lines(scan, file) {
            let (atom, keyword) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            let (package, version) = portage::split_version(atom.trim_start_matches(['=', '<', '>', '~', '!']));
            rows.push(row! { package, version, keyword: keyword.trim(), mask, unmask });
        }
    }
    Box::new(rows.into_iter())
}
