//! `chrome_extension_content_scripts`: which scripts extensions of Chrome and its kin run in which pages.

use serde_json::Value as Json;

use super::chrome_extensions::{Place, of_each_extension};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Scripts that extensions of Chrome and its kin run in pages, one row a script and a pattern of pages.
    chrome_extension_content_scripts {
        browser_type: Text,
        uid: BigInt [index],
        identifier: Text,
        version: Text,
        script: Text,
        r#match: Text,
        profile_path: Text,
        path: Text,
        referenced: BigInt,
    }
}

/// Rows of one extension: an author decides how many it would be.
const MAX_ROWS: usize = 10_000;

fn rows(scan: &Scan) -> Rows {
    Box::new(of_each_extension(scan, describe).into_iter())
}

fn describe(place: &Place<'_>, below: &str, manifest: &Json) -> Vec<Row> {
    let texts = |value: &Json, name: &str| -> Vec<String> {
        let list = value.get(name).and_then(Json::as_array).into_iter().flatten();
        list.filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let entries = manifest.get("content_scripts").and_then(Json::as_array).into_iter().flatten();
    let mut rows = Vec::new();
    for entry in entries {
        let pages = texts(entry, "matches");
        for script in texts(entry, "js") {
            for page in &pages {
                if rows.len() == MAX_ROWS {
                    return rows;
                }
                rows.push(row! {
                    browser_type: place.browser,
                    uid: place.user.uid,
                    identifier: place.identifier.as_str(),
                    version: manifest.get("version").and_then(Json::as_str),
                    script: script.as_str(),
                    r#match: page,
                    profile_path: place.shown(&place.profile_folder),
                    path: place.shown(below),
                });
            }
        }
    }
    rows
}
