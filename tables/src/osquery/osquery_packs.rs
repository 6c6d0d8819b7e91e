//! `osquery_packs`: empty. The table exists so that packs that watch osquery run; imported packs become modules.

use crate::reader::Scan;
use crate::schema::{Rows, table};

table! {
    /// Packs of osquery's daemon; always empty, imported packs become modules.
    osquery_packs {
        name: Text,
        platform: Text,
        version: Text,
        shard: Integer,
        discovery_cache_hits: Integer,
        discovery_executions: Integer,
        active: Integer,
    }
}

fn rows(_: &Scan) -> Rows {
    Box::new(std::iter::empty())
}
