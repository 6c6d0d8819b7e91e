//! `osquery_flags`: empty. The table exists so that packs that watch osquery run; this program has none of its flags.

use crate::reader::Scan;
use crate::schema::{Rows, table};

table! {
    /// Flags of osquery; always empty, this program has none.
    osquery_flags {
        name: Text,
        r#type: Text,
        description: Text,
        default_value: Text,
        value: Text,
        shell_only: Integer,
    }
}

fn rows(_: &Scan) -> Rows {
    Box::new(std::iter::empty())
}
