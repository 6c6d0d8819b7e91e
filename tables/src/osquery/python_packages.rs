//! `python_packages`: packages of Python by the metadata that installers leave (PEP 566).

use std::path::Path;

use crate::constraints::Operator;
use crate::paths::{self, Pattern};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Packages of Python in the system's folders, or in the given directory.
    python_packages {
        name: Text,
        uid: BigInt [index],
        version: Text,
        summary: Text,
        author: Text,
        license: Text,
        path: Text,
        directory: Text [index],
        pid_with_namespace: Integer [hidden],
    }
}

const FOLDERS: [&str; 6] = [
    "/usr/lib/python3/dist-packages",
    "/usr/lib/python*/site-packages",
    "/usr/lib64/python*/site-packages",
    "/usr/local/lib/python*/dist-packages",
    "/usr/local/lib/python*/site-packages",
    "/opt/*/lib/python*/site-packages",
];

fn rows(scan: &Scan) -> Rows {
    let asked = scan.texts("directory", Operator::Equals);
    let folders: Vec<Pattern> = if asked.is_empty() {
        FOLDERS.iter().map(|folder| Pattern::glob(folder)).collect()
    } else {
        asked.iter().map(|folder| Pattern::exact(folder)).collect()
    };
    let scan = scan.clone();
    let expander = scan.clone();
    let folders = folders.into_iter().flat_map(move |pattern| pattern.expand(&expander));
    Box::new(folders.flat_map(move |folder| {
        let scan = scan.clone();
        scan.list(&folder).into_iter().filter_map(move |entry| {
            let name = paths::name(&entry.name);
            let path = folder.join(&entry.name);
            let metadata = if name.ends_with(".dist-info") {
                path.join("METADATA")
            } else if name.ends_with(".egg-info") {
                let inside = path.join("PKG-INFO");
                if scan.exists(&inside) { inside } else { path.clone() }
            } else {
                return None;
            };
            parse(&scan.text(metadata)?, &path, &folder)
        })
    }))
}

fn parse(text: &str, path: &Path, folder: &Path) -> Option<Row> {
    let field = |name: &str| {
        text.lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    Some(row! {
        name: field("Name")?,
        version: field("Version"),
        summary: field("Summary"),
        author: field("Author").or_else(|| field("Author-email")),
        license: field("License").or_else(|| field("License-Expression")),
        path: paths::display(path),
        directory: paths::display(folder),
        uid: 0,
    })
}
