//! Row ids. SQLite tells rows apart by them where it reads one table several times for one question (`OR` over two
//! conditions, `FULL JOIN`), each time with other conditions. A row must have the same id in all these readings, and no
//! other may have it: the id is a digest of what the query uses of the row, and of how many rows alike came before it.
//!
//! Rows alike satisfy the same conditions, so each reading has all of them or none, and their numbers agree. Nothing is
//! computed or kept where SQLite asks for no id; where it does, it keeps the id itself, and the numbers here are of its kind.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::value::{Row, Value};

/// The ids of the rows of one reading. The key is the table's, for as long as its engine lives, and unknown to who names
/// files on the host.
#[derive(Debug, Default)]
pub(crate) struct RowIds {
    key: RandomState,
    used_columns: u64,
    /// How many rows of this digest have an id.
    alike: HashMap<u64, u64>,
}

impl RowIds {
    pub fn new(key: RandomState, used_columns: u64) -> Self {
        RowIds { key, used_columns, alike: HashMap::new() }
    }

    /// The id of the next row. To be asked once for each row.
    pub fn next(&mut self, row: &Row) -> i64 {
        let content = self.key.hash_one(Used { row, columns: self.used_columns });
        let before = self.alike.entry(content).or_insert(0);
        let id = self.key.hash_one((content, *before));
        *before += 1;
        id.cast_signed()
    }
}

/// What a query uses of a row; the last bit stands for all columns from the 64th on.
struct Used<'a> {
    row: &'a Row,
    columns: u64,
}

impl Hash for Used<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (position, cell) in self.row.0.iter().enumerate() {
            if self.columns & (1 << position.min(63)) == 0 {
                continue;
            }
            match cell {
                Value::Null => state.write_u8(0),
                Value::Integer(number) => (1_u8, number).hash(state),
                Value::Real(number) => (2_u8, number.to_bits()).hash(state),
                Value::Text(text) => (3_u8, text).hash(state),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_one_id_in_every_reading_and_rows_alike_have_their_own() {
        let key = RandomState::new();
        let row = |name: &str, size: i64| Row(vec![Value::from(name), Value::Integer(size)]);
        let ids = |rows: &[Row], used_columns| {
            let mut ids = RowIds::new(key.clone(), used_columns);
            rows.iter().map(|row| ids.next(row)).collect::<Vec<_>>()
        };
        let all = ids(&[row("a", 1), row("b", 1), row("a", 1), row("a", 2)], 0b11);
        let some = ids(&[row("a", 2), row("a", 1), row("a", 1)], 0b11);
        assert_eq!(some, [all[3], all[0], all[2]]);
        assert!(all.iter().all(|id| all.iter().filter(|other| *other == id).count() == 1), "{all:?}");
        // What changes while it is read is no other row to a query that does not look at it.
        assert_eq!(ids(&[row("a", 1)], 0b01), ids(&[row("a", 2)], 0b01));
        assert_ne!(ids(&[Row(vec![Value::Null])], 1), ids(&[Row(vec![Value::Integer(0)])], 1));
    }
}
