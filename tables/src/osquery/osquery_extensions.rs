//! `osquery_extensions`: this program itself, as osquery shows its own core; there are no extensions.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// This program, as osquery shows its core; there are no extensions.
    osquery_extensions {
        uuid: BigInt,
        name: Text,
        version: Text,
        sdk_version: Text,
        path: Text,
        r#type: Text,
    }
}

fn rows(_: &Scan) -> Rows {
    Box::new(std::iter::once(row! {
        uuid: 0,
        name: "core",
        version: env!("CARGO_PKG_VERSION"),
        sdk_version: "",
        path: "",
        r#type: "core",
    }))
}
