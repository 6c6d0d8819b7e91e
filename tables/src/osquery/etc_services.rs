//! `etc_services`: names of ports (`services(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Lines of /etc/services.
    etc_services {
        name: Text,
        port: Integer,
        protocol: Text,
        aliases: Text,
        comment: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.text("/etc/services").unwrap_or_default();
    Box::new(text.lines().filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let (content, comment) = line.split_once('#').unwrap_or((line, ""));
    let mut words = content.split_whitespace();
    let name = words.next()?;
    let (port, protocol) = words.next()?.split_once('/')?;
    Some(row! {
        name,
        port: port.parse::<u16>().ok()?,
        protocol,
        aliases: words.collect::<Vec<_>>().join(" "),
        comment: comment.trim(),
    })
}
