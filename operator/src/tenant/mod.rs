//! One pass over a tenant: guard → observe → validate → plan → apply → status. Observe and apply do IO; the rest is pure.
//! Plan and apply run in the provisioners' lanes; this file is the order of things.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use store::tenants::{Progress, TenantRow, TenantState};
use store::{Slug, TenantRef};
use tokio::time::Instant;
use uuid::Uuid;

use crate::provision::{Class, Entry, Error, Systems};
use crate::runtime::caches::Nodes;
use crate::runtime::events::{Events, transitions};
use crate::runtime::gate::System;
use crate::runtime::lanes::{Lanes, Pass, spread};
use crate::runtime::metrics::Metrics;
use crate::schedule::modules::Modules;
use crate::systems::kubernetes::{self, REQUEST_LIMIT, bounded};
use crate::tenant::guard::{Verdict, annotation};
use crate::tenant::observe::{Registry, children_of};
use crate::tenant::status::{Facts, Figures, Situation};
use crate::tenant::validate::{Installation, ValidTenant, validate};
use crds::conditions::ConditionType;
use crds::names::{ANNOTATION_ADOPT, ANNOTATION_RECONCILE_REQUESTED_AT, OPERATOR};
use crds::tenant::{Tenant, TenantStatus};

pub mod finalizer;
pub mod guard;
pub mod observe;
pub mod offboard;
pub mod plan;
pub mod purge;
pub mod status;
pub mod validate;

/// Figures of a tenant are written at most that often.
const FIGURES_PERIOD: Duration = Duration::from_mins(1);
/// How soon a pass that was held up by something outside is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How soon a tenant that a person has to correct is looked at again, beside what the watches tell.
const STALLED_RETRY: Duration = Duration::from_mins(1);

/// What passes share.
pub struct Context {
    /// The client.
    pub client: Client,
    /// What provisioners work on.
    pub systems: Systems,
    /// Where they run.
    pub lanes: Lanes,
    /// What all tenants share.
    pub installation: Arc<Installation>,
    /// Every tenant, as the watch knows it.
    pub tenants: Store<Tenant>,
    /// Every node that belongs to a tenant.
    pub nodes: Arc<Nodes>,
    /// Rows and figures.
    pub registry: Registry,
    /// Which modules can be scheduled.
    pub modules: Modules,
    /// Writes Events.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// More deletions than this in an hour hold all of them.
    pub max_offboards: usize,
    /// What was last written for each tenant.
    pub memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a tenant between passes.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The status as last written, and the resourceVersion that the write answered: the cache may be behind it.
    written: Option<(TenantStatus, u64)>,
    /// When figures were last written.
    figures_at: Option<Instant>,
}

impl Context {
    fn memory(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this installation has what a provisioner works on.
    pub fn has(&self, entry: &Entry) -> bool {
        entry.system != System::OpenBao || self.systems.bao.is_some()
    }

    /// Whether anything says that the tenant was ever made anywhere.
    pub fn is_known(&self, tenant: &Tenant, slug: &Slug) -> bool {
        let has_namespace = || {
            let key = crate::systems::child::Key::namespace(&crds::names::tenant_namespace(slug.as_str()));
            self.systems.cluster.children().get(&key).is_some_and(|there| there.seen.slug == slug.as_str())
        };
        tenant.status.as_ref().is_some_and(|status| status.tenant_id.is_some())
            || self.registry.get(slug).is_some()
            || has_namespace()
    }

    /// How many tenants are on their way out, or ended their offboarding since `since`.
    pub fn going_since(&self, since: DateTime<Utc>) -> usize {
        self.tenants.state_filter(|tenant| tenant.metadata.deletion_timestamp.is_some()).len()
            + self.registry.ended_since(since)
    }

    /// The status as it is: what the cache says, or what was written after that.
    fn current(&self, tenant: &Tenant) -> Option<TenantStatus> {
        let cached = tenant.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let memory = self.memory();
        match memory.get(&tenant.name_any()).and_then(|memory| memory.written.as_ref()) {
            Some((status, version)) if *version > cached => Some(status.clone()),
            _ => tenant.status.clone(),
        }
    }

    /// Writes the status that `situation` gives, if it differs.
    pub async fn report(&self, tenant: &Tenant, situation: Situation<'_>) -> Result<TenantStatus, Error> {
        let previous = self.current(tenant);
        let children = children_of(&self.tenants, &tenant.name_any()).len();
        let facts = Facts {
            previous: previous.as_ref(),
            generation: tenant.metadata.generation,
            requested_at: annotation(tenant, ANNOTATION_RECONCILE_REQUESTED_AT),
            children,
            situation,
            now: Timestamp::now(),
        };
        let next = status::next(&facts);
        if previous.as_ref() == Some(&next) {
            return Ok(next);
        }
        self.systems.lead.permit(REQUEST_LIMIT).map_err(kubernetes::Error::from)?;
        let api: Api<Tenant> = Api::all(self.client.clone());
        let name = tenant.name_any();
        let body = json!({ "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": name, "uid": tenant.metadata.uid }, "status": next });
        let params = PatchParams::apply(OPERATOR).force();
        let written =
            match bounded("to write the status of a tenant", api.patch_status(&name, &params, &Patch::Apply(&body)))
                .await
            {
                Ok(written) => written,
                // The object went in between, or another one has its name: nothing to tell any more.
                Err(error) if matches!(error.code(), Some(404 | 409)) => return Ok(next),
                Err(error) => return Err(error.into()),
            };
        self.metrics.status_written();
        let version = written.metadata.resource_version.and_then(|v| v.parse().ok()).unwrap_or(0);
        {
            let mut memory = self.memory();
            let memory = memory.entry(name).or_default();
            if previous
                .as_ref()
                .is_none_or(|p| (p.score, p.agents, p.open_findings) != (next.score, next.agents, next.open_findings))
            {
                memory.figures_at = Some(Instant::now());
            }
            memory.written = Some((next.clone(), version));
        }
        let before = previous.map(|p| p.conditions).unwrap_or_default();
        self.events.publish(tenant, transitions(&before, &next.conditions)).await;
        Ok(next)
    }

