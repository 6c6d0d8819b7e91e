//! The tenant's audit log. Rows are inserted unchained; the chainer gives them sequence and hash. A tenant's role can
//! only read and insert here.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::tx::{SharedTx, TenantTx, Write};

/// What somebody did.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who: `user:<id>`, `agent:<id>`, `operator`.
    pub actor: String,
    /// What, such as `agent.enrolled`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More.
    pub details: Value,
}

/// Writes an entry into the tenant's log.
pub async fn write(tx: &mut TenantTx<Write>, entry: &Entry) -> Result<()> {
    sqlx::query("INSERT INTO audit_log (audit_id, actor, action, subject, details) VALUES ($1, $2, $3, $4, $5)")
        .bind(Uuid::now_v7())
        .bind(&entry.actor)
        .bind(&entry.action)
        .bind(&entry.subject)
        .bind(Json(&entry.details))
        .execute(tx.connection()?)
        .await?;
    Ok(())
}

/// Writes an entry into the platform's log, about `tenant_id` where it is about one.
pub async fn write_platform(tx: &mut impl SharedTx, tenant_id: Option<Uuid>, entry: &Entry) -> Result<()> {
    let Entry { actor, action, subject, details } = entry;
    let details = serde_json::json!({ "subject": subject, "details": details });
    sqlx::query(
        "INSERT INTO shared.platform_audit (audit_id, actor, action, tenant_id, details) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(Uuid::now_v7())
    .bind(actor)
    .bind(action)
    .bind(tenant_id)
    .bind(Json(details))
    .execute(tx.session().connection()?)
    .await?;
    Ok(())
}
