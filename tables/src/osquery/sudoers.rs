//! `sudoers`: the rules of sudo, with the files that they include (`sudoers(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::sudo;

table! {
    /// Rules of sudo: header is the first word of a rule, rule_details the rest.
    sudoers {
        source: Text,
        header: Text,
        rule_details: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(sudo::lines(scan).into_iter().map(|line| {
        let (header, details) = line.text.split_once(char::is_whitespace).unwrap_or((line.text.as_str(), ""));
        row! { source: line.source, header, rule_details: details.trim() }
    }))
}
