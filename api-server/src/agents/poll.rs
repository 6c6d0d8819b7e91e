//! The long poll: it carries the heartbeat and what did not change, and answers at once when there is a job.

use std::time::{Duration, Instant};

use catalog::wire::{AgentJob, MAX_JOBS, MAX_WAIT_SECONDS, PollRequest, PollResponse};
use chrono::Utc;
use store::{Write, jobs::LeasedJob};
use uuid::Uuid;

use crate::{
    agents::call::AgentCall,
    error::{Error, Result},
    state::App,
};

/// Runs that one poll may report as unchanged.
const MAX_UNCHANGED: usize = 1_000;
/// How long a job is the agent's before it must be named again; longer than a poll is held.
const LEASE: Duration = Duration::from_mins(10);

/// Notes what the agent says, then waits for work.
///
/// # Errors
/// The body does not fit, or the database does not answer.
pub async fn next(app: &App, call: &AgentCall) -> Result<PollResponse> {
    let request: PollRequest = call.json()?;
    if request.wait_seconds > MAX_WAIT_SECONDS {
        return Err(Error::field("wait_seconds", format!("A poll is held for at most {MAX_WAIT_SECONDS} s.")));
    }
    if request.unchanged.len() > MAX_UNCHANGED {
        return Err(Error::field("unchanged", format!("Report at most {MAX_UNCHANGED} unchanged runs in one poll.")));
    }
    let until = Instant::now() + Duration::from_secs(u64::from(request.wait_seconds));
    // In the waiting room before the first look: a job enqueued in between rings the bell.
    let waiter = app.waiters.enter(call.agent_id);
    let (mut jobs, rejected_runs) = first_look(app, call, &request).await?;
    if let Some(limits) = request.state.limits {
        tracing::info!(limits = limits.as_str(), "what bounds the agent's workers");
    }
    let (config_version, bundle_checksum) = app.modules.current(&call.resource.spec)?;
    // An agent that names the version has been told the rest of it.
    let knows_config = request.config_version.as_ref() == Some(&config_version);
    let has_bundle = knows_config || request.state.bundle_checksum.as_ref() == Some(&bundle_checksum);
    let has_news = !rejected_runs.is_empty() || !has_bundle;
    // With no place to wait, or news to tell, the poll is answered at once.
    if let Some(waiter) = waiter.filter(|_| !has_news && request.max_jobs > 0) {
        while jobs.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            tokio::select! {
                () = waiter.rung() => {}
                () = tokio::time::sleep(left) => break,
                () = app.shutdown.cancelled() => break,
            }
            // Suspended meanwhile: no work any more.
            app.tenants.active(call.tenant.slug.as_str())?;
            jobs = lease(app, call, request.max_jobs).await?;
        }
    }
    Ok(PollResponse {
        jobs,
        rejected_runs,
        bundle_checksum: if knows_config { String::new() } else { bundle_checksum },
        config_version,
        server_time: Utc::now(),
    })
}

/// One transaction for the unchanged runs, the renewed leases and the first look for work; it writes nothing if there are none.
async fn first_look(app: &App, call: &AgentCall, request: &PollRequest) -> Result<(Vec<AgentJob>, Vec<Uuid>)> {
    app.pulse.beat(&call.tenant, call.agent_id, request.state.clone());
    let mut tx = app.db.tenant::<Write>(&call.tenant).await?;
    let rejected = store::runs::record_unchanged(&mut tx, call.agent_id, call.asset_id, &request.unchanged).await?;
    // An unchanged run answers its job as an envelope would; a rejected one is still to come.
    let answered: Vec<Uuid> =
        request.unchanged.iter().map(|run| run.run_id).filter(|run| !rejected.contains(run)).collect();
    store::jobs::finish(&mut tx, call.agent_id, &answered).await?;
    if !request.running.is_empty() {
        store::jobs::renew(&mut tx, call.agent_id, &request.running, LEASE).await?;
    }
    let leased = store::jobs::lease(&mut tx, call.agent_id, request.max_jobs.min(MAX_JOBS), LEASE).await?;
    let jobs = handed_out(app, call, &mut tx, leased).await?;
    tx.commit().await?;
    Ok((jobs, rejected))
}

async fn lease(app: &App, call: &AgentCall, max_jobs: u32) -> Result<Vec<AgentJob>> {
    let mut tx = app.db.tenant::<Write>(&call.tenant).await?;
    let leased = store::jobs::lease(&mut tx, call.agent_id, max_jobs.min(MAX_JOBS), LEASE).await?;
    let jobs = handed_out(app, call, &mut tx, leased).await?;
    tx.commit().await?;
    Ok(jobs)
}

/// The leased jobs that the agent gets. Between its queueing and now a module may have been retired, or taken from the
/// tenant; such a job is failed with the reason. One that an agent already works on is not asked about again.
async fn handed_out(
    app: &App,
    call: &AgentCall,
    tx: &mut store::TenantTx<Write>,
    leased: Vec<LeasedJob>,
) -> Result<Vec<AgentJob>> {
    if leased.is_empty() {
        return Ok(Vec::new());
    }
    let spec = &call.resource.spec;
    let mut snapshot = app.modules.snapshot()?;
    // Another replica may have released it a moment ago: look again before anything is refused.
    if leased.iter().any(|one| snapshot.refusal(spec, &one.module, &one.version).is_some()) {
        app.modules.refresh(&app.db).await?;
        snapshot = app.modules.snapshot()?;
    }
    let (mut jobs, mut refused) = (Vec::with_capacity(leased.len()), Vec::new());
    for one in leased {
        match snapshot.refusal(spec, &one.module, &one.version) {
            Some(reason) => refused.push((one.job_id, reason)),
            None => jobs.push(job(one)),
        }
    }
    for (job_id, reason) in &refused {
        tracing::info!(%job_id, %reason, "a job is not handed out");
    }
    store::jobs::refuse(tx, &refused).await?;
    Ok(jobs)
}

fn job(leased: LeasedJob) -> AgentJob {
    let LeasedJob { job_id, run_id, module, version, profile, parameters, attempts: _ } = leased;
    let lease_seconds = u32::try_from(LEASE.as_secs()).unwrap_or(u32::MAX);
    AgentJob { job_id, run_id, module, version, parameters, profile, lease_seconds }
}
