//! The catalog in Postgres: `tenantra db migrate` brings what ships, people add drafts, everything reads it here. What was
//! released is immutable and states only go forward; the database itself refuses anything else.

mod bring;
mod lifecycle;

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::lifecycle::{GateReport, State};
use catalog::module::Module;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use semver::Version;
use serde_json::Value;
use sqlx::types::Json;

pub use bring::{Upserted, put_draft, upsert, upsert_under};
pub use lifecycle::{Change, deprecate, promote, record_gates, retire, retire_due};

use crate::error::{Error, Result};
use crate::tx::SharedTx;

/// How long versions live on that a newer one has replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Succession {
    /// Deprecated versions that a module keeps; older ones are retired.
    pub kept: usize,
    /// From a version's replacement to its sunset.
    pub window: Duration,
}

impl Default for Succession {
    fn default() -> Self {
        Self { kept: 2, window: Duration::from_hours(90 * 24) }
    }
}

/// A version without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Slug of the module.
    pub module: String,
    /// The version.
    pub version: Version,
    /// The module's title, by its newest version.
    pub title: String,
    /// What the module belongs to.
    pub category: String,
    /// What a run may take.
    pub profile: String,
    /// Where it stands.
    pub state: State,
    /// SHA-256 of its file, in hexadecimal.
    pub checksum: String,
    /// Its checks.
    pub checks: i64,
    /// When it stops to be schedulable.
    pub sunset_at: Option<DateTime<Utc>>,
    /// When it came.
    pub created_at: DateTime<Utc>,
    /// When it was released.
    pub released_at: Option<DateTime<Utc>>,
    /// When it was deprecated.
    pub deprecated_at: Option<DateTime<Utc>>,
    /// When it was retired.
    pub retired_at: Option<DateTime<Utc>>,
    /// Who moved it to its state.
    pub state_changed_by: String,
    /// What the quality gates said of this content.
    pub gates: Option<GateReport>,
}

impl VersionRow {
    /// Whether a job for it may be queued at `now`.
    pub fn is_schedulable(&self, now: DateTime<Utc>) -> bool {
        self.state.is_schedulable(self.sunset_at, now)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    module: String,
    version: String,
    title: String,
    category: String,
    profile: String,
    state: String,
    checksum: String,
    checks: i64,
    sunset_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    released_at: Option<DateTime<Utc>>,
    deprecated_at: Option<DateTime<Utc>>,
    retired_at: Option<DateTime<Utc>>,
    state_changed_by: String,
    gates: Option<Json<GateReport>>,
}

impl TryFrom<Row> for VersionRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row {
            module,
            version,
            title,
            category,
            profile,
            state,
            checksum,
            checks,
            sunset_at,
            created_at,
            released_at,
            deprecated_at,
            retired_at,
            state_changed_by,
            gates,
        } = row;
        Ok(Self {
            version: version_of(&version)?,
            state: state_of(&state)?,
            gates: gates.map(|gates| gates.0),
            module,
            title,
            category,
            profile,
            checksum,
            checks,
            sunset_at,
            created_at,
            released_at,
            deprecated_at,
            retired_at,
            state_changed_by,
        })
    }
}

fn version_of(text: &str) -> Result<Version> {
    text.parse().map_err(|error| Error::Invalid(format!("'{text}' is no semantic version: {error}")))
}

fn state_of(text: &str) -> Result<State> {
    text.parse().map_err(|error: catalog::lifecycle::UnknownState| Error::Invalid(error.to_string()))
}

/// Every version of every module, or of one, by slug and then version, the oldest first.
pub async fn versions(tx: &mut impl SharedTx, module: Option<&str>) -> Result<Vec<VersionRow>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT v.module, v.version, m.title, m.category, v.profile, v.state, v.checksum, v.sunset_at, v.created_at,
             v.released_at, v.deprecated_at, v.retired_at, v.state_changed_by, v.gates, coalesce(c.checks, 0) AS checks
         FROM shared.module_versions v JOIN shared.modules m ON m.slug = v.module
         LEFT JOIN (SELECT module, version, count(*) AS checks FROM shared.checks
             WHERE $1::text IS NULL OR module = $1 GROUP BY module, version) c USING (module, version)
         WHERE $1::text IS NULL OR v.module = $1",
    )
    .bind(module)
    .fetch_all(tx.session().connection()?)
    .await?;
    let mut versions = rows.into_iter().map(VersionRow::try_from).collect::<Result<Vec<_>>>()?;
    // Versions sort by their meaning, not as text.
    versions.sort_by(|a, b| (&a.module, &a.version).cmp(&(&b.module, &b.version)));
    Ok(versions)
}

