//! `osquery_registry`: what can be asked, in osquery's shape: the tables.

use crate::reader::Scan;
use crate::registry::TABLES;
use crate::schema::{Rows, row, table};

table! {
    /// What this program offers, in osquery's shape: its tables.
    osquery_registry {
        registry: Text,
        name: Text,
        owner_uuid: Integer,
        internal: Integer,
        active: Integer,
    }
}

fn rows(_: &Scan) -> Rows {
    Box::new(
        TABLES.iter().map(|table| row! { registry: "table", name: table.name, owner_uuid: 0, internal: 0, active: 1 }),
    )
}
