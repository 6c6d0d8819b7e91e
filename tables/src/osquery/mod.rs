//! Tables with osquery's names, columns and types.

pub(crate) mod users;
