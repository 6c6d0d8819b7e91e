//! `etc_protocols`: names of protocols (`protocols(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Lines of /etc/protocols.
    etc_protocols {
        name: Text,
        number: Integer,
        alias: Text,
        comment: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.text("/etc/protocols").unwrap_or_default();
    Box::new(text.lines().filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let (content, comment) = line.split_once('#').unwrap_or((line, ""));
    let mut words = content.split_whitespace();
    let name = words.next()?;
    Some(row! {
        name,
        number: words.next()?.parse::<u16>().ok()?,
        alias: words.collect::<Vec<_>>().join(" "),
        comment: comment.trim(),
    })
}
