//! Taking a tenant back, step by step. Where it is lies in `shared.tenants`, so a restart goes on where the last leader
//! stopped; each step may be taken twice. The finalizer goes after step 6; step 7 is in `purge`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::runtime::controller::Action;
use serde_json::json;
use store::Slug;
use store::tenants::{Progress, TenantRow, TenantState};

use crate::provision::{Error, LIST, Stage};
use crate::runtime::gate::System;
use crate::systems::kubernetes::bounded;
use crate::tenant::guard::{self, annotation, is_released_from};
use crate::tenant::observe::{self, children_of};
use crate::tenant::status::Situation;
use crate::tenant::{Context, finalizer};
use crds::conditions::ConditionType;
use crds::names::{ANNOTATION_PURGE_APPROVED_BY_CISO, ANNOTATION_PURGE_APPROVED_BY_COMPLIANCE, OPERATOR};
use crds::tenant::{DeletionPolicy, Tenant};

/// How long a deletion waits before it begins, so that a flood of them is seen as one before the first is done.
const SETTLE: Duration = Duration::from_secs(2);
const HOUR: i64 = 3600;
/// How soon a held or failed offboarding is looked at again.
const RETRY: Duration = Duration::from_secs(5);

/// The steps of offboarding that come before the object goes, by their number in the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// 1: suspended.
    Suspend,
    /// 2: exported.
    Export,
    /// 3: nobody gets in.
    Revoke,
    /// 4: the realm is disabled.
    DisableRealm,
    /// 5: logs are archived.
    ArchiveLogs,
    /// 6: nothing runs.
    RemoveWorkloads,
}

impl Step {
    const ALL: [Self; 6] =
        [Self::Suspend, Self::Export, Self::Revoke, Self::DisableRealm, Self::ArchiveLogs, Self::RemoveWorkloads];

    /// The name in `shared.tenants.step` and in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Export => "exported",
            Self::Revoke => "revoked",
            Self::DisableRealm => "realm_disabled",
            Self::ArchiveLogs => "logs_archived",
            Self::RemoveWorkloads => "workloads_removed",
        }
    }

    /// Whether this installation takes the step, or records it as skipped: archives, realms and logs have no system yet.
    const fn is_taken(self) -> bool {
        matches!(self, Self::Suspend | Self::Revoke | Self::RemoveWorkloads)
    }

    /// The step after the one that `done` names.
    pub fn after(done: &str) -> Option<Self> {
        let place = Self::ALL.iter().position(|step| step.name() == done);
        Self::ALL.get(place.map_or(0, |place| place + 1)).copied()
    }
}

/// One pass over a tenant that is being deleted.
pub async fn offboard(ctx: &Context, tenant: &Tenant, slug: &Slug) -> Result<Action, Error> {
    if is_kind_leaving(ctx).await? {
        tracing::warn!(tenant = %slug, "the kind itself is being deleted: the finalizer is released and nothing is removed");
        return finalizer::remove(ctx, tenant).await;
    }
    let row = match ctx.registry.read(slug, ctx.lanes.gate(System::Postgres)).await {
        Ok(row) => row,
        Err(error) if is_released_from(tenant, System::Postgres.name()) => {
            tracing::warn!(tenant = %slug, %error, "released by force from Postgres");
            return release_without_row(ctx, tenant, slug).await;
        }
        Err(error) => {
            let status = ctx.is_known(tenant, slug);
            if !status {
                // It never came as far as an identity, so there is nothing to take back.
                return finalizer::remove(ctx, tenant).await;
            }
            ctx.report(tenant, Situation::Offboarding { message: &format!("waiting: {error}") }).await?;
            return Ok(Action::requeue(RETRY));
        }
    };
    let Some(row) =
        row.filter(|row| !matches!(row.state, TenantState::Retained | TenantState::Offboarded | TenantState::Purged))
    else {
        return finalizer::remove(ctx, tenant).await;
    };
    if let Some(wait) = settling(tenant) {
        ctx.report(tenant, Situation::Offboarding { message: "about to begin" }).await?;
        return Ok(Action::requeue(wait));
    }
    let going = ctx.going_since(Utc::now() - chrono::TimeDelta::seconds(HOUR));
    let children = children_of(&ctx.tenants, slug.as_str());
    if let Some(hold) = guard::hold(tenant, children.first().map(String::as_str), going, ctx.max_offboards) {
        ctx.report(tenant, Situation::Stalled { reason: hold.reason(), message: &hold.to_string() }).await?;
        return Ok(Action::requeue(RETRY));
    }
    match steps(ctx, tenant, row).await {
        Ok(row) => {
            finish(ctx, tenant, &row).await?;
            ctx.lanes.forget(slug.as_str());
            finalizer::remove(ctx, tenant).await
        }
        Err(error) => {
            ctx.report(tenant, Situation::Offboarding { message: &format!("waiting: {error}") }).await?;
            Ok(Action::requeue(RETRY))
        }
    }
}

