//! What a tenant may do and what becomes of its data: isolation, weights of risk, retention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::schema;

/// How far the tenant's namespace is closed.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Isolation {
    /// The Pod Security level of the tenant's namespace.
    #[serde(default)]
    pub pod_security: PodSecurity,
    /// Which NetworkPolicies it gets.
    #[serde(default)]
    pub network_policy: NetworkIsolation,
    /// What stays reachable where the policy is Strict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub egress: Vec<EgressRule>,
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PodSecurity {
    /// No restriction.
    Privileged,
    /// No known privilege escalation.
    Baseline,
    /// Hardened.
    #[default]
    Restricted,
}

impl PodSecurity {
    /// The value of the namespace's `pod-security.kubernetes.io` labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Which NetworkPolicies a tenant's namespace gets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum NetworkIsolation {
    /// Both ways closed but for DNS, within, Tenantra's API and `egress`.
    Strict,
    /// Ingress closed but from within; egress open.
    #[default]
    Baseline,
    /// No policy.
    None,
}

/// A network that pods may reach.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressRule {
    /// The network.
    #[schemars(schema_with = "schema::cidr")]
    pub cidr: String,
    /// TCP ports; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ports")]
    pub ports: Vec<u16>,
}

/// How findings weigh in the score.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// Weights by severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<RiskWeights>,
}

/// Weights by severity; each that is absent is the installation's.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::rule("[has(self.critical) ? self.critical : 10, has(self.high) ? self.high : 5, has(self.medium) ? self.medium : 2, has(self.low) ? self.low : 1].exists(w, w > 0)", "give at least one severity a weight above 0, else nothing can be scored")]))]
pub struct RiskWeights {
    /// Of a critical check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub critical: Option<u32>,
    /// Of a high check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub high: Option<u32>,
    /// Of a medium check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub medium: Option<u32>,
    /// Of a low check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub low: Option<u32>,
}

/// How long what is kept is kept.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Logs of the programs.
    #[serde(default = "operational_logs")]
    pub operational_logs: Duration,
    /// Security events.
    #[serde(default = "security_events")]
    pub security_events: Duration,
    /// Findings after they were closed.
    #[serde(default = "findings")]
    pub findings: Duration,
    /// The audit log.
    #[serde(default = "audit")]
    pub audit: Duration,
    /// What goes to the archive before it is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::retention_types")]
    pub archive: Vec<RetentionType>,
}

/// A type of what is kept, by the name of its field in [`Retention`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RetentionType {
    /// Logs of the programs.
    OperationalLogs,
    /// Security events.
    SecurityEvents,
    /// Findings after they were closed.
    Findings,
    /// The audit log.
    Audit,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            operational_logs: operational_logs(),
            security_events: security_events(),
            findings: findings(),
            audit: audit(),
            archive: Vec::new(),
        }
    }
}

fn operational_logs() -> Duration {
    Duration::days(30)
}

fn security_events() -> Duration {
    Duration::days(90)
}

fn findings() -> Duration {
    Duration::days(365)
}

fn audit() -> Duration {
    Duration::years(7)
}
