//! `CloudAccount`: a cloud account to discover. The provider never changes, because every asset found under it is named
//! after it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::reference::SecretRef;
use crate::schema;

/// A cloud account to discover.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "tenantra.io",
    version = "v1alpha1",
    kind = "CloudAccount",
    plural = "cloudaccounts",
    singular = "cloudaccount",
    shortname = "ca",
    category = "tenantra",
    namespaced,
    status = "CloudAccountStatus",
    derive = "PartialEq",
    doc = "A cloud account to discover. Lives in its tenant's namespace.",
    printcolumn(name = "PROVIDER", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "ACCOUNT", type_ = "string", json_path = ".spec.accountId"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "LAST SYNC", type_ = "date", json_path = ".status.lastSyncTime"),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    schema::rule("self.provider != 'aws' || self.accountId.matches('^[0-9]{12}$')", "accountId of aws: write the account's twelve digits, such as 123456789012"),
    schema::rule("self.provider != 'azure' || self.accountId.matches('^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')", "accountId of azure: write the subscription's UUID in lower case"),
    schema::rule("self.provider != 'gcp' || self.accountId.matches('^[a-z][-a-z0-9]{4,28}[a-z0-9]$')", "accountId of gcp: write the project's id, such as acme-prod-1234"),
]))]
pub struct CloudAccountSpec {
    /// Whose cloud it is.
    #[schemars(schema_with = "provider")]
    pub provider: CloudProvider,
    /// The account (AWS), subscription (Azure) or project (Google).
    #[schemars(schema_with = "account_id")]
    pub account_id: String,
    /// Where to look; empty means every region that the account has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "regions")]
    pub regions: Vec<String>,
    /// What opens the account.
    pub credential_reference: SecretRef,
    /// How often it is read.
    #[serde(default = "default_sync_interval")]
    pub sync_interval: Duration,
    /// Stops the reading.
    #[serde(default)]
    pub suspend: bool,
    /// Kinds of resource to read; empty means all that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "resources")]
    pub resources: Vec<String>,
    /// Where the provider's API answers, for sovereign clouds; only hosts that the installation allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::web_address")]
    pub endpoint: Option<String>,
}

/// Whose cloud it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudProvider {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
}

/// What is so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudAccountStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `tenantra.io/reconcile-requested-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub last_handled_reconcile_at: Option<String>,
    /// When it was last read to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// When it is read next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_sync_time: Option<Time>,
    /// What was found, counted by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::counts")]
    pub assets: BTreeMap<String, i64>,
    /// Whether the provider slowed the last reading down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// By the rules of kstatus, a map by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

fn default_sync_interval() -> Duration {
    Duration::hours(1)
}

fn provider(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["aws", "azure", "gcp"],
        "x-kubernetes-validations": [schema::rule(
            "self == oldSelf",
            "provider never changes: create another CloudAccount for the other provider and delete this one",
        )],
    })
}

fn account_id(_: &mut SchemaGenerator) -> Schema {
    schema::text(64)
}

fn regions(_: &mut SchemaGenerator) -> Schema {
    let region =
        schema::matching(64, "^[a-z][-a-z0-9]{1,63}$", "write a region as its provider does, such as eu-central-1");
    schema::unique_list(64, &region, "name each region once")
}

fn resources(_: &mut SchemaGenerator) -> Schema {
    let kind =
        schema::matching(64, "^[a-z][a-z0-9_]{0,63}$", "write a kind of resource in lower case, such as ec2_instance");
    schema::unique_list(64, &kind, "name each kind of resource once")
}
