//! From flags to a daemon at work: checks everything that can be wrong, starts the thread that runs workers, confines the rest,
//! and enrols if there is no registration yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use catalog::wire::LimitsInForce;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::deliver::Outbox;
use super::{Daemon, enroll};
use crate::client::{self, Client, Session, Trust};
use crate::config::{self, RunArgs};
use crate::oscap::{Place, Scanner};
use crate::sandbox;
use crate::sandbox::cgroup::{Entrance, WorkerGroup};
use crate::state::acknowledged::Records;
use crate::state::registration::Registration;
use crate::state::sequence::Sequence;
use crate::state::spool::Spool;
use crate::state::{self, StateDir, keys, leased};
use crate::worker::{self, Supervisor, Target};

/// Until a lease says how long it is.
const FIRST_RENEWAL: Duration = Duration::from_secs(20);

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The CA file is of no use.
    #[error(transparent)]
    Ca(#[from] client::TrustError),
    /// The TLS client cannot be made.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The agent cannot be confined.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

/// Starts the daemon; waits for the server as long as it takes to enrol.
///
/// To be called on the thread that the daemon will run on, before any other thread exists: what it starts is confined with it.
pub async fn start(args: &RunArgs) -> Result<Daemon, Error> {
    let asked = args.server.server()?;
    let trust = Trust::from_file(args.server.ca_file.as_deref())?;
    args.server.labels()?;
    let root = args.server.check_host_root()?.to_owned();
    let state = Arc::new(StateDir::open(&args.server.state_dir)?);
    let registration = Registration::load(&state, asked.as_ref())?;
    let server = match (&registration, asked) {
        (Some(registration), _) => registration.server.clone(),
        (None, Some(server)) => {
            // A missing credential is a mistake; a missing file may still be mounted.
            if let Err(error @ config::Error::NoCredential) = args.server.credential() {
                return Err(error.into());
            }
            server
        }
        (None, None) => return Err(config::Error::NoServer.into()),
    };
    let with_landlock = confinement(args)?;
    let (group, entrance) = bound_workers().unzip();
    let supervisor = Supervisor::start(entrance)?;
    let scanner = Scanner::start(Place {
        folder: state.path().to_owned(),
        content: args.scap_content.clone(),
        target: Target::Running(root.clone()),
    });
    if with_landlock {
        sandbox::confine_daemon(state.path(), group.as_ref().map(WorkerGroup::path))?;
    }
    let key = keys::load_or_make(&state)?;
    let client = Client::new(server, &trust)?;
    let spool = Spool::open(Arc::clone(&state), args.spool_bytes)?;
    let outbox = Outbox::new(spool, Records::open(Arc::clone(&state))?);

    let resumed = match registration {
        Some(registration) => Sequence::resume(Arc::clone(&state))?.map(|sequence| (registration, sequence, None)),
        None => None,
    };
    let (registration, sequence, config) = if let Some(resumed) = resumed {
        resumed
    } else {
        let enrolled = enroll_patiently(args, &client, &state, &key).await?;
        (enrolled.registration, enrolled.sequence, Some(enrolled.config))
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        agent_id = %registration.agent_id,
        tenant_id = %registration.tenant_id,
        tenant = registration.tenant,
        server = %registration.server,
        waiting = outbox.spool.len(),
        "at work"
    );
    if config.is_some() {
        // Another enrolment's jobs are not this one's.
        leased::save(&state, [])?;
    }
    let is_spooled = |run_id| outbox.spool.entries().iter().any(|(id, _)| id.run_id == run_id);
    let resumed_jobs = leased::resume(&state, is_spooled);
    if !resumed_jobs.is_empty() {
        tracing::info!(jobs = resumed_jobs.len(), "going on with what was left");
    }
    let mut daemon = Daemon {
        args: args.server.clone(),
        session: Session::new(client.clone(), key.clone(), registration, sequence),
        client,
        key,
        state,
        outbox,
        supervisor,
        scanner,
        group,
        are_limits_told: false,
        bundle_checksum: String::new(),
        target: Target::Running(root),
        with_landlock,
        config_version: String::new(),
        ask_again_at: None,
        poll_seconds: args.poll_seconds.unwrap_or(catalog::wire::MAX_WAIT_SECONDS),
        poll_seconds_given: args.poll_seconds,
        queue: resumed_jobs.into(),
        renew_every: FIRST_RENEWAL,
        // Resumed jobs may be near the end of their leases.
        renew_at: Instant::now(),
        unspooled: VecDeque::new(),
        backoff: Backoff::default(),
        contact_at: Instant::now(),
        delivery_backoff: Backoff::default(),
        deliver_at: Instant::now(),
        delivered_at: Instant::now(),
        stops_when_idle: args.once,
    };
    daemon.load_bundle()?;
    if let Some(config) = config {
        daemon.adopt(config)?;
    }
    Ok(daemon)
}

/// A control group for the workers where this host gives one, else the limits of each process; says which.
fn bound_workers() -> Option<(WorkerGroup, Entrance)> {
    if let Err(error) = sandbox::go_first_when_memory_runs_out() {
        tracing::warn!(error_code = "oom_score", %error, "the kernel is not told to end this agent before other work");
    }
    let made = WorkerGroup::make(worker::bounds()).and_then(|group| {
        let entrance = group.entrance()?;
        Ok((group, entrance))
    });
    match made {
        Ok((group, entrance)) => {
            tracing::info!(
                limits = LimitsInForce::Cgroup.as_str(),
                group = %group.path().display(),
                "the kernel bounds the workers' memory and CPU in a control group"
            );
            Some((group, entrance))
        }
        Err(reason) => {
            tracing::info!(
                limits = LimitsInForce::Process.as_str(),
                %reason,
                "limits of each process, the lowest priority and pauses bound the workers' memory and CPU"
            );
            None
        }
    }
}

fn confinement(args: &RunArgs) -> Result<bool, sandbox::Error> {
    if sandbox::has_landlock() {
        return Ok(true);
    }
    if !args.insecure_no_landlock {
        return Err(sandbox::Error::NoLandlock);
    }
    tracing::error!(
        error_code = "no_landlock",
        "INSECURE: this kernel has no landlock and --insecure-no-landlock was given; nothing but this program's own care keeps the daemon from writing on the host"
    );
    Ok(false)
}

async fn enroll_patiently(
    args: &RunArgs,
    client: &Client,
    state: &Arc<StateDir>,
    key: &ed25519_dalek::SigningKey,
) -> Result<enroll::Enrolled, Error> {
    let mut backoff = Backoff::default();
    loop {
        match enroll::enroll(&args.server, client, state, key).await {
            Ok(enrolled) => return Ok(enrolled),
            Err(enroll::Error::State(error)) if !error.is_disk_full() => return Err(error.into()),
            Err(error) => {
                let wait = backoff.next(None);
                tracing::warn!(error_code = "enrolment", retry_seconds = wait.as_secs(), %error, "not enrolled yet");
                sleep(wait).await;
            }
        }
    }
}
