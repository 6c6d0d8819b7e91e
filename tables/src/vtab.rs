//! The bridge to SQLite: one virtual table type that serves every [`Table`]. Its unsafe code holds the
//! promises that rusqlite's traits ask for and nothing else.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::hash::RandomState;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor,
    eponymous_only_module, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, ffi};

use crate::constraints::{Constraint, Constraints, Operator, decode_plan, encode_plan};
use crate::error::Error;
use crate::kept;
use crate::reader::{Gap, Query, Scan, Source, Warning};
use crate::row_ids::RowIds;
use crate::schema::{Rows, Table};
use crate::value::{Row, Value};

/// Reading everything: any plan with a condition that the table understands is better.
const FULL_COST: f64 = 1e6;
/// A plan without a required condition; it ends in an error, so it comes last.
const HOPELESS_COST: f64 = 1e12;

/// Where a table's rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Host(Arc<Source>),
    /// Rows of a module's test.
    Recorded(Arc<Vec<Row>>),
}

/// What every table of a connection shares: the account of the query that runs now.
pub(crate) type Running = Arc<Mutex<Arc<Query>>>;

#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub table: &'static Table,
    pub origin: Origin,
    pub running: Running,
    /// What the ids of its rows are made with, see [`RowIds`].
    pub key: RandomState,
}

pub(crate) fn register(connection: &Connection, attachment: Attachment) -> rusqlite::Result<()> {
    connection.create_module(attachment.table.name, eponymous_only_module::<Bridge>(), Some(attachment))
}

/// Limits the memory of SQLite for the whole process, all engines together.
pub(crate) fn limit_heap(bytes: i64) {
    // SAFETY: the call takes no pointer and may be made at any time, from any thread.
    unsafe {
        ffi::sqlite3_hard_heap_limit64(bytes);
    }
}

#[repr(C)]
struct Bridge {
    base: sqlite3_vtab,
    attachment: Attachment,
}

// SAFETY: `Bridge` is `repr(C)` and its first field is `sqlite3_vtab`.
unsafe impl<'vtab> VTab<'vtab> for Bridge {
    type Aux = Attachment;
    type Cursor = Cursor<'vtab>;

    fn connect(
        connection: &mut VTabConnection,
        aux: Option<&Attachment>,
        _: &[&[u8]],
    ) -> rusqlite::Result<(String, Self)> {
        let attachment = aux.cloned().ok_or_else(|| failure(ffi::SQLITE_MISUSE))?;
        connection.config(VTabConfig::DirectOnly)?;
        Ok((attachment.table.declaration(), Bridge { base: sqlite3_vtab::default(), attachment }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<()> {
        let table = self.attachment.table;
        let mut terms: Vec<(Operator, usize)> = Vec::new();
        let mut given = vec![false; table.columns.len()];
        let mut pending = vec![false; table.columns.len()];
        let offers: Vec<Offer> = info
            .constraints()
            .enumerate()
            .filter_map(|(index, constraint)| {
                let position = usize::try_from(constraint.column()).ok()?;
                let column = table.columns.get(position)?;
                let operator = operator(&constraint.operator())?;
                // Kept rows are compared in memory, whatever the column.
                let is_useful = column.is_index || table.is_kept && operator == Operator::Equals;
                if !is_useful {
                    return None;
                }
                Some(Offer { index, term: (operator, position), is_usable: constraint.is_usable() })
            })
            .collect();
        for Offer { index, term, is_usable } in offers {
            let position = term.1;
            if !is_usable {
                pending[position] = true;
                continue;
            }
            // A NOCASE comparison accepts more than the exact value.
            if term.0 == Operator::Equals && !info.collation(index)?.eq_ignore_ascii_case("BINARY") {
                continue;
            }
            given[position] = true;
            terms.push(term);
            info.constraint_usage(index).set_argv_index(c_int::try_from(terms.len()).unwrap_or(c_int::MAX));
        }
        let missing = missing_columns(table, &given);
        if missing.iter().any(|position| pending[*position]) {
            // Another order of the joined tables will have the value.
            return Err(failure(ffi::SQLITE_CONSTRAINT));
        }
        let cost = if !missing.is_empty() {
            HOPELESS_COST
        } else if terms.iter().any(|(operator, _)| *operator == Operator::Equals) {
            FULL_COST / 10_000.0
        } else if terms.is_empty() {
            FULL_COST
        } else {
            FULL_COST / 10.0
        };
        info.set_estimated_cost(cost);
        info.set_estimated_rows(if terms.is_empty() { 10_000 } else { 25 });
        info.set_idx_str(&encode_plan(info.col_used(), &terms));
        Ok(())
    }

    fn open(&'vtab mut self) -> rusqlite::Result<Cursor<'vtab>> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            attachment: self.attachment.clone(),
            query: None,
            rows: None,
            row: None,
            row_id: Cell::new(None),
            ids: RefCell::default(),
            phantom: PhantomData,
        })
    }
}

/// A condition that SQLite could pass to the table.
struct Offer {
    index: usize,
    term: (Operator, usize),
    /// Its value is known when the table is read in this plan.
    is_usable: bool,
}

fn operator(operator: &IndexConstraintOp) -> Option<Operator> {
    match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Some(Operator::Equals),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LIKE => Some(Operator::Like),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GLOB => Some(Operator::Glob),
        _ => None,
    }
}

/// Required columns without a condition; empty if the table can be read.
fn missing_columns(table: &Table, given: &[bool]) -> Vec<usize> {
    let required: Vec<usize> = table.required().map(|(position, _)| position).collect();
    if table.any_required && required.iter().any(|position| given[*position]) {
        return Vec::new();
    }
    required.into_iter().filter(|position| !given[*position]).collect()
}

