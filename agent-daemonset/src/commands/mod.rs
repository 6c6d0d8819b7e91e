//! One file a command.

mod cluster;
pub mod enroll;
pub mod integrity;
pub mod query;
pub mod run;
pub mod scan;
mod statements;
pub mod tables;