async fn steps(ctx: &Context, tenant: &Tenant, mut row: TenantRow) -> Result<TenantRow, Error> {
    if row.state != TenantState::Offboarding {
        row.step.clear();
    }
    while let Some(step) = Step::after(&row.step) {
        ctx.report(tenant, Situation::Offboarding { message: &format!("at step {}", step.name()) }).await?;
        match step {
            Step::Revoke => {
                revoke_rows(ctx, &row).await?;
                remove(ctx, tenant, &row, Stage::Revoke).await?;
            }
            Step::RemoveWorkloads => remove(ctx, tenant, &row, Stage::Workloads).await?,
            Step::Suspend | Step::Export | Step::DisableRealm | Step::ArchiveLogs => {}
        }
        let progress = Progress { state: TenantState::Offboarding, step: step.name().to_owned(), purge_after: None };
        let action = format!("offboard.{}", step.name());
        let details = json!({ "skipped": !step.is_taken(), "tenant": row.tenant.slug });
        row = ctx.registry.advance(&row, &progress, ctx.lanes.gate(System::Postgres), &[(&action, details)]).await?;
    }
    Ok(row)
}

/// The last word about a tenant whose object may go now.
async fn finish(ctx: &Context, tenant: &Tenant, row: &TenantRow) -> Result<(), Error> {
    let gate = ctx.lanes.gate(System::Postgres);
    let is_purge = tenant.spec.deletion_policy == DeletionPolicy::Purge;
    let mut audit = Vec::new();
    if is_purge {
        approve(ctx, tenant, row).await?;
        audit.push(("offboard.purge_scheduled", json!({ "purge_after": tenant.spec.purge_after.to_string() })));
    } else {
        audit.push(("offboard.retained", json!({ "tenant": row.tenant.slug })));
    }
    let purge_after = is_purge.then(|| purge_time(tenant)).flatten();
    let state = if is_purge { TenantState::Offboarded } else { TenantState::Retained };
    let progress = Progress { state, step: row.step.clone(), purge_after };
    ctx.registry.advance(row, &progress, gate, &audit).await?;
    Ok(())
}

