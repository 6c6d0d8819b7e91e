//! `arp_cache`: neighbours of the host (`/proc/net/arp`).

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Neighbours by address.
    arp_cache: live_only {
        address: Text,
        mac: Text,
        interface: Text,
        permanent: Text,
    }
}

/// The entry does not expire (`ATF_PERM`, `include/uapi/linux/if_arp.h`).
const PERMANENT: u32 = 4;

fn rows(scan: &Scan) -> Rows {
    let text = scan.net("arp").unwrap_or_default();
    Box::new(text.lines().skip(1).filter_map(parse).collect::<Vec<Row>>().into_iter())
}

fn parse(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, _, flags, mac, _, interface] = words[..] else { return None };
    let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
    Some(row! { address, mac, interface, permanent: if flags & PERMANENT != 0 { "1" } else { "0" } })
}
