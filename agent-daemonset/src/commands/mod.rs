//! One file a command.

mod cluster;
pub mod enroll;
mod folder;
pub mod integrity;
pub mod query;
pub mod run;
pub mod scan;
mod statements;
pub mod tables;
