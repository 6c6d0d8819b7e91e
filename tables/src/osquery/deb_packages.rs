//! `deb_packages`: dpkg's database (`/var/lib/dpkg/status` and `status.d` of small images). Read line by line: the file of
//! a desktop has many megabytes.

use std::path::PathBuf;

use crate::constraints::Operator;
use crate::reader::{Lines, Scan};
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Debian packages, installed or with their configuration left.
    deb_packages: kept {
        name: Text,
        version: Text,
        source: Text,
        size: BigInt,
        arch: Text,
        revision: Text,
        status: Text,
        maintainer: Text,
        section: Text,
        priority: Text,
        admindir: Text [index],
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
    }
}

const ADMINDIR: &str = "/var/lib/dpkg";

fn rows(scan: &Scan) -> Rows {
    let mut admindirs = scan.texts("admindir", Operator::Equals);
    if admindirs.is_empty() {
        admindirs.push(ADMINDIR.to_owned());
    }
    let scan = scan.clone();
    Box::new(admindirs.into_iter().flat_map(move |admindir| {
        let folder = PathBuf::from(&admindir);
        let mut files = vec![folder.join("status")];
        files.extend(scan.paths(folder.join("status.d"), "").into_iter().filter(|path| path.extension().is_none()));
        let scan = scan.clone();
        files
            .into_iter()
            .filter_map(move |file| scan.lines(file))
            .flat_map(|lines| Packages { lines })
            .map(move |package| to_row(package, &admindir))
    }))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    source: String,
    size: String,
    arch: String,
    status: String,
    maintainer: String,
    section: String,
    priority: String,
}

/// Paragraphs of a control file that name a package.
struct Packages {
    lines: Lines,
}

impl Iterator for Packages {
    type Item = Package;

    fn next(&mut self) -> Option<Package> {
        next_package(&mut self.lines)
    }
}

fn next_package(lines: &mut impl Iterator<Item = String>) -> Option<Package> {
    let mut package = Package::default();
    loop {
        match lines.next() {
            Some(line) if line.trim().is_empty() => {
                if !package.name.is_empty() {
                    return Some(package);
                }
                package = Package::default();
            }
            // A folded line belongs to a field that has no column.
            Some(line) if line.starts_with([' ', '\t']) => {}
            Some(line) => {
                let Some((field, value)) = line.split_once(':') else { continue };
                let value = value.trim().to_owned();
                match field.to_ascii_lowercase().as_str() {
                    "package" => package.name = value,
                    "version" => package.version = value,
                    "source" => package.source = value,
                    "installed-size" => package.size = value,
                    "architecture" => package.arch = value,
                    "status" => package.status = value,
                    "maintainer" => package.maintainer = value,
                    "section" => package.section = value,
                    "priority" => package.priority = value,
                    _ => {}
                }
            }
            None => return (!package.name.is_empty()).then_some(package),
        }
    }
}

fn to_row(package: Package, admindir: &str) -> Row {
    let revision = package.version.rsplit_once('-').map_or("", |(_, revision)| revision).to_owned();
    row! {
        name: package.name,
        version: package.version,
        source: package.source,
        size: package.size.parse::<i64>().unwrap_or(0),
        arch: package.arch,
        revision,
        // A small image has no state: what is listed is installed.
        status: if package.status.is_empty() { "install ok installed".to_owned() } else { package.status },
        maintainer: package.maintainer,
        section: package.section,
        priority: package.priority,
        admindir,
    }
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines().map(str::to_owned);
    while let Some(package) = next_package(&mut lines) {
        to_row(package, "/x");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_paragraph_is_a_package() {
        let text = "\nPackage: openssh-server\nStatus: install ok installed\nDescription: x\n folded: y\nVersion: 1:9.2p1-2\n\nfoo\n";
        let mut lines = text.lines().map(str::to_owned);
        let package = next_package(&mut lines).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("openssh-server", "1:9.2p1-2"));
        assert_eq!(next_package(&mut lines), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            let mut lines = text.lines().map(str::to_owned);
            while let Some(package) = next_package(&mut lines) {
                to_row(package, "/x");
            }
        }
    }
}
