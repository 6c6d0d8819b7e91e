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

/// Nothing is told by an event alone.
const EVERY: Duration = Duration::from_secs(15);
/// A tenant's row may come after its resource, and a look may fail: then the next one is soon, and each further one after
/// twice that time.
const SOON: Duration = Duration::from_millis(500);
/// Events of one burst of changes are taken together.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks whenever a tenant changes, until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let mut events = app.events.subscribe();
    let mut done = HashSet::new();
    let mut retry = SOON;
    let work = async {
        if !app.tenants.wait_until_ready().await {
            return;
        }
        loop {
            let pause = if pass(&app, &mut done).await {
                retry = SOON;
                EVERY
            } else {
                retry = (retry * 2).min(EVERY);
                retry
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                event = events.recv() => {
                    if matches!(event, Err(RecvError::Closed)) {
                        return;
                    }
                    tokio::time::sleep(SETTLE).await;
                    events = events.resubscribe();
                    retry = SOON;
                }
            }
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

/// Looks at every tenant that names an administrator; whether all of them are dealt with. One that cannot be does not keep
/// the others waiting.
async fn pass(app: &App, done: &mut HashSet<(String, String)>) -> bool {
    let (mut is_settled, mut has_failed) = (true, false);
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
        match invite(app, &slug, email).await {
            Ok(true) => {
                done.insert(key);
            }
            Ok(false) => is_settled = false,
            Err(error) => {
                tracing::warn!(tenant = %slug, error = %chain(&error), "the first administrator cannot be made yet");
                (is_settled, has_failed) = (false, true);
            }
        }
    }
    app.metrics.pass("admins", !has_failed);
    is_settled
}

/// Makes the account of a tenant's first administrator; false while the tenant is not there yet.
async fn invite(app: &App, slug: &Slug, email: String) -> Result<bool> {
    let mut tx = app.db.platform().await?;
    let Some(row) = store::tenants::by_slug(&mut tx, slug).await? else { return Ok(false) };
    // A manifest of a retained tenant's slug names nobody to its data until the operator has taken the row up.
    if row.state != TenantState::Active {
        return Ok(false);
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
    Ok(true)
}
