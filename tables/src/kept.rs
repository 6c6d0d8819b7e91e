//! Rows that are kept for a while. The checks of a run ask for the same packages and units dozens of times; reading them once
//! also makes all of them see one state. Kept too short to matter to a person who asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::constraints::Constraints;
use crate::reader::{Scan, Warning};
use crate::schema::Rows;
use crate::value::{Row, Value};

const MAX_AGE: Duration = Duration::from_secs(30);
const MAX_AGE_OF_LIVE_ROWS: Duration = Duration::from_secs(3);
/// Beyond it a table is read anew each time: memory is dearer.
const MAX_ROWS: usize = 20_000;
const MAX_BYTES: usize = 6 << 20;
/// What all tables keep together.
const MAX_BYTES_OF_ALL: usize = 12 << 20;

#[derive(Debug, Clone)]
struct Kept {
    fresh_until: Instant,
    /// None if they are too many.
    rows: Option<Arc<Vec<Row>>>,
    size_bytes: usize,
    warnings: Vec<Warning>,
}

/// The kept rows of an engine, by table.
#[derive(Debug, Default)]
pub(crate) struct KeptRows {
    by_table: Mutex<HashMap<&'static str, Kept>>,
}

impl KeptRows {
    /// All rows of a table, read now or a short while ago; none if the budget ended the reading or there are too many.
    pub fn get(&self, scan: &Scan) -> Option<Arc<Vec<Row>>> {
        let table = scan.table;
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        by_table.retain(|_, kept| kept.fresh_until > now);
        if let Some(kept) = by_table.get(table.name) {
            kept.warnings.iter().for_each(|warning| scan.query.warn(warning.clone()));
            return kept.rows.clone();
        }
        let mut rows = Vec::new();
        let mut size_bytes = 0;
        let mut are_all = true;
        for row in (table.rows)(scan) {
            if !scan.budget().is_open() {
                return None;
            }
            size_bytes += row.0.iter().map(Value::size_bytes).sum::<usize>();
            if rows.len() >= MAX_ROWS || size_bytes > MAX_BYTES {
                are_all = false;
                break;
            }
            rows.push(row);
        }
        if scan.budget().has_failed() {
            return None;
        }
        let max_age = if table.is_live_only { MAX_AGE_OF_LIVE_ROWS } else { MAX_AGE };
        let fresh_until = Instant::now() + max_age;
        if !are_all {
            // Who reads the table says what it cannot read.
            by_table.insert(table.name, Kept { fresh_until, rows: None, size_bytes: 0, warnings: Vec::new() });
            return None;
        }
        rows.shrink_to_fit();
        let warnings = scan.query.warnings_of(table.name);
        let rows = Arc::new(rows);
        make_room(&mut by_table, MAX_BYTES_OF_ALL - MAX_BYTES.min(size_bytes));
        by_table.insert(table.name, Kept { fresh_until, rows: Some(Arc::clone(&rows)), size_bytes, warnings });
        Some(rows)
    }
}

/// Forgets the oldest until all take no more than this.
fn make_room(by_table: &mut HashMap<&'static str, Kept>, most_bytes: usize) {
    while by_table.values().map(|kept| kept.size_bytes).sum::<usize>() > most_bytes {
        let oldest = by_table.iter().filter(|(_, kept)| kept.size_bytes > 0).min_by_key(|(_, kept)| kept.fresh_until);
        let Some(name) = oldest.map(|(name, _)| *name) else { return };
        by_table.remove(name);
    }
}

/// The rows that may satisfy all conditions; a join looks into them once for each row of the other table.
pub(crate) fn matching(rows: Arc<Vec<Row>>, constraints: Arc<Constraints>) -> Rows {
    let mut index = 0;
    Box::new(std::iter::from_fn(move || {
        while let Some(row) = rows.get(index) {
            index += 1;
            let is_match = |one: &crate::constraints::Constraint| {
                row.0.get(one.column).is_some_and(|cell| may_equal(cell, &one.value))
            };
            if constraints.list.iter().all(is_match) {
                return Some(row.clone());
            }
        }
        None
    }))
}

/// SQLite compares exactly afterwards; here only what surely differs is left out.
fn may_equal(cell: &Value, wanted: &Value) -> bool {
    match (cell, wanted) {
        (Value::Null, _) => false,
        (Value::Text(cell), Value::Text(wanted)) => cell == wanted,
        (Value::Integer(cell), Value::Integer(wanted)) => cell == wanted,
        _ => true,
    }
}
