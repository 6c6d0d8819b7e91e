//! Legal holds: placed with a reason, told in both audit logs.

use serde::Deserialize;
use serde_json::json;
use store::{
    TenantRef, Write, audit,
    retention::holds::{self, Hold},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    error::{Error, Result, chain},
    state::App,
};

/// The longest reason, in characters.
const MAX_REASON: usize = 2_000;

/// A hold to be placed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// Why, for whoever asks later; 1 to 2,000 characters.
    #[schema(example = "Case 2026-114: keep everything until the court has decided")]
    pub reason: String,
}

/// Places a hold; when this answers, retention deletes nothing of the tenant any more, and no purge of it begins.
///
/// # Errors
/// No reason, too many holds, or a purge that has begun.
pub async fn place(app: &App, tenant: &TenantRef, new: NewHold, actor: Uuid) -> Result<Hold> {
    let NewHold { reason } = new;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(Error::field("reason", format!("Write why, in 1 to {MAX_REASON} characters.")));
    }
    let by = format!("user:{actor}");
    let mut tx = app.db.platform().await?;
    let hold = holds::place(&mut tx, tenant, reason, &by).await?;
    let entry = entry(by, "legal_hold.placed", &hold);
    audit::write_platform(&mut tx, Some(tenant.id), &entry).await?;
    tx.commit().await?;
    note(app, tenant, &entry).await;
    Ok(hold)
}

/// Lifts a hold; what is older than the policy allows goes with the next daily run, if no other hold is there.
///
/// # Errors
/// There is none of that id that still holds.
pub async fn lift(app: &App, tenant: &TenantRef, hold_id: Uuid, actor: Uuid) -> Result<()> {
    let by = format!("user:{actor}");
    let mut tx = app.db.platform().await?;
    let lifted = holds::lift(&mut tx, tenant.id, hold_id, &by).await?;
    let hold = lifted.ok_or(Error::NotFound("legal hold that is not lifted"))?;
    let entry = entry(by, "legal_hold.lifted", &hold);
    audit::write_platform(&mut tx, Some(tenant.id), &entry).await?;
    tx.commit().await?;
    note(app, tenant, &entry).await;
    Ok(())
}

fn entry(actor: String, action: &str, hold: &Hold) -> audit::Entry {
    audit::Entry {
        actor,
        action: action.to_owned(),
        subject: format!("legal_hold:{}", hold.hold_id),
        details: json!({ "reason": hold.reason }),
    }
}

/// Tells it in the tenant's own audit log. It is done and told in the platform's already: whoever asked is not told otherwise,
/// and does not do it twice.
async fn note(app: &App, tenant: &TenantRef, entry: &audit::Entry) {
    if let Err(error) = written(app, tenant, entry).await {
        tracing::error!(
            tenant = %tenant.slug, action = %entry.action, subject = %entry.subject, error = %chain(&error),
            "what was done to a legal hold is missing in the tenant's audit log"
        );
    }
}

async fn written(app: &App, tenant: &TenantRef, entry: &audit::Entry) -> Result<()> {
    let mut tx = app.db.tenant::<Write>(tenant).await?;
    audit::write(&mut tx, entry).await?;
    Ok(tx.commit().await?)
}
