//! What a table may touch while it is read: the host's files below its root, the kernel's proc and sys where they belong
//! to that root, and the conditions of the query. All reading goes through here, so that the budget sees every byte.

mod files;
mod folders;
mod kernel;
mod lines;
mod warnings;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use files::{CHUNK_BYTES, Reader, is_crowded_json, lossy};
pub(crate) use lines::Lines;
pub use warnings::{Gap, Warning};
pub(crate) use warnings::{Query, cut};

use crate::budget::Budget;
use crate::constraints::{Constraints, Operator};
use crate::error::Error;
use crate::host::Host;
use crate::kept::KeptRows;
use crate::processes;
use crate::root::Root;
use crate::schema::Table;
use crate::value::Value;
use crate::walk::WalkCache;

/// What belongs to an engine: the host, and what its tables share.
#[derive(Debug)]
pub(crate) struct Source {
    pub host: Host,
    pub root: Root,
    pub walk: WalkCache,
    pub kept: KeptRows,
}

/// One reading of one table.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub table: &'static Table,
    pub constraints: Arc<Constraints>,
    pub query: Arc<Query>,
    pub source: Arc<Source>,
}

impl Scan {
    pub fn host(&self) -> &Host {
        &self.source.host
    }

    pub fn budget(&self) -> &Budget {
        &self.query.budget
    }

    /// Says that something is there which was not read.
    pub fn warn(&self, message: impl Into<String>) {
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap: Gap::Unread });
    }

    /// Says that a list broke off, so that nothing may be concluded from it, not even from what others lack in it.
    pub fn warn_undecided(&self, message: impl Into<String>) {
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap: Gap::Undecided });
    }

    /// Says that there is nothing to read.
    pub fn warn_of_no_subject(&self, message: impl Into<String>) {
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap: Gap::NoSubject });
    }

    /// Says that processes may not be looked into. To who may trace every process that is no lack of rights: the kernel
    /// closes some to everybody, such as the first one of a virtual machine that its host looks after.
    pub fn warn_of_closed_processes(&self, message: impl Into<String>) {
        let gap = if processes::may_trace() { Gap::Closed } else { Gap::Unread };
        self.query.warn(Warning { table: self.table.name, message: message.into(), gap });
    }

    /// Ends the query: a condition has a value that this table cannot use.
    pub fn refuse(&self, message: impl Into<String>) {
        self.query.budget.fail(Error::BadConstraint { table: self.table.name, message: message.into() });
    }

    /// Whether the query looks at the column; what is costly to find need not be found otherwise.
    pub fn uses(&self, column: &str) -> bool {
        self.table.position(column).is_none_or(|position| self.constraints.uses(position))
    }

    /// Texts that the column must equal, without repeats.
    pub fn texts(&self, column: &str, operator: Operator) -> Vec<String> {
        let mut texts: Vec<String> =
            self.constraints.of(self.table, column, operator).map(ToString::to_string).collect();
        texts.dedup();
        texts
    }

    /// Numbers that the column must equal.
    pub fn numbers(&self, column: &str) -> Vec<i64> {
        self.constraints.equals(self.table, column).filter_map(Value::as_i64).collect()
    }

    /// The value of a call; a refusal becomes a warning, absence is no news.
    fn found<T>(&self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                // Where a file is expected, a folder is none: no program reads its settings from it.
                let is_absent = matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
                );
                if !is_absent && !self.budget().has_failed() {
                    self.warn(format!("cannot read {}: {error}", path.display()));
                }
                None
            }
        }
    }
}
