//! What every handler shares. Everything here is built once at the start and is cheap to reach.

use std::{net::IpAddr, sync::Arc};

use store::{Db, TenantRef};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    agents::{known::KnownCredentials, modules::Modules, pulse::Pulse, waiters::Waiters},
    auth::{identity::SignIns, token::Tokens},
    config::Config,
    events::Event,
    http::{csv::Exports, limit::Limiter, security::SecurityHeaders},
    jobs::{backlog::Backlog, marks::Marks},
    metrics::Metrics,
    modules::gates::Gates,
    results::overview::Overviews,
    retention::archive::Archive,
    tenants::cache::TenantCache,
};

/// The state, as handlers take it.
pub type App = Arc<AppState>;

/// Events kept for a slow listener before it is told that it missed some. One event is about 200 bytes.
pub const EVENT_BUFFER: usize = 1_024;

/// How often something may be tried.
#[derive(Debug)]
pub struct Limits {
    /// Sign-ins from one address.
    pub signin_by_address: Limiter<IpAddr>,
    /// Sign-ins to one account, by what was typed.
    pub signin_by_account: Limiter<String>,
    /// Enrolments from one address.
    pub enrolment_by_address: Limiter<IpAddr>,
}

/// What every handler shares.
pub struct AppState {
    /// What the program was told.
    pub config: Config,
    /// Postgres as `tenantra_api`.
    pub db: Db,
    /// Kubernetes as the API's own ServiceAccount.
    pub kube: kube::Client,
    /// Every Tenant, from a watch.
    pub tenants: TenantCache,
    /// Access tokens.
    pub tokens: Tokens,
    /// Sign-ins that are being looked up.
    pub sign_ins: SignIns,
    /// What Prometheus reads.
    pub metrics: Arc<Metrics>,
    /// Headers on every answer.
    pub security_headers: SecurityHeaders,
    /// How often something may be tried.
    pub limits: Limits,
    /// What agents may run, and their signed bundles.
    pub modules: Modules,
    /// What runs quality gates on drafts.
    pub gates: Gates,
    /// Credentials of agents that were here lately.
    pub credentials: KnownCredentials,
    /// Heartbeats that wait to be written.
    pub pulse: Pulse,
    /// Agents that wait for work here.
    pub waiters: Waiters,
    /// Overviews that are being read.
    pub overviews: Overviews,
    /// Files that are being written.
    pub exports: Exports,
    /// Where rows go that are archived before they are deleted; none if the installation has no such place.
    pub archive: Option<Archive>,
    /// What the dashboard hears of live.
    pub events: broadcast::Sender<Event>,
    /// Tenants whose rollup is behind.
    pub dirty: Marks<TenantRef>,
    /// Tenants of whose events too many wait.
    pub backlog: Backlog,
    /// Tenants whose audit log has rows that are in no chain yet.
    pub unchained: Marks<Uuid>,
    /// Tenants with runs whose drift waits.
    pub unfollowed: Marks<TenantRef>,
    /// The program is told to end.
    pub shutdown: CancellationToken,
}

impl AppState {
    /// Something of the tenant was written: its figures, its audit chain and what is known of drift are behind.
    pub fn has_changed(&self, tenant: &TenantRef) {
        self.dirty.mark(tenant.clone());
        self.unchained.mark(tenant.id);
        self.unfollowed.mark(tenant.clone());
    }
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("config", &self.config).finish_non_exhaustive()
    }
}
