//! Every table, one line each, by name. A new table is a new file, a line in its folder's `mod.rs`, and a line here.

use crate::osquery;
use crate::schema::Table;

pub(crate) static TABLES: &[&Table] = &[
    &osquery::users::TABLE,
];
