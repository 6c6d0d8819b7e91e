//! Waivers: a failing check that somebody answers for until a date, on one asset, on the assets with a label, or on all. A
//! waiver is never deleted, only revoked: a report of the past has to name it.
//!
//! Nothing here touches a score. A waiver that is made or taken back leaves an event, and [`crate::compliance::keep()`] counts
//! what it concerns anew, then and when it begins and ends.

use analysis::grant::Grant;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::audit;
use crate::error::{Error, Result};
use crate::outbox::{self, NewEvent};
use crate::page::{Listed, Start, Total};
use crate::tx::{Mode, TenantTx, Write};

/// Waivers of a tenant that are not over: each is looked at when a check begins to fail.
pub const MAX_OPEN: i64 = 1_000;
/// Characters of a label's key or value, and of whatever names a check or control.
pub const MAX_NAME: usize = 256;

/// A common table expression: the waivers that are in force now.
pub(crate) const IN_FORCE: &str =
    "w AS (SELECT asset_id, label_key, label_value, module, check_id, framework, control FROM waivers
    WHERE revoked_at IS NULL AND starts_at <= now() AND ends_at > now())";

/// The next one: which checks the waivers in `w` name, those of a control as each version of a module maps them.
pub(crate) const NAMED: &str = "named AS (
    SELECT w.asset_id, w.label_key, w.label_value, w.module, w.check_id, NULL::text AS version FROM w WHERE w.module IS NOT NULL
    UNION ALL
    SELECT w.asset_id, w.label_key, w.label_value, m.module, m.check_id, m.version
    FROM w JOIN shared.control_mappings m ON m.framework = w.framework AND m.control = w.control)";

/// Whether a row `n` of `named` covers a check `s` (its `module`, `module_version` and `check_id`) on an asset `a`.
pub(crate) const COVERS: &str = "n.module = s.module AND n.check_id = s.check_id
    AND (n.version IS NULL OR n.version = s.module_version) AND (n.asset_id IS NULL OR n.asset_id = a.asset_id)
    AND (n.label_key IS NULL OR a.labels ->> n.label_key = n.label_value)";

/// On which assets a waiver holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On every asset of the tenant.
    Every,
    /// On that one.
    Asset(Uuid),
    /// On those that have the label, now or later.
    Label {
        /// The label's key.
        key: String,
        /// Its value.
        value: String,
    },
}

/// What a waiver accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One check.
    Check {
        /// Slug of the module.
        module: String,
        /// The check.
        check: String,
    },
    /// Every check that is mapped to the control.
    Control {
        /// Slug of the framework.
        framework: String,
        /// The control.
        control: String,
    },
}

/// A waiver to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWaiver {
    /// Where it holds.
    pub place: Place,
    /// What it accepts.
    pub subject: Subject,
    /// Who answers for it, why, from when until when.
    pub grant: Grant,
    /// Whoever makes it: `user:<id>`.
    pub created_by: String,
}

/// A waiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Waiver {
    /// Its id.
    pub waiver_id: Uuid,
    /// The one asset that it holds on.
    pub asset_id: Option<Uuid>,
    /// That asset's name.
    pub asset_name: Option<String>,
    /// The label of the assets that it holds on.
    pub label_key: Option<String>,
    /// The label's value.
    pub label_value: Option<String>,
    /// The check's module.
    pub module: Option<String>,
    /// The check.
    pub check_id: Option<String>,
    /// The control's framework.
    pub framework: Option<String>,
    /// The control.
    pub control: Option<String>,
    /// Who answers for it.
    pub who: String,
    /// Why.
    pub why: String,
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant at which it is over.
    pub ends_at: DateTime<Utc>,
    /// `waiting`, `in_force`, `over` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// By whom.
    pub revoked_by: Option<String>,
}

/// Which waivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Those that have not begun.
    Waiting,
    /// Those that hold.
    InForce,
    /// Those that ended by themselves.
    Over,
    /// Those that were taken back.
    Revoked,
}

impl State {
    /// The name as it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InForce => "in_force",
            Self::Over => "over",
            Self::Revoked => "revoked",
        }
    }
}

/// Where in the list of waivers, newest first, one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    waiver_id: Uuid,
}

macro_rules! state {
    () => {
        "CASE WHEN w.revoked_at IS NOT NULL THEN 'revoked' WHEN now() < w.starts_at THEN 'waiting'
             WHEN now() < w.ends_at THEN 'in_force' ELSE 'over' END"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT w.waiver_id, w.asset_id, a.name AS asset_name, w.label_key, w.label_value, w.module, w.check_id, w.framework,
                 w.control, w.who, w.why, w.starts_at, w.ends_at, ",
            state!(),
            " AS state, w.created_at, w.created_by, w.revoked_at, w.revoked_by
             FROM waivers w LEFT JOIN assets a USING (asset_id) ",
            $rest
        )
    };
}

