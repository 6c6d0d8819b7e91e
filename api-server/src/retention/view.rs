//! Policies, previews, holds and runs, as the API shows them.

use chrono::{DateTime, Utc};
use crds::tenant::Tenant;
use serde::Serialize;
use store::retention::{
    Cutoffs, Extent, Kind, Table,
    holds::Hold,
    runs::{Part, RetentionRun},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{config::RetentionMode, retention::policy, state::App, tenants::gitops};

/// The tenant's policy.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyView {
    /// How long runs and their logs are kept.
    #[schema(example = "30d")]
    pub operational_logs: String,
    /// How long changes on assets are kept.
    #[schema(example = "90d")]
    pub security_events: String,
    /// How long closed findings and the history of verdicts and scores are kept.
    #[schema(example = "365d")]
    pub findings: String,
    /// How long the audit log is kept.
    #[schema(example = "7y")]
    pub audit: String,
    /// Types that are archived before they are deleted.
    #[schema(value_type = Vec<String>)]
    pub archive: Vec<Kind>,
    /// Whether the installation has an archive; without one, what is to be archived is not deleted.
    pub has_archive: bool,
    /// What the daily run does: on, `dry_run` or off.
    pub daily: &'static str,
    /// Whether a legal hold stops it.
    pub held: bool,
    /// The GitOps tool that manages the tenant; the policy is changed there.
    pub managed_by: Option<String>,
}

impl PolicyView {
    pub(super) fn of(app: &App, tenant: &Tenant, held: bool) -> Self {
        let said = &tenant.spec.retention;
        Self {
            operational_logs: said.operational_logs.to_string(),
            security_events: said.security_events.to_string(),
            findings: said.findings.to_string(),
            audit: said.audit.to_string(),
            archive: policy::of(said).archive.into_iter().collect(),
            has_archive: app.archive.is_some(),
            daily: match app.config.retention {
                RetentionMode::On => "on",
                RetentionMode::DryRun => "dry_run",
                RetentionMode::Off => "off",
            },
            held,
            managed_by: gitops::manager(tenant),
        }
    }
}

/// What a policy would delete now.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewView {
    /// By table.
    pub tables: Vec<TablePreview>,
    /// Rows in all.
    pub rows: u64,
    /// About how many bytes they take.
    pub bytes: u64,
    /// Whether a legal hold stops it: then nothing goes.
    pub held: bool,
}

/// What would go from one table.
#[derive(Debug, Serialize, ToSchema)]
pub struct TablePreview {
    /// runs, `fact_changes`, drifts, findings, `check_transitions`, `score_days` or `audit_log`.
    #[schema(value_type = String)]
    pub table: Table,
    /// The type whose policy it follows.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Kind,
    /// What is older goes.
    pub before: DateTime<Utc>,
    /// Rows that go.
    pub rows: u64,
    /// About how many bytes they take, without indexes.
    pub bytes: u64,
    /// The moment of the oldest.
    pub oldest: Option<DateTime<Utc>>,
    /// The moment of the youngest.
    pub newest: Option<DateTime<Utc>>,
}

impl PreviewView {
    pub(super) fn of(extents: impl IntoIterator<Item = (Table, Extent)>, cutoffs: &Cutoffs, held: bool) -> Self {
        let table = |(table, extent): (Table, Extent)| TablePreview {
            table,
            kind: table.kind(),
            before: cutoffs.before(table.kind()),
            rows: extent.rows,
            bytes: extent.bytes,
            oldest: extent.oldest,
            newest: extent.newest,
        };
        let tables: Vec<TablePreview> = extents.into_iter().map(table).collect();
        let rows = tables.iter().map(|table| table.rows).sum();
        let bytes = tables.iter().map(|table| table.bytes).sum();
        Self { tables, rows, bytes, held }
    }
}

/// A legal hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldView {
    /// Its id.
    pub id: Uuid,
    /// Why it was placed.
    pub reason: String,
    /// Who placed it.
    pub placed_by: String,
    /// When.
    pub placed_at: DateTime<Utc>,
    /// Who lifted it.
    pub lifted_by: Option<String>,
    /// When; none while it holds.
    pub lifted_at: Option<DateTime<Utc>>,
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> Self {
        let Hold { hold_id: id, reason, placed_by, placed_at, lifted_by, lifted_at } = hold;
        Self { id, reason, placed_by, placed_at, lifted_by, lifted_at }
    }
}

/// A run of retention.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionRunView {
    /// Its id.
    pub id: Uuid,
    /// Whether it only looked.
    pub dry_run: bool,
    /// running, done, partial (its time was over; the next goes on), held (a legal hold stopped it) or failed.
    pub state: &'static str,
    /// By table.
    pub tables: Vec<TableRun>,
    /// Rows that were deleted.
    pub deleted_rows: i64,
    /// Why it failed.
    pub problem: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What a run did with one table.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableRun {
    /// runs, `fact_changes`, drifts, findings, `check_transitions`, `score_days` or `audit_log`.
    #[schema(value_type = String)]
    pub table: Table,
    /// What was older was to go.
    pub before: DateTime<Utc>,
    /// Rows that were to go when it began.
    pub planned_rows: u64,
    /// About how many bytes these took.
    pub planned_bytes: u64,
    /// The moment of the oldest of these.
    pub oldest: Option<DateTime<Utc>>,
    /// The moment of the youngest of these.
    pub newest: Option<DateTime<Utc>>,
    /// Rows that were deleted.
    pub deleted_rows: u64,
    /// Objects that were written to the archive.
    pub archived_objects: u64,
    /// Why not all of it went.
    pub problem: Option<String>,
}

impl From<Part> for TableRun {
    fn from(part: Part) -> Self {
        let Part { table, before, planned, deleted_rows, archived_objects, problem } = part;
        let Extent { rows: planned_rows, bytes: planned_bytes, oldest, newest, last_sequence: _ } = planned;
        Self { table, before, planned_rows, planned_bytes, oldest, newest, deleted_rows, archived_objects, problem }
    }
}

impl From<RetentionRun> for RetentionRunView {
    fn from(run: RetentionRun) -> Self {
        let RetentionRun { run_id, is_dry_run, state, parts, deleted_rows, problem, started_at, finished_at } = run;
        Self {
            id: run_id,
            dry_run: is_dry_run,
            state: state.as_str(),
            tables: parts.into_iter().map(TableRun::from).collect(),
            deleted_rows,
            problem,
            started_at,
            finished_at,
        }
    }
}
