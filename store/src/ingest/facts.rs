//! The facts of a run: what to delete and insert, checked against the snapshots on both sides.

use std::collections::{BTreeMap, HashMap, HashSet};

use catalog::facts::{Fact, Facts, Row, snapshot_id};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::plan::hash_to_uuid;
use crate::error::{Error, Result};

/// What the facts of a run came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct FactOutcome {
    pub(super) added: u64,
    pub(super) removed: u64,
}

/// Where the facts belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) run_id: Uuid,
    pub(super) asset_id: Uuid,
    pub(super) module: &'a str,
    pub(super) at: DateTime<Utc>,
}

struct Removed {
    table: String,
    key: String,
    content: Json<Row>,
}

/// Brings the stored facts to the envelope's snapshot, in at most four statements (none if nothing changed).
/// [`Error::SnapshotMismatch`] if it builds on another snapshot, or does not lead to the one it names.
pub(super) async fn apply(
    connection: &mut PgConnection,
    place: Place<'_>,
    stored: Option<&str>,
    facts: &Facts,
) -> Result<FactOutcome> {
    let mismatch = || Error::SnapshotMismatch { base: facts.base.clone(), stored: stored.map(str::to_owned) };
    if facts.base.is_some() && facts.base.as_deref() != stored {
        return Err(mismatch());
    }
    if stored == Some(facts.snapshot.as_str()) {
        return Ok(FactOutcome::default());
    }
    let mut incoming: BTreeMap<Uuid, &Fact> = BTreeMap::new();
    for fact in &facts.added {
        let hash = hash_to_uuid(&fact.hash()).ok_or_else(mismatch)?;
        incoming.insert(hash, fact);
    }
    let removed_hashes: Vec<Uuid> = if facts.base.is_some() {
        let named: Option<Vec<Uuid>> = facts.removed.iter().map(|fact| hash_to_uuid(&fact.hash)).collect();
        named.ok_or_else(mismatch)?
    } else {
        let whole: Vec<String> = incoming.keys().map(|hash| hash.simple().to_string()).collect();
        if snapshot_id(whole.iter().map(String::as_str)) != facts.snapshot {
            return Err(mismatch());
        }
        let kept = if stored.is_some() { hashes(connection, place).await? } else { Vec::new() };
        let known: HashSet<Uuid> = kept.iter().copied().collect();
        let gone = kept.into_iter().filter(|hash| !incoming.contains_key(hash)).collect();
        incoming.retain(|hash, _| !known.contains(hash));
        gone
    };
    let removed = delete(connection, place, &removed_hashes).await?;
    if removed.len() != removed_hashes.iter().collect::<HashSet<_>>().len() {
        return Err(mismatch());
    }
    // What an asset has when it is first seen is its inventory, not a change.
    let changes = if stored.is_some() { changes(removed.as_slice(), &incoming) } else { Vec::new() };
    let added = insert(connection, place, &incoming, &changes).await?;
    if facts.base.is_some() {
        let kept: Vec<String> = hashes(connection, place).await?.iter().map(|hash| hash.simple().to_string()).collect();
        if snapshot_id(kept.iter().map(String::as_str)) != facts.snapshot {
            return Err(mismatch());
        }
    }
    Ok(FactOutcome { added, removed: removed.len() as u64 })
}

async fn hashes(connection: &mut PgConnection, place: Place<'_>) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar("SELECT row_hash FROM facts WHERE asset_id = $1 AND module = $2")
        .bind(place.asset_id)
        .bind(place.module)
        .fetch_all(connection)
        .await?)
}

async fn delete(connection: &mut PgConnection, place: Place<'_>, hashes: &[Uuid]) -> Result<Vec<Removed>> {
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, String, Json<Row>)> = sqlx::query_as(
        "DELETE FROM facts WHERE asset_id = $1 AND module = $2 AND row_hash = ANY($3) RETURNING table_name, row_key, content",
    )
    .bind(place.asset_id)
    .bind(place.module)
    .bind(hashes)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(table, key, content)| Removed { table, key, content }).collect())
}

