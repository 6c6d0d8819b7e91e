//! `pacman_packages`: packages of Arch Linux, from pacman's own list: a folder a package, in it `desc` with a heading in
//! percent signs over each value.

use std::path::Path;

use crate::constraints::Operator;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Packages of Arch Linux.
    pacman_packages {
        name: Text [index],
        version: Text,
        source: Text,
        description: Text,
        url: Text,
        licenses: Text,
        groups: Text,
        arch: Text,
        size: BigInt,
        packager: Text,
        build_time: BigInt,
        install_time: BigInt,
        install_reason: Text,
        validation: Text,
        dbpath: Text [index],
    }
}

const DBPATH: &str = "/var/lib/pacman";

fn rows(scan: &Scan) -> Rows {
    let wanted = scan.texts("name", Operator::Equals);
    let dbpath = scan.texts("dbpath", Operator::Equals).into_iter().next().unwrap_or_else(|| DBPATH.to_owned());
    let local = Path::new(&dbpath).join("local");
    let scan = scan.clone();
    Box::new(scan.list(&local).into_iter().filter_map(move |entry| {
        // `name-version-release`: a wanted name is at least the beginning.
        let folder = entry.name.to_string_lossy();
        if !wanted.is_empty() && !wanted.iter().any(|name| folder.starts_with(name.as_str())) {
            return None;
        }
        parse(&scan.text(local.join(&entry.name).join("desc"))?, &dbpath)
    }))
}

/// The lines below a heading, joined.
fn values<'a>(text: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    let mut lines = text.lines();
    lines.find(|line| *line == heading);
    lines.take_while(|line| !line.is_empty())
}

fn parse(text: &str, dbpath: &str) -> Option<Row> {
    let one = |heading| values(text, heading).next();
    let list = |heading| values(text, heading).collect::<Vec<_>>().join(",");
    let number = |heading| one(heading).and_then(|value| value.parse::<i64>().ok());
    Some(row! {
        name: one("%NAME%")?,
        version: one("%VERSION%"),
        source: one("%BASE%"),
        description: one("%DESC%"),
        url: one("%URL%"),
        licenses: list("%LICENSE%"),
        groups: list("%GROUPS%"),
        arch: one("%ARCH%"),
        size: number("%SIZE%"),
        packager: one("%PACKAGER%"),
        build_time: number("%BUILDDATE%"),
        install_time: number("%INSTALLDATE%"),
        // Nothing is written for what was asked for by name.
        install_reason: match one("%REASON%") {
            None | Some("0") => "explicit",
            Some("1") => "dependency",
            Some(_) => "",
        },
        validation: list("%VALIDATION%"),
        dbpath,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_stands_below_its_heading() {
        let text = "%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%LICENSE%\nGPL\nMIT\n\n%SIZE%\n7\n\n%REASON%\n1\n";
        let shown: Vec<String> = parse(text, "/x").unwrap().0.iter().map(ToString::to_string).collect();
        assert_eq!((shown[0].as_str(), shown[1].as_str(), shown[5].as_str()), ("bash", "5.2-1", "GPL,MIT"));
        assert_eq!((shown[8].as_str(), shown[12].as_str()), ("7", "dependency"));
        assert!(parse("%VERSION%\n1\n", "/x").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(%NAME%|%SIZE%|[a-z0-9]|\n){0,30}") {
            parse(&text, "/x");
        }
    }
}
