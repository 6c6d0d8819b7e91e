//! The chain of a tenant's audit log: given by the database's own function ([`chain`]), checked here from nothing but the
//! rows and the checkpoints, so that an auditor can do it with an export and another program.
//!
//! A row's hash is SHA-256 over the hash of the row before it, then its sequence (8 bytes), id (16), time in microseconds
//! since 1970 (8), and actor, action, subject and details, each after its length (4); numbers are big-endian. The first
//! row's predecessor is the SHA-256 of `tenantra audit chain 1`.

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::audit_sign::{self, Checked, Keys};
use crate::error::Result;
use crate::names::TenantRef;
use crate::pool::OwnerDb;
use crate::tx::PlatformTx;

/// What a chainer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chained {
    /// Rows that were given their place.
    pub rows: u64,
    /// Of these, rows that had waited for more than five seconds.
    pub late: u64,
}

/// Gives up to `most` rows of the tenant their place in the chain. Waits for another chainer of it.
pub async fn chain(tx: &mut PlatformTx, tenant_id: Uuid, most: u32) -> Result<Chained> {
    let (rows, late): (i64, i64) = sqlx::query_as("SELECT chained, late FROM shared.chain_audit($1, $2)")
        .bind(tenant_id)
        .bind(i32::try_from(most).unwrap_or(i32::MAX))
        .fetch_one(tx.connection()?)
        .await?;
    Ok(Chained { rows: rows.unsigned_abs(), late: late.unsigned_abs() })
}

/// A row of the log that is in the chain.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ChainedRow {
    /// Its place, from 1.
    pub sequence: i64,
    /// Its hash, as it is stored.
    pub hash: Vec<u8>,
    /// Its id.
    pub audit_id: Uuid,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More: JSON as Postgres writes it.
    pub details: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl ChainedRow {
    /// Its hash after a row of the hash `before`.
    fn hash_after(&self, before: &[u8]) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update(self.sequence.to_be_bytes());
        hash.update(self.audit_id.as_bytes());
        hash.update(self.created_at.timestamp_micros().to_be_bytes());
        for text in [&self.actor, &self.action, &self.subject, &self.details] {
            // No text of Postgres is longer than 1 GiB.
            hash.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().to_vec()
    }
}

/// What the chain was at a time.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Checkpoint {
    /// The place of its last row then.
    pub sequence: i64,
    /// That row's hash.
    pub head: Vec<u8>,
    /// Whether retention cut the log behind it: the rows up to it are gone, and the chain begins with the next.
    pub is_cut: bool,
    /// How many rows the log had then.
    pub kept_rows: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Ed25519 over [`crate::audit_sign::message`]; none until it is signed.
    pub signature: Option<Vec<u8>>,
    /// Which version of the tenant's key signed it.
    pub key_version: Option<i32>,
    /// When, by the signer's clock.
    pub signed_at: Option<DateTime<Utc>>,
}

/// Where a chain is broken first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The place of the row.
    pub sequence: i64,
    /// The row; none where it is the row that is missing.
    pub audit_id: Option<Uuid>,
    /// A sentence for a person.
    pub problem: String,
}

/// What checking a chain came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Rows in the chain.
    pub rows: u64,
    /// The place of its last row.
    pub last: Option<i64>,
    /// The place up to which retention cut it; none while it has its first row.
    pub cut: Option<i64>,
    /// Checkpoints that the rows were held against.
    pub checkpoints: u64,
    /// Checkpoints whose signature holds.
    pub signed: u64,
    /// Checkpoints that wait for their signature.
    pub unsigned: u64,
    /// Rows that wait for their place.
    pub waiting: u64,
    /// Where it is broken first; none if it is whole.
    pub broken: Option<Broken>,
}

impl Verified {
    /// With what the checkpoints' signatures say; the first fault of both is told.
    fn with(mut self, signatures: Checked) -> Self {
        let Checked { signed, unsigned, fault } = signatures;
        (self.signed, self.unsigned) = (signed, unsigned);
        if let Some(fault) = fault
            && self.broken.as_ref().is_none_or(|broken| fault.sequence <= broken.sequence)
        {
            self.broken = Some(fault);
        }
        self
    }
}

/// Checks the rows of a chain as they come, in order.
#[derive(Debug)]
pub struct Verifier {
    checkpoints: Vec<Checkpoint>,
    /// The place after which the chain has to begin.
    cut: i64,
    before: Vec<u8>,
    verified: Verified,
}

impl Verifier {
    /// Begins with the checkpoints, in the order of their sequence.
    pub fn new(checkpoints: Vec<Checkpoint>) -> Self {
        let cut = checkpoints.iter().rfind(|checkpoint| checkpoint.is_cut);
        let (cut, before) = match cut {
            Some(cut) => (cut.sequence, cut.head.clone()),
            None => (0, Sha256::digest(b"tenantra audit chain 1").to_vec()),
        };
        let verified = Verified { cut: (cut > 0).then_some(cut), ..Verified::default() };
        Self { checkpoints, cut, before, verified }
    }

