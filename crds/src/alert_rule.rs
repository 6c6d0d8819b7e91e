//! `AlertRule`: what raises an alert, and who hears of it. Its condition is CEL over the event; only the operator compiles
//! it, because the API server knows nothing of our events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::schema;

mod channel;

pub use channel::{Channel, Email, InApp, Slack, Sms, Syslog, SyslogFormat, Teams, Template, Ticket, Webhook};

/// What raises an alert, and who hears of it.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "tenantra.io",
    version = "v1alpha1",
    kind = "AlertRule",
    plural = "alertrules",
    singular = "alertrule",
    shortname = "ar",
    category = "tenantra",
    namespaced,
    status = "AlertRuleStatus",
    derive = "PartialEq",
    doc = "What raises an alert, and who hears of it. Lives in its tenant's namespace.",
    printcolumn(name = "ON", type_ = "string", json_path = ".spec.on"),
    printcolumn(name = "SEVERITY", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "FIRING", type_ = "integer", json_path = ".status.firing"),
    printcolumn(name = "LAST FIRED", type_ = "date", json_path = ".status.lastFired"),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AlertRuleSpec {
    /// Stops the alerts; events are not kept for later.
    #[serde(default)]
    pub suspend: bool,
    /// How bad it is.
    #[serde(default)]
    pub severity: AlertSeverity,
    /// The kind of event that the rule looks at. Write the key in quotes (`"on": finding`): to YAML 1.1, which kubectl
    /// reads, a bare `on` is the boolean true.
    pub on: AlertEvent,
    /// CEL over the event.
    #[serde(default = "default_condition")]
    #[schemars(schema_with = "condition")]
    pub condition: String,
    /// How many events it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// Fields of the event that make alerts different from each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "group_by")]
    pub group_by: Vec<String>,
    /// How long the same alert stays quiet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Duration>,
    /// Alerts are gathered into one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When an alert is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Resolve>,
    /// Who hears of it.
    #[schemars(length(max = 16), extend("x-kubernetes-validations" = [schema::rule("self.size() > 0", "name at least one channel, such as - inApp: {}")]))]
    pub channels: Vec<Channel>,
}

/// How bad an alert is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Low.
    Low,
    /// Medium.
    #[default]
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// The kind of event that a rule looks at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertEvent {
    /// A finding opened or closed.
    Finding,
    /// A fact differs from its baseline.
    Drift,
    /// A package is vulnerable.
    Vulnerability,
    /// An indicator of compromise was seen.
    Ioc,
    /// The score changed.
    Score,
    /// An agent came or fell silent.
    Agent,
    /// A scan ended.
    Run,
    /// A cloud account was read.
    Account,
}

/// How many events within what time.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// At least so many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Within this time.
    pub window: Duration,
}

/// Alerts gathered into one message.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// One message for each of these.
    pub window: Duration,
}

/// When an alert is over.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolve {
    /// After this time without an event.
    pub after: Duration,
}

/// What is so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertRuleStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `tenantra.io/reconcile-requested-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub last_handled_reconcile_at: Option<String>,
    /// Alerts that are not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing: Option<i32>,
    /// When it last raised one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fired: Option<Time>,
    /// Messages that arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<i64>,
    /// Messages that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i64>,
    /// By the rules of kstatus, a map by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

fn default_condition() -> String {
    "true".to_owned()
}

fn condition(_: &mut SchemaGenerator) -> Schema {
    schema::checked(
        4096,
        "self.trim() != ''",
        "write a condition in CEL, such as event.severity == 'critical', or leave it out to match every event",
    )
}

fn group_by(_: &mut SchemaGenerator) -> Schema {
    let field =
        schema::matching(128, "^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)*$", "write a field of the event, such as asset.id");
    schema::unique_list(8, &field, "name each field once")
}
