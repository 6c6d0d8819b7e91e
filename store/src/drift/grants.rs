//! Approved changes and maintenance windows: for one asset, for a group of like assets, or for all of the tenant. What they
//! silenced keeps a copy, so that a grant can be taken back without the past losing its reason.

use analysis::drift::{Approval, Kind, Subject};
use analysis::grant::Grant;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::items::{kind_named, name_of};
use crate::error::{Error, Result};
use crate::page::{Page, Paged};
use crate::tx::{Mode, TenantTx, Write};

/// Grants of a tenant that are not over, at most: each is looked at for every drift.
pub const MAX_GRANTS: i64 = 1_000;

/// What a grant allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum Purpose {
    /// A change.
    Approval {
        /// Of which kind.
        kind: Kind,
        /// Of what.
        subject: Subject,
        /// Only in that form; none: in every form.
        detail: Option<String>,
    },
    /// Every change.
    Maintenance,
}

impl Purpose {
    const fn name(&self) -> &'static str {
        match self {
            Self::Approval { .. } => "approval",
            Self::Maintenance => "maintenance",
        }
    }
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// On every asset of the tenant.
    Tenant,
    /// On assets of that group, whoever joins it.
    Group(String),
    /// On one asset.
    Asset(Uuid),
}

impl Reach {
    fn has(&self, asset_id: Uuid, group: &str) -> bool {
        match self {
            Self::Tenant => true,
            Self::Group(name) => name == group,
            Self::Asset(id) => *id == asset_id,
        }
    }
}

/// A grant to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// What it allows.
    pub purpose: Purpose,
    /// Where.
    pub reach: Reach,
    /// Who, why, from when and until when.
    pub grant: Grant,
    /// `user:<id>`.
    pub created_by: String,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriftGrant {
    /// Its id.
    pub grant_id: Uuid,
    /// What it allows.
    pub purpose: Purpose,
    /// Where.
    pub reach: Reach,
    /// Who, why, from when and until when.
    pub grant: Grant,
    /// Who made it: `user:<id>`.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    grant_id: Uuid,
    asset_id: Option<Uuid>,
    group_name: Option<String>,
    kind: Option<String>,
    subject: Option<String>,
    is_beginning: bool,
    detail: Option<String>,
    who: String,
    why: String,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    created_by: String,
    created_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "grant_id, asset_id, group_name, kind, subject, is_beginning, detail, who, why, starts_at, ends_at, created_by, created_at"
    };
}

fn of_row(row: Row) -> Result<DriftGrant> {
    let broken = |reason: String| Error::Invalid(format!("the grant {} is not one: {reason}", row.grant_id));
    let purpose = match (&row.kind, &row.subject) {
        (Some(kind), Some(text)) => {
            let subject = if row.is_beginning { Subject::beginning_with(text) } else { Subject::exactly(text) };
            Purpose::Approval {
                kind: kind_named(kind)?,
                subject: subject.map_err(|error| broken(error.to_string()))?,
                detail: row.detail.clone(),
            }
        }
        _ => Purpose::Maintenance,
    };
    let grant =
        Grant::new(&row.who, &row.why, row.starts_at, row.ends_at).map_err(|error| broken(error.to_string()))?;
    let reach = match (row.asset_id, row.group_name) {
        (Some(asset_id), _) => Reach::Asset(asset_id),
        (None, Some(group)) => Reach::Group(group),
        (None, None) => Reach::Tenant,
    };
    let (grant_id, created_by, created_at) = (row.grant_id, row.created_by, row.created_at);
    Ok(DriftGrant { grant_id, purpose, reach, grant, created_by, created_at })
}

