//! Writes a policy into `spec.retention` of the tenant's resource, which is the only place that has it.

use crds::{
    names::{ANNOTATION_CHANGED_BY, API as FIELD_MANAGER},
    tenant::{Retention, Tenant},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use store::{Write, audit};
use uuid::Uuid;

use crate::{
    auth::Scope,
    error::{Error, Result},
    retention::policy::PolicyBody,
    state::App,
    tenants::{gitops, service::limited},
};

/// Somebody else may write the same tenant at the same moment.
const ATTEMPTS: u32 = 4;

/// Sets the policy of the tenant; what is so already is left alone. `if_match` is the tenant's version that the caller has seen.
///
/// # Errors
/// The policy cannot be, a GitOps tool manages the tenant, or it has changed since it was read.
pub async fn set(app: &App, scope: &Scope, wanted: &PolicyBody, if_match: Option<&str>, actor: Uuid) -> Result<()> {
    let name = scope.tenant.slug.as_str();
    let api: Api<Tenant> = Api::all(app.kube.clone());
    for attempt in 1.. {
        let tenant = limited(api.get(name)).await?;
        let version = tenant.resource_version();
        if if_match.is_some() && if_match != version.as_deref() {
            return Err(Error::PreconditionFailed("tenant"));
        }
        let before = &tenant.spec.retention;
        let after = wanted.over(before)?;
        if let Some(manager) = gitops::manager(&tenant) {
            return Err(Error::ManagedByGitops { kind: "Tenant", name: name.to_owned(), manager });
        }
        if after == *before {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "resourceVersion": version, "annotations": { ANNOTATION_CHANGED_BY: actor } },
            "spec": { "retention": in_full(&after) },
        });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match limited(api.patch(name, &parameters, &Patch::Merge(&patch))).await {
            Ok(written) => {
                app.tenants.wait_for(name, written.resource_version().as_deref()).await;
                return note(app, scope, before, &after, actor).await;
            }
            Err(Error::Kubernetes(kube::Error::Api(refusal)))
                if refusal.code == 409 && if_match.is_none() && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::PreconditionFailed("tenant"))
}

/// With an empty list as well, which a merge would otherwise leave as it was.
fn in_full(policy: &Retention) -> Value {
    let Retention { operational_logs, security_events, findings, audit, archive } = policy;
    json!({
        "operationalLogs": operational_logs,
        "securityEvents": security_events,
        "findings": findings,
        "audit": audit,
        "archive": archive,
    })
}

async fn note(app: &App, scope: &Scope, before: &Retention, after: &Retention, actor: Uuid) -> Result<()> {
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    let entry = audit::Entry {
        actor: format!("user:{actor}"),
        action: "retention.changed".to_owned(),
        subject: format!("tenant:{}", scope.tenant.slug),
        details: json!({ "before": in_full(before), "after": in_full(after) }),
    };
    audit::write(&mut tx, &entry).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_switched_off_is_written_as_an_empty_list() {
        let said = in_full(&Retention::default());
        assert_eq!((&said["archive"], &said["audit"]), (&json!([]), &json!("7y")));
    }
}
