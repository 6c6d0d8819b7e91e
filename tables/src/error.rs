//! Why a query gave no answer, in sentences that whoever wrote the query can act on.

use std::path::PathBuf;
use std::time::Duration;

/// Why the engine did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder to read does not exist or is not readable.
    #[error("cannot open {path} as the root of a host: {source}")]
    Root {
        /// The root that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite could not be set up.
    #[error("the SQL engine does not start: {0}")]
    Engine(#[source] rusqlite::Error),
    /// The statement is not SQL, or names a column or function that does not exist.
    #[error("{0}")]
    Syntax(String),
    /// The statement does what a scan may not: write, attach, load code.
    #[error("not permitted: {0}; a query may only read tables")]
    NotPermitted(String),
    /// The table does not exist.
    #[error("no such table: {name}{}", suggestion(near))]
    NoSuchTable {
        /// The name in the query.
        name: String,
        /// Tables with a similar name, nearest first.
        near: Vec<String>,
    },
    /// osquery has the table, this program does not.
    #[error("table {name} is left out: it {reason}")]
    LeftOut {
        /// The table.
        name: &'static str,
        /// Why, as the end of a sentence that begins with "it".
        reason: &'static str,
    },
    /// The table needs a condition in WHERE or ON to know what to read.
    #[error("table {table} needs a condition on {columns}, such as WHERE {example} = '…'")]
    MissingConstraint {
        /// The table.
        table: &'static str,
        /// The columns, joined with "and" or "or".
        columns: String,
        /// One of the columns.
        example: &'static str,
    },
    /// The query names a parameter that nobody gave.
    #[error("the query uses the parameter :{0}, which has no value")]
    MissingParameter(String),
    /// A condition holds a value that the table cannot use, such as a wrong pattern.
    #[error("table {table}: {message}")]
    BadConstraint {
        /// The table.
        table: &'static str,
        /// What is wrong with the value.
        message: String,
    },
    /// The query ran longer than it may.
    #[error("stopped after {0:?}: the query takes longer than it may")]
    OverTime(Duration),
    /// The run that the query belongs to has used up its time.
    #[error("not asked: the run's time is over")]
    RunOver,
    /// The tables produced more rows than a query may read.
    #[error("stopped after {0} rows: the query reads more of the tables than it may")]
    OverRows(u64),
    /// The tables read more bytes from files than a query may.
    #[error("stopped after {0} bytes: the query reads more from files than it may")]
    OverBytes(u64),
    /// SQLite or the answer needed more memory than allowed.
    #[error("stopped: the query needs more memory than it may")]
    OverMemory,
    /// A table failed inside; a fault of this program.
    #[error("table {0} failed inside; please report it")]
    Table(&'static str),
    /// Anything else that SQLite reports while it runs the query.
    #[error("{0}")]
    Sql(String),
}

/// The result of asking the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn suggestion(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}
