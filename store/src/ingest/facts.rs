//! The facts of runs: what to delete and insert, checked against the snapshots on both sides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use catalog::facts::{Fact, Row, row_digest, snapshot_id};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::plan::hash_to_uuid;
use super::{Place, Run};
use crate::error::{Error, Result};

/// What the facts of a run came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct FactOutcome {
    pub(super) added: u64,
    pub(super) removed: u64,
}

/// How the facts of one run move.
struct Move<'a, 'r> {
    run: &'r Run<'a>,
    incoming: BTreeMap<Uuid, &'a Fact>,
    /// Rows that go, by their hashes.
    outgoing: BTreeSet<Uuid>,
    /// What was stored of these, with its text.
    removed: Vec<Removed>,
}

impl<'a> Move<'a, '_> {
    fn module(&self) -> &'a str {
        self.run.envelope.module.as_str()
    }
}

struct Removed {
    table: String,
    key: String,
    content: Json<Row>,
}

fn mismatch(run: &Run<'_>) -> Error {
    Error::SnapshotMismatch { base: run.envelope.facts.base.clone(), stored: run.stored.clone() }
}

/// Brings the stored facts to the envelopes' snapshots, in at most four statements (none if nothing changed), and tells what
/// each run came to. [`Error::SnapshotMismatch`] if one builds on another snapshot, or does not lead to the one it names.
pub(super) async fn apply(connection: &mut PgConnection, place: Place, runs: &[Run<'_>]) -> Result<Vec<FactOutcome>> {
    let mut moves = Vec::new();
    for run in runs.iter().filter(|run| run.decides()) {
        moves.extend(plan(run)?);
    }
    if moves.is_empty() {
        return Ok(vec![FactOutcome::default(); runs.len()]);
    }
    replace_whole(connection, place, &mut moves).await?;
    delete(connection, place, &mut moves).await?;
    let added = insert(connection, place, &moves).await?;
    verify(connection, place, &moves).await?;
    let outcome = |run: &Run<'_>| {
        let own = moves.iter().find(|one| one.run.envelope.run_id == run.envelope.run_id);
        own.map_or_else(FactOutcome::default, |own| FactOutcome {
            added: added.get(own.module()).copied().unwrap_or_default(),
            removed: own.removed.len() as u64,
        })
    };
    Ok(runs.iter().map(outcome).collect())
}

/// What the run says of its facts; nothing if the server has them.
fn plan<'a, 'r>(run: &'r Run<'a>) -> Result<Option<Move<'a, 'r>>> {
    let facts = &run.envelope.facts;
    if facts.base.is_some() && facts.base != run.stored {
        return Err(mismatch(run));
    }
    if run.stored.as_deref() == Some(facts.snapshot.as_str()) {
        return Ok(None);
    }
    let incoming: BTreeMap<Uuid, &Fact> =
        facts.added.iter().map(|fact| (Uuid::from_bytes(row_digest(&fact.table, &fact.row)), fact)).collect();
    let mut outgoing = BTreeSet::new();
    if facts.base.is_some() {
        for fact in &facts.removed {
            outgoing.insert(hash_to_uuid(&fact.hash).ok_or_else(|| mismatch(run))?);
        }
    } else if snapshot_of(incoming.keys()) != facts.snapshot {
        return Err(mismatch(run));
    }
    Ok(Some(Move { run, incoming, outgoing, removed: Vec::new() }))
}

fn snapshot_of<'a>(hashes: impl Iterator<Item = &'a Uuid>) -> String {
    let texts: Vec<String> = hashes.map(|hash| hash.simple().to_string()).collect();
    snapshot_id(texts.iter().map(String::as_str))
}

/// Facts that come whole take the place of those that are stored: what is in both stays as it is.
async fn replace_whole(connection: &mut PgConnection, place: Place, moves: &mut [Move<'_, '_>]) -> Result<()> {
    let is_over_stored = |moved: &Move<'_, '_>| moved.run.envelope.facts.base.is_none() && moved.run.stored.is_some();
    let modules: Vec<&str> = moves.iter().filter(|moved| is_over_stored(moved)).map(Move::module).collect();
    if modules.is_empty() {
        return Ok(());
    }
    let mut kept = hashes(connection, place, &modules).await?;
    for moved in moves.iter_mut().filter(|moved| is_over_stored(moved)) {
        for hash in kept.remove(moved.module()).unwrap_or_default() {
            if moved.incoming.remove(&hash).is_none() {
                moved.outgoing.insert(hash);
            }
        }
    }
    Ok(())
}

/// The facts that the modules have now lead to the snapshots that their runs name.
async fn verify(connection: &mut PgConnection, place: Place, moves: &[Move<'_, '_>]) -> Result<()> {
    let based: Vec<&Move<'_, '_>> = moves.iter().filter(|moved| moved.run.envelope.facts.base.is_some()).collect();
    if based.is_empty() {
        return Ok(());
    }
    let modules: Vec<&str> = based.iter().map(|moved| moved.module()).collect();
    let kept = hashes(connection, place, &modules).await?;
    for moved in based {
        let now = kept.get(moved.module()).map(Vec::as_slice).unwrap_or_default();
        if snapshot_of(now.iter()) != moved.run.envelope.facts.snapshot {
            return Err(mismatch(moved.run));
        }
    }
    Ok(())
}