    /// Takes the next row. After the first break nothing more is said of the rest.
    pub fn push(&mut self, row: &ChainedRow) {
        self.verified.rows += 1;
        if self.verified.broken.is_some() {
            return;
        }
        if let Some(problem) = self.problem(row) {
            self.break_at(row.sequence, Some(row.audit_id), problem);
        }
        self.verified.last = Some(row.sequence);
        self.before.clone_from(&row.hash);
    }

    fn problem(&mut self, row: &ChainedRow) -> Option<String> {
        match self.verified.last {
            Some(last) if row.sequence != last + 1 => {
                return Some(format!("the rows between {last} and {} are missing", row.sequence));
            }
            None if row.sequence <= self.cut => {
                return Some(format!("row {} stands in front of the cut at {}", row.sequence, self.cut));
            }
            None if row.sequence != self.cut + 1 => {
                return Some(format!("the rows before {} are missing", row.sequence));
            }
            Some(_) | None => {}
        }
        if row.hash_after(&self.before) != row.hash {
            return Some(format!("row {} was changed, or put here from elsewhere", row.sequence));
        }
        let place = self.checkpoints.binary_search_by_key(&row.sequence, |checkpoint| checkpoint.sequence).ok()?;
        let checkpoint = self.checkpoints.get(place)?;
        self.verified.checkpoints += 1;
        let is_same = checkpoint.head == row.hash;
        (!is_same).then(|| {
            format!("row {} is not the one that a checkpoint saw there: the chain was made anew", row.sequence)
        })
    }

    fn break_at(&mut self, sequence: i64, audit_id: Option<Uuid>, problem: String) {
        self.verified.broken = Some(Broken { sequence, audit_id, problem });
    }

    /// Ends after the last row; `waiting` rows have no place yet.
    pub fn finish(mut self, waiting: u64) -> Verified {
        let last = self.verified.last.unwrap_or(self.cut);
        let seen = self.checkpoints.iter().map(|checkpoint| checkpoint.sequence).max().unwrap_or_default();
        if self.verified.broken.is_none() && seen > last {
            let problem = format!("the rows after {last} are missing: a checkpoint saw row {seen}");
            self.break_at(last + 1, None, problem);
        }
        self.verified.waiting = waiting;
        self.verified
    }
}

/// Where the public keys come from that checkpoints are held against.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// The database: for everything but what is done by somebody who can write there.
    Stored,
    /// Somebody who exported them before.
    Keys(&'a Keys),
}

/// Checks the chain of a tenant, as the owner of its schema, from one snapshot. Rows are read as they are checked.
pub async fn verify(db: &OwnerDb, tenant: &TenantRef) -> Result<Verified> {
    verify_with(db, tenant, Trust::Stored).await
}

