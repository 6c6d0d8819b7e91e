//! `file_lines`: lines of files that match a pattern; the way to a setting that has no table of its own.

use regex::Regex;

use crate::constraints::Operator;
use crate::functions::compile;
use crate::paths::{self, asked_for};
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
        asked_for(&scan, "path")
            .into_iter()
            .flat_map({
                let scan = scan.clone();
                move |path| path.expand(&scan)
            })
            .flat_map(move |path| {
                let shown = paths::display(&path);
                let pattern = pattern.clone();
                // A folder has no lines; what is neither that nor a file is told.
                matching(reader.lines(&path).into_iter().flatten(), pattern, shown)
            })
    }))
}

fn matching(lines: impl Iterator<Item = String>, pattern: Regex, path: String) -> impl Iterator<Item = Row> {
    (1_i64..).zip(lines).filter_map(move |(line_number, line)| {
        pattern.is_match(&line).then(|| row! { path: path.as_str(), line_number, line, pattern: pattern.as_str() })
    })
}
