//! A tenant as the API shows it: the resource, seen through its status, with fresher figures from `tenant_rollups`.

use crds::{
    conditions::{self, ConditionType},
    tenant::Tenant,
};
use kube::ResourceExt;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::tenants::{cache::is_suspended, gitops, plan};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantView {
    /// Its UUID; absent until the database has it.
    pub id: Option<Uuid>,
    /// Its name in Kubernetes.
    pub slug: String,
    /// Its name for people.
    pub display_name: String,
    /// Free, Basic, Pro or Enterprise.
    #[schema(example = "Enterprise")]
    pub plan: &'static str,
    /// The tenant above it; only platform administrators are told.
    pub parent: Option<String>,
    /// Whether its condition Ready is true.
    pub ready: bool,
    /// The reason of its condition Ready.
    pub reason: Option<String>,
    /// 0 to 100; absent where nothing was assessed or the plan has no score.
    pub score: Option<i32>,
    /// Its agents.
    pub agents: AgentCounts,
    /// Its open findings.
    pub open_findings: OpenFindings,
    /// All its conditions.
    pub conditions: Vec<ConditionView>,
    /// When the resource was made, RFC 3339.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_at: Option<String>,
    /// Whether its people and agents are kept out.
    pub suspended: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The GitOps tool that manages it; then it is read-only here.
    pub managed_by: Option<String>,
    /// The resource's version, which is also the `ETag`.
    pub resource_version: Option<String>,
}

/// Agents of a tenant on its nodes.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct AgentCounts {
    /// Nodes that should have one.
    pub desired: i32,
    /// Enrolled and heard of lately.
    pub ready: i32,
    /// Enrolled and silent.
    pub stale: i32,
}

/// Open findings by severity.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct OpenFindings {
    /// Critical ones.
    pub critical: i64,
    /// High ones.
    pub high: i64,
}

/// A condition by the rules of kstatus.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConditionView {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// One word.
    pub reason: String,
    /// For a platform administrator; left out for everybody else, because it tells of the platform's own systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the status last changed, RFC 3339.
    pub last_transition_time: String,
    /// The generation of the spec it speaks of.
    pub observed_generation: Option<i64>,
}

/// The view of a tenant whose UUID the database gave.
pub fn view(tenant: &Tenant, id: Option<Uuid>) -> TenantView {
    let status = tenant.status.clone().unwrap_or_default();
    let ready = conditions::get(&status.conditions, ConditionType::Ready);
    TenantView {
        id: id.or_else(|| status.tenant_id.as_deref().and_then(|id| Uuid::try_parse(id).ok())),
        slug: tenant.name_any(),
        display_name: tenant.spec.display_name.clone(),
        plan: plan::name(tenant.spec.plan),
        parent: tenant.spec.parent.clone(),
        ready: conditions::is_true(&status.conditions, ConditionType::Ready),
        reason: ready.map(|ready| ready.reason.clone()),
        score: status.score,
        agents: status
            .agents
            .map(|agents| AgentCounts { desired: agents.desired, ready: agents.ready, stale: agents.stale })
            .unwrap_or_default(),
        open_findings: status
            .open_findings
            .map(|open| OpenFindings { critical: open.critical, high: open.high })
            .unwrap_or_default(),
        conditions: status
            .conditions
            .iter()
            .map(|condition| ConditionView {
                kind: condition.type_.clone(),
                status: condition.status.clone(),
                reason: condition.reason.clone(),
                message: Some(condition.message.clone()),
                last_transition_time: condition.last_transition_time.0.to_string(),
                observed_generation: condition.observed_generation,
            })
            .collect(),
        created_at: tenant.creation_timestamp().map(|time| time.0.to_string()),
        suspended: is_suspended(tenant),
        deleting: tenant.metadata.deletion_timestamp.is_some(),
        managed_by: gitops::manager(tenant),
        resource_version: tenant.resource_version(),
    }
}

/// As [`view`], for people of the tenant: without its place among the platform's tenants and the operator's own words.
pub fn own_view(tenant: &Tenant, id: Option<Uuid>) -> TenantView {
    let mut shown = view(tenant, id);
    shown.parent = None;
    for condition in &mut shown.conditions {
        condition.message = None;
    }
    shown
}
