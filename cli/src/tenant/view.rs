//! A tenant as scripts read it: the fields of the REST API's tenant, under the same names.

use crds::conditions::{self, ConditionType};
use crds::names::ANNOTATION_SUSPENDED_BY;
use crds::tenant::{DeletionPolicy, Plan, Tenant};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// A tenant.
#[derive(Debug, Serialize)]
pub struct View {
    /// Its UUID; none before the operator has taken it up.
    pub id: Option<String>,
    /// Its name.
    pub slug: String,
    /// What people call it.
    pub display_name: String,
    /// What it pays for.
    pub plan: String,
    /// The tenant above it.
    pub parent: Option<String>,
    /// Whether it is what its spec asks for.
    pub ready: bool,
    /// Why it is, or is not.
    pub reason: Option<String>,
    /// 0 to 100.
    pub score: Option<i32>,
    /// Its agents.
    pub agents: Agents,
    /// Its open findings.
    pub open_findings: OpenFindings,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Whether it is on its way out.
    pub deleting: bool,
    /// What becomes of its data when it is deleted.
    pub deletion_policy: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its schema in Postgres.
    pub schema: Option<String>,
    /// Where its dashboard answers.
    pub url: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "as_text")]
    pub created_at: Option<Timestamp>,
    /// What is so.
    pub conditions: Vec<Condition>,
}

/// Counts of agents.
#[derive(Debug, Default, Serialize)]
pub struct Agents {
    /// Nodes that should have one.
    pub desired: i32,
    /// Enrolled and heard of lately.
    pub ready: i32,
    /// Enrolled and silent.
    pub stale: i32,
}

/// Counts of open findings.
#[derive(Debug, Default, Serialize)]
pub struct OpenFindings {
    /// Of severity critical.
    pub critical: i64,
    /// Of severity high.
    pub high: i64,
}

/// A condition.
#[derive(Debug, Serialize)]
pub struct Condition {
    /// `Ready`, `DatabaseReady`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When the status last changed.
    #[serde(serialize_with = "time_as_text")]
    pub last_transition_time: Timestamp,
    /// The generation it speaks of.
    pub observed_generation: Option<i64>,
}

impl View {
    /// The view of a tenant.
    pub fn of(tenant: &Tenant) -> Self {
        let (metadata, spec) = (&tenant.metadata, &tenant.spec);
        let status = tenant.status.clone().unwrap_or_default();
        let ready = conditions::get(&status.conditions, ConditionType::Ready);
        let is_annotated = metadata.annotations.as_ref().is_some_and(|a| a.contains_key(ANNOTATION_SUSPENDED_BY));
        Self {
            id: status.tenant_id,
            slug: metadata.name.clone().unwrap_or_default(),
            display_name: spec.display_name.clone(),
            plan: plan(spec.plan).to_owned(),
            parent: spec.parent.clone(),
            ready: ready.is_some_and(|ready| ready.status == "True"),
            reason: ready.map(|ready| ready.reason.clone()),
            score: status.score,
            agents: status
                .agents
                .map(|a| Agents { desired: a.desired, ready: a.ready, stale: a.stale })
                .unwrap_or_default(),
            open_findings: status
                .open_findings
                .map(|open| OpenFindings { critical: open.critical, high: open.high })
                .unwrap_or_default(),
            suspended: spec.suspend || is_annotated,
            deleting: metadata.deletion_timestamp.is_some(),
            deletion_policy: policy(spec.deletion_policy).to_owned(),
            namespace: status.namespace,
            schema: status.schema,
            url: status.url,
            created_at: metadata.creation_timestamp.as_ref().map(|time| time.0),
            conditions: status.conditions.into_iter().map(Condition::of).collect(),
        }
    }

    /// The status of `Ready`; none before the operator has taken the tenant up.
    pub fn ready_status(&self) -> Option<&str> {
        self.conditions.iter().find(|c| c.kind == ConditionType::Ready.as_str()).map(|c| c.status.as_str())
    }
}

impl Condition {
    fn of(condition: k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> Self {
        Self {
            kind: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time.0,
            observed_generation: condition.observed_generation,
        }
    }
}

/// The plan as the manifest writes it.
pub const fn plan(plan: Plan) -> &'static str {
    match plan {
        Plan::Free => "Free",
        Plan::Basic => "Basic",
        Plan::Pro => "Pro",
        Plan::Enterprise => "Enterprise",
    }
}

const fn policy(policy: DeletionPolicy) -> &'static str {
    match policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Archive => "Archive",
        DeletionPolicy::Purge => "Purge",
    }
}

fn time_as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn as_text<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
