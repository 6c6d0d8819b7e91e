//! Agents' credentials: which tenant and agent a token belongs to, its public key, and the window of sequence numbers
//! that makes a repeat of a signed request worthless.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::names::{Slug, TenantRef};
use crate::notify::Channel;
use crate::pool::Db;
use crate::tenants::TenantState;
use crate::tx::PlatformTx;

/// Width of the window, in sequence numbers.
pub const WINDOW: u64 = 1024;
/// Sequence numbers start below this and never reach it.
pub const SEQUENCE_LIMIT: u64 = 1 << 62;

/// A credential to store.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Part of the token.
    pub credential_id: Uuid,
    /// Whose.
    pub tenant_id: Uuid,
    /// The agent.
    pub agent_id: Uuid,
    /// The asset it runs on.
    pub asset_id: Uuid,
    /// SHA-256 of the token's secret.
    pub secret_hash: [u8; 32],
    /// Ed25519.
    pub public_key: [u8; 32],
    /// The number before the first one the agent will use.
    pub sequence_start: u64,
}

/// A credential with its tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Part of the token.
    pub credential_id: Uuid,
    /// The tenant.
    pub tenant: TenantRef,
    /// Where the tenant is in its life.
    pub tenant_state: TenantState,
    /// The agent.
    pub agent_id: Uuid,
    /// The asset it runs on.
    pub asset_id: Uuid,
    /// SHA-256 of the token's secret.
    pub secret_hash: [u8; 32],
    /// Ed25519.
    pub public_key: [u8; 32],
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What a sequence number is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// Never used; it is now. With where the credential's tenant is in its life.
    Accepted(TenantState),
    /// Used before.
    Replayed,
    /// Older than the window, so nobody knows.
    TooOld,
    /// The credential is revoked or gone.
    Revoked,
}

/// Stores a credential in place of those the agent had, which are revoked.
pub async fn replace(tx: &mut PlatformTx, new: &NewCredential) -> Result<()> {
    let NewCredential { credential_id, tenant_id, agent_id, asset_id, secret_hash, public_key, sequence_start } = new;
    revoke_agent(tx, *tenant_id, *agent_id, "enrolled again").await?;
    sqlx::query(
        "INSERT INTO shared.agent_credentials (credential_id, tenant_id, agent_id, asset_id, secret_hash, public_key, window_top,
             window_bits) VALUES ($1, $2, $3, $4, $5, $6, $7, set_bit(0::bit(1024), 0, 1))",
    )
    .bind(credential_id)
    .bind(tenant_id)
    .bind(agent_id)
    .bind(asset_id)
    .bind(secret_hash.as_slice())
    .bind(public_key.as_slice())
    .bind(sequence_number(*sequence_start)?)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

fn sequence_number(sequence: u64) -> Result<i64> {
    i64::try_from(sequence)
        .ok()
        .filter(|_| sequence < SEQUENCE_LIMIT)
        .ok_or_else(|| Error::Invalid("a sequence number has to be below 2^62".to_owned()))
}

#[derive(sqlx::FromRow)]
struct Row {
    credential_id: Uuid,
    tenant_id: Uuid,
    slug: String,
    state: String,
    agent_id: Uuid,
    asset_id: Uuid,
    secret_hash: Vec<u8>,
    public_key: Vec<u8>,
    revoked_at: Option<DateTime<Utc>>,
}

/// The credential, revoked ones too.
pub async fn find(tx: &mut PlatformTx, credential_id: Uuid) -> Result<Option<Credential>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT c.credential_id, c.tenant_id, t.slug, t.state, c.agent_id, c.asset_id, c.secret_hash, c.public_key, c.revoked_at
         FROM shared.agent_credentials c JOIN shared.tenants t USING (tenant_id) WHERE c.credential_id = $1",
    )
    .bind(credential_id)
    .fetch_optional(tx.connection()?)
    .await?;
    row.map(|row| {
        let Row { credential_id, tenant_id, slug, state, agent_id, asset_id, secret_hash, public_key, revoked_at } =
            row;
        Ok(Credential {
            credential_id,
            tenant: TenantRef { slug: Slug::parse(&slug)?, id: tenant_id },
            tenant_state: state.parse()?,
            agent_id,
            asset_id,
            secret_hash: digest(&secret_hash)?,
            public_key: digest(&public_key)?,
            revoked_at,
        })
    })
    .transpose()
}

