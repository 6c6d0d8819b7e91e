//! A tenant's first administrator: `spec.admin.email` gets an account without a password and the role admin. Whoever
//! manages users gives it its first password (`POST /v1/users`).
//!
//! An account that has a password, or belongs to another tenant, gets nothing from a manifest: any tenant's administrator
//! may make an account for any address, and would otherwise be let into the tenant that names it.

use std::{collections::HashSet, time::Duration};

use kube::ResourceExt;
use store::{Slug, tenants::TenantState, users};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    error::{Result, chain},
    state::App,
};

/// A tenant's row may come after its resource; then it is looked at again.
const EVERY: Duration = Duration::from_secs(15);
/// Events of one burst of changes are taken together.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks whenever a tenant changes, until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let mut events = app.events.subscribe();
    let mut done = HashSet::new();
    let work = async {
        if !app.tenants.wait_until_ready().await {
            return;
        }
        loop {
            let passed = pass(&app, &mut done).await;
            app.metrics.pass("admins", passed.is_ok());
            if let Err(error) = passed {
                tracing::warn!(error = %chain(&error), "the first administrators cannot be made yet");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                event = events.recv() => {
                    if matches!(event, Err(RecvError::Closed)) {
                        return;
                    }
                    tokio::time::sleep(SETTLE).await;
                    events = events.resubscribe();
                }
            }
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn pass(app: &App, done: &mut HashSet<(String, String)>) -> Result<()> {
    for tenant in app.tenants.list() {
        let Some(admin) = &tenant.spec.admin else { continue };
        let email = admin.email.trim().to_lowercase();
        // By the object's UID: a new tenant of an old slug is looked at anew.
        let key = (tenant.uid().unwrap_or_default(), email.clone());
        if done.contains(&key) {
            continue;
        }
        // The first super admin's account is made with its password (`seed`), and needs no grant.
        if app.config.seed_admin_email.as_deref().is_some_and(|seeded| seeded.trim().eq_ignore_ascii_case(&email)) {
            continue;
        }
        let Ok(slug) = Slug::parse(&tenant.name_any()) else { continue };
        let mut tx = app.db.platform().await?;
        let Some(row) = store::tenants::by_slug(&mut tx, &slug).await? else { continue };
        // A manifest of a retained tenant's slug names nobody to its data until the operator has taken the row up.
        if row.state != TenantState::Active {
            continue;
        }
        let invited =
            users::NewUser { email, username: None, name: String::new(), password_hash: None, is_super_admin: false };
        let user = users::ensure(&mut tx, &invited).await?;
        let memberships = users::memberships(&mut tx, user.user_id).await?;
        // A role that somebody gave since stays as it is.
        if memberships.iter().all(|membership| membership.tenant_id != row.tenant.id) {
            if user.password_hash.is_none() && memberships.is_empty() {
                users::grant(&mut tx, user.user_id, row.tenant.id, users::Role::Admin).await?;
            } else {
                tracing::warn!(
                    tenant = %slug,
                    user_id = %user.user_id,
                    "the manifest's first administrator has an account already, which somebody else made: it gets no role; name another address"
                );
            }
        }
        tx.commit().await?;
        done.insert(key);
    }
    Ok(())
}
