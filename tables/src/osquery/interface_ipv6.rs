//! `interface_ipv6`: how each interface treats IPv6.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Settings of IPv6 by interface.
    interface_ipv6: live_only {
        interface: Text,
        hop_limit: Integer,
        forwarding_enabled: Integer,
        redirect_accept: Integer,
        rtadv_accept: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().proc.join("sys/net/ipv6/conf");
    let rows: Vec<Row> = scan
        .kernel_names(&folder)
        .into_iter()
        .filter(|name| name != "all" && name != "default")
        .map(|interface| {
            let value = |file: &str| {
                scan.proc(folder.join(&interface).join(file)).and_then(|text| text.trim().parse::<i64>().ok())
            };
            row! {
                hop_limit: value("hop_limit"),
                forwarding_enabled: value("forwarding"),
                redirect_accept: value("accept_redirects"),
                rtadv_accept: value("accept_ra"),
                interface,
            }
        })
        .collect();
    Box::new(rows.into_iter())
}