async fn hashes(connection: &mut PgConnection, place: Place, modules: &[&str]) -> Result<HashMap<String, Vec<Uuid>>> {
    let rows: Vec<(String, Vec<Uuid>)> = sqlx::query_as(
        "SELECT module, array_agg(row_hash) FROM facts WHERE asset_id = $1 AND module = ANY($2) GROUP BY module",
    )
    .bind(place.asset_id)
    .bind(modules)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Deletes what goes and keeps its text for the history.
async fn delete(connection: &mut PgConnection, place: Place, moves: &mut [Move<'_, '_>]) -> Result<()> {
    let (mut modules, mut hashes) = (Vec::new(), Vec::new());
    for moved in moves.iter() {
        modules.extend(std::iter::repeat_n(moved.module(), moved.outgoing.len()));
        hashes.extend(moved.outgoing.iter().copied());
    }
    if hashes.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, String, String, Json<Row>)> = sqlx::query_as(
        "DELETE FROM facts f USING unnest($2::text[], $3::uuid[]) AS u(module, row_hash)
         WHERE f.asset_id = $1 AND f.module = u.module AND f.row_hash = u.row_hash
         RETURNING f.module, f.table_name, f.row_key, f.content",
    )
    .bind(place.asset_id)
    .bind(modules)
    .bind(hashes)
    .fetch_all(connection)
    .await?;
    for (module, table, key, content) in rows {
        if let Some(moved) = moves.iter_mut().find(|moved| moved.module() == module) {
            moved.removed.push(Removed { table, key, content });
        }
    }
    match moves.iter().find(|one| one.removed.len() != one.outgoing.len()) {
        Some(one) => Err(mismatch(one.run)),
        None => Ok(()),
    }
}

struct Change<'m> {
    run: &'m Run<'m>,
    table: &'m str,
    key: &'m str,
    before: Option<Json<&'m Row>>,
    after: Option<Json<&'m Row>>,
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

/// A row removed and a row added under one key are one change. What an asset has when it is first seen is its inventory,
/// not a change.
fn changes<'m>(moved: &'m Move<'_, '_>) -> Vec<Change<'m>> {
    if moved.run.stored.is_none() {
        return Vec::new();
    }
    let mut before: HashMap<(&str, &str), Vec<&Removed>> = HashMap::new();
    for row in &moved.removed {
        before.entry((&row.table, &row.key)).or_default().push(row);
    }
    let mut changes: Vec<Change<'m>> = Vec::with_capacity(moved.removed.len() + moved.incoming.len());
    for fact in moved.incoming.values() {
        let was = before.get_mut(&(fact.table.as_str(), fact.key.as_str())).and_then(Vec::pop);
        changes.push(Change {
            run: moved.run,
            table: &fact.table,
            key: &fact.key,
            before: was.map(|row| Json(&row.content.0)),
            after: Some(Json(&fact.row)),
        });
    }
    for row in before.into_values().flatten() {
        let before = Some(Json(&row.content.0));
        changes.push(Change { run: moved.run, table: &row.table, key: &row.key, before, after: None });
    }
    changes
}

/// Inserts facts and their history as one statement; gives how many facts each module got.
async fn insert(connection: &mut PgConnection, place: Place, moves: &[Move<'_, '_>]) -> Result<HashMap<String, u64>> {
    let rows: Vec<(&str, Uuid, &Fact)> = moves
        .iter()
        .flat_map(|moved| moved.incoming.iter().map(move |(hash, fact)| (moved.module(), *hash, *fact)))
        .collect();
    let changes: Vec<Change<'_>> = moves.iter().flat_map(changes).collect();
    if rows.is_empty() && changes.is_empty() {
        return Ok(HashMap::new());
    }
    let added: Vec<(String, i64)> = sqlx::query_as(
        "WITH added AS (
             INSERT INTO facts (asset_id, module, table_name, row_hash, row_key, content, first_seen_at)
             SELECT $1, m, t, h, k, c, $2
             FROM unnest($3::text[], $4::text[], $5::uuid[], $6::text[], $7::jsonb[]) AS u(m, t, h, k, c)
             ON CONFLICT DO NOTHING RETURNING module
         ), changed AS (
             INSERT INTO fact_changes (change_id, asset_id, run_id, module, table_name, kind, row_key, before, after, changed_at)
             SELECT i, $1, r, m, t, kind, k, b, a, $2
             FROM unnest($8::uuid[], $9::uuid[], $10::text[], $11::text[], $12::text[], $13::text[], $14::jsonb[], $15::jsonb[])
                 AS u(i, r, m, t, kind, k, b, a)
         )
         SELECT module, count(*) FROM added GROUP BY module",
    )
    .bind(place.asset_id)
    .bind(place.at)
    .bind(rows.iter().map(|(module, ..)| *module).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., fact)| fact.table.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, hash, _)| *hash).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., fact)| fact.key.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(.., fact)| Json(&fact.row)).collect::<Vec<_>>())
    .bind(changes.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.run.envelope.run_id).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.run.envelope.module.as_str()).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.table).collect::<Vec<_>>())
    .bind(changes.iter().map(Change::kind).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.key).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.before).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.after).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    Ok(added.into_iter().map(|(module, count)| (module, count.unsigned_abs())).collect())
}
