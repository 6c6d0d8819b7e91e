//! Drift as it is stored: what changed on which asset, how unusual that is, in a sentence, and who silenced it.
//!
//! It is followed after the ingest ([`follow()`]), from the runs that the ingest leaves in `drift_runs`. A list is read newest
//! first; kind, rarity and silence are compared row by row, so that a part of such a list looks at a number of drifts and says
//! where it stopped.

mod follow;
mod grants;
mod items;
mod read;
mod replay;

pub use follow::{Followed, follow};
pub use grants::{DriftGrant, MAX_GRANTS, NewGrant, Purpose, Reach, create_grant, list_grants, remove_grant};
pub(crate) use items::concerns;
pub use items::name_of;

use analysis::drift::Kind;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::error::Result;
use crate::export::{self, Column, Export};
use crate::newest::{self, Newest};
use crate::page::{Listed, Seen, Start};
use crate::tx::{Mode, Read, TenantTx};

/// A drift as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct StoredDrift {
    /// Its id.
    pub drift_id: Uuid,
    /// The asset.
    pub asset_id: Uuid,
    /// Its name.
    pub asset_name: String,
    /// The run that found it.
    pub run_id: Uuid,
    /// That run's module.
    pub module: String,
    /// `process`, `port`, `file`, `account`, `software`, `service` or `autorun`.
    pub kind: String,
    /// `appeared`, `changed` or `vanished`.
    pub change: String,
    /// What: a host's own text.
    pub subject: String,
    /// The form it had.
    pub before: Option<String>,
    /// The form it has.
    pub after: Option<String>,
    /// 0–100.
    pub rarity: i16,
    /// All of it in words, to stand behind the asset's name.
    pub sentence: String,
    /// What the rarity was drawn from (`analysis::drift::Evidence`).
    pub evidence: Value,
    /// The group of like assets it was compared with.
    pub group_name: String,
    /// Why nobody is told of it (`analysis::drift::Silence`).
    pub silenced_by: Option<Value>,
    /// When the run came in.
    pub found_at: DateTime<Utc>,
}

/// Which drifts. What is not set does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftFilter {
    /// On this asset.
    pub asset_id: Option<Uuid>,
    /// Found then or later.
    pub since: Option<DateTime<Utc>>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// At least so rare.
    pub min_rarity: Option<u8>,
    /// Only those that are silenced, or only those that are not.
    pub is_silenced: Option<bool>,
}

/// Where in the order of a list a drift is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    found_at: DateTime<Utc>,
    drift_id: Uuid,
}

impl Place {
    const fn of(drift: &StoredDrift) -> Self {
        Self { found_at: drift.found_at, drift_id: drift.drift_id }
    }
}

macro_rules! columns {
    () => {
        "d.drift_id, d.asset_id, a.name AS asset_name, d.run_id, d.module, d.kind, d.change, d.subject, d.before, d.after, d.rarity,
         d.sentence, d.evidence, d.group_name, d.silenced_by, d.found_at"
    };
}

const NEWEST: Newest = Newest {
    table: "drifts",
    alias: "d",
    id: "drift_id",
    at: "found_at",
    compared: "d.kind, d.rarity, d.silenced_by",
    columns: columns!(),
    limit: 7,
};

impl DriftFilter {
    /// What an index finds, as conditions on `d`: $1 asset, $2 since, $3 time and $4 id of the place.
    fn found(&self, place: Option<&Place>) -> String {
        let mut conditions = vec!["true"];
        if self.asset_id.is_some() {
            conditions.push("d.asset_id = $1");
        }
        if self.since.is_some() {
            conditions.push("d.found_at >= $2");
        }
        if place.is_some() {
            conditions.push("d.found_at <= $3 AND (d.found_at < $3 OR d.drift_id > $4)");
        }
        conditions.join(" AND ")
    }

