//! The SQL engine: an in-memory SQLite in which every table reads the host. It keeps nothing between queries but the walk
//! of the file system; one query runs at a time.

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::budget::{Budget, Limits};
use crate::error::{Error, Result};
use crate::guard::{self, Refusal, TablesRead};
use crate::host::Host;
use crate::kept::KeptRows;
use crate::left_out::LeftOut;
use crate::reader::{Query, Source, Warning};
use crate::root::Root;
use crate::schema::Table;
use crate::value::{Parameters, Row, Value};
use crate::vtab::{self, Attachment, Origin, Running};
use crate::walk::WalkCache;
use crate::{functions, left_out, registry};

/// Steps of SQLite's machine between two looks at the clock: about a tenth of a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 2_000;

/// The answer to a query.
#[derive(Debug, Clone, Default)]
pub struct QueryOutput {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
    /// What the tables could not read.
    pub warnings: Vec<Warning>,
    /// Wall time.
    pub elapsed: Duration,
    /// Rows that the tables produced, before any filter.
    pub rows_read: u64,
    /// Bytes that the tables read from files.
    pub bytes_read: u64,
}

impl QueryOutput {
    /// Bytes that the rows take, roughly.
    pub fn size_bytes(&self) -> usize {
        self.rows.iter().flatten().map(Value::size_bytes).sum()
    }

    /// The rows as JSON objects.
    pub fn objects(&self) -> impl Iterator<Item = serde_json::Map<String, serde_json::Value>> {
        self.rows.iter().map(|row| self.columns.iter().cloned().zip(row.iter().map(Value::to_json)).collect())
    }
}

/// What a statement would use and answer, known without running it.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The names of its columns.
    pub columns: Vec<String>,
    /// The parameters that it names, without the colon.
    pub parameters: Vec<String>,
    /// The tables that it reads, as SQLite understands it, whatever the query calls them.
    pub tables: Vec<&'static str>,
}

/// Answers SQL about one host.
#[derive(Debug)]
pub struct Engine {
    connection: Connection,
    limits: Limits,
    running: Running,
    refusal: Refusal,
    tables_read: TablesRead,
    source: Option<Arc<Source>>,
}

impl Engine {
    /// Opens an engine over a host.
    pub fn open(host: Host, limits: Limits) -> Result<Engine> {
        let root = Root::open(&host.root).map_err(|source| Error::Root { path: host.root.clone(), source })?;
        let source = Arc::new(Source { host, root, walk: WalkCache::default(), kept: KeptRows::default() });
        Self::with(limits, Some(Arc::clone(&source)), |_| Origin::Host(Arc::clone(&source)))
    }

    /// Opens an engine over recorded rows, by the name of their table; the other tables are empty.
    pub(crate) fn recorded(mut recordings: BTreeMap<&'static str, Vec<Row>>, limits: Limits) -> Result<Engine> {
        Self::with(limits, None, |table| Origin::Recorded(Arc::new(recordings.remove(table.name).unwrap_or_default())))
    }

    fn with(
        limits: Limits,
        source: Option<Arc<Source>>,
        mut origin_of: impl FnMut(&'static Table) -> Origin,
    ) -> Result<Engine> {
        vtab::limit_heap(limits.heap_bytes);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_in_memory_with_flags(flags).map_err(Error::Engine)?;
        // Sorting and grouping stay in memory, where the heap limit counts them; SQLite opens no file at all.
        connection.pragma_update(None, "temp_store", "memory").map_err(Error::Engine)?;
        connection.pragma_update(None, "trusted_schema", "off").map_err(Error::Engine)?;
        functions::register(&connection).map_err(Error::Engine)?;
        let running: Running = Arc::new(Mutex::new(Arc::new(Query::new(Budget::new(limits.clone())))));
        for table in registry::TABLES {
            let attachment =
                Attachment { table, origin: origin_of(table), running: Arc::clone(&running), key: RandomState::new() };
            vtab::register(&connection, attachment).map_err(Error::Engine)?;
        }
        connection.pragma_update(None, "query_only", "on").map_err(Error::Engine)?;
        let (refusal, tables_read) = (Refusal::default(), TablesRead::default());
        guard::install(&connection, &refusal, &tables_read).map_err(Error::Engine)?;
        Ok(Engine { connection, limits, running, refusal, tables_read, source })
    }

    /// All tables, by name.
    pub fn tables() -> &'static [&'static Table] {
        registry::TABLES
    }

