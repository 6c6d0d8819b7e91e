//! `ScanSchedule`: which modules run on which agents, when. Its semantics of time are those of Kubernetes' CronJob.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::schema;

/// Which modules run on which agents, when.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "tenantra.io",
    version = "v1alpha1",
    kind = "ScanSchedule",
    plural = "scanschedules",
    singular = "scanschedule",
    shortname = "ss",
    category = "tenantra",
    namespaced,
    status = "ScanScheduleStatus",
    derive = "PartialEq",
    doc = "Which modules run on which agents, when. Lives in its tenant's namespace.",
    printcolumn(name = "SCHEDULE", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "TIMEZONE", type_ = "string", json_path = ".spec.timeZone", priority = 1),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "ACTIVE", type_ = "integer", json_path = ".status.active"),
    printcolumn(name = "LAST", type_ = "date", json_path = ".status.lastScheduleTime"),
    printcolumn(name = "NEXT", type_ = "string", json_path = ".status.nextScheduleTime", priority = 1),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ScanScheduleSpec {
    /// Five fields of cron, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schemars(schema_with = "cron")]
    pub schedule: String,
    /// The time zone of `schedule`, by its IANA name.
    #[serde(default = "default_time_zone")]
    #[schemars(schema_with = "time_zone")]
    pub time_zone: String,
    /// Stops new starts; what runs goes on.
    #[serde(default)]
    pub suspend: bool,
    /// What happens to a start while the last one still runs.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How late a missed start may still be made up for. Absent: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub starting_deadline_seconds: Option<i64>,
    /// What runs.
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = [schema::rule("self.size() > 0", "name at least one module, category or framework, such as - slug: linux-sshd")]))]
    pub modules: Vec<ModuleSelection>,
    /// How deep it looks.
    #[serde(default)]
    pub profile: ScanProfile,
    /// Which agents run it; empty or absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub agent_selector: Option<LabelSelector>,
    /// Spreads the starts over this many seconds.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub jitter_seconds: u32,
}

/// What happens to a start while the last one still runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum ConcurrencyPolicy {
    /// Both run.
    #[default]
    Allow,
    /// The new one is skipped.
    Forbid,
    /// The old one is cancelled.
    Replace,
}

/// How deep a scan looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanProfile {
    /// What costs next to nothing.
    BaselineFast,
    /// Everything that belongs to a baseline.
    #[default]
    BaselineFull,
    /// Also what takes minutes.
    DeepScan,
}

impl ScanProfile {
    /// The profile as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BaselineFast => "baseline_fast",
            Self::BaselineFull => "baseline_full",
            Self::DeepScan => "deep_scan",
        }
    }
}

/// A module by its slug, or all those of a category or a framework: exactly one of the three.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    schema::rule("[has(self.slug), has(self.category), has(self.framework)].exists_one(x, x)", "write exactly one of slug, category and framework"),
    schema::rule("has(self.slug) || (!has(self.version) && !has(self.parameters))", "version and parameters belong to one module: write them beside slug"),
]))]
pub struct ModuleSelection {
    /// One module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::module_slug")]
    pub slug: Option<String>,
    /// Its version; absent, the newest that is released to the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "version")]
    pub version: Option<String>,
    /// Its parameters, by the schema that the module declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::free_form")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// All modules of a category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "category")]
    pub category: Option<String>,
    /// All modules that a framework maps to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::framework_slug")]
    pub framework: Option<String>,
}

/// What is so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanScheduleStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `tenantra.io/reconcile-requested-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub last_handled_reconcile_at: Option<String>,
    /// When a run was last due and started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// When a run last ended without a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// Runs that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<i32>,
    /// The jobs of the last run, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// By the rules of kstatus, a map by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The jobs of a run, counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Given to the queue.
    pub queued: i64,
    /// Ended well.
    pub done: i64,
    /// Ended badly.
    pub failed: i64,
}

fn default_time_zone() -> String {
    "Etc/UTC".to_owned()
}

fn cron(_: &mut SchemaGenerator) -> Schema {
    schema::matching(
        128,
        "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|([-0-9A-Za-z*,/?]+ +){4}[-0-9A-Za-z*,/?]+)$",
        "write five fields of cron (minute, hour, day, month, weekday), such as 0 3 * * *, or a macro such as @hourly",
    )
}

fn time_zone(_: &mut SchemaGenerator) -> Schema {
    schema::matching(
        64,
        "^[A-Za-z][-A-Za-z0-9_+]*(/[-A-Za-z0-9_+]+){0,2}$",
        "write a time zone by its IANA name, such as Europe/Berlin",
    )
}

fn version(_: &mut SchemaGenerator) -> Schema {
    schema::matching(
        64,
        "^[0-9]+[.][0-9]+[.][0-9]+(-[-0-9A-Za-z.]+)?$",
        "write a version of three numbers, such as 1.2.0",
    )
}

fn category(_: &mut SchemaGenerator) -> Schema {
    schema::matching(64, "^[a-z][-a-z0-9_]{0,63}$", "write a category of modules in lower case, such as authentication")
}
