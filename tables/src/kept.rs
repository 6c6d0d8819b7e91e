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

#[derive(Debug, Clone)]
struct Kept {
    read_at: Instant,
    rows: Arc<Vec<Row>>,
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
        let max_age = if table.is_live_only { MAX_AGE_OF_LIVE_ROWS } else { MAX_AGE };
        if let Some(kept) = by_table.get(table.name).filter(|kept| kept.read_at.elapsed() < max_age) {
            kept.warnings.iter().for_each(|warning| scan.query.warn(warning.clone()));
            return Some(Arc::clone(&kept.rows));
        }
        let mut rows = Vec::new();
        for row in (table.rows)(scan).take(MAX_ROWS + 1) {
            if !scan.budget().is_open() {
                return None;
            }
            rows.push(row);
        }
        if rows.len() > MAX_ROWS || scan.budget().has_failed() {
            return None;
        }
        rows.shrink_to_fit();
        let warnings = scan.query.warnings_of(table.name);
        let rows = Arc::new(rows);
        by_table.insert(table.name, Kept { read_at: Instant::now(), rows: Arc::clone(&rows), warnings });
        Some(rows)
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
