//! Sign-ins. A family is one sign-in, a session one refresh token of it; each use replaces the token, and a token used a
//! second time revokes its family, because one of the two who had it stole it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::Result;
use crate::notify::Channel;
use crate::tx::PlatformTx;

/// A refresh token to store.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The sign-in it belongs to; the access token carries it.
    pub family_id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// SHA-256 of the token.
    pub refresh_hash: [u8; 32],
    /// The browser, as it named itself.
    pub user_agent: String,
    /// Where from.
    pub address: String,
    /// No use after that.
    pub expires_at: DateTime<Utc>,
}

/// What a refresh token is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// It was good and is replaced by the new one.
    Rotated {
        /// Whose.
        user_id: Uuid,
        /// The sign-in.
        family_id: Uuid,
    },
    /// It was used before: its family is revoked now.
    Reused {
        /// The revoked sign-in.
        family_id: Uuid,
    },
    /// Unknown, expired or revoked.
    Refused,
}

/// Stores the first token of a sign-in.
pub async fn create(tx: &mut PlatformTx, session: &NewSession) -> Result<()> {
    let NewSession { family_id, user_id, refresh_hash, user_agent, address, expires_at } = session;
    sqlx::query(
        "INSERT INTO shared.sessions (session_id, family_id, user_id, refresh_hash, user_agent, address, expires_at)
         VALUES ($1, $2, $3, $4, left($5, 300), left($6, 60), $7)",
    )
    .bind(Uuid::now_v7())
    .bind(family_id)
    .bind(user_id)
    .bind(refresh_hash.as_slice())
    .bind(user_agent)
    .bind(address)
    .bind(expires_at)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Exchanges a refresh token (by its hash) for another. Commit in every case: a reuse revokes.
pub async fn rotate(
    tx: &mut PlatformTx,
    presented: &[u8; 32],
    replacement: &[u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<Rotation> {
    type Row = (Uuid, Uuid, Uuid, bool, bool);
    let row: Option<Row> = sqlx::query_as(
        "SELECT session_id, family_id, user_id, rotated_at IS NOT NULL, revoked_at IS NULL AND expires_at > now()
         FROM shared.sessions WHERE refresh_hash = $1 FOR UPDATE",
    )
    .bind(presented.as_slice())
    .fetch_optional(tx.connection()?)
    .await?;
    let Some((session_id, family_id, user_id, is_used, is_valid)) = row else { return Ok(Rotation::Refused) };
    if is_used {
        revoke_family(tx, family_id).await?;
        return Ok(Rotation::Reused { family_id });
    }
    if !is_valid {
        return Ok(Rotation::Refused);
    }
    sqlx::query(
        "WITH used AS (UPDATE shared.sessions SET rotated_at = now() WHERE session_id = $1
             RETURNING family_id, user_id, user_agent, address)
         INSERT INTO shared.sessions (session_id, family_id, user_id, refresh_hash, user_agent, address, expires_at)
         SELECT $2, family_id, user_id, $3, user_agent, address, $4 FROM used",
    )
    .bind(session_id)
    .bind(Uuid::now_v7())
    .bind(replacement.as_slice())
    .bind(expires_at)
    .execute(tx.connection()?)
    .await?;
    Ok(Rotation::Rotated { user_id, family_id })
}

/// Ends a sign-in and tells every replica.
pub async fn revoke_family(tx: &mut PlatformTx, family_id: Uuid) -> Result<()> {
    sqlx::query(
        "WITH ended AS (UPDATE shared.sessions SET revoked_at = now() WHERE family_id = $1 AND revoked_at IS NULL)
         SELECT pg_notify($2, $1::text)",
    )
    .bind(family_id)
    .bind(Channel::Revoked.name())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Ends every sign-in of a person.
pub async fn revoke_user(tx: &mut PlatformTx, user_id: Uuid) -> Result<()> {
    sqlx::query(
        "WITH ended AS (UPDATE shared.sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL
             RETURNING family_id)
         SELECT pg_notify($2, family_id::text) FROM (SELECT DISTINCT family_id FROM ended) f",
    )
    .bind(user_id)
    .bind(Channel::Revoked.name())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Whether a sign-in is still good.
pub async fn is_active(tx: &mut PlatformTx, family_id: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM shared.sessions WHERE family_id = $1 AND revoked_at IS NULL AND expires_at > now())",
    )
    .bind(family_id)
    .fetch_one(tx.connection()?)
    .await?)
}

/// Deletes what expired more than a day ago, 1,000 rows at most.
pub async fn sweep(tx: &mut PlatformTx) -> Result<u64> {
    let done = sqlx::query(
        "DELETE FROM shared.sessions WHERE session_id IN
         (SELECT session_id FROM shared.sessions WHERE expires_at < now() - interval '1 day' LIMIT 1000)",
    )
    .execute(tx.connection()?)
    .await?;
    Ok(done.rows_affected())
}

/// The sign-in that a refresh token (by its hash) belongs to, used and revoked ones too.
pub async fn family_of(tx: &mut PlatformTx, refresh_hash: &[u8; 32]) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar("SELECT family_id FROM shared.sessions WHERE refresh_hash = $1")
        .bind(refresh_hash.as_slice())
        .fetch_optional(tx.connection()?)
        .await?)
}
