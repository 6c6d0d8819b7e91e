//! Rows of a long list, packed: JSON of objects that are alike shrinks to a tenth. So the checks of a run read the list of a
//! cluster with thousands of pods once, and not once each, in little memory. A block at a time is unpacked.

use std::io::{Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::value::{Row, Value};

/// Of a block before it is packed.
const BLOCK_BYTES: usize = 256 << 10;

/// Rows that are packed.
#[derive(Debug, Default)]
pub(super) struct Packed {
    blocks: Vec<Vec<u8>>,
    /// What they take in memory.
    pub bytes: usize,
}

/// Packs rows as they come.
#[derive(Debug, Default)]
pub(super) struct Packer {
    packed: Packed,
    block: Vec<u8>,
}

impl Packer {
    pub fn push(&mut self, row: &Row) {
        self.block.extend(u32::try_from(row.0.len()).unwrap_or(u32::MAX).to_le_bytes());
        for value in &row.0 {
            match value {
                Value::Null => self.block.push(0),
                Value::Integer(number) => {
                    self.block.push(1);
                    self.block.extend(number.to_le_bytes());
                }
                Value::Real(number) => {
                    self.block.push(2);
                    self.block.extend(number.to_le_bytes());
                }
                Value::Text(text) => {
                    self.block.push(3);
                    self.block.extend((text.len() as u64).to_le_bytes());
                    self.block.extend(text.as_bytes());
                }
            }
        }
        if self.block.len() >= BLOCK_BYTES {
            self.close();
        }
    }

    /// What the rows so far take in memory.
    pub fn bytes(&self) -> usize {
        self.packed.bytes + self.block.len()
    }

    pub fn finish(mut self) -> Arc<Packed> {
        self.close();
        Arc::new(self.packed)
    }

    fn close(&mut self) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        // Writing to a Vec cannot fail.
        let packed = encoder.write_all(&self.block).and_then(|()| encoder.finish()).unwrap_or_default();
        self.packed.bytes += packed.len();
        self.packed.blocks.push(packed);
        self.block = Vec::new();
    }
}

impl Packed {
    /// The rows in the order in which they came.
    pub fn rows(self: Arc<Self>) -> impl Iterator<Item = Row> {
        let count = self.blocks.len();
        (0..count).flat_map(move |index| {
            let mut block = Vec::with_capacity(BLOCK_BYTES);
            // What this process packed itself unpacks.
            let _ = DeflateDecoder::new(self.blocks[index].as_slice()).read_to_end(&mut block);
            let mut rest = block.as_slice();
            let mut rows = Vec::new();
            while let Some(row) = row_of(&mut rest) {
                rows.push(row);
            }
            rows
        })
    }
}

fn row_of(rest: &mut &[u8]) -> Option<Row> {
    let count = u32::from_le_bytes(taken(rest)?);
    let values: Option<Vec<Value>> = (0..count).map(|_| value_of(rest)).collect();
    values.map(Row)
}

fn value_of(rest: &mut &[u8]) -> Option<Value> {
    Some(match taken::<1>(rest)? {
        [1] => Value::Integer(i64::from_le_bytes(taken(rest)?)),
        [2] => Value::Real(f64::from_le_bytes(taken(rest)?)),
        [3] => {
            let length = usize::try_from(u64::from_le_bytes(taken(rest)?)).ok()?;
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Text(String::from_utf8_lossy(text).into_owned())
        }
        _ => Value::Null,
    })
}

fn taken<const COUNT: usize>(rest: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (bytes, after) = rest.split_first_chunk::<COUNT>()?;
    *rest = after;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            (-1e9..1e9_f64).prop_map(Value::Real),
            ".{0,40}".prop_map(Value::Text),
        ]
    }

    proptest! {
        #[test]
        fn rows_come_out_as_they_went_in(rows in proptest::collection::vec(proptest::collection::vec(value(), 0..5), 0..20)) {
            let rows: Vec<Row> = rows.into_iter().map(Row).collect();
            let mut packer = Packer::default();
            for row in &rows {
                packer.push(row);
            }
            prop_assert_eq!(packer.finish().rows().collect::<Vec<_>>(), rows);
        }
    }

    #[test]
    fn many_blocks_come_out_in_order_and_are_small() {
        let row = |number: i64| Row(vec![Value::Integer(number), Value::Text("the same again ".repeat(100))]);
        let mut packer = Packer::default();
        for number in 0..2_000 {
            packer.push(&row(number));
        }
        let finished = packer.finish();
        assert!(finished.blocks.len() > 5 && finished.bytes < 300_000, "{} bytes", finished.bytes);
        assert!(finished.rows().enumerate().all(|(number, one)| one == row(i64::try_from(number).unwrap())));
    }
}
