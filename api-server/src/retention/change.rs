//! Writes a policy into `spec.retention` of the tenant's resource, which is the only place that has it.

use crds::tenant::Retention;
use serde_json::{Value, json};
use store::{Write, audit};
use uuid::Uuid;

use crate::{
    auth::Scope,
    error::Result,
    retention::policy::PolicyBody,
    state::App,
    tenants::{
        gitops,
        spec::{self, Change},
    },
};

/// Sets the policy of the tenant; what is so already is left alone. `if_match` is the tenant's version that the caller has seen.
///
/// # Errors
/// The policy cannot be, a GitOps tool manages the tenant, or it has changed since it was read.
pub async fn set(app: &App, scope: &Scope, wanted: &PolicyBody, if_match: Option<&str>, actor: Uuid) -> Result<()> {
    let written = spec::write(app, scope, if_match, actor, |tenant| {
        let before = &tenant.spec.retention;
        let after = wanted.over(before)?;
        gitops::check(tenant)?;
        if after == *before {
            return Ok(None);
        }
        Ok(Some(Change { spec: json!({ "retention": in_full(&after) }), outcome: (before.clone(), after) }))
    })
    .await?;
    match written {
        Some((before, after)) => note(app, scope, &before, &after, actor).await,
        None => Ok(()),
    }
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
