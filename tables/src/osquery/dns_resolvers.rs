//! `dns_resolvers`: where names are looked up (`resolv.conf(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Name servers, search domains, sort lists and options.
    dns_resolvers {
        id: Integer,
        r#type: Text,
        address: Text,
        netmask: Text,
        options: BigInt,
        pid_with_namespace: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.text("/etc/resolv.conf").unwrap_or_default();
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
        let kind = match words.next() {
            Some("nameserver") => "nameserver",
            Some("search" | "domain") => "search",
            Some("sortlist") => "sortlist",
            Some("options") => "options",
            _ => continue,
        };
        for address in words {
            if !scan.budget().is_open() {
                return Box::new(rows.into_iter());
            }
            let (address, netmask) = address.split_once('/').unwrap_or((address, "32"));
            rows.push(row! { id: rows.len(), r#type: kind, address, netmask, options: 0 });
        }
    }
    Box::new(rows.into_iter())
}
