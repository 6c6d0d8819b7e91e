//! Starts everything, and ends it in order: no new requests, running ones finish, background work stops, connections close.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum_server::Handle;
use store::{Db, PoolOptions};
use tokio::{sync::broadcast, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    agents::{known::KnownCredentials, modules, modules::Modules, pulse::Pulse, waiters::Waiters},
    auth::{identity::SignIns, password, token::Tokens},
    config::{self, Config},
    http::{csv::Exports, limit::Limiter, router, security::SecurityHeaders},
    jobs::{self, backlog::Backlog, marks::Marks},
    metrics::Metrics,
    modules::gates::Gates,
    results::overview::Overviews,
    retention::archive::Archive,
    seed,
    state::{App, AppState, EVENT_BUFFER, Limits},
    tenants::cache,
    tls,
};

/// Failed sign-ins to one account at once; then one more every [`ACCOUNT_REFILL`].
const ACCOUNT_BURST: u32 = 10;
const ACCOUNT_REFILL: Duration = Duration::from_secs(30);

/// Why the program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value that cannot work.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Postgres' address.
    #[error("TENA_DB_URL cannot be used: {0}")]
    Database(#[from] store::Error),
    /// Kubernetes' address.
    #[error("Kubernetes cannot be reached: {0}; set KUBECONFIG, or run in a pod with a ServiceAccount")]
    Kubernetes(String),
    /// The catalog or the key that signs it.
    #[error(transparent)]
    Modules(#[from] modules::StartError),
    /// The serving certificate.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A header that cannot be sent.
    #[error("a TENA_SEC_* value has characters that a header cannot carry: {0}")]
    Header(#[from] http::header::InvalidHeaderValue),
    /// The address to listen at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether somebody has to change the configuration before another start can succeed.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Database(_)
            | Self::Kubernetes(_)
            | Self::Modules(_)
            | Self::Tls(_)
            | Self::Header(_) => true,
            Self::Listen { .. } => false,
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub address: SocketAddr,
    app: App,
    tasks: JoinSet<()>,
}

/// Serves until `shutdown` is cancelled.
///
/// # Errors
/// What keeps the program from starting.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), StartError> {
    let server = start(config, shutdown).await?;
    server.wait().await;
    Ok(())
}

/// Starts to serve and answers once the port is open. Postgres and Kubernetes may still be down: `/readyz` says so.
///
/// # Errors
/// What keeps the program from starting.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Server, StartError> {
    config.validate()?;
    let kube =
        kube::Client::try_default().await.map_err(|error| StartError::Kubernetes(crate::error::chain(&error)))?;
    start_with(config, kube, shutdown)
}

impl Server {
    /// What handlers share, for tests that look inside.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until the server was told to end and everything has.
    pub async fn wait(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a background task panicked");
                self.app.shutdown.cancel();
            }
        }
        self.app.db.close().await;
        tracing::info!("ended");
    }
}

/// As [`start`], with a Kubernetes client of the caller's; has to be called within a runtime.
///
/// # Errors
/// What keeps the program from starting.
pub fn start_with(config: Config, kube: kube::Client, shutdown: CancellationToken) -> Result<Server, StartError> {
    let pool = PoolOptions { max_connections: config.db_max_connections, ..PoolOptions::named("tenantra-api") };
    let db = Db::connect(config.db_url.expose(), &pool)?;
    let metrics = Arc::new(Metrics::default());
    let (events, _) = broadcast::channel(EVENT_BUFFER);
    let (tenants, watch) = cache::new(kube.clone(), events.clone(), metrics.clone());
    let app: App = Arc::new(AppState {
        db,
        kube,
        tenants,
        tokens: Tokens::new(config.jwt_secret.expose(), config.access_token_lifetime()),
        sign_ins: SignIns::default(),
        security_headers: SecurityHeaders::new(&config)?,
        limits: Limits {
            signin_by_address: Limiter::per_minute(config.signin_per_minute),
            signin_by_account: Limiter::new(ACCOUNT_BURST, ACCOUNT_REFILL),
            enrolment_by_address: Limiter::per_minute(config.enroll_per_minute),
        },
        modules: Modules::new(config.bundle_key.expose(), config.agent_poll_seconds)?,
        gates: Gates::new(config.gates_program.as_deref()),
        credentials: KnownCredentials::default(),
        pulse: Pulse::default(),
        waiters: Waiters::new(config.max_waiting_agents, metrics.waiting_agents.clone()),
        overviews: Overviews::default(),
        exports: Exports::default(),
        archive: Archive::open(&config)?,
        events,
        dirty: Marks::default(),
        backlog: Backlog::default(),
        unchained: Marks::default(),
        unfollowed: Marks::default(),
        metrics,
        shutdown,
        config,
    });

    let mut tasks = JoinSet::new();
    tasks.spawn(watch.run(app.shutdown.clone()));
    jobs::spawn(&app, &mut tasks);
    tasks.spawn(seed::run(app.clone()));
    tasks.spawn(async {
        if let Err(error) = password::warm_up().await {
            tracing::error!(%error, "no password can be hashed");
        }
    });
    listen_for_operations(&app, &mut tasks)?;
    let address = listen(&app, &mut tasks)?;
    Ok(Server { address, app, tasks })
}

/// Binds at once, so that an address in use stops the start.
fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn listen_for_operations(app: &App, tasks: &mut JoinSet<()>) -> Result<(), StartError> {
    let Some(wanted) = app.config.metrics_listen else { return Ok(()) };
    let cannot = |source| StartError::Listen { address: wanted, source };
    let handle = Handle::new();
    let server = axum_server::from_tcp(bind(wanted).map_err(cannot)?).map_err(cannot)?.handle(handle.clone());
    tasks.spawn(end_gracefully(app.clone(), handle));
    let service = router::operations(app.clone()).into_make_service();
    tasks.spawn(async move { report(server.serve(service).await) });
    tracing::info!(address = %wanted, "serving metrics and health");
    Ok(())
}

fn listen(app: &App, tasks: &mut JoinSet<()>) -> Result<SocketAddr, StartError> {
    let wanted = app.config.listen;
    let cannot = |source| StartError::Listen { address: wanted, source };
    let listener = bind(wanted).map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let service = router::build(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    tasks.spawn(end_gracefully(app.clone(), handle.clone()));
    let is_tls = if let (Some(certificate), Some(key)) = (&app.config.tls_cert_file, &app.config.tls_key_file) {
        let files = tls::Files { certificate: certificate.clone(), key: key.clone() };
        let config = files.load()?;
        tasks.spawn(files.reload_on_change(config.clone(), app.shutdown.clone()));
        let server = axum_server::from_tcp_rustls(listener, config).map_err(cannot)?.handle(handle);
        tasks.spawn(async move { report(server.serve(service).await) });
        true
    } else {
        let server = axum_server::from_tcp(listener).map_err(cannot)?.handle(handle);
        tasks.spawn(async move { report(server.serve(service).await) });
        false
    };
    tracing::info!(%address, tls = is_tls, "listening");
    Ok(address)
}

fn report(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the server ended");
    }
}

async fn end_gracefully(app: App, handle: Handle<SocketAddr>) {
    app.shutdown.cancelled().await;
    handle.graceful_shutdown(Some(Duration::from_secs(u64::from(app.config.shutdown_seconds))));
}
