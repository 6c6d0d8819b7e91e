//! The result contract: one run of one module gives one envelope, and nothing else crosses from a scan to the platform.
//!
//! Every struct refuses unknown fields, because an envelope comes from a machine we do not control.

mod quick;
mod schema;
pub(crate) mod strict;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use crate::Severity;
pub use crate::facts::{Fact, FactRef, Facts};
pub use quick::parse;
pub use schema::{SchemaViolation, envelope_schema, validate_json};

/// What one run of one module found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The run; sending an envelope again under the same id is harmless.
    #[serde(deserialize_with = "strict::uuid")]
    pub run_id: Uuid,
    /// Slug of the module.
    pub module: String,
    /// Its semantic version.
    pub version: String,
    /// How the run ended.
    #[serde(deserialize_with = "strict::word")]
    pub status: RunStatus,
    /// When it began, by the agent's clock corrected to the server's.
    #[serde(deserialize_with = "strict::moment")]
    pub started_at: DateTime<Utc>,
    /// How long it took, in milliseconds of wall time.
    pub duration_ms: u64,
    /// What it used.
    #[serde(deserialize_with = "strict::object")]
    pub resource: ResourceUse,
    /// Counts of verdicts.
    #[serde(deserialize_with = "strict::object")]
    pub summary: Summary,
    /// One verdict for every check of the module.
    #[serde(deserialize_with = "strict::objects")]
    pub checks: Vec<CheckVerdict>,
    /// One entry for every failing row.
    #[serde(deserialize_with = "strict::objects")]
    pub findings: Vec<Finding>,
    /// The verdicts seen by control.
    #[serde(default, deserialize_with = "strict::objects")]
    pub benchmarks: Vec<Benchmark>,
    /// Rows to keep, as changes.
    #[serde(default, deserialize_with = "strict::object")]
    pub facts: Facts,
    /// Files that the run made.
    #[serde(default, deserialize_with = "strict::objects")]
    pub artifacts: Vec<Artifact>,
    /// What a person should know about the run.
    #[serde(default, deserialize_with = "strict::objects")]
    pub log: Vec<LogLine>,
}

impl Envelope {
    /// Says what contradicts itself: repeated checks, findings of checks that did not fail, wrong counts.
    pub fn contradiction(&self) -> Option<String> {
        let mut failed = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for check in &self.checks {
            if !seen.insert(check.id.as_str()) {
                return Some(format!("check `{}` has two verdicts", check.id));
            }
            if check.verdict == Verdict::Fail {
                failed.insert(check.id.as_str());
            }
        }
        if let Some(finding) = self.findings.iter().find(|finding| !failed.contains(finding.check.as_str())) {
            return Some(format!("a finding names check `{}`, which did not fail", finding.check));
        }
        let summary = Summary::of(&self.checks);
        if summary != self.summary {
            return Some(format!("the summary is {:?}, but its checks give {summary:?}", self.summary));
        }
        None
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Every check was decided.
    Succeeded,
    /// The run could not start or was lost; its verdicts say nothing.
    Failed,
    /// It was stopped at its profile's limit.
    Timeout,
    /// Some checks or tables could not be read.
    Partial,
}

impl RunStatus {
    /// The name as it is written in JSON and Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Partial => "partial",
        }
    }
}

/// What a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResourceUse {
    /// User and system time, in milliseconds.
    pub cpu_ms: u64,
    /// Greatest resident set, in KiB.
    pub max_rss_kb: u64,
}

/// Counts of verdicts, and the share of passed checks among those decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Checks that passed.
    pub passed: u32,
    /// Checks that failed.
    pub failed: u32,
    /// Checks whose subject does not exist on the asset.
    pub not_applicable: u32,
    /// Checks that could not be decided.
    pub error: u32,
    /// 0–100, unweighted, rounded half up; none if no check was decided.
    pub score: Option<u8>,
}

impl Summary {
    /// Counts `checks`.
    pub fn of(checks: &[CheckVerdict]) -> Self {
        let mut summary = Self::default();
        for check in checks {
            match check.verdict {
                Verdict::Pass => summary.passed += 1,
                Verdict::Fail => summary.failed += 1,
                Verdict::NotApplicable => summary.not_applicable += 1,
                Verdict::Error => summary.error += 1,
            }
        }
        let assessed = u64::from(summary.passed) + u64::from(summary.failed);
        summary.score = (u64::from(summary.passed) * 200 + assessed)
            .checked_div(assessed * 2)
            .and_then(|score| u8::try_from(score).ok());
        summary
    }
}

/// What a check says about an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No failing row.
    Pass,
    /// At least one failing row.
    Fail,
    /// The subject is not there.
    NotApplicable,
    /// The question could not be answered.
    Error,
}

impl Verdict {
    /// The name as it is written in YAML, JSON and Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
            Self::Error => "error",
        }
    }
}

/// The verdict of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckVerdict {
    /// The check's id within its module.
    pub id: String,
    /// Its verdict.
    #[serde(deserialize_with = "strict::word")]
    pub verdict: Verdict,
    /// Why, where the verdict alone does not say it (always with `error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One failing row of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The check's id within its module.
    pub check: String,
    /// How bad it is.
    #[serde(deserialize_with = "strict::word")]
    pub severity: Severity,
    /// What it is about: a file, a user, a setting. With asset, module and check it is the finding's identity.
    pub resource: String,
    /// The row's other columns.
    #[serde(default)]
    pub evidence: BTreeMap<String, Value>,
}

/// The verdict of a control, drawn from the checks of this module that map to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Benchmark {
    /// Slug of the framework.
    pub framework: String,
    /// The control's identifier there.
    pub control: String,
    /// `fail` if a mapped check fails, else `error`, else `pass` if one passes, else `not_applicable`.
    #[serde(deserialize_with = "strict::word")]
    pub status: Verdict,
}

/// A file that a run made; big ones lie in object storage and are referenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its format, such as `csv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it lies, relative to the run.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// How much it matters.
    #[serde(deserialize_with = "strict::word")]
    pub level: LogLevel,
    /// A sentence.
    pub message: String,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For whoever follows a run step by step.
    Debug,
    /// Worth knowing.
    Info,
    /// Something was left out.
    Warn,
    /// Something failed.
    Error,
}
