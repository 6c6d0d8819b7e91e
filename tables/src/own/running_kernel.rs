//! `running_kernel`: the kernel that runs on this host, one row. An image has none and it is no gap: a check that asks for what
//! is configured as well as for what runs names this table before the one of the running system (`running_kernel CROSS JOIN
//! system_controls`, which SQLite does not turn around), so that the configuration of an image decides.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// The kernel that runs; no row for an image, where only the configuration decides.
    running_kernel {
        release: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    if !scan.host().live {
        return Box::new(std::iter::empty());
    }
    let release = scan.proc("sys/kernel/osrelease").unwrap_or_default();
    Box::new(std::iter::once(row! { release: release.trim() }))
}
