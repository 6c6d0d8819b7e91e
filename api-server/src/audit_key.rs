//! `/v1/audit/key`: the public keys that a tenant's audit checkpoints are signed with, to be kept elsewhere.

use axum::{Json as Answer, extract::State};
use serde::Serialize;
use store::audit_sign::{self, PublicKey, PublicKeys};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::{Allow, Scope, permission::ReadResults},
    error::Result,
    state::App,
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(key))
}

/// The public keys of a tenant, as `tenantra audit verify --public-key` reads them.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditKeysView {
    /// The tenant's slug.
    pub tenant: String,
    /// The tenant.
    pub tenant_id: Uuid,
    /// Every version of its key, the oldest first; none before the first checkpoint was signed.
    pub keys: Vec<AuditKeyView>,
}

/// One version of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditKeyView {
    /// From 1.
    pub version: i32,
    /// Ed25519, 32 bytes in hexadecimal.
    pub public_key: String,
}

/// Shows the public keys that the checkpoints of the tenant's audit log are signed with. Kept elsewhere, they prove later
/// what the log was.
#[utoipa::path(get, path = "/audit/key", tag = "results", responses((status = 200, body = AuditKeysView)))]
pub async fn key(_: Allow<ReadResults>, scope: Scope, State(app): State<App>) -> Result<Answer<AuditKeysView>> {
    let mut tx = app.db.platform().await?;
    let keys = audit_sign::keys(&mut tx, scope.tenant.id).await?;
    tx.rollback().await?;
    let PublicKeys { tenant, tenant_id, keys } = PublicKeys::of(&scope.tenant, &keys);
    let keys = keys.into_iter().map(|PublicKey { version, public_key }| AuditKeyView { version, public_key }).collect();
    Ok(Answer(AuditKeysView { tenant: tenant.to_string(), tenant_id, keys }))
}
