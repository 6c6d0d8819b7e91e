//! Who makes a request: the account and memberships behind a sign-in, in one statement, because every request asks.

use std::collections::BTreeMap;

use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::names::{Slug, TenantRef};
use crate::tenants::TenantState;
use crate::tx::PlatformTx;
use crate::users::Role;

/// A signed-in person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub user_id: Uuid,
    /// Its e-mail.
    pub email: String,
    /// What people read.
    pub name: String,
    /// Whether the platform itself is theirs.
    pub is_super_admin: bool,
    /// What they may do in which tenant, by slug; purged tenants are left out.
    pub memberships: Vec<Belonging>,
}

/// What a signed-in person may do in one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonging {
    /// The tenant.
    pub tenant: TenantRef,
    /// Where the tenant is in its life.
    pub tenant_state: TenantState,
    /// What they may do there.
    pub role: Role,
}

#[derive(serde::Deserialize)]
struct StoredMembership {
    tenant_id: Uuid,
    state: TenantState,
    role: Role,
}

/// The person behind the sign-in `family_id`; none if it ended, is another's, or the account may not sign in.
pub async fn of_session(tx: &mut PlatformTx, user_id: Uuid, family_id: Uuid) -> Result<Option<Principal>> {
    type Row = (Uuid, String, String, bool, Json<BTreeMap<String, StoredMembership>>);
    let row: Option<Row> = sqlx::query_as(
        "SELECT u.user_id, u.email, u.name, u.is_super_admin, COALESCE((
             SELECT jsonb_object_agg(t.slug, jsonb_build_object('tenant_id', t.tenant_id, 'state', t.state, 'role', m.role))
             FROM shared.memberships m JOIN shared.tenants t USING (tenant_id)
             WHERE m.user_id = u.user_id AND t.state <> 'purged'), '{}')
         FROM shared.users u
         WHERE u.user_id = $1 AND u.is_active AND EXISTS (SELECT FROM shared.sessions s
             WHERE s.family_id = $2 AND s.user_id = u.user_id AND s.revoked_at IS NULL AND s.expires_at > now())",
    )
    .bind(user_id)
    .bind(family_id)
    .fetch_optional(tx.connection()?)
    .await?;
    row.map(|(user_id, email, name, is_super_admin, memberships)| {
        let memberships = memberships
            .0
            .into_iter()
            .map(|(slug, StoredMembership { tenant_id, state, role })| {
                let tenant = TenantRef { slug: Slug::parse(&slug)?, id: tenant_id };
                Ok(Belonging { tenant, tenant_state: state, role })
            })
            .collect::<Result<_>>()?;
        Ok(Principal { user_id, email, name, is_super_admin, memberships })
    })
    .transpose()
}