/// The same, with the public keys of whoever is trusted.
pub async fn verify_with(db: &OwnerDb, tenant: &TenantRef, trust: Trust<'_>) -> Result<Verified> {
    let schema = tenant.schema();
    let mut tx = db.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(tx.connection()?).await?;
    let checkpoints: Vec<Checkpoint> = sqlx::query_as(
        "SELECT sequence, head, is_cut, kept_rows, created_at, signature, key_version, signed_at
         FROM shared.audit_checkpoints WHERE tenant_id = $1 ORDER BY sequence",
    )
    .bind(tenant.id)
    .fetch_all(tx.connection()?)
    .await?;
    let signatures = match trust {
        Trust::Stored => {
            let keys = audit_sign::keys(&mut tx, tenant.id).await?;
            audit_sign::check(tenant.id, &checkpoints, &keys, Utc::now())
        }
        Trust::Keys(keys) => audit_sign::check(tenant.id, &checkpoints, keys, Utc::now()),
    };
    // A checkpoint that was changed says nothing about the rows, not even where they begin.
    let faulty = signatures.fault.as_ref().map(|fault| fault.sequence);
    let mut verifier = Verifier::new(checkpoints.into_iter().filter(|one| Some(one.sequence) != faulty).collect());
    let log = format!("{schema}.audit_log");
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&log).fetch_one(tx.connection()?).await?;
    if !is_there {
        tx.rollback().await?;
        return Ok(verifier.finish(0).with(signatures));
    }
    let rows = format!(
        "SELECT sequence, hash, audit_id, actor, action, subject, details::text AS details, created_at
         FROM {log} WHERE sequence IS NOT NULL ORDER BY sequence"
    );
    let mut rows = sqlx::query_as::<_, ChainedRow>(AssertSqlSafe(rows)).fetch(tx.connection()?);
    while let Some(row) = rows.try_next().await? {
        verifier.push(&row);
    }
    drop(rows);
    let waiting = format!("SELECT count(*) FROM {log} WHERE sequence IS NULL");
    let waiting: i64 = sqlx::query_scalar(AssertSqlSafe(waiting)).fetch_one(tx.connection()?).await?;
    tx.rollback().await?;
    Ok(verifier.finish(waiting.unsigned_abs()).with(signatures))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: i64) -> Vec<ChainedRow> {
        let mut before = Sha256::digest(b"tenantra audit chain 1").to_vec();
        let row = |sequence: i64| {
            let mut row = ChainedRow {
                sequence,
                hash: Vec::new(),
                audit_id: Uuid::from_u128(sequence.unsigned_abs().into()),
                actor: "user:1".to_owned(),
                action: "waiver.created".to_owned(),
                subject: format!("waiver:{sequence}"),
                details: "{}".to_owned(),
                created_at: DateTime::from_timestamp(1_700_000_000 + sequence, 0).unwrap(),
            };
            row.hash = row.hash_after(&before);
            before.clone_from(&row.hash);
            row
        };
        (1..=count).map(row).collect()
    }

    fn at(row: &ChainedRow) -> Checkpoint {
        Checkpoint {
            sequence: row.sequence,
            head: row.hash.clone(),
            is_cut: false,
            kept_rows: row.sequence,
            created_at: row.created_at,
            signature: None,
            key_version: None,
            signed_at: None,
        }
    }

    fn cut_at(row: &ChainedRow) -> Checkpoint {
        Checkpoint { is_cut: true, ..at(row) }
    }

    fn verified(checkpoints: &[Checkpoint], rows: &[ChainedRow]) -> Verified {
        let mut verifier = Verifier::new(checkpoints.to_vec());
        for row in rows {
            verifier.push(row);
        }
        verifier.finish(0)
    }

    fn broken_at(checkpoints: &[Checkpoint], rows: &[ChainedRow]) -> Option<i64> {
        verified(checkpoints, rows).broken.map(|broken| broken.sequence)
    }

    #[test]
    fn a_whole_chain_is_whole() {
        let rows = chain(9);
        let checkpoints = [at(&rows[3]), at(&rows[8])];
        let whole = verified(&checkpoints, &rows);
        assert_eq!((whole.rows, whole.last, whole.checkpoints, whole.broken), (9, Some(9), 2, None));
        assert_eq!(broken_at(&[], &[]), None);
    }

    #[test]
    fn each_way_to_lie_is_found_and_the_first_row_is_named() {
        let rows = chain(9);
        let checkpoints = [at(&rows[3]), at(&rows[6])];
        let with = |change: &dyn Fn(&mut Vec<ChainedRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            broken_at(&checkpoints, &rows)
        };
        assert_eq!(with(&|rows| rows[4].subject = "waiver:other".to_owned()), Some(5));
        assert_eq!(with(&|rows| rows[4].created_at += chrono::TimeDelta::microseconds(1)), Some(5));
        // A text that moved over the border between two fields.
        assert_eq!(
            with(&|rows| (rows[4].actor, rows[4].action) = ("user:1w".to_owned(), "aiver.created".to_owned())),
            Some(5)
        );
        assert_eq!(with(&|rows| drop(rows.remove(4))), Some(6));
        assert_eq!(with(&|rows| rows.swap(4, 5)), Some(6));
        // The front, also up to a checkpoint, and the tail.
        assert_eq!(with(&|rows| drop(rows.drain(..2))), Some(3));
        assert_eq!(with(&|rows| drop(rows.drain(..4))), Some(5));
        assert_eq!(with(&|rows| rows.truncate(6)), Some(7));
        assert_eq!(with(&|rows| rows.clear()), Some(1));
        // The whole chain made anew: only a checkpoint knows better.
        let mut other = chain(9);
        let mut before = Sha256::digest(b"tenantra audit chain 1").to_vec();
        other[1].actor = "user:2".to_owned();
        for row in &mut other {
            row.hash = row.hash_after(&before);
            before.clone_from(&row.hash);
        }
        assert_eq!(broken_at(&[], &other), None);
        assert_eq!(broken_at(&checkpoints, &other), Some(4));
    }

    #[test]
    fn a_log_that_retention_cut_is_whole_and_nothing_else_that_begins_late_is() {
        let rows = chain(9);
        let checkpoints = [at(&rows[1]), cut_at(&rows[3]), at(&rows[6])];
        let whole = verified(&checkpoints, &rows[4..]);
        assert_eq!((whole.rows, whole.last, whole.cut, whole.broken), (5, Some(9), Some(4), None));
        // Cut to the end, and nothing written since.
        assert_eq!(broken_at(&[at(&rows[1]), cut_at(&rows[8])], &[]), None);
        // A second cut stands for the first.
        assert_eq!(broken_at(&[cut_at(&rows[1]), cut_at(&rows[3])], &rows[4..]), None);
        // More or less is gone than was cut, or the rest does not follow.
        assert_eq!(broken_at(&checkpoints, &rows[5..]), Some(6));
        assert_eq!(broken_at(&checkpoints, &rows[3..]), Some(4));
        assert_eq!(broken_at(&checkpoints, &[]), Some(5));
        let mut other = rows.clone();
        other[4].subject = "waiver:other".to_owned();
        assert_eq!(broken_at(&checkpoints, &other[4..]), Some(5));
        let forged = Checkpoint { head: rows[2].hash.clone(), ..cut_at(&rows[3]) };
        assert_eq!(broken_at(&[forged], &rows[4..]), Some(5));
    }
}