/// Makes a waiver, with its audit row and its event. [`Error::NotFound`] if there is no such asset, check or control, and
/// [`Error::Invalid`] if it would be over already, or there are too many.
pub async fn create(tx: &mut TenantTx<Write>, new: &NewWaiver) -> Result<Waiver> {
    let NewWaiver { place, subject, grant, created_by } = new;
    if grant.until() <= Utc::now() {
        return Err(Error::Invalid("the waiver would be over already: write an end that is still to come".to_owned()));
    }
    let (asset_id, label) = match place {
        Place::Every => (None, None),
        Place::Asset(asset_id) => (Some(*asset_id), None),
        Place::Label { key, value } => (None, Some((key.as_str(), value.as_str()))),
    };
    let (check, control) = match subject {
        Subject::Check { module, check } => (Some((module.as_str(), check.as_str())), None),
        Subject::Control { framework, control } => (None, Some((framework.as_str(), control.as_str()))),
    };
    // Whoever makes one meanwhile is waited for, and counted.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('waivers ' || current_schema(), 0))")
        .execute(tx.connection()?)
        .await?;
    let (open, has_asset, has_check, has_control): (i64, bool, bool, bool) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM waivers WHERE phase <> 'over'), EXISTS (SELECT FROM assets WHERE asset_id = $1),
             EXISTS (SELECT FROM shared.checks WHERE module = $2 AND check_id = $3),
             EXISTS (SELECT FROM shared.controls WHERE framework = $4 AND control = $5)",
    )
    .bind(asset_id)
    .bind(check.map(|(module, _)| module))
    .bind(check.map(|(_, check)| check))
    .bind(control.map(|(framework, _)| framework))
    .bind(control.map(|(_, control)| control))
    .fetch_one(tx.connection()?)
    .await?;
    if asset_id.is_some() && !has_asset {
        return Err(Error::NotFound("asset"));
    }
    if check.is_some() && !has_check {
        return Err(Error::NotFound("check"));
    }
    if control.is_some() && !has_control {
        return Err(Error::NotFound("control"));
    }
    if open >= MAX_OPEN {
        return Err(Error::Invalid(format!(
            "the tenant has {open} waivers that are not over, and {MAX_OPEN} are the most: revoke some, or waive a control instead of its checks"
        )));
    }
    let waiver_id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO waivers (waiver_id, asset_id, label_key, label_value, module, check_id, framework, control, who, why,
             starts_at, ends_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(waiver_id)
    .bind(asset_id)
    .bind(label.map(|(key, _)| key))
    .bind(label.map(|(_, value)| value))
    .bind(check.map(|(module, _)| module))
    .bind(check.map(|(_, check)| check))
    .bind(control.map(|(framework, _)| framework))
    .bind(control.map(|(_, control)| control))
    .bind(grant.who())
    .bind(grant.why())
    .bind(grant.from())
    .bind(grant.until())
    .bind(created_by)
    .execute(tx.connection()?)
    .await?;
    let details = json!({
        "asset_id": asset_id, "label": label, "check": check, "control": control, "who": grant.who(), "why": grant.why(),
        "from": grant.from(), "until": grant.until(),
    });
    record(tx, "waiver.created", created_by, waiver_id, details).await?;
    get(tx, waiver_id).await?.ok_or(Error::NotFound("waiver"))
}

/// One waiver.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, waiver_id: Uuid) -> Result<Option<Waiver>> {
    Ok(sqlx::query_as(select!("WHERE w.waiver_id = $1")).bind(waiver_id).fetch_optional(tx.connection()?).await?)
}

/// The tenant's waivers, newest first, in one state where asked for: two statements.
pub async fn list<M: Mode>(
    tx: &mut TenantTx<M>,
    state: Option<State>,
    start: &Start<Position>,
) -> Result<Listed<Waiver, Position>> {
    let state = state.map(State::as_str);
    let items = sqlx::query_as(concat!(
        select!("WHERE ($2::uuid IS NULL OR w.waiver_id < $2) AND ($1::text IS NULL OR "),
        state!(),
        " = $1) ORDER BY w.waiver_id DESC LIMIT $3 OFFSET $4"
    ))
    .bind(state)
    .bind(start.place().map(|place| place.waiver_id))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let count = sqlx::query_scalar(concat!(
        "SELECT count(*) FROM (SELECT FROM waivers w WHERE $1::text IS NULL OR ",
        state!(),
        " = $1 LIMIT $2) k"
    ))
    .bind(state)
    .bind(Total::BOUND + 1)
    .fetch_one(tx.connection()?)
    .await?;
    let total = Total::counted(count, Total::BOUND);
    Ok(Listed::of(items, start, total, |waiver: &Waiver| Position { waiver_id: waiver.waiver_id }))
}

/// Takes a waiver back, from now on. One that is over or was taken back stays as it is; [`Error::NotFound`] if there is none.
pub async fn revoke(tx: &mut TenantTx<Write>, waiver_id: Uuid, by: &str) -> Result<()> {
    let revoked = sqlx::query(
        "UPDATE waivers SET revoked_at = now(), revoked_by = $2 WHERE waiver_id = $1 AND revoked_at IS NULL AND ends_at > now()",
    )
    .bind(waiver_id)
    .bind(by)
    .execute(tx.connection()?)
    .await?;
    if revoked.rows_affected() > 0 {
        return record(tx, "waiver.revoked", by, waiver_id, json!({})).await;
    }
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM waivers WHERE waiver_id = $1)")
        .bind(waiver_id)
        .fetch_one(tx.connection()?)
        .await?;
    if is_there { Ok(()) } else { Err(Error::NotFound("waiver")) }
}

async fn record(
    tx: &mut TenantTx<Write>,
    action: &str,
    actor: &str,
    waiver_id: Uuid,
    details: serde_json::Value,
) -> Result<()> {
    let entry = audit::Entry {
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: format!("waiver:{waiver_id}"),
        details,
    };
    audit::write(tx, &entry).await?;
    let event =
        NewEvent { kind: action.to_owned(), aggregate_id: waiver_id, subject_id: Some(waiver_id), payload: json!({}) };
    outbox::append(tx, &[event]).await
}
