//! `deb_package_files`: which package a file belongs to, from dpkg's lists.

use std::path::Path;

use crate::constraints::Operator;
use crate::paths;
use crate::reader::Scan;
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
    let wanted = scan.texts("package", Operator::Equals);
    let lists = scan.paths(Path::new(&admindir).join("info"), ".list");
    let scan = scan.clone();
    Box::new(
        lists
            .into_iter()
            .filter_map(move |list| {
                // `libc6:amd64.list`
                let stem = list.file_stem().map(paths::name)?;
                let package = stem.split(':').next().unwrap_or_default().to_owned();
                if !wanted.is_empty() && !wanted.contains(&package) {
                    return None;
                }
                let lines = scan.lines(&list)?;
                let admindir = admindir.clone();
                Some(
                    lines
                        .shown_paths()
                        .filter(|path| path != "/.")
                        .map(move |path| row! { package: package.as_str(), path, admindir: admindir.as_str() }),
                )
            })
            .flatten(),
    )
}