    /// What is compared row by row: $5 kind, $6 rarity.
    fn compared(&self) -> String {
        let mut conditions = Vec::new();
        if self.kind.is_some() {
            conditions.push("d.kind = $5");
        }
        if self.min_rarity.is_some() {
            conditions.push("d.rarity >= $6");
        }
        match self.is_silenced {
            Some(true) => conditions.push("d.silenced_by IS NOT NULL"),
            Some(false) => conditions.push("d.silenced_by IS NULL"),
            None => {}
        }
        if conditions.is_empty() { newest::EVERY.to_owned() } else { conditions.join(" AND ") }
    }

    fn kind_name(&self) -> Option<&'static str> {
        self.kind.map(name_of)
    }

    fn rarity(&self) -> Option<i16> {
        self.min_rarity.map(i16::from)
    }
}

/// The tenant's drifts, newest first: two statements.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    filter: &DriftFilter,
    start: &Start<Place>,
) -> Result<Listed<StoredDrift, Place>> {
    let (place, compared) = (start.place(), filter.compared());
    let rows: Vec<Seen<StoredDrift>> = sqlx::query_as(AssertSqlSafe(NEWEST.part(&filter.found(place), &compared)))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(filter.since)
        .bind(place.map(|place| place.found_at))
        .bind(place.map(|place| place.drift_id))
        .bind(filter.kind_name())
        .bind(filter.rarity())
        .bind(start.limit())
        .bind(start.offset())
        .fetch_all(tx.connection()?)
        .await?;
    let counted: (i64, i64) = sqlx::query_as(AssertSqlSafe(NEWEST.count(&filter.found(None), &compared)))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(filter.since)
        .bind(None::<DateTime<Utc>>)
        .bind(None::<Uuid>)
        .bind(filter.kind_name())
        .bind(filter.rarity())
        .fetch_one(tx.connection()?)
        .await?;
    Ok(newest::listed(rows, &compared, start, counted, Place::of))
}

/// One drift.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, drift_id: Uuid) -> Result<Option<StoredDrift>> {
    let statement =
        concat!("SELECT ", columns!(), " FROM drifts d JOIN assets a USING (asset_id) WHERE d.drift_id = $1");
    Ok(sqlx::query_as(statement).bind(drift_id).fetch_optional(tx.connection()?).await?)
}

/// What an export of drifts has of each.
pub const EXPORTED: &[Column] = &[
    Column::new("id", export::Kind::Id),
    Column::new("asset_id", export::Kind::Id),
    Column::new("asset", export::Kind::Text),
    Column::new("found_at", export::Kind::Time),
    Column::new("kind", export::Kind::Text),
    Column::new("change", export::Kind::Text),
    Column::new("subject", export::Kind::Text),
    Column::new("before", export::Kind::Text),
    Column::new("after", export::Kind::Text),
    Column::new("rarity", export::Kind::Number),
    Column::new("sentence", export::Kind::Text),
    Column::new("group", export::Kind::Text),
    Column::new("silenced_by", export::Kind::Text),
    Column::new("module", export::Kind::Text),
    Column::new("run_id", export::Kind::Id),
];

/// All drifts that the filter leaves, in one statement and in no order.
pub fn export<'tx>(tx: &'tx mut TenantTx<Read>, filter: &DriftFilter) -> Result<Export<'tx>> {
    let statement = format!(
        "SELECT d.drift_id, d.asset_id, a.name, d.found_at, d.kind, d.change, d.subject, d.before, d.after, d.rarity::integer,
             d.sentence, d.group_name, d.silenced_by::text, d.module, d.run_id
         FROM drifts d JOIN assets a USING (asset_id) WHERE {} AND {}",
        filter.found(None),
        filter.compared()
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .persistent(false)
        .bind(filter.asset_id)
        .bind(filter.since)
        .bind(None::<DateTime<Utc>>)
        .bind(None::<Uuid>)
        .bind(filter.kind_name())
        .bind(filter.rarity())
        .fetch(tx.connection()?);
    Ok(Export::new(EXPORTED, rows))
}
