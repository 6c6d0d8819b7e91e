//! Agents of a tenant: enrolment onto an asset, heartbeats, lists.

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::wire::{AgentState, OsInfo};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::page::{Page, Paged};
use crate::tx::{Mode, TenantTx, Write};

/// An agent that said nothing for that long is silent. Agents poll every 5 min.
pub const SILENT_AFTER: Duration = Duration::from_mins(11);

/// What let an agent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Its node's ServiceAccount token.
    ServiceAccount,
    /// An enrolment token.
    EnrollmentToken,
    /// An administrator.
    Admin,
}

impl Source {
    /// The name as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "service_account",
            Self::EnrollmentToken => "enrollment_token",
            Self::Admin => "admin",
        }
    }
}

/// What an agent says of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    /// The asset's identity (`HostIdentity::key`).
    pub identity: String,
    /// The host's name.
    pub hostname: String,
    /// Its operating system.
    pub os: OsInfo,
    /// The agent's version.
    pub agent_version: String,
    /// Labels of asset and agent.
    pub labels: BTreeMap<String, String>,
    /// What let it in.
    pub source: Source,
}

/// What an enrolment gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// The agent.
    pub agent_id: Uuid,
    /// The asset it runs on.
    pub asset_id: Uuid,
    /// Whether the agent was not there before.
    pub is_new: bool,
}

/// An agent as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct Agent {
    /// Its id.
    pub agent_id: Uuid,
    /// The asset it runs on.
    pub asset_id: Uuid,
    /// The asset's name.
    pub asset_name: String,
    /// `active` or `revoked`.
    pub state: String,
    /// Whether it was heard of in the last [`SILENT_AFTER`].
    pub is_online: bool,
    /// Its version.
    pub agent_version: String,
    /// What let it in.
    pub source: String,
    /// Its labels.
    #[sqlx(json)]
    pub labels: BTreeMap<String, String>,
    /// Whether another live agent claims the same identity.
    pub duplicate_identity: bool,
    /// Results that wait in its spool.
    pub queue_depth: i32,
    /// Bytes of its spool.
    pub spool_bytes: i64,
    /// Its resident memory.
    pub rss_kb: i64,
    /// When it enrolled first.
    pub enrolled_at: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

/// Makes, or continues, the asset of this identity and its agent. Enrolling again is the same agent.
///
/// [`Error::NodeOfCluster`] for an enrolment token that names the identity of a cluster's node: the host itself says who it
/// is there, while Kubernetes vouched for the node.
pub async fn enroll(tx: &mut TenantTx<Write>, enrollment: &Enrollment) -> Result<Enrolled> {
    let Enrollment { identity, hostname, os, agent_version, labels, source } = enrollment;
    let asset_id: Uuid = sqlx::query_scalar(
        "INSERT INTO assets (asset_id, identity, kind, name, os, labels) VALUES ($1, $2, 'host', $3, $4, $5)
         ON CONFLICT (identity) DO UPDATE SET name = excluded.name, os = excluded.os, labels = excluded.labels,
             last_seen_at = now(), updated_at = now()
         RETURNING asset_id",
    )
    .bind(Uuid::now_v7())
    .bind(identity)
    .bind(hostname)
    .bind(Json(os))
    .bind(Json(labels))
    .fetch_one(tx.connection()?)
    .await?;
    // Labels decide which waivers hold on the asset.
    sqlx::query("UPDATE asset_scores SET revision = revision + 1 WHERE asset_id = $1")
        .bind(asset_id)
        .execute(tx.connection()?)
        .await?;
    // The asset's row is locked by the upsert, so two enrolments of one host come here one after the other.
    if *source == Source::EnrollmentToken {
        let is_node: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM agents WHERE asset_id = $1 AND state = 'active' AND source = 'service_account')",
        )
        .bind(asset_id)
        .fetch_one(tx.connection()?)
        .await?;
        if is_node {
            return Err(Error::NodeOfCluster);
        }
    }
    let known: Option<Uuid> = sqlx::query_scalar(
        "UPDATE agents SET agent_version = $2, source = $3, labels = $4, state = 'active', last_seen_at = now()
         WHERE agent_id = (SELECT agent_id FROM agents WHERE asset_id = $1 ORDER BY (state = 'active') DESC, last_seen_at DESC LIMIT 1)
         RETURNING agent_id",
    )
    .bind(asset_id)
    .bind(agent_version)
    .bind(source.as_str())
    .bind(Json(labels))
    .fetch_optional(tx.connection()?)
    .await?;
    if let Some(agent_id) = known {
        return Ok(Enrolled { agent_id, asset_id, is_new: false });
    }
    let agent_id = Uuid::now_v7();
    sqlx::query("INSERT INTO agents (agent_id, asset_id, agent_version, source, labels) VALUES ($1, $2, $3, $4, $5)")
        .bind(agent_id)
        .bind(asset_id)
        .bind(agent_version)
        .bind(source.as_str())
        .bind(Json(labels))
        .execute(tx.connection()?)
        .await?;
    Ok(Enrolled { agent_id, asset_id, is_new: true })
}

