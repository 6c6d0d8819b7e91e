//! Rows that are kept for a while. The checks of a run ask for the same packages and units dozens of times; reading them once
//! also makes all of them see one state. Kept too short to matter to a person who asks again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::reader::{Scan, Warning};
use crate::value::Row;

const MAX_AGE: Duration = Duration::from_secs(30);
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
        if let Some(kept) = by_table.get(table.name).filter(|kept| kept.read_at.elapsed() < MAX_AGE) {
            kept.warnings.iter().for_each(|warning| scan.query.warn(warning.table, warning.message.clone()));
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
