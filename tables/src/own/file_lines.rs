//! `file_lines`: lines of files that match a pattern; the way to a setting that has no table of its own.

use regex::Regex;

use crate::constraints::Operator;
use crate::functions::compile;
use crate::places;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Lines of regular files that match a regular expression; needs `path` (=, IN, LIKE or GLOB) and `pattern` (=).
    file_lines {
        path: Text [required],
        line_number: BigInt,
        line: Text,
        pattern: Text [required],
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut patterns: Vec<Regex> = Vec::new();
    for text in scan.texts("pattern", Operator::Equals) {
        match compile(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(message) => scan.refuse(message),
        }
    }
    let scan = scan.clone();
    Box::new(patterns.into_iter().flat_map(move |pattern| {
        let reader = scan.clone();
        places::asked_for_by_path(&scan).into_iter().flatten().flat_map(move |place| {
            // A folder has no lines; what is neither that nor a file is told.
            matching(reader.lines(&place.path).into_iter().flatten(), pattern.clone(), place.shown)
        })
    }))
}

fn matching(lines: impl Iterator<Item = String>, pattern: Regex, path: String) -> impl Iterator<Item = Row> {
    (1_i64..).zip(lines).filter_map(move |(line_number, line)| {
        pattern.is_match(&line).then(|| row! { path: path.as_str(), line_number, line, pattern: pattern.as_str() })
    })
}