/// What an agent said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The agent.
    pub agent_id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// How it is.
    pub state: AgentState,
}

/// Records heartbeats of different agents, and that their assets were seen, in one statement. Agents that are gone or revoked
/// are passed over.
pub async fn seen(tx: &mut TenantTx<Write>, heartbeats: &[Heartbeat]) -> Result<()> {
    // What bounds its workers is logged where it is heard, not kept.
    let states = || heartbeats.iter().map(|Heartbeat { state, .. }| state);
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    sqlx::query(
        "WITH said AS (
             SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
                 AS u(agent_id, at, agent_version, queue_depth, spool_bytes, rss_kb, bundle_checksum)
         ), agent AS (
             UPDATE agents g SET last_seen_at = GREATEST(g.last_seen_at, s.at), agent_version = s.agent_version,
                 queue_depth = s.queue_depth, spool_bytes = s.spool_bytes, rss_kb = s.rss_kb,
                 bundle_checksum = COALESCE(s.bundle_checksum, g.bundle_checksum)
             FROM said s WHERE g.agent_id = s.agent_id AND g.state = 'active' RETURNING g.asset_id, s.at
         ), asset AS (SELECT asset_id, max(at) AS at FROM agent GROUP BY asset_id)
         UPDATE assets a SET last_seen_at = GREATEST(a.last_seen_at, s.at) FROM asset s WHERE a.asset_id = s.asset_id",
    )
    .bind(heartbeats.iter().map(|heartbeat| heartbeat.agent_id).collect::<Vec<_>>())
    .bind(heartbeats.iter().map(|heartbeat| heartbeat.at).collect::<Vec<_>>())
    .bind(states().map(|state| state.agent_version.as_str()).collect::<Vec<_>>())
    .bind(states().map(|state| i32::try_from(state.queue_depth).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(states().map(|state| number(state.spool_bytes)).collect::<Vec<_>>())
    .bind(states().map(|state| number(state.rss_kb)).collect::<Vec<_>>())
    .bind(states().map(|state| state.bundle_checksum.as_deref()).collect::<Vec<_>>())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Marks an agent as removed; its credentials are revoked in `shared` ([`crate::credentials::revoke_agent`]).
pub async fn revoke(tx: &mut TenantTx<Write>, agent_id: Uuid) -> Result<()> {
    let done = sqlx::query("UPDATE agents SET state = 'revoked' WHERE agent_id = $1")
        .bind(agent_id)
        .execute(tx.connection()?)
        .await?;
    if done.rows_affected() == 0 { Err(Error::NotFound("agent")) } else { Ok(()) }
}

macro_rules! select_agent {
    ($rest:literal) => {
        concat!(
            "SELECT g.agent_id, g.asset_id, a.name AS asset_name, g.state, ",
            "g.state = 'active' AND g.last_seen_at > now() - make_interval(secs => $1) AS is_online, g.agent_version, g.source, ",
            "g.labels, g.duplicate_identity, g.queue_depth, g.spool_bytes, g.rss_kb, g.enrolled_at, g.last_seen_at ",
            "FROM agents g JOIN assets a USING (asset_id) ",
            $rest
        )
    };
}

/// The tenant's agents, by name; revoked ones are left out unless asked for.
pub async fn list<M: Mode>(tx: &mut TenantTx<M>, with_revoked: bool, page: Page) -> Result<Paged<Agent>> {
    let items =
        sqlx::query_as(select_agent!("WHERE $2 OR g.state = 'active' ORDER BY a.name, g.agent_id LIMIT $3 OFFSET $4"))
            .bind(SILENT_AFTER.as_secs_f64())
            .bind(with_revoked)
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(tx.connection()?)
            .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM agents WHERE $1 OR state = 'active'")
        .bind(with_revoked)
        .fetch_one(tx.connection()?)
        .await?;
    Ok(Paged { items, total })
}

/// One agent.
pub async fn get<M: Mode>(tx: &mut TenantTx<M>, agent_id: Uuid) -> Result<Option<Agent>> {
    Ok(sqlx::query_as(select_agent!("WHERE g.agent_id = $2"))
        .bind(SILENT_AFTER.as_secs_f64())
        .bind(agent_id)
        .fetch_optional(tx.connection()?)
        .await?)
}
