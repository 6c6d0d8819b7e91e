//! `etc_hosts`: names with a fixed address (`hosts(5)`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Lines of /etc/hosts.
    etc_hosts {
        address: Text,
        hostnames: Text,
        pid_with_namespace: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    // Lists of hosts to block have hundreds of thousands.
    Box::new(scan.lines("/etc/hosts").into_iter().flatten().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?;
        let names: Vec<&str> = words.collect();
        (!names.is_empty()).then(|| row! { address, hostnames: names.join(" ") })
    }))
}
