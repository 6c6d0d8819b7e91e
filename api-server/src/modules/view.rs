//! Modules and their versions as the API shows them.

use std::collections::BTreeMap;

use catalog::{
    Severity,
    lifecycle::{GateReport, State},
    module::{Check, Module, Profile},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::modules::VersionRow;
use utoipa::ToSchema;

/// A module, by its newest version that the caller may see.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModuleView {
    /// Unique.
    #[schema(example = "linux-sshd-hardening")]
    pub slug: String,
    /// What people read.
    pub title: String,
    /// What it belongs to.
    #[schema(example = "compliance")]
    pub category: String,
    /// The version shown: the newest released one, else the newest.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// Where that version stands.
    pub state: State,
    /// What a run may take.
    #[schema(example = "baseline_fast")]
    pub profile: String,
    /// Its checks.
    pub checks: i64,
    /// When it stops to be schedulable; only of a deprecated version.
    pub sunset_at: Option<DateTime<Utc>>,
    /// Whether the tenant of the request may use it; absent where no tenant was named.
    pub enabled: Option<bool>,
}

impl ModuleView {
    /// The view of a version.
    pub fn of(row: &VersionRow, enabled: Option<bool>) -> Self {
        Self {
            slug: row.module.clone(),
            title: row.title.clone(),
            category: row.category.clone(),
            version: row.version.to_string(),
            state: row.state,
            profile: row.profile.clone(),
            checks: row.checks,
            sunset_at: row.sunset_at,
            enabled,
        }
    }
}

/// A module with all that a person needs to decide about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModuleDetail {
    /// The module.
    #[serde(flatten)]
    pub summary: ModuleView,
    /// What it does.
    pub description: String,
    /// What must be true of the host.
    pub prerequisites: String,
    /// What it does not see.
    pub limits: String,
    /// What it reads, and why it needs to.
    pub privileges: String,
    /// What kind of data leaves the host.
    pub data_sensitivity: String,
    /// Whether it needs root.
    pub needs_root: bool,
    /// Tables that its queries read.
    pub tables: Vec<String>,
    /// Most seconds of a run.
    pub max_seconds: u64,
    /// JSON Schema of its parameters.
    #[schema(value_type = Object)]
    pub parameters: serde_json::Value,
    /// What it decides.
    pub check_list: Vec<ModuleCheckView>,
    /// The facts it keeps.
    pub collects: Vec<String>,
    /// What each version changed, newest first.
    pub changelog: Vec<ChangelogEntry>,
}

/// A check of a module.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModuleCheckView {
    /// Unique in the module.
    pub id: String,
    /// What it asks for.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// Why it matters.
    pub rationale: String,
    /// What to do about a failure.
    pub remediation: String,
    /// Selects what fails; empty where a rule of XCCDF decides.
    pub query: String,
    /// The rule of XCCDF that the host's OpenSCAP decides.
    pub rule: Option<String>,
    /// Framework to identifiers of its controls.
    pub controls: BTreeMap<String, Vec<String>>,
}

/// What a version changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangelogEntry {
    /// The version.
    pub version: String,
    /// What is different for a user.
    pub text: String,
}

impl ModuleDetail {
    /// The view of a version with its document.
    pub fn of(summary: ModuleView, module: Module) -> Self {
        Self {
            summary,
            max_seconds: Profile::budget(module.profile).wall.as_secs(),
            needs_root: module.requires.admin,
            tables: module.requires.tables,
            description: module.description,
            prerequisites: module.prerequisites,
            limits: module.limits,
            privileges: module.privileges,
            data_sensitivity: module.data_sensitivity,
            parameters: module.parameters,
            check_list: module.checks.into_iter().map(check).collect(),
            collects: module.collect.into_iter().map(|collect| collect.table).collect(),
            changelog: module
                .changelog
                .into_iter()
                .map(|change| ChangelogEntry { version: change.version.to_string(), text: change.text })
                .collect(),
        }
    }
}

fn check(check: Check) -> ModuleCheckView {
    let Check { id, title, severity, query, rule, applies: _, rationale, remediation, same_as: _, controls } = check;
    ModuleCheckView { id, title, severity, rationale, remediation: remediation.text, query, rule, controls }
}

/// A version of a module.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Slug of the module.
    pub module: String,
    /// The version.
    pub version: String,
    /// Where it stands.
    pub state: State,
    /// Whether a job for it may be queued.
    pub schedulable: bool,
    /// SHA-256 of its file.
    pub checksum: String,
    /// What a run may take.
    pub profile: String,
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
    /// What the quality gates said of its content.
    pub gates: Option<GateReport>,
}

impl From<VersionRow> for VersionView {
    fn from(row: VersionRow) -> Self {
        Self {
            schedulable: row.is_schedulable(Utc::now()),
            module: row.module,
            version: row.version.to_string(),
            state: row.state,
            checksum: row.checksum,
            profile: row.profile,
            checks: row.checks,
            sunset_at: row.sunset_at,
            created_at: row.created_at,
            released_at: row.released_at,
            deprecated_at: row.deprecated_at,
            retired_at: row.retired_at,
            gates: row.gates,
        }
    }
}