/// Makes a grant: two statements. [`Error::NotFound`] for an asset that is not there, [`Error::Invalid`] above [`MAX_GRANTS`].
pub async fn create_grant(tx: &mut TenantTx<Write>, new: &NewGrant) -> Result<DriftGrant> {
    let NewGrant { purpose, reach, grant, created_by } = new;
    let (kind, subject, detail) = match purpose {
        Purpose::Approval { kind, subject, detail } => (Some(name_of(*kind)), Some(subject), detail.as_deref()),
        Purpose::Maintenance => (None, None, None),
    };
    let (asset_id, group) = match reach {
        Reach::Tenant => (None, None),
        Reach::Group(name) => (None, Some(name.as_str())),
        Reach::Asset(asset_id) => (Some(*asset_id), None),
    };
    // Whoever makes one meanwhile is waited for, and counted.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('drift grants ' || current_schema(), 0))")
        .execute(tx.connection()?)
        .await?;
    let row: Option<Row> = sqlx::query_as(concat!(
        "INSERT INTO drift_grants (grant_id, purpose, asset_id, group_name, kind, subject, is_beginning, detail, who, why,
             starts_at, ends_at, created_by)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
         WHERE (SELECT count(*) FROM drift_grants WHERE ends_at > now()) < $14
         RETURNING ",
        columns!()
    ))
    .bind(Uuid::now_v7())
    .bind(purpose.name())
    .bind(asset_id)
    .bind(group)
    .bind(kind)
    .bind(subject.map(Subject::text))
    .bind(subject.is_some_and(Subject::is_beginning))
    .bind(detail)
    .bind(grant.who())
    .bind(grant.why())
    .bind(grant.from())
    .bind(grant.until())
    .bind(created_by)
    .bind(MAX_GRANTS)
    .fetch_optional(tx.connection()?)
    .await
    .map_err(|error| if is_missing_asset(&error) { Error::NotFound("asset") } else { error.into() })?;
    of_row(row.ok_or_else(|| {
        Error::Invalid(format!(
            "there are {MAX_GRANTS} approvals and maintenance windows that are not over; remove some"
        ))
    })?)
}

/// Foreign key violation: the asset is not in this tenant.
fn is_missing_asset(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("23503"))
}

/// Approvals or windows, those that end last first; what is over only where asked for. Two statements.
pub async fn list_grants<M: Mode>(
    tx: &mut TenantTx<M>,
    is_approval: bool,
    with_ended: bool,
    page: Page,
) -> Result<Paged<DriftGrant>> {
    let purpose = if is_approval { "approval" } else { "maintenance" };
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM drift_grants WHERE purpose = $1 AND ($2 OR ends_at > now())
         ORDER BY ends_at DESC, grant_id LIMIT $3 OFFSET $4"
    ))
    .bind(purpose)
    .bind(with_ended)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM drift_grants WHERE purpose = $1 AND ($2 OR ends_at > now())")
        .bind(purpose)
        .bind(with_ended)
        .fetch_one(tx.connection()?)
        .await?;
    Ok(Paged { items: rows.into_iter().map(of_row).collect::<Result<_>>()?, total })
}

/// Takes a grant back: what happens from now on is told again. [`Error::NotFound`] if there is none of that id and purpose.
pub async fn remove_grant(tx: &mut TenantTx<Write>, is_approval: bool, grant_id: Uuid) -> Result<DriftGrant> {
    let row: Option<Row> =
        sqlx::query_as(concat!("DELETE FROM drift_grants WHERE grant_id = $1 AND purpose = $2 RETURNING ", columns!()))
            .bind(grant_id)
            .bind(if is_approval { "approval" } else { "maintenance" })
            .fetch_optional(tx.connection()?)
            .await?;
    of_row(row.ok_or(Error::NotFound(if is_approval { "approval" } else { "maintenance window" }))?)
}

/// Grants that are in force at any time between two instants.
pub(super) struct InForce(Vec<DriftGrant>);

impl InForce {
    pub(super) async fn read<M: Mode>(tx: &mut TenantTx<M>, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self> {
        let rows: Vec<Row> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM drift_grants WHERE ends_at > $1 AND starts_at <= $2"))
                .bind(from)
                .bind(until)
                .fetch_all(tx.connection()?)
                .await?;
        Ok(Self(rows.into_iter().map(of_row).collect::<Result<_>>()?))
    }

    /// The approvals and windows that hold on an asset.
    pub(super) fn of(&self, asset_id: Uuid, group: &str) -> (Vec<Approval>, Vec<Grant>) {
        let (mut approvals, mut windows) = (Vec::new(), Vec::new());
        for DriftGrant { purpose, grant, .. } in self.0.iter().filter(|one| one.reach.has(asset_id, group)) {
            match purpose {
                Purpose::Approval { kind, subject, detail } => approvals.push(Approval {
                    kind: *kind,
                    subject: subject.clone(),
                    detail: detail.clone(),
                    grant: grant.clone(),
                }),
                Purpose::Maintenance => windows.push(grant.clone()),
            }
        }
        (approvals, windows)
    }
}