/// Records the approvals that the object carries. Who set them was checked by the API server's admission policy.
async fn approve(ctx: &Context, tenant: &Tenant, row: &TenantRow) -> Result<(), Error> {
    let approvals =
        [("ciso", ANNOTATION_PURGE_APPROVED_BY_CISO), ("compliance", ANNOTATION_PURGE_APPROVED_BY_COMPLIANCE)];
    let work = async {
        let mut tx = ctx.registry.db().begin_fenced(ctx.systems.lead.permit(System::Postgres.limit())?).await?;
        for (role, key) in approvals {
            if let Some(by) = annotation(tenant, key) {
                store::tenants::approve(&mut tx, row.tenant.id, role, by).await?;
                let details = json!({ "role": role, "by": by });
                observe::audit_in(&mut tx, by, &row.tenant, "offboard.purge_approved", details).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    };
    observe::bounded(ctx.lanes.gate(System::Postgres), work).await
}

async fn revoke_rows(ctx: &Context, row: &TenantRow) -> Result<(), Error> {
    let work = async {
        let mut tx = ctx.registry.db().begin_fenced(ctx.systems.lead.permit(System::Postgres.limit())?).await?;
        store::credentials::revoke_tenant(&mut tx, row.tenant.id, "the tenant was offboarded").await?;
        store::enrollment::revoke_tenant(&mut tx, row.tenant.id).await?;
        tx.commit().await?;
        Ok(())
    };
    observe::bounded(ctx.lanes.gate(System::Postgres), work).await
}

/// Runs every provisioner's removal, in the reverse of the order they came in; a system that the object is released from
/// is left out, which is audited.
async fn remove(ctx: &Context, tenant: &Tenant, row: &TenantRow, stage: Stage) -> Result<(), Error> {
    for entry in LIST.iter().rev().filter(|entry| ctx.has(entry)) {
        let done =
            match tokio::time::timeout(entry.system.limit(), (entry.remove)(&ctx.systems, &row.tenant, stage)).await {
                Ok(done) => done,
                Err(_) => Err(Error::TimedOut { system: entry.system }),
            };
        if let Err(error) = done {
            if !is_released_from(tenant, entry.system.name()) {
                return Err(error);
            }
            audit_release(ctx, row, entry.condition, entry.system, &error).await?;
        }
    }
    Ok(())
}

async fn audit_release(
    ctx: &Context,
    row: &TenantRow,
    condition: ConditionType,
    system: System,
    error: &Error,
) -> Result<(), Error> {
    let work = async {
        let mut tx = ctx.registry.db().begin_fenced(ctx.systems.lead.permit(System::Postgres.limit())?).await?;
        let details = json!({ "condition": condition.as_str(), "system": system.name(), "error": error.to_string() });
        observe::audit_in(&mut tx, OPERATOR, &row.tenant, "offboard.force_released", details).await?;
        tx.commit().await?;
        Ok(())
    };
    observe::bounded(ctx.lanes.gate(System::Postgres), work).await
}

/// Postgres is gone for good: what can be taken back elsewhere is, by the UUID that the status remembers. The audit is the
/// log and an Event; there is no row to write it to.
async fn release_without_row(ctx: &Context, tenant: &Tenant, slug: &Slug) -> Result<Action, Error> {
    let remembered = tenant.status.as_ref().and_then(|status| status.tenant_id.as_ref()).and_then(|id| id.parse().ok());
    if let Some(id) = remembered {
        let reference = store::TenantRef { slug: slug.clone(), id };
        for entry in LIST.iter().rev().filter(|entry| ctx.has(entry) && entry.system != System::Postgres) {
            for stage in [Stage::Revoke, Stage::Workloads] {
                if let Err(error) = (entry.remove)(&ctx.systems, &reference, stage).await
                    && !is_released_from(tenant, entry.system.name())
                {
                    return Err(error);
                }
            }
        }
    }
    let transition = crate::runtime::events::Transition {
        is_warning: true,
        reason: "ForceReleased".to_owned(),
        note: "offboarded without Postgres, as tenantra.io/force-release asks; its rows and schema stay".to_owned(),
    };
    ctx.events.publish(tenant, vec![transition]).await;
    finalizer::remove(ctx, tenant).await
}

/// Whether the definition (CRD) of tenants is being deleted. Asked of the API server itself: a cache may not know
/// yet, and being wrong would delete customers.
async fn is_kind_leaving(ctx: &Context) -> Result<bool, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(ctx.client.clone());
    let found = bounded("to read the definition of tenants", api.get_metadata_opt("tenants.tenantra.io")).await?;
    Ok(found.is_none_or(|kind| kind.metadata.deletion_timestamp.is_some()))
}

fn settling(tenant: &Tenant) -> Option<Duration> {
    let since = tenant.metadata.deletion_timestamp.as_ref()?.0;
    let age = Utc::now().timestamp_millis() - since.as_millisecond();
    let left = i64::try_from(SETTLE.as_millis()).ok()? - age;
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis)
}

fn purge_time(tenant: &Tenant) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(tenant.spec.purge_after.as_secs()).ok()?;
    Utc::now().checked_add_signed(chrono::TimeDelta::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_follow_each_other_and_end() {
        let mut done = String::new();
        let mut names = Vec::new();
        while let Some(step) = Step::after(&done) {
            done = step.name().to_owned();
            names.push(done.clone());
        }
        assert_eq!(names, ["suspended", "exported", "revoked", "realm_disabled", "logs_archived", "workloads_removed"]);
        assert_eq!(Step::after("what an older version wrote"), Some(Step::Suspend));
    }
}
