//! One file a command.

pub mod enroll;
pub mod integrity;
pub mod query;
pub mod run;
pub mod scan;
mod statements;
pub mod tables;
