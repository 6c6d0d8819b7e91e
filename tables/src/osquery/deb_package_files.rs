//! `deb_package_files`: which package a file belongs to, from dpkg's lists.

use std::path::Path;

use crate::constraints::Operator;
use crate::paths;
use crate::reader::{Lines, Scan};
use crate::schema::{Rows, row, table};

table! {
    /// Files of Debian packages; a condition on package reads one list only.
    deb_package_files {
        package: Text [index],
        path: Text [index],
        admindir: Text [index],
    }
}

const ADMINDIR: &str = "/var/lib/dpkg";

fn rows(scan: &Scan) -> Rows {
    let admindir = scan.texts("admindir", Operator::Equals).into_iter().next().unwrap_or_else(|| ADMINDIR.to_owned());
    let lists = package_lists(scan, &Path::new(&admindir).join("info"), ".list");
    Box::new(lists.flat_map(move |(package, lines)| {
        let admindir = admindir.clone();
        lines
            .shown_paths()
            .filter(|path| path != "/.")
            .map(move |path| row! { package: package.as_str(), path, admindir: admindir.as_str() })
    }))
}

/// The lists in dpkg's folder whose name ends as given, each with its package; only those of packages that the query names,
/// if it names any.
pub(crate) fn package_lists(scan: &Scan, folder: &Path, ending: &str) -> impl Iterator<Item = (String, Lines)> + use<> {
    let wanted = scan.texts("package", Operator::Equals);
    let lists = scan.paths(folder, ending);
    let scan = scan.clone();
    lists.into_iter().filter_map(move |list| {
        // `libc6:amd64.list`
        let stem = list.file_stem().map(paths::name)?;
        let package = stem.split(':').next().unwrap_or_default().to_owned();
        if !wanted.is_empty() && !wanted.contains(&package) {
            return None;
        }
        Some((package, scan.lines(&list)?))
    })
}
