//! What a statement may do: read tables, call functions, nothing else. The authorizer is asked while a statement is
//! prepared, so a refused one never runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

/// Virtual tables of SQLite itself that show or change its inside.
const REFUSED_TABLES: [&str; 4] = ["dbstat", "sqlite_dbpage", "sqlite_stmt", "bytecode"];
const REFUSED_FUNCTIONS: [&str; 5] = ["load_extension", "fts3_tokenizer", "writefile", "readfile", "edit"];
const PERMITTED_PRAGMAS: [&str; 3] = ["table_info", "table_xinfo", "function_list"];

/// The last refusal, for the error message.
pub(crate) type Refusal = Arc<Mutex<Option<String>>>;

/// The tables that were read by what was prepared so far, by the names that SQLite made out, in lower case.
pub(crate) type TablesRead = Arc<Mutex<BTreeSet<String>>>;

pub(crate) fn install(connection: &Connection, refusal: &Refusal, tables_read: &TablesRead) -> rusqlite::Result<()> {
    let limits = [
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        // Functions such as instr() go through a text of this length as often as it has bytes, and nothing ends them.
        (Limit::SQLITE_LIMIT_LENGTH, 4 << 20),
        (Limit::SQLITE_LIMIT_COLUMN, 256),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 64),
        (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 64),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 4_096),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 256),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, value) in limits {
        connection.set_limit(limit, value)?;
    }
    let (refusal, tables_read) = (Arc::clone(refusal), Arc::clone(tables_read));
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        if let AuthAction::Read { table_name, .. } = &context.action {
            let mut tables = tables_read.lock().unwrap_or_else(PoisonError::into_inner);
            tables.insert(table_name.to_ascii_lowercase());
        }
        match refused(&context.action) {
            None => Authorization::Allow,
            Some(what) => {
                refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
                Authorization::Deny
            }
        }
    }))
}

/// Names what is refused; none if the action is a read.
fn refused(action: &AuthAction<'_>) -> Option<String> {
    match action {
        AuthAction::Select | AuthAction::Recursive => None,
        AuthAction::Read { table_name, .. } => {
            REFUSED_TABLES.contains(&table_name.to_ascii_lowercase().as_str()).then(|| format!("table {table_name}"))
        }
        AuthAction::Function { function_name } => REFUSED_FUNCTIONS
            .contains(&function_name.to_ascii_lowercase().as_str())
            .then(|| format!("function {function_name}")),
        AuthAction::Pragma { pragma_name, .. } => (!PERMITTED_PRAGMAS
            .contains(&pragma_name.to_ascii_lowercase().as_str()))
        .then(|| format!("PRAGMA {pragma_name}")),
        AuthAction::Attach { .. } => Some("ATTACH".to_owned()),
        AuthAction::Detach { .. } => Some("DETACH".to_owned()),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => Some("a transaction".to_owned()),
        AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } => {
            Some(format!("writing to {table_name}"))
        }
        AuthAction::Delete { table_name } => Some(format!("deleting from {table_name}")),
        _ => Some("changing the schema".to_owned()),
    }
}
