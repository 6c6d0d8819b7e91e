//! The tenant's audit log. Rows are inserted unchained; [`crate::audit_chain`] gives them their place. A tenant's role
//! can only read and insert here.

use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::notify::Channel;
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

/// Writes an entry into the tenant's log, and wakes its chainer at the commit.
pub async fn write(tx: &mut TenantTx<Write>, entry: &Entry) -> Result<()> {
    let tenant_id = tx.tenant().id;
    sqlx::query(
        "WITH added AS (INSERT INTO audit_log (audit_id, actor, action, subject, details) VALUES ($1, $2, $3, $4, $5))
         SELECT pg_notify($6, $7)",
    )
    .bind(Uuid::now_v7())
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(&entry.subject)
    .bind(Json(&entry.details))
    .bind(Channel::Audit.name())
    .bind(tenant_id.to_string())
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
