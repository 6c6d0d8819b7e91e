//! `osquery_events`: empty. The table exists so that packs that watch osquery's daemon run; this program has no event publishers.

use crate::reader::Scan;
use crate::schema::{Rows, table};

table! {
    /// Event publishers of osquery's daemon; always empty, there are none.
    osquery_events {
        name: Text,
        publisher: Text,
        r#type: Text,
        subscriptions: Integer,
        events: Integer,
        refreshes: Integer,
        active: Integer,
    }
}

fn rows(_: &Scan) -> Rows {
    Box::new(std::iter::empty())
}