/// One version; [`Error::NotFound`] if there is none.
pub async fn version(tx: &mut impl SharedTx, module: &str, version: &str) -> Result<VersionRow> {
    let found = versions(tx, Some(module)).await?.into_iter().find(|row| row.version.to_string() == version);
    found.ok_or(Error::NotFound("module version"))
}

/// The whole module as it was stored, newer fields included; none if there is no such version.
pub async fn document(tx: &mut impl SharedTx, module: &str, version: &str) -> Result<Option<Value>> {
    let found: Option<Json<Value>> =
        sqlx::query_scalar("SELECT document FROM shared.module_versions WHERE module = $1 AND version = $2")
            .bind(module)
            .bind(version)
            .fetch_optional(tx.session().connection()?)
            .await?;
    Ok(found.map(|document| document.0))
}

/// Every stored document by (slug, version): for comparing them with files.
pub async fn documents(tx: &mut impl SharedTx) -> Result<BTreeMap<(String, String), Value>> {
    let rows: Vec<(String, String, Json<Value>)> =
        sqlx::query_as("SELECT module, version, document FROM shared.module_versions")
            .fetch_all(tx.session().connection()?)
            .await?;
    Ok(rows.into_iter().map(|(module, version, document)| ((module, version), document.0)).collect())
}

/// Where a version stands: what somebody has to know who wants to schedule it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The version.
    pub version: Version,
    /// Its state.
    pub state: State,
    /// When it stops to be schedulable.
    pub sunset_at: Option<DateTime<Utc>>,
}

/// Every version by its module, the oldest first, without what is in it.
pub async fn standings(tx: &mut impl SharedTx) -> Result<BTreeMap<String, Vec<Standing>>> {
    let rows: Vec<(String, String, String, Option<DateTime<Utc>>)> =
        sqlx::query_as("SELECT module, version, state, sunset_at FROM shared.module_versions")
            .fetch_all(tx.session().connection()?)
            .await?;
    let mut standings: BTreeMap<String, Vec<Standing>> = BTreeMap::new();
    for (module, version, state, sunset_at) in rows {
        let standing = Standing { version: version_of(&version)?, state: state_of(&state)?, sunset_at };
        standings.entry(module).or_default().push(standing);
    }
    for versions in standings.values_mut() {
        versions.sort_by(|a, b| a.version.cmp(&b.version));
    }
    Ok(standings)
}

/// A module version that may run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedulable {
    /// Released, or deprecated.
    pub state: State,
    /// When it stops to be schedulable.
    pub sunset_at: Option<DateTime<Utc>>,
    /// The module.
    pub module: Module,
}

/// What [`schedulable`] gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Served {
    /// By slug, then version, the oldest first.
    pub versions: Vec<Schedulable>,
    /// Versions whose document this program does not understand, with the reason: written by a newer one.
    pub unreadable: Vec<String>,
}

/// Every version that may run now, with its module. Read one by one: the documents as JSON take several times what the modules
/// take.
pub async fn schedulable(tx: &mut impl SharedTx) -> Result<Served> {
    type Row = (String, String, String, Option<DateTime<Utc>>, String);
    let mut rows = sqlx::query_as::<_, Row>(
        "SELECT module, version, state, sunset_at, document::text FROM shared.module_versions
         WHERE state = 'released' OR (state = 'deprecated' AND sunset_at > now())",
    )
    .fetch(tx.session().connection()?);
    let mut served = Served::default();
    while let Some((module, version, state, sunset_at, document)) = rows.try_next().await? {
        match serde_json::from_str::<Module>(&document) {
            Ok(module) => served.versions.push(Schedulable { state: state_of(&state)?, sunset_at, module }),
            Err(error) => served.unreadable.push(format!("{module}@{version}: {error}")),
        }
    }
    drop(rows);
    served.versions.sort_by(|a, b| (&a.module.slug, &a.module.version).cmp(&(&b.module.slug, &b.module.version)));
    Ok(served)
}

/// Changes exactly when [`schedulable`] would give something else: cheap to ask for again and again.
pub async fn fingerprint(tx: &mut impl SharedTx) -> Result<String> {
    Ok(sqlx::query_scalar(
        "SELECT md5(coalesce(string_agg(concat_ws(' ', module, version, state, checksum, sunset_at), ',' ORDER BY module, version), ''))
         FROM shared.module_versions WHERE state = 'released' OR (state = 'deprecated' AND sunset_at > now())",
    )
    .fetch_one(tx.session().connection()?)
    .await?)
}
