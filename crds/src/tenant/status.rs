//! What the operator says of a tenant.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What is so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of `tenantra.io/reconcile-requested-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub last_handled_reconcile_at: Option<String>,
    /// The tenant's UUID: a copy of what the database holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub tenant_id: Option<String>,
    /// The tenant's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub namespace: Option<String>,
    /// The namespace of its agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub agent_namespace: Option<String>,
    /// Its schema in Postgres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub schema: Option<String>,
    /// The last migration of that schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// Its path in Vault or OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub vault_path: Option<String>,
    /// Its Keycloak realm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub realm: Option<String>,
    /// Its Grafana organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<GrafanaStatus>,
    /// Where its dashboard answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::paragraph")]
    pub url: Option<String>,
    /// Its agents, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentCounts>,
    /// 0 to 100; absent where nothing was assessed or the plan has no compliance score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<i32>,
    /// Its open findings, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_findings: Option<OpenFindings>,
    /// Tenants directly below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<i32>,
    /// By the rules of kstatus, a map by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A Grafana organisation.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrafanaStatus {
    /// The organisation's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<i64>,
    /// The folder of our dashboards in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub folder_uid: Option<String>,
    /// Where that folder opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::paragraph")]
    pub url: Option<String>,
}

/// Agents of a tenant, counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCounts {
    /// Nodes that should have one.
    pub desired: i32,
    /// Enrolled and heard of lately.
    pub ready: i32,
    /// Enrolled and silent.
    pub stale: i32,
}

/// Open findings of a tenant, counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenFindings {
    /// Of severity critical.
    pub critical: i64,
    /// Of severity high.
    pub high: i64,
}