#[repr(C)]
struct Cursor<'vtab> {
    base: sqlite3_vtab_cursor,
    attachment: Attachment,
    query: Option<Arc<Query>>,
    rows: Option<Rows>,
    row: Option<Row>,
    /// The id of this row, once SQLite has asked for it.
    row_id: Cell<Option<i64>>,
    ids: RefCell<RowIds>,
    phantom: PhantomData<&'vtab Bridge>,
}

impl Cursor<'_> {
    /// Fetches the next row, counting it. A panic must not cross into C, where it would end the process.
    fn advance(&mut self) -> rusqlite::Result<()> {
        let Some(query) = &self.query else { return Err(failure(ffi::SQLITE_MISUSE)) };
        self.row = None;
        self.row_id.set(None);
        if let Some(rows) = &mut self.rows {
            match catch_unwind(AssertUnwindSafe(|| rows.next())) {
                Ok(row) => self.row = row,
                Err(_) => query.budget.fail(Error::Table(self.attachment.table.name)),
            }
        }
        let may_go_on = if self.row.is_some() { query.budget.spend_row() } else { !query.budget.has_failed() };
        if may_go_on { Ok(()) } else { Err(failure(ffi::SQLITE_ABORT)) }
    }

    fn start(&self, query: &Arc<Query>, constraints: Constraints) -> Rows {
        let table = self.attachment.table;
        match &self.attachment.origin {
            Origin::Recorded(rows) => shared(Arc::clone(rows)),
            Origin::Host(source) if table.is_live_only && !source.host.live => {
                query.warn(Warning {
                    table: table.name,
                    message: "shows a running system; there is none below this root".to_owned(),
                    gap: Gap::NoSubject,
                });
                Box::new(std::iter::empty())
            }
            Origin::Host(source) => {
                let is_compared = |one: &Constraint| !table.columns[one.column].is_index;
                let may_keep = table.is_kept && constraints.list.iter().all(is_compared);
                let scan = Scan {
                    table,
                    constraints: Arc::new(constraints),
                    query: Arc::clone(query),
                    source: Arc::clone(source),
                };
                match if may_keep { source.kept.get(&scan) } else { None } {
                    Some(rows) => kept::matching(rows, scan.constraints),
                    None => (table.rows)(&scan),
                }
            }
        }
    }
}

// SAFETY: `Cursor` is `repr(C)` and its first field is `sqlite3_vtab_cursor`.
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, _: c_int, plan: Option<&str>, values: &Filters<'_>) -> rusqlite::Result<()> {
        let table = self.attachment.table;
        let query = Arc::clone(&self.attachment.running.lock().unwrap_or_else(PoisonError::into_inner));
        self.query = Some(Arc::clone(&query));
        self.rows = None;
        let (used_columns, terms) = decode_plan(plan.unwrap_or_default());
        self.ids = RefCell::new(RowIds::new(self.attachment.key.clone(), used_columns));
        self.row_id.set(None);
        let mut given = vec![false; table.columns.len()];
        let mut list = Vec::with_capacity(terms.len());
        for ((operator, column), value) in terms.into_iter().zip(values.iter()) {
            given[column] = true;
            list.push(Constraint { column, operator, value: from_sqlite(value) });
        }
        let missing = missing_columns(table, &given);
        if let Some(first) = missing.first() {
            let names: Vec<&str> = missing.iter().map(|position| table.columns[*position].name).collect();
            query.budget.fail(Error::MissingConstraint {
                table: table.name,
                columns: names.join(if table.any_required { " or " } else { " and " }),
                example: table.columns[*first].name,
            });
            return Err(failure(ffi::SQLITE_ABORT));
        }
        // `x = NULL` is never true.
        if list.iter().any(|constraint| constraint.value == Value::Null) {
            self.row = None;
            return Ok(());
        }
        match catch_unwind(AssertUnwindSafe(|| self.start(&query, Constraints { list, used_columns }))) {
            Ok(rows) => self.rows = Some(rows),
            Err(_) => query.budget.fail(Error::Table(table.name)),
        }
        self.advance()
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.advance()
    }

    fn eof(&self) -> bool {
        self.row.is_none()
    }

    fn column(&self, context: &mut Context, position: c_int) -> rusqlite::Result<()> {
        let cell =
            self.row.as_ref().zip(usize::try_from(position).ok()).and_then(|(row, position)| row.0.get(position));
        context.set_result(&to_sqlite(cell.unwrap_or(&Value::Null)))
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        if let Some(id) = self.row_id.get() {
            return Ok(id);
        }
        let row = self.row.as_ref().ok_or_else(|| failure(ffi::SQLITE_MISUSE))?;
        let id = self.ids.borrow_mut().next(row);
        self.row_id.set(Some(id));
        Ok(id)
    }
}

fn shared(rows: Arc<Vec<Row>>) -> Rows {
    Box::new((0..rows.len()).map_while(move |index| rows.get(index).cloned()))
}

fn failure(code: c_int) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
}

pub(crate) fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => Value::Text(without_nul(String::from_utf8_lossy(text))),
    }
}

/// Postgres has no U+0000 in its text, and any user can write one where a table reads.
pub(crate) fn without_nul(text: Cow<'_, str>) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.into_owned() }
}

pub(crate) fn to_sqlite(value: &Value) -> ToSqlOutput<'_> {
    match value {
        Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
        Value::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
        Value::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
        Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
    }
}
