//! `audit_rules`: the rules that `augenrules` and `auditctl` load, as written on disk.

use std::path::PathBuf;

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Audit rules on disk: /etc/audit/audit.rules and rules.d, white space reduced to one blank.
    audit_rules: kept {
        file: Text,
        line: BigInt,
        rule: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut files = scan.paths("/etc/audit/rules.d", ".rules");
    files.push(PathBuf::from("/etc/audit/audit.rules"));
    let scan = scan.clone();
    Box::new(files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        let rules: Vec<(i64, String)> = parse(&scan.text(&file).unwrap_or_default());
        rules.into_iter().map(move |(line, rule)| row! { file: shown.as_str(), line, rule })
    }))
}

fn parse(text: &str) -> Vec<(i64, String)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(number, line)| (number, line.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    parse(&text);
}
