//! Facts of an asset as they are now, and what changed. They are written by [`crate::ingest`] only.
//!
//! A list of facts looks at the sort keys of all of the asset's, and reads only its own rows whole.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::export::{Column, Export, Kind};
use crate::page::{Listed, Start, Total};
use crate::tx::{Mode, Read, TenantTx};

/// A row that a module keeps.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct StoredFact {
    /// Slug of the module.
    pub module: String,
    /// The table of its `collect` entry.
    pub table_name: String,
    /// What the row is about.
    pub row_key: String,
    /// The row.
    pub content: Value,
    /// Since when it is like this.
    pub first_seen_at: DateTime<Utc>,
    #[serde(skip)]
    row_hash: Uuid,
}

/// Where in the order of an asset's facts one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactPlace {
    module: String,
    table_name: String,
    row_key: String,
    row_hash: Uuid,
}

impl FactPlace {
    fn of(fact: &StoredFact) -> Self {
        let StoredFact { module, table_name, row_key, row_hash, content: _, first_seen_at: _ } = fact;
        Self { module: module.clone(), table_name: table_name.clone(), row_key: row_key.clone(), row_hash: *row_hash }
    }
}

/// A change of a fact.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct FactChange {
    /// Slug of the module.
    pub module: String,
    /// The table of its `collect` entry.
    pub table_name: String,
    /// `added`, `changed` or `removed`.
    pub kind: String,
    /// What the row is about.
    pub row_key: String,
    /// The row before.
    pub before: Option<Value>,
    /// The row after.
    pub after: Option<Value>,
    /// When.
    pub changed_at: DateTime<Utc>,
    #[serde(skip)]
    change_id: Uuid,
}

/// Where in the order of an asset's changes one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePlace {
    changed_at: DateTime<Utc>,
    change_id: Uuid,
}

/// An asset's facts, of one table where asked for: two statements. [`Error::NotFound`] if there is no such asset.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    asset_id: Uuid,
    table: Option<&str>,
    start: &Start<FactPlace>,
) -> Result<Listed<StoredFact, FactPlace>> {
    let place = start.place();
    let items = sqlx::query_as(
        "SELECT f.module, f.table_name, f.row_key, f.row_hash, f.content, f.first_seen_at FROM (
             SELECT module, row_hash FROM facts WHERE asset_id = $1 AND ($2::text IS NULL OR table_name = $2)
                 AND ($3::text IS NULL OR (module, table_name, row_key, row_hash) > ($3, $4, $5, $6))
             ORDER BY module, table_name, row_key, row_hash LIMIT $7 OFFSET $8
         ) k JOIN facts f ON f.asset_id = $1 AND f.module = k.module AND f.row_hash = k.row_hash
         ORDER BY f.module, f.table_name, f.row_key, f.row_hash",
    )
    .bind(asset_id)
    .bind(table)
    .bind(place.map(|place| place.module.as_str()))
    .bind(place.map(|place| place.table_name.as_str()))
    .bind(place.map(|place| place.row_key.as_str()))
    .bind(place.map(|place| place.row_hash))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (exists, count) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM assets WHERE asset_id = $1), (SELECT count(*) FROM (
             SELECT FROM facts WHERE asset_id = $1 AND ($2::text IS NULL OR table_name = $2) LIMIT $3) k)",
    )
    .bind(asset_id)
    .bind(table)
    .bind(Total::BOUND + 1)
    .fetch_one(tx.connection()?)
    .await?;
    Ok(Listed::of(items, start, of_asset(exists, count)?, FactPlace::of))
}

/// What changed on an asset, newest first: two statements. [`Error::NotFound`] if there is no such asset.
pub async fn changes<M: Mode>(
    tx: &mut TenantTx<M>,
    asset_id: Uuid,
    start: &Start<ChangePlace>,
) -> Result<Listed<FactChange, ChangePlace>> {
    let place = start.place();
    let items = sqlx::query_as(
        "SELECT module, table_name, kind, row_key, before, after, changed_at, change_id FROM fact_changes
         WHERE asset_id = $1 AND ($2::timestamptz IS NULL OR (changed_at <= $2 AND (changed_at < $2 OR change_id > $3)))
         ORDER BY changed_at DESC, change_id LIMIT $4 OFFSET $5",
    )
    .bind(asset_id)
    .bind(place.map(|place| place.changed_at))
    .bind(place.map(|place| place.change_id))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (exists, count) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM assets WHERE asset_id = $1),
             (SELECT count(*) FROM (SELECT FROM fact_changes WHERE asset_id = $1 LIMIT $2) k)",
    )
    .bind(asset_id)
    .bind(Total::BOUND + 1)
    .fetch_one(tx.connection()?)
    .await?;
    let place = |change: &FactChange| ChangePlace { changed_at: change.changed_at, change_id: change.change_id };
    Ok(Listed::of(items, start, of_asset(exists, count)?, place))
}

fn of_asset(exists: bool, count: i64) -> Result<Total> {
    if exists { Ok(Total::counted(count, Total::BOUND)) } else { Err(Error::NotFound("asset")) }
}

/// What an export of facts has of each.
pub const EXPORTED: &[Column] = &[
    Column::new("module", Kind::Text),
    Column::new("table", Kind::Text),
    Column::new("key", Kind::Text),
    Column::new("first_seen_at", Kind::Time),
    Column::new("row", Kind::Text),
];

/// All facts of an asset, of one table where asked for, in one statement.
pub fn export<'tx>(tx: &'tx mut TenantTx<Read>, asset_id: Uuid, table: Option<&str>) -> Result<Export<'tx>> {
    let rows = sqlx::query(
        "SELECT module, table_name, row_key, first_seen_at, content::text FROM facts
         WHERE asset_id = $1 AND ($2::text IS NULL OR table_name = $2) ORDER BY module, table_name, row_key, row_hash",
    )
    .persistent(false)
    .bind(asset_id)
    .bind(table.map(str::to_owned))
    .fetch(tx.connection()?);
    Ok(Export::new(EXPORTED, rows))
}
