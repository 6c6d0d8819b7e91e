//! `npm_packages`: packages of Node.js that are installed for the whole system, or in the given directory.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::constraints::Operator;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Packages of Node.js; directory is the folder that holds node_modules.
    npm_packages {
        name: Text,
        version: Text,
        description: Text,
        author: Text,
        license: Text,
        homepage: Text,
        path: Text,
        directory: Text [index],
        depth: Integer,
        max_depth: Integer [index, hidden],
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
    }
}

const FOLDERS: [&str; 3] = ["/usr/local/lib", "/usr/lib", "/opt/node/lib"];
/// Packages within packages, as osquery does by itself.
const DEFAULT_DEPTH: i64 = 3;

fn rows(scan: &Scan) -> Rows {
    let asked = scan.texts("directory", Operator::Equals);
    let folders = if asked.is_empty() { FOLDERS.map(str::to_owned).to_vec() } else { asked };
    let max_depth = scan.numbers("max_depth").first().copied().unwrap_or(DEFAULT_DEPTH).clamp(0, 16);
    let mut waiting: Vec<(PathBuf, i64, String)> =
        folders.into_iter().rev().map(|folder| (Path::new(&folder).join("node_modules"), 0, folder)).collect();
    let scan = scan.clone();
    Box::new(std::iter::from_fn(move || {
        while let Some((path, depth, directory)) = waiting.pop() {
            let is_collection =
                path.file_name().is_some_and(|name| name == "node_modules" || name.to_string_lossy().starts_with('@'));
            if is_collection {
                for entry in
                    scan.list(&path).into_iter().rev().filter(|entry| !entry.name.to_string_lossy().starts_with('.'))
                {
                    waiting.push((path.join(entry.name), depth, directory.clone()));
                }
                continue;
            }
            let Some(text) = scan.text(path.join("package.json")) else { continue };
            if depth < max_depth {
                waiting.push((path.join("node_modules"), depth + 1, directory.clone()));
            }
            if let Some(row) =
                scan.json(&path, &text).and_then(|json| describe(&json, &path, &directory, depth, max_depth))
            {
                return Some(row);
            }
        }
        None
    }))
}

fn describe(package: &Json, path: &Path, directory: &str, depth: i64, max_depth: i64) -> Option<Row> {
    let field = |name: &str| package.get(name).and_then(Json::as_str);
    let author = package.get("author").and_then(|author| author.as_str().or_else(|| author.get("name")?.as_str()));
    Some(row! {
        name: field("name")?,
        version: field("version"),
        description: field("description"),
        author,
        license: field("license"),
        homepage: field("homepage"),
        path: paths::display(path),
        directory,
        depth,
        max_depth,
    })
}
