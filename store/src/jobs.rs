//! Jobs for agents: one job, one run, one envelope. A tenant's transaction sees its own by row-level security; the sweeper
//! sees all; the operator enqueues for a tenant by name. At least once: a lease that ran out is queued again.

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::module::Profile;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::names::TenantRef;
use crate::notify::Channel;
use crate::tx::{OwnerTx, PlatformTx, TenantTx, Write};

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewJob {
    /// Its id.
    pub job_id: Uuid,
    /// The run it will be; the envelope carries it.
    pub run_id: Uuid,
    /// Which agent.
    pub agent_id: Uuid,
    /// Slug of the module.
    pub module: String,
    /// Its version.
    pub version: String,
    /// What a run may take.
    pub profile: Profile,
    /// Values for the module's parameters.
    pub parameters: BTreeMap<String, Value>,
    /// Why: `enrolled`, `schedule:<name>`, `trigger:<user>`.
    pub cause: String,
    /// Not handed out before that.
    pub not_before: DateTime<Utc>,
}

impl NewJob {
    /// A job that may start at once, with new ids and no parameters.
    pub fn now(agent_id: Uuid, module: &str, version: &str, profile: Profile, cause: &str) -> Self {
        Self {
            job_id: Uuid::now_v7(),
            run_id: Uuid::now_v7(),
            agent_id,
            module: module.to_owned(),
            version: version.to_owned(),
            profile,
            parameters: BTreeMap::new(),
            cause: cause.to_owned(),
            not_before: Utc::now(),
        }
    }
}

/// A job handed to its agent.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedJob {
    /// Its id.
    pub job_id: Uuid,
    /// The run it will be.
    pub run_id: Uuid,
    /// Slug of the module.
    pub module: String,
    /// Its version.
    pub version: String,
    /// What a run may take.
    pub profile: Profile,
    /// Values for the module's parameters.
    pub parameters: BTreeMap<String, Value>,
    /// How often it was handed out, this time included.
    pub attempts: i32,
}

/// Enqueues for the tenant of the transaction, in one statement; jobs whose id or run exists are left as they are. Gives
/// how many were added. Agents that wait are told at the commit. [`Error::NotSchedulable`] if one names a module version
/// that may not run: none of them is added then.
pub async fn enqueue(tx: &mut TenantTx<Write>, jobs: &[NewJob]) -> Result<u64> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let added: i64 = sqlx::query_scalar(
        "WITH added AS (
             INSERT INTO shared.jobs (job_id, run_id, agent_id, module, version, profile, parameters, cause, not_before)
             SELECT j.job_id, j.run_id, j.agent_id, j.module, j.version, j.profile, j.parameters, j.cause, j.not_before
             FROM jsonb_to_recordset($1) AS j(job_id uuid, run_id uuid, agent_id uuid, module text, version text, profile text,
                 parameters jsonb, cause text, not_before timestamptz)
             ON CONFLICT DO NOTHING RETURNING agent_id
         ), told AS (SELECT pg_notify($2, agent_id::text) FROM (SELECT DISTINCT agent_id FROM added) a)
         SELECT (SELECT count(*) FROM added) + 0 * (SELECT count(*) FROM told)",
    )
    .bind(Json(jobs))
    .bind(Channel::Jobs.name())
    .fetch_one(tx.connection()?)
    .await
    .map_err(refused)?;
    Ok(added.unsigned_abs())
}

/// The database refuses jobs of modules that may not run (TN002).
fn refused(error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(refusal) if refusal.code().as_deref() == Some("TN002") => {
            Error::NotSchedulable(refusal.message().to_owned())
        }
        _ => error.into(),
    }
}

/// Enqueues for `tenant` as the owner: what the operator does. Gives how many were added; refuses as [`enqueue`] does.
pub async fn enqueue_for(tx: &mut OwnerTx, tenant: &TenantRef, jobs: &[NewJob]) -> Result<u64> {
    if jobs.is_empty() {
        return Ok(0);
    }
    let added: i64 = sqlx::query_scalar("SELECT shared.enqueue_for($1::name, $2)")
        .bind(tenant.schema().as_str())
        .bind(Json(jobs))
        .fetch_one(tx.connection()?)
        .await
        .map_err(refused)?;
    Ok(added.unsigned_abs())
}