fn digest(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| Error::Invalid("a stored key or digest is not 32 bytes long".to_owned()))
}

/// Uses a sequence number, in one atomic UPDATE that is a transaction by itself: every request of an agent does this. Only
/// why a number is refused takes a second statement.
///
/// Bit 0 (the leftmost) of the window is its top; a greater number shifts the bits to the right.
pub async fn use_sequence(db: &Db, credential_id: Uuid, sequence: u64) -> Result<Sequence> {
    let number = sequence_number(sequence)?;
    let mut single = db.single().await?;
    let used: Option<String> = sqlx::query_scalar(
        "UPDATE shared.agent_credentials SET last_used_at = now(),
             window_bits = CASE WHEN $2 > window_top
                 THEN set_bit(window_bits >> LEAST($2 - window_top, 1024)::integer, 0, 1)
                 ELSE set_bit(window_bits, (window_top - $2)::integer, 1) END,
             window_top = GREATEST(window_top, $2)
         WHERE credential_id = $1 AND revoked_at IS NULL AND CASE WHEN $2 > window_top THEN true
             WHEN window_top - $2 >= 1024 THEN false ELSE get_bit(window_bits, (window_top - $2)::integer) = 0 END
         RETURNING (SELECT t.state FROM shared.tenants t WHERE t.tenant_id = agent_credentials.tenant_id)",
    )
    .bind(credential_id)
    .bind(number)
    .fetch_optional(single.connection()?)
    .await?;
    let said = match used {
        Some(tenant_state) => Sequence::Accepted(tenant_state.parse()?),
        None => why_refused(single.connection()?, credential_id, number).await?,
    };
    single.release();
    Ok(said)
}

async fn why_refused(connection: &mut PgConnection, credential_id: Uuid, number: i64) -> Result<Sequence> {
    let row: Option<(i64, bool)> = sqlx::query_as(
        "SELECT window_top, revoked_at IS NOT NULL FROM shared.agent_credentials WHERE credential_id = $1",
    )
    .bind(credential_id)
    .fetch_optional(connection)
    .await?;
    Ok(match row {
        None | Some((_, true)) => Sequence::Revoked,
        Some((top, false)) if top - number >= 1024 => Sequence::TooOld,
        Some(_) => Sequence::Replayed,
    })
}

/// Revokes what an agent has, and tells every replica.
pub async fn revoke_agent(tx: &mut PlatformTx, tenant_id: Uuid, agent_id: Uuid, reason: &str) -> Result<u64> {
    let told: Vec<Uuid> = sqlx::query_scalar(
        "WITH revoked AS (UPDATE shared.agent_credentials SET revoked_at = now(), revoked_reason = $3
             WHERE tenant_id = $1 AND agent_id = $2 AND revoked_at IS NULL RETURNING credential_id)
         SELECT credential_id FROM revoked, LATERAL pg_notify($4, credential_id::text)",
    )
    .bind(tenant_id)
    .bind(agent_id)
    .bind(reason)
    .bind(Channel::Revoked.name())
    .fetch_all(tx.connection()?)
    .await?;
    Ok(told.len() as u64)
}

/// Revokes what every agent of a tenant has.
pub async fn revoke_tenant(tx: &mut impl crate::tx::SharedTx, tenant_id: Uuid, reason: &str) -> Result<u64> {
    let told: Vec<Uuid> = sqlx::query_scalar(
        "WITH revoked AS (UPDATE shared.agent_credentials SET revoked_at = now(), revoked_reason = $2
             WHERE tenant_id = $1 AND revoked_at IS NULL RETURNING credential_id)
         SELECT credential_id FROM revoked, LATERAL pg_notify($3, credential_id::text)",
    )
    .bind(tenant_id)
    .bind(reason)
    .bind(Channel::Revoked.name())
    .fetch_all(tx.session().connection()?)
    .await?;
    Ok(told.len() as u64)
}
