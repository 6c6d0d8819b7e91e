//! Retention: what is older than a tenant's policy allows, found and deleted by one and the same condition for each table.
//!
//! [`preview`] counts, [`pick`] reads a batch, [`remove`] deletes what was picked and still fits: all three put the condition
//! of the [`Table`] into their statement, with the same moment. Current state (facts, verdicts, open findings, scores) is in no
//! table of this module's; what current state refers to is left out by the conditions. The audit log goes in the order of its
//! chain up to the row that [`preview`] found to be the last, and is cut by a function of its owner ([`cut_audit`]).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::tx::{Mode, PlatformTx, TenantTx, Write};

pub mod holds;
mod policy;
pub mod runs;
mod tables;

pub use policy::{Cutoffs, Kind, Policy};
pub use tables::Table;

/// How much of a table goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Rows.
    pub rows: u64,
    /// About how many bytes they take, without indexes.
    pub bytes: u64,
    /// The moment of the oldest.
    pub oldest: Option<DateTime<Utc>>,
    /// The moment of the youngest.
    pub newest: Option<DateTime<Utc>>,
    /// The place in the chain of the last one, in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<i64>,
}

/// What would go from each table of the tenant: one statement, so of one moment.
pub async fn preview<M: Mode>(tx: &mut TenantTx<M>, cutoffs: &Cutoffs) -> Result<BTreeMap<Table, Extent>> {
    type Row = (String, i64, i64, Option<DateTime<Utc>>, Option<DateTime<Utc>>, Option<i64>);
    let counts: Vec<String> = Table::ALL.iter().map(|table| table.count_statement()).collect();
    let mut query = sqlx::query_as::<_, Row>(AssertSqlSafe(counts.join(" UNION ALL ")));
    for kind in Kind::ALL {
        query = query.bind(cutoffs.before(kind));
    }
    let rows = query.fetch_all(tx.connection()?).await?;
    rows.into_iter()
        .map(|(name, rows, bytes, oldest, newest, last_sequence)| {
            let table: Table = name.parse()?;
            let (rows, bytes) = (rows.unsigned_abs(), bytes.unsigned_abs());
            Ok((table, Extent { rows, bytes, oldest, newest, last_sequence }))
        })
        .collect()
}

/// A row that was picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its moment.
    pub at: DateTime<Utc>,
    /// Its id; of a day's score, whose it is.
    pub id: Uuid,
    /// Its place in the chain, in the audit log.
    pub sequence: Option<i64>,
}

/// The first moment that is looked at: a year that Postgres knows and no row is older than.
const FIRST_SECOND: i64 = -62_135_596_800;

impl Key {
    /// Stands before every row.
    pub fn first() -> Self {
        let at = DateTime::from_timestamp(FIRST_SECOND, 0).unwrap_or(DateTime::UNIX_EPOCH);
        Self { at, id: Uuid::nil(), sequence: Some(0) }
    }
}

/// Where what goes from a table ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// What is older goes.
    pub before: DateTime<Utc>,
    /// The last row that goes from the audit log, as [`preview`] found it; of other tables nothing. Batches that each looked for
    /// it would each pass over all that is still to go.
    pub sequence: Option<i64>,
}

/// How much is picked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Rows at most.
    pub rows: u32,
    /// The rows end with the one that makes so many bytes of lines.
    pub bytes: usize,
}

/// Rows in their order, oldest first; of the audit log in the order of the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Which rows.
    pub keys: Vec<Key>,
    /// The rows as JSON, a line each, where lines were asked for.
    pub lines: Vec<u8>,
}

/// Picks rows of `table` up to the `end` that stand behind `after`; with `has_lines` as JSON too. Locks nothing.
pub async fn pick<M: Mode>(
    tx: &mut TenantTx<M>,
    table: Table,
    end: End,
    after: &Key,
    bound: Bound,
    has_lines: bool,
) -> Result<Batch> {
    type Row = (DateTime<Utc>, Uuid, Option<i64>, Option<String>);
    let query = sqlx::query_as::<_, Row>(AssertSqlSafe(table.pick_statement(has_lines)));
    let query = match table {
        Table::AuditLog => query.bind(end.sequence).bind(after.sequence.unwrap_or_default()),
        Table::Runs
        | Table::FactChanges
        | Table::Drifts
        | Table::Findings
        | Table::CheckTransitions
        | Table::ScoreDays => query.bind(end.before).bind(after.at),
    };
    let mut rows = query.bind(after.id).bind(i64::from(bound.rows)).fetch(tx.connection()?);
    let mut batch = Batch::default();
    while let Some((at, id, sequence, line)) = rows.try_next().await? {
        batch.keys.push(Key { at, id, sequence });
        if let Some(line) = line {
            batch.lines.extend_from_slice(line.as_bytes());
            batch.lines.push(b'\n');
        }
        if batch.lines.len() >= bound.bytes {
            break;
        }
    }
    Ok(batch)
}

/// Deletes those of the picked rows that are still older than `before` and free to go; none where a legal hold stops it.
pub async fn remove(
    tx: &mut TenantTx<Write>,
    table: Table,
    before: DateTime<Utc>,
    keys: &[Key],
) -> Result<Option<u64>> {
    let Some(statement) = table.remove_statement() else {
        return Err(Error::Invalid("rows of the audit log are not deleted; the log is cut".to_owned()));
    };
    let tenant_id = tx.tenant().id;
    // Whoever places a hold takes this lock alone: when that is done, no batch is under way.
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended('retention ' || $1::text, 0))")
        .bind(tenant_id)
        .execute(tx.connection()?)
        .await?;
    // A statement of its own: its snapshot is younger than the lock.
    let is_held: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM shared.legal_holds h WHERE h.tenant_id = $1 AND h.lifted_at IS NULL)",
    )
    .bind(tenant_id)
    .fetch_one(tx.connection()?)
    .await?;
    if is_held {
        return Ok(None);
    }
    let done = sqlx::query(AssertSqlSafe(statement))
        .bind(before)
        .bind(keys.iter().map(|key| key.at).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.id).collect::<Vec<_>>())
        .execute(tx.connection()?)
        .await?;
    Ok(Some(done.rows_affected()))
}

/// Cuts the front of a tenant's audit log: at most `most` rows, up to the place `up_to`, older than `before` and with none
/// younger in front of them. A checkpoint says where the log begins then. None where a legal hold stops it.
///
/// The database refuses a chain that is broken, and a `before` within the last 29 days.
pub async fn cut_audit(
    tx: &mut PlatformTx,
    tenant_id: Uuid,
    before: DateTime<Utc>,
    up_to: i64,
    most: u32,
) -> Result<Option<u64>> {
    let (removed, is_held): (i64, bool) =
        sqlx::query_as("SELECT removed, is_held FROM shared.cut_audit($1, $2, $3, $4)")
            .bind(tenant_id)
            .bind(before)
            .bind(up_to)
            .bind(i32::try_from(most).unwrap_or(i32::MAX))
            .fetch_one(tx.connection()?)
            .await?;
    Ok((!is_held).then_some(removed.unsigned_abs()))
}