#[derive(sqlx::FromRow)]
struct Row {
    job_id: Uuid,
    run_id: Uuid,
    module: String,
    version: String,
    profile: String,
    parameters: Json<BTreeMap<String, Value>>,
    attempts: i32,
}

/// Hands up to `max` due jobs to an agent, oldest first, for `lease`. Two polls never get the same job.
pub async fn lease(tx: &mut TenantTx<Write>, agent_id: Uuid, max: u32, lease: Duration) -> Result<Vec<LeasedJob>> {
    let rows: Vec<Row> = sqlx::query_as(
        "WITH due AS (
             SELECT job_id FROM shared.jobs WHERE agent_id = $1 AND state = 'queued' AND not_before <= now()
             ORDER BY not_before, job_id LIMIT $2 FOR UPDATE SKIP LOCKED
         )
         UPDATE shared.jobs j SET state = 'leased', attempts = attempts + 1, leased_until = now() + make_interval(secs => $3)
         FROM due WHERE j.job_id = due.job_id
         RETURNING j.job_id, j.run_id, j.module, j.version, j.profile, j.parameters, j.attempts",
    )
    .bind(agent_id)
    .bind(i64::from(max))
    .bind(lease.as_secs_f64())
    .fetch_all(tx.connection()?)
    .await?;
    let mut jobs = rows
        .into_iter()
        .map(|row| {
            let Row { job_id, run_id, module, version, profile, parameters, attempts } = row;
            Ok(LeasedJob {
                job_id,
                run_id,
                module,
                version,
                profile: profile_of(&profile)?,
                parameters: parameters.0,
                attempts,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    jobs.sort_by_key(|job| job.job_id);
    Ok(jobs)
}

fn profile_of(text: &str) -> Result<Profile> {
    [Profile::BaselineFast, Profile::BaselineFull, Profile::DeepScan]
        .into_iter()
        .find(|profile| profile.as_str() == text)
        .ok_or_else(|| Error::Invalid(format!("'{text}' is no profile")))
}

/// Extends the leases of jobs that the agent still works on. Gives those that are no longer its own.
pub async fn renew(tx: &mut TenantTx<Write>, agent_id: Uuid, job_ids: &[Uuid], lease: Duration) -> Result<Vec<Uuid>> {
    if job_ids.is_empty() {
        return Ok(Vec::new());
    }
    let renewed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE shared.jobs SET leased_until = now() + make_interval(secs => $3)
         WHERE job_id = ANY($2) AND agent_id = $1 AND state = 'leased' RETURNING job_id",
    )
    .bind(agent_id)
    .bind(job_ids)
    .bind(lease.as_secs_f64())
    .fetch_all(tx.connection()?)
    .await?;
    Ok(job_ids.iter().copied().filter(|id| !renewed.contains(id)).collect())
}

/// Marks jobs whose results are stored, by their runs. Late results of a job that was queued again count too.
pub async fn finish(tx: &mut TenantTx<Write>, agent_id: Uuid, run_ids: &[Uuid]) -> Result<u64> {
    if run_ids.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query(
        "UPDATE shared.jobs SET state = 'done', finished_at = now(), leased_until = NULL
         WHERE run_id = ANY($2) AND agent_id = $1 AND state <> 'done'",
    )
    .bind(agent_id)
    .bind(run_ids)
    .execute(tx.connection()?)
    .await?;
    Ok(done.rows_affected())
}

/// Queues every job again whose lease ran out, later each time, and fails those that had their attempts. Gives both
/// counts. For the sweeper of one replica at a time; 1,000 rows at most.
pub async fn reclaim_expired(tx: &mut PlatformTx) -> Result<(u64, u64)> {
    let (queued, failed): (i64, i64) = sqlx::query_as(
        "WITH expired AS (
             SELECT job_id FROM shared.jobs WHERE state = 'leased' AND leased_until < now()
             ORDER BY leased_until LIMIT 1000 FOR UPDATE SKIP LOCKED
         ), moved AS (
             UPDATE shared.jobs j SET leased_until = NULL, last_error = 'the lease ran out',
                 state = CASE WHEN attempts >= max_attempts THEN 'failed' ELSE 'queued' END,
                 finished_at = CASE WHEN attempts >= max_attempts THEN now() END,
                 not_before = now() + interval '10 seconds' * power(2, LEAST(attempts, 8))
             FROM expired WHERE j.job_id = expired.job_id RETURNING j.state
         )
         SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'failed') FROM moved",
    )
    .fetch_one(tx.connection()?)
    .await?;
    Ok((queued.unsigned_abs(), failed.unsigned_abs()))
}