    /// The figures to write now, and when newer ones may be.
    fn figures(&self, tenant: &Tenant, valid: &ValidTenant) -> (Figures, Option<Duration>) {
        let mut fresh = self.registry.figures(valid.reference.id);
        let nodes = if valid.agent.enabled { self.nodes.matching(&valid.agent_node_selector) } else { 0 };
        fresh.agents.desired = i32::try_from(nodes).unwrap_or(i32::MAX);
        let Some(status) = self.current(tenant) else { return (fresh, None) };
        let written = Figures {
            score: status.score,
            agents: status.agents.unwrap_or_default(),
            findings: status.open_findings.unwrap_or_default(),
        };
        let last = self.memory().get(&tenant.name_any()).and_then(|memory| memory.figures_at);
        // Nodes that came or went are no figure of the product, and are told at once.
        let same_nodes = written.agents.desired == fresh.agents.desired;
        match last.map(|at| FIGURES_PERIOD.saturating_sub(at.elapsed())) {
            Some(left) if !left.is_zero() && written != fresh && same_nodes => (written, Some(left)),
            _ => (fresh, None),
        }
    }

    /// Forgets a tenant that is gone.
    pub fn forget(&self, slug: &str) {
        self.memory().remove(slug);
        self.lanes.forget(slug);
    }
}

/// One pass over one tenant.
pub async fn reconcile(tenant: Arc<Tenant>, ctx: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let done = pass(&tenant, &ctx).await;
    ctx.metrics.passed("Tenant", done.is_ok(), started.elapsed());
    done
}

/// What becomes of a tenant whose pass failed as a whole: its own API calls did.
#[allow(clippy::needless_pass_by_value, reason = "the controller calls it so")]
pub fn on_error(tenant: Arc<Tenant>, error: &Error, _: Arc<Context>) -> Action {
    let report = error.report();
    tracing::warn!(tenant = %tenant.name_any(), reason = report.reason, message = report.message, "a pass failed");
    Action::requeue(spread(RETRY))
}

async fn pass(tenant: &Tenant, ctx: &Context) -> Result<Action, Error> {
    let slug = Slug::parse(&tenant.name_any())?;
    match guard::decide(tenant) {
        Verdict::Leave => Ok(Action::await_change()),
        Verdict::Pause => ctx.report(tenant, Situation::Paused).await.map(|_| Action::await_change()),
        Verdict::Offboard => offboard::offboard(ctx, tenant, &slug).await,
        Verdict::Reconcile => provision(ctx, tenant, &slug).await,
    }
}