struct Change<'a> {
    table: &'a str,
    key: &'a str,
    before: Option<Json<&'a Row>>,
    after: Option<Json<&'a Row>>,
}

impl Change<'_> {
    const fn kind(&self) -> &'static str {
        match (&self.before, &self.after) {
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "removed",
            (None, _) => "added",
        }
    }
}

/// A row removed and a row added under one key are one change.
fn changes<'a>(removed: &'a [Removed], incoming: &BTreeMap<Uuid, &'a Fact>) -> Vec<Change<'a>> {
    let mut before: HashMap<(&str, &str), Vec<&Removed>> = HashMap::new();
    for row in removed {
        before.entry((&row.table, &row.key)).or_default().push(row);
    }
    let mut changes: Vec<Change<'a>> = Vec::with_capacity(removed.len() + incoming.len());
    for fact in incoming.values() {
        let was = before.get_mut(&(fact.table.as_str(), fact.key.as_str())).and_then(Vec::pop);
        changes.push(Change {
            table: &fact.table,
            key: &fact.key,
            before: was.map(|row| Json(&row.content.0)),
            after: Some(Json(&fact.row)),
        });
    }
    for row in before.into_values().flatten() {
        changes.push(Change { table: &row.table, key: &row.key, before: Some(Json(&row.content.0)), after: None });
    }
    changes
}

/// Inserts facts and their history as one statement.
async fn insert(
    connection: &mut PgConnection,
    place: Place<'_>,
    incoming: &BTreeMap<Uuid, &Fact>,
    changes: &[Change<'_>],
) -> Result<u64> {
    if incoming.is_empty() && changes.is_empty() {
        return Ok(0);
    }
    let hashes: Vec<Uuid> = incoming.keys().copied().collect();
    let tables: Vec<&str> = incoming.values().map(|fact| fact.table.as_str()).collect();
    let keys: Vec<&str> = incoming.values().map(|fact| fact.key.as_str()).collect();
    let rows: Vec<Json<&Row>> = incoming.values().map(|fact| Json(&fact.row)).collect();
    let change_ids: Vec<Uuid> = changes.iter().map(|_| Uuid::now_v7()).collect();
    let change_tables: Vec<&str> = changes.iter().map(|change| change.table).collect();
    let change_keys: Vec<&str> = changes.iter().map(|change| change.key).collect();
    let kinds: Vec<&str> = changes.iter().map(Change::kind).collect();
    let before: Vec<Option<Json<&Row>>> = changes.iter().map(|change| change.before).collect();
    let after: Vec<Option<Json<&Row>>> = changes.iter().map(|change| change.after).collect();
    let added: i64 = sqlx::query_scalar(
        "WITH added AS (
             INSERT INTO facts (asset_id, module, table_name, row_hash, row_key, content, first_seen_at)
             SELECT $1, $2, t, h, k, c, $3 FROM unnest($4::text[], $5::uuid[], $6::text[], $7::jsonb[]) AS u(t, h, k, c)
             ON CONFLICT DO NOTHING RETURNING 1
         ), changed AS (
             INSERT INTO fact_changes (change_id, asset_id, run_id, module, table_name, kind, row_key, before, after, changed_at)
             SELECT i, $1, $8, $2, t, kind, k, b, a, $3
             FROM unnest($9::uuid[], $10::text[], $11::text[], $12::text[], $13::jsonb[], $14::jsonb[]) AS u(i, t, kind, k, b, a)
         )
         SELECT count(*) FROM added",
    )
    .bind(place.asset_id)
    .bind(place.module)
    .bind(place.at)
    .bind(tables)
    .bind(hashes)
    .bind(keys)
    .bind(rows)
    .bind(place.run_id)
    .bind(change_ids)
    .bind(change_tables)
    .bind(kinds)
    .bind(change_keys)
    .bind(before)
    .bind(after)
    .fetch_one(connection)
    .await?;
    Ok(added.unsigned_abs())
}