/// When the agent's next queued job is due; none if it has no queued job.
pub async fn next_due(tx: &mut TenantTx<Write>, agent_id: Uuid) -> Result<Option<DateTime<Utc>>> {
    Ok(sqlx::query_scalar("SELECT min(not_before) FROM shared.jobs WHERE agent_id = $1 AND state = 'queued'")
        .bind(agent_id)
        .fetch_one(tx.connection()?)
        .await?)
}

/// Fails jobs that were just handed out and may not run after all, with the reason for each.
pub async fn refuse(tx: &mut TenantTx<Write>, refused: &[(Uuid, String)]) -> Result<u64> {
    if refused.is_empty() {
        return Ok(0);
    }
    let (job_ids, reasons): (Vec<Uuid>, Vec<&str>) = refused.iter().map(|(id, reason)| (*id, reason.as_str())).unzip();
    let done = sqlx::query(
        "UPDATE shared.jobs j SET state = 'failed', finished_at = now(), leased_until = NULL, last_error = r.reason
         FROM unnest($1::uuid[], $2::text[]) AS r(job_id, reason) WHERE j.job_id = r.job_id AND j.state = 'leased'",
    )
    .bind(&job_ids)
    .bind(&reasons)
    .execute(tx.connection()?)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets the jobs of an agent that was removed, those that ran excepted.
pub async fn cancel_agent(tx: &mut TenantTx<Write>, agent_id: Uuid) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE shared.jobs SET state = 'failed', finished_at = now(), leased_until = NULL, last_error = 'the agent was removed'
         WHERE agent_id = $1 AND state IN ('queued', 'leased')",
    )
    .bind(agent_id)
    .execute(tx.connection()?)
    .await?;
    Ok(done.rows_affected())
}

/// Ends the queued jobs of an agent's earlier enrolment: those of the next one take their place, so that an agent which
/// enrols again and again has one baseline in its queue and not as many.
pub async fn supersede_enrolment(tx: &mut TenantTx<Write>, agent_id: Uuid) -> Result<u64> {
    let done = sqlx::query(
        "UPDATE shared.jobs SET state = 'failed', finished_at = now(), last_error = 'the agent enrolled again'
         WHERE agent_id = $1 AND state = 'queued' AND cause = 'enrolled'",
    )
    .bind(agent_id)
    .execute(tx.connection()?)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes jobs that ended more than a week ago, 10,000 at most.
pub async fn sweep(tx: &mut PlatformTx) -> Result<u64> {
    let swept = sqlx::query(
        "DELETE FROM shared.jobs WHERE job_id IN (SELECT job_id FROM shared.jobs
         WHERE finished_at < now() - interval '7 days' ORDER BY finished_at LIMIT 10000)",
    )
    .execute(tx.connection()?)
    .await?;
    Ok(swept.rows_affected())
}

/// Agents that have a due job, the longest waiting first. For a replica that wakes the polls it holds.
pub async fn agents_with_due(tx: &mut PlatformTx, max: u32) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar(
        "SELECT agent_id FROM shared.jobs WHERE state = 'queued' AND not_before <= now()
         GROUP BY agent_id ORDER BY min(not_before) LIMIT $1",
    )
    .bind(i64::from(max))
    .fetch_all(tx.connection()?)
    .await?)
}

/// How many jobs wait and how many agents work on, over all tenants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Depth {
    /// Jobs that no agent has taken.
    pub queued: i64,
    /// Jobs that an agent holds.
    pub leased: i64,
}

/// Counts what waits and what is worked on.
pub async fn depth(tx: &mut PlatformTx) -> Result<Depth> {
    Ok(sqlx::query_as(
        "SELECT (SELECT count(*) FROM shared.jobs WHERE state = 'queued') AS queued,
             (SELECT count(*) FROM shared.jobs WHERE state = 'leased') AS leased",
    )
    .fetch_one(tx.connection()?)
    .await?)
}