async fn provision(ctx: &Context, tenant: &Tenant, slug: &Slug) -> Result<Action, Error> {
    let requested = annotation(tenant, ANNOTATION_RECONCILE_REQUESTED_AT);
    if requested.is_some() && ctx.current(tenant).and_then(|s| s.last_handled_reconcile_at).as_deref() != requested {
        ctx.lanes.forget(slug.as_str());
    }
    let reference = match identity(ctx, tenant, slug).await {
        Ok(reference) => reference,
        Err(error) => {
            let report = error.report();
            let (reason, message) = (report.reason.as_str(), report.message.as_str());
            if report.class == Class::Stalled {
                ctx.report(tenant, Situation::Stalled { reason, message }).await?;
                return Ok(Action::requeue(spread(STALLED_RETRY)));
            }
            ctx.report(tenant, Situation::Blocked { reason, message }).await?;
            return Ok(Action::requeue(spread(RETRY)));
        }
    };
    let parent_of = |name: &str| ctx.tenants.get(&ObjectRef::new(name)).map(|parent| parent.spec.parent.clone());
    let valid = match validate(tenant, reference, &ctx.installation, parent_of) {
        Ok(valid) => Arc::new(valid),
        Err(invalid) => {
            ctx.report(tenant, Situation::Stalled { reason: invalid.reason(), message: &invalid.to_string() }).await?;
            return Ok(Action::requeue(spread(STALLED_RETRY)));
        }
    };
    finalizer::ensure(ctx, tenant).await?;
    let is_recorded = suspend(ctx, &valid).await;
    let Pass { outcomes, due } = ctx.lanes.pass(&ctx.systems, &valid, |entry| !ctx.has(entry)).await;
    let (figures, later) = ctx.figures(tenant, &valid);
    let schema_version = store::migrate::Scope::Tenant.head().parse().unwrap_or_default();
    let situation = Situation::Provisioned { tenant: &valid, outcomes: &outcomes, figures, schema_version };
    let written = ctx.report(tenant, situation).await?;

    let grace =
        status::grace_left(&written, Timestamp::now()).and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs);
    let due = due.map(|at| at.saturating_duration_since(Instant::now()));
    let unrecorded = (!is_recorded).then_some(RETRY * 5);
    let next = [due, later, grace, unrecorded].into_iter().flatten().min();
    Ok(next.map_or_else(Action::await_change, |wait| Action::requeue(wait.max(Duration::from_millis(100)))))
}

/// Who the tenant is, before any other write. While Postgres is away, a tenant that was known stays known.
async fn identity(ctx: &Context, tenant: &Tenant, slug: &Slug) -> Result<TenantRef, Error> {
    match ctx.registry.ensure(slug, ctx.lanes.gate(System::Postgres)).await {
        Ok(row) => {
            let adopt = annotation(tenant, ANNOTATION_ADOPT).and_then(|id| id.parse::<Uuid>().ok());
            row.adoptable(adopt)?;
            take_up(ctx, &row).await?;
            Ok(row.tenant)
        }
        Err(error) if error.report().class == Class::Silent => {
            let remembered = tenant.status.as_ref().and_then(|status| status.tenant_id.as_ref());
            match remembered.and_then(|id| id.parse().ok()) {
                Some(id) if guard::has_finalizer(tenant) => Ok(TenantRef { slug: slug.clone(), id }),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// A row that was on its way out is active again.
async fn take_up(ctx: &Context, row: &TenantRow) -> Result<(), Error> {
    if matches!(row.state, TenantState::Active | TenantState::Suspended) {
        return Ok(());
    }
    // An audit entry and the state in one transaction, which fails where a purge has begun since the row was read.
    let progress = Progress { state: TenantState::Active, step: String::new(), purge_after: None };
    let audit = [("tenant.adopted", json!({ "from": row.state, "tenant": row.tenant.slug }))];
    ctx.registry.advance(row, &progress, ctx.lanes.gate(System::Postgres), &audit).await?;
    Ok(())
}

/// Copies the product's switch to the row, where agents and sign-ins look for it; whether it says so now.
async fn suspend(ctx: &Context, valid: &ValidTenant) -> bool {
    let Some(row) = ctx.registry.get(&valid.reference.slug) else { return false };
    let state = if valid.is_suspended { TenantState::Suspended } else { TenantState::Active };
    if row.state == state {
        return true;
    }
    let progress = Progress { state, step: String::new(), purge_after: None };
    let action = if valid.is_suspended { "tenant.suspended" } else { "tenant.activated" };
    let audit = [(action, json!({ "tenant": valid.reference.slug }))];
    let done = ctx.registry.advance(&row, &progress, ctx.lanes.gate(System::Postgres), &audit).await;
    if let Err(error) = &done {
        tracing::warn!(tenant = %valid.reference.slug, %error, "the switch of the tenant could not be recorded; the next pass tries again");
    }
    done.is_ok()
}

/// Counts tenants by their Ready, for the metrics.
pub fn count(ctx: &Context) {
    let mut counts = [("True", 0), ("False", 0), ("Unknown", 0)];
    for tenant in ctx.tenants.state() {
        let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let ready =
            crds::conditions::get(conditions, ConditionType::Ready).map_or("Unknown", |ready| ready.status.as_str());
        if let Some((_, count)) = counts.iter_mut().find(|(name, _)| *name == ready) {
            *count += 1;
        }
    }
    ctx.metrics.tenants(counts);
}
