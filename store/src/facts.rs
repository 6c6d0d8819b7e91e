//! Facts of an asset as they are now, and what changed. They are written by [`crate::ingest`] only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::error::Result;
use crate::page::{Page, Paged};
use crate::tx::{Mode, TenantTx};

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
}

/// An asset's facts, of one table where asked for.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    asset_id: Uuid,
    table: Option<&str>,
    page: Page,
) -> Result<Paged<StoredFact>> {
    let items = sqlx::query_as(
        "SELECT module, table_name, row_key, content, first_seen_at FROM facts
         WHERE asset_id = $1 AND ($2::text IS NULL OR table_name = $2) ORDER BY module, table_name, row_key, row_hash LIMIT $3 OFFSET $4",
    )
    .bind(asset_id)
    .bind(table)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total =
        sqlx::query_scalar("SELECT count(*) FROM facts WHERE asset_id = $1 AND ($2::text IS NULL OR table_name = $2)")
            .bind(asset_id)
            .bind(table)
            .fetch_one(tx.connection()?)
            .await?;
    Ok(Paged { items, total })
}

/// What changed on an asset, newest first.
pub async fn changes<M: Mode>(tx: &mut TenantTx<M>, asset_id: Uuid, page: Page) -> Result<Paged<FactChange>> {
    let items = sqlx::query_as(
        "SELECT module, table_name, kind, row_key, before, after, changed_at FROM fact_changes
         WHERE asset_id = $1 ORDER BY changed_at DESC, change_id LIMIT $2 OFFSET $3",
    )
    .bind(asset_id)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM fact_changes WHERE asset_id = $1")
        .bind(asset_id)
        .fetch_one(tx.connection()?)
        .await?;
    Ok(Paged { items, total })
}