    /// Tables of osquery that this program leaves out, and why. One that exists meanwhile may still be named here.
    pub fn left_out() -> &'static [LeftOut] {
        left_out::LEFT_OUT
    }

    /// The host below this engine; none if its rows are recorded.
    pub fn host(&self) -> Option<&Host> {
        self.source.as_deref().map(|source| &source.host)
    }

    /// Compiles a statement without running it: an error says what is wrong with it.
    pub fn check(&self, sql: &str) -> Result<Statement> {
        let query = self.begin(self.limits.time)?;
        let statement = self.connection.prepare(sql).map_err(|error| self.explain(error, &query))?;
        let read = self.tables_read.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Statement {
            tables: Self::tables().iter().map(|table| table.name).filter(|name| read.contains(*name)).collect(),
            columns: statement.column_names().into_iter().map(str::to_owned).collect(),
            parameters: parameters_of(&statement).map(|(_, name)| name).collect(),
        })
    }

    /// Runs one SELECT. Parameters that it does not name are ignored.
    pub fn query(&self, sql: &str, parameters: &Parameters) -> Result<QueryOutput> {
        self.query_within(sql, parameters, self.limits.time)
    }

    /// Like [`Engine::query`], in less time than the engine's own limit if `time` is shorter.
    pub fn query_within(&self, sql: &str, parameters: &Parameters, time: Duration) -> Result<QueryOutput> {
        let query = self.begin(time)?;
        self.run(sql, parameters, &query).map_err(|failure| match failure {
            Failure::Sqlite(error) => self.explain(error, &query),
            Failure::Ours(error) => error,
        })
    }

    fn run(&self, sql: &str, parameters: &Parameters, query: &Query) -> Result<QueryOutput, Failure> {
        let mut statement = self.connection.prepare(sql)?;
        if statement.column_count() == 0 {
            return Err(Failure::Ours(Error::Syntax("the query is empty".to_owned())));
        }
        let named: Vec<(usize, String)> = parameters_of(&statement).collect();
        for (index, name) in named {
            let value = parameters.get(&name).ok_or(Error::MissingParameter(name))?;
            statement.raw_bind_parameter(index, vtab::to_sqlite(value))?;
        }
        let mut output = QueryOutput {
            columns: statement.column_names().into_iter().map(str::to_owned).collect(),
            ..QueryOutput::default()
        };
        let mut size_bytes = 0;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let mut cells = Vec::with_capacity(output.columns.len());
            for position in 0..output.columns.len() {
                cells.push(vtab::from_sqlite(row.get_ref(position)?));
            }
            size_bytes += cells.iter().map(Value::size_bytes).sum::<usize>();
            output.rows.push(cells);
            if output.rows.len() > self.limits.answer_rows {
                return Err(Failure::Ours(Error::OverRows(self.limits.answer_rows as u64)));
            }
            if size_bytes > self.limits.answer_bytes {
                return Err(Failure::Ours(Error::OverMemory));
            }
        }
        if let Some(error) = query.budget.take_failure() {
            return Err(Failure::Ours(error));
        }
        output.warnings = query.take_warnings();
        output.elapsed = query.budget.elapsed();
        output.rows_read = query.budget.rows();
        output.bytes_read = query.budget.bytes();
        Ok(output)
    }

    /// Opens the account of a new query and puts SQLite's own steps under its clock.
    fn begin(&self, time: Duration) -> Result<Arc<Query>> {
        let limits = Limits { time: time.min(self.limits.time), ..self.limits.clone() };
        let query = Arc::new(Query::new(Budget::new(limits)));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&query);
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.tables_read.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let watched = Arc::clone(&query);
        self.connection
            .progress_handler(STEPS_BETWEEN_CHECKS, Some(move || !watched.budget.is_open()))
            .map_err(Error::Engine)?;
        Ok(query)
    }

    /// Turns what SQLite reports into what the author of the query did.
    fn explain(&self, error: rusqlite::Error, query: &Query) -> Error {
        if let Some(failure) = query.budget.take_failure() {
            return failure;
        }
        let code = error.sqlite_error_code();
        let message = match error {
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => {
                let near: String = usize::try_from(offset)
                    .ok()
                    .and_then(|start| sql.get(start..))
                    .unwrap_or("")
                    .chars()
                    .take(40)
                    .collect();
                if near.is_empty() { msg } else { format!("{msg}, at: {}", near.lines().next().unwrap_or_default()) }
            }
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            rusqlite::Error::MultipleStatement => return Error::Syntax("one statement at a time".to_owned()),
            other => other.to_string(),
        };
        match code {
            Some(ErrorCode::OutOfMemory | ErrorCode::TooBig) => Error::OverMemory,
            Some(ErrorCode::AuthorizationForStatementDenied) => {
                let refused = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                Error::NotPermitted(refused.unwrap_or(message))
            }
            Some(ErrorCode::ReadOnly) => Error::NotPermitted(message),
            _ => match message.split_once("no such table: ") {
                Some((_, name)) => no_such_table(name),
                None if message.contains("may not be modified") => Error::NotPermitted(message),
                None => Error::Syntax(message),
            },
        }
    }
}

enum Failure {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sqlite(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Ours(error)
    }
}

fn parameters_of(statement: &rusqlite::Statement<'_>) -> impl Iterator<Item = (usize, String)> {
    (1..=statement.parameter_count()).map(|index| {
        let name = statement.parameter_name(index).map_or("?", |name| name.trim_start_matches([':', '@', '$']));
        (index, name.to_owned())
    })
}

fn no_such_table(message: &str) -> Error {
    let name = message.split([',', ' ']).next().unwrap_or_default().trim_start_matches("main.").to_owned();
    if let Some((name, reason)) = left_out::find(&name) {
        return Error::LeftOut { name, reason };
    }
    let mut near: Vec<(usize, &str)> = registry::TABLES
        .iter()
        .map(|table| (distance(table.name, &name), table.name))
        .filter(|(distance, _)| *distance <= 2)
        .collect();
    near.sort_unstable();
    Error::NoSuchTable { name, near: near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect() }
}

/// Letters to add, drop or change to make one name of another (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut costs: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.chars().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = row + 1;
        for column in 0..right.len() {
            let above = costs[column + 1];
            let change = diagonal + usize::from(letter != right[column]);
            costs[column + 1] = change.min(above + 1).min(costs[column] + 1);
            diagonal = above;
        }
    }
    costs[right.len()]
}
