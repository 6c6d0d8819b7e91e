//! Who makes a request: the accounts and memberships behind sign-ins, in one statement for all that are asked for together,
//! because every request asks.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::names::{Slug, TenantRef};
use crate::pool::Db;
use crate::session::Single;
use crate::tenants::TenantState;
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

/// A sign-in, as an access token names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignIn {
    /// Whose it says that it is.
    pub user_id: Uuid,
    /// The session and those that it was prolonged to.
    pub family_id: Uuid,
}

#[derive(serde::Deserialize)]
struct StoredMembership {
    tenant_id: Uuid,
    state: TenantState,
    role: Role,
}

fn belongings(stored: &RawValue) -> Result<Vec<Belonging>> {
    let stored: BTreeMap<String, StoredMembership> =
        serde_json::from_str(stored.get()).map_err(|source| Error::Database(sqlx::Error::Decode(source.into())))?;
    stored
        .into_iter()
        .map(|(slug, StoredMembership { tenant_id, state, role })| {
            let tenant = TenantRef { slug: Slug::parse(&slug)?, id: tenant_id };
            Ok(Belonging { tenant, tenant_state: state, role })
        })
        .collect()
}

/// The people behind these sign-ins, in the same order; none for a sign-in that ended, is another's, or whose account may not
/// sign in. What cannot be read of one is an error in its place alone. One statement, without a transaction around it.
pub async fn of_sign_ins(db: &Db, asked: &[SignIn]) -> Result<Vec<Result<Option<Principal>>>> {
    match read(db.single().await?, asked).await {
        // Nothing is written, so it may be asked twice.
        Err(error) if error.is_lost_connection() => read(db.living().await?, asked).await,
        answer => answer,
    }
}

async fn read(mut single: Single, asked: &[SignIn]) -> Result<Vec<Result<Option<Principal>>>> {
    type Row = (i64, Uuid, String, String, bool, Json<Box<RawValue>>);
    let users: Vec<Uuid> = asked.iter().map(|one| one.user_id).collect();
    let families: Vec<Uuid> = asked.iter().map(|one| one.family_id).collect();
    // OFFSET 0 keeps it a look-up by index for each, however many the planner expects.
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT k.place, p.user_id, p.email, p.name, p.is_super_admin, p.memberships
         FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k (user_id, family_id, place)
         CROSS JOIN LATERAL (SELECT u.user_id, u.email, u.name, u.is_super_admin, COALESCE((
                 SELECT jsonb_object_agg(t.slug,
                     jsonb_build_object('tenant_id', t.tenant_id, 'state', t.state, 'role', m.role))
                 FROM shared.memberships m JOIN shared.tenants t USING (tenant_id)
                 WHERE m.user_id = u.user_id AND t.state <> 'purged'), '{}') AS memberships
             FROM shared.users u
             WHERE u.user_id = k.user_id AND u.is_active AND EXISTS (SELECT FROM shared.sessions s
                 WHERE s.family_id = k.family_id AND s.user_id = u.user_id AND s.revoked_at IS NULL
                     AND s.expires_at > now())
             OFFSET 0) p",
    )
    .bind(users)
    .bind(families)
    .fetch_all(single.connection()?)
    .await?;
    single.release();
    let mut found: Vec<Result<Option<Principal>>> = asked.iter().map(|_| Ok(None)).collect();
    for (place, user_id, email, name, is_super_admin, memberships) in rows {
        // Counted from 1.
        let place = usize::try_from(place - 1).ok();
        if let Some(known) = place.and_then(|place| found.get_mut(place)) {
            *known = belongings(&memberships.0)
                .map(|memberships| Some(Principal { user_id, email, name, is_super_admin, memberships }));
        }
    }
    Ok(found)
}
