//! Facts: rows a module keeps about an asset, sent as changes against the snapshot the server acknowledged.
//!
//! Agent and server compute the same hashes from the same rows, so that a difference is found before it is stored. The
//! hash is over a canonical JSON text; map keys are sorted at every depth, whatever order `serde_json` keeps them in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a row hash and of a snapshot id.
pub const HASH_DIGITS: usize = 32;

/// One row of a table: column to value.
pub type Row = BTreeMap<String, Value>;

/// What changed in a module's facts of one asset since the snapshot `base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The snapshot the changes apply to; none means the facts start anew and `added` holds all of them.
    #[serde(deserialize_with = "crate::envelope::strict::present")]
    pub base: Option<String>,
    /// The snapshot after the changes: [`snapshot_id`] of every fact that then exists.
    pub snapshot: String,
    /// Facts that `base` does not have.
    #[serde(deserialize_with = "crate::envelope::strict::objects")]
    pub added: Vec<Fact>,
    /// Facts of `base` that are gone.
    #[serde(deserialize_with = "crate::envelope::strict::objects")]
    pub removed: Vec<FactRef>,
}

impl Default for Facts {
    /// No fact at all: what a module without `collect` reports.
    fn default() -> Self {
        Self { base: None, snapshot: snapshot_id([]), added: Vec::new(), removed: Vec::new() }
    }
}

impl Facts {
    /// The difference between `base` (hash to table, as acknowledged under the id `base_id`) and the facts of now.
    pub fn between(base_id: Option<String>, base: &BTreeMap<String, String>, now: Vec<Fact>) -> Self {
        let now: BTreeMap<String, Fact> = now.into_iter().map(|fact| (fact.hash(), fact)).collect();
        let snapshot = snapshot_id(now.keys().map(String::as_str));
        let removed = match base_id {
            Some(_) => base
                .iter()
                .filter(|(hash, _)| !now.contains_key(*hash))
                .map(|(hash, table)| FactRef { table: table.clone(), hash: hash.clone() })
                .collect(),
            None => Vec::new(),
        };
        let added = now
            .into_iter()
            .filter(|(hash, _)| base_id.is_none() || !base.contains_key(hash))
            .map(|(_, fact)| fact)
            .collect();
        Self { base: base_id, snapshot, added, removed }
    }

    /// Whether nothing changed since `base`.
    pub fn is_unchanged(&self) -> bool {
        self.base.as_deref() == Some(self.snapshot.as_str())
    }
}

/// A row that a module keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The table of the module's `collect` entry.
    pub table: String,
    /// What the row is about, from [`fact_key`]: two rows with one key, one removed and one added, are a change.
    pub key: String,
    /// The row.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, Value>))]
    pub row: Row,
}

impl Fact {
    /// A fact of `table`, its key taken from the columns `key`.
    pub fn new(table: impl Into<String>, key: &[String], row: Row) -> Self {
        Self { table: table.into(), key: fact_key(key, &row), row }
    }

    /// See [`row_hash`].
    pub fn hash(&self) -> String {
        row_hash(&self.table, &self.row)
    }
}

/// Names a fact that the other side has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FactRef {
    /// The table of the fact.
    pub table: String,
    /// Its [`row_hash`].
    pub hash: String,
}

/// The first [`HASH_DIGITS`] hexadecimal digits of the SHA-256 of `{"row":{…},"table":…}`, keys sorted, no white space.
pub fn row_hash(table: &str, row: &Row) -> String {
    hex::encode(row_digest(table, row))
}

/// The bytes that [`row_hash`] writes out.
pub fn row_digest(table: &str, row: &Row) -> [u8; HASH_DIGITS / 2] {
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(b"{\"row\":{");
    for (index, (column, value)) in row.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_text(&mut text, column);
        text.push(b':');
        write_canonical(&mut text, value);
    }
    text.extend_from_slice(b"},\"table\":");
    write_text(&mut text, table);
    text.push(b'}');
    let mut digest = [0; HASH_DIGITS / 2];
    digest.copy_from_slice(&Sha256::digest(&text)[..HASH_DIGITS / 2]);
    digest
}

/// The id of a set of facts: the first [`HASH_DIGITS`] hexadecimal digits of the SHA-256 of their hashes, sorted, without
/// repeats, joined by line feeds.
pub fn snapshot_id<'a>(hashes: impl IntoIterator<Item = &'a str>) -> String {
    let mut hashes: Vec<&str> = hashes.into_iter().collect();
    hashes.sort_unstable();
    hashes.dedup();
    digest(hashes.join("\n").as_bytes())
}

/// The values of the key columns as a JSON array, `["22","6","0.0.0.0"]`: unambiguous whatever the values hold. A column
/// the row lacks counts as null; with no key columns the whole row is the key.
pub fn fact_key(columns: &[String], row: &Row) -> String {
    let mut text = vec![b'['];
    let values: Vec<&Value> = if columns.is_empty() {
        row.values().collect()
    } else {
        columns.iter().map(|column| row.get(column).unwrap_or(&Value::Null)).collect()
    };
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        write_canonical(&mut text, value);
    }
    text.push(b']');
    // JSON of strings is UTF-8.
    String::from_utf8(text).unwrap_or_default()
}

fn digest(bytes: &[u8]) -> String {
    let mut text = hex::encode(Sha256::digest(bytes));
    text.truncate(HASH_DIGITS);
    text
}

fn write_canonical(text: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            text.push(b'{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_text(text, key);
                text.push(b':');
                write_canonical(text, value);
            }
            text.push(b'}');
        }
        Value::Array(items) => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_canonical(text, item);
            }
            text.push(b']');
        }
        Value::String(string) => write_text(text, string),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(text, value);
        }
    }
}

fn write_text(text: &mut Vec<u8>, string: &str) {
    let _ = serde_json::to_writer(text, string);
}
