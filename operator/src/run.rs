//! The program: watches that fill the caches from the start, so that a standby is warm; the election; and, while this
//! replica leads, the controllers. A lead that is lost ends the program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::runtime::controller::Config as ControllerConfig;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Controller, Predicate, WatchStreamExt, predicates};
use kube::{Api, Client, ResourceExt};
use secrecy::ExposeSecret;
use store::{OwnerDb, PoolOptions};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::provision::Systems;
use crate::runtime::caches::{Children, Nodes, Synced, watch_children, watch_nodes};
use crate::runtime::config::Config;
use crate::runtime::events::Events;
use crate::runtime::gate::System;
use crate::runtime::lanes::{Lanes, spread};
use crate::runtime::lead::{Elector, Lead};
use crate::runtime::metrics::Metrics;
use crate::runtime::trigger::Triggers;
use crate::systems::child::Kind;
use crate::systems::kubernetes::Cluster;
use crate::systems::openbao::{self, OpenBao};
use crate::tenant::observe::{Registry, bounded};
use crate::tenant::validate::Installation;
use crate::tenant::{Context, on_error, purge, reconcile};
use crate::{alert, audit, cloud, runtime, satellite, schedule};
use crds::tenant::Tenant;

/// How often the figures of all tenants are read: one statement.
const FIGURES_PERIOD: Duration = Duration::from_secs(5);
/// How often the rows of all tenants are read: one statement.
const ROWS_PERIOD: Duration = Duration::from_mins(1);
/// How soon what prepares an outside system is tried again.
const PREPARE_RETRY: Duration = Duration::from_secs(2);
/// How long a new leader waits for Postgres, which saves a statement for each tenant.
const PREPARE_LIMIT: Duration = Duration::from_secs(2);
/// How long work that is under way may go on when the program is asked to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] runtime::config::Error),
    /// The client of OpenBao cannot be made.
    #[error(transparent)]
    OpenBao(#[from] openbao::Error),
    /// The database URL is not one.
    #[error(transparent)]
    Postgres(#[from] store::Error),
    /// There is no cluster to talk to.
    #[error("the Kubernetes configuration cannot be used: {0}")]
    Kubernetes(String),
    /// Metrics and health cannot be served.
    #[error("metrics and health cannot be served: {0}")]
    Listen(#[source] std::io::Error),
    /// The lead went to another replica; a new process starts as a standby.
    #[error("the lead was lost")]
    LeadLost,
    /// A watch or a controller ended, which none ever should.
    #[error("a task of the operator ended unexpectedly")]
    TaskEnded,
}

impl Error {
    /// Whether somebody has to change the configuration before another start can succeed.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Config(_) | Self::OpenBao(_) | Self::Postgres(_) | Self::Kubernetes(_) => true,
            Self::Listen(_) | Self::LeadLost | Self::TaskEnded => false,
        }
    }
}

/// Runs until a signal, or until the lead is lost.
pub async fn run(config: Config) -> Result<(), Error> {
    let client = client().await?;
    let identity = identity(&config);
    let lease = Duration::from_secs(config.lease_seconds);
    let (elector, lead) = Elector::new(client.clone(), &config.namespace, &config.lease_name, &identity, lease);
    let metrics = Metrics::default();
    let synced = Synced::default();
    let (context, triggers) = context(&config, &client, lead.clone(), &identity, &metrics)?;

    let mut tasks = JoinSet::new();
    let tenants = watch_everything(&mut tasks, &client, &context, &triggers, &synced);
    let context = Arc::new(Context { tenants, ..context });
    let listen = config.listen;
    let (bound, failed) = oneshot::channel();
    tasks.spawn({
        let (metrics, synced) = (metrics.clone(), synced.clone());
        async move {
            if let Err(error) = runtime::http::serve(listen, metrics, synced).await {
                // The receiver is gone only when the program ends anyway.
                let _ = bound.send(error);
            }
        }
    });

    let (hand_over, asked) = oneshot::channel::<()>();
    let election = tokio::spawn(elector.run(async move {
        // Dropped or sent: both mean stop.
        let _ = asked.await;
    }));
    let leading = async {
        synced.wait().await;
        lead.won().await;
        metrics.leads(true);
        lead_on(&mut tasks, &config, &context, &triggers).await;
        tokio::select! {
            () = lead.lost() => Error::LeadLost,
            _ = tasks.join_next() => Error::TaskEnded,
        }
    };
    let outcome = tokio::select! {
        () = signalled() => Ok(()),
        Ok(error) = failed => Err(Error::Listen(error)),
        error = leading => Err(error),
    };
    metrics.leads(false);
    if outcome.is_ok() {
        tasks.shutdown().await;
        context.lanes.drain(DRAIN_LIMIT).await;
    }
    drop(hand_over);
    // The elector gives the lease back within its own request limit.
    let _ = timeout(DRAIN_LIMIT, election).await;
    outcome
}

async fn client() -> Result<Client, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::Kubernetes(error.to_string());
    let mut config = kube::Config::infer().await.map_err(|e| broken(&e))?;
    let agent = concat!("tenantra-operator/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    Client::try_from(config).map_err(|e| broken(&e))
}

fn identity(config: &Config) -> String {
    config.pod_name.clone().unwrap_or_else(|| format!("tenantra-operator-{}", uuid::Uuid::new_v4().simple()))
}

fn context(
    config: &Config,
    client: &Client,
    lead: Lead,
    identity: &str,
    metrics: &Metrics,
) -> Result<(Context, Triggers), Error> {
    let pool = PoolOptions {
        // Tenants' own work, and the few statements for all of them beside it.
        max_connections: config.db_connections + 2,
        statement_timeout: System::Postgres.limit(),
        ..PoolOptions::named("tenantra-operator")
    };
    let db = OwnerDb::connect(config.database_url()?.expose_secret(), &pool)?;
    let bao = OpenBao::new(config, lead.clone())?;
    let triggers = Triggers::default();
    let postgres = usize::try_from(config.db_connections).unwrap_or(4);
    let lanes = Lanes::new(triggers.clone(), config.resync(), postgres, metrics.clone());
    let cluster = Cluster::new(client.clone(), Arc::new(Children::default()), lead.clone());
    let registry = Registry::new(db.clone(), lead.clone());
    let context = Context {
        client: client.clone(),
        systems: Systems { cluster, db, bao, lead },
        lanes,
        installation: Arc::new(Installation::of(config)?),
        // Replaced by the one that the watch fills.
        tenants: reflector::store().0,
        nodes: Arc::new(Nodes::default()),
        registry,
        modules: schedule::modules::Modules::default(),
        events: Events::new(client.clone(), identity),
        metrics: metrics.clone(),
        max_offboards: config.max_offboards_per_hour,
        memory: Mutex::new(HashMap::new()),
    };
    Ok((context, triggers))
}

fn watch_everything(
    tasks: &mut JoinSet<()>,
    client: &Client,
    ctx: &Context,
    triggers: &Triggers,
    synced: &Synced,
) -> Store<Tenant> {
    let children = ctx.systems.cluster.shared_children();
    macro_rules! watch {
        ($($kind:ident),*) => {$(
            synced.expect(Kind::$kind.as_str());
            tasks.spawn(watch_children::<$kind>(client.clone(), Kind::$kind, children.clone(), triggers.clone(), synced.clone()));
        )*};
    }
    watch!(
        Namespace,
        ResourceQuota,
        LimitRange,
        NetworkPolicy,
        Role,
        RoleBinding,
        ServiceAccount,
        ConfigMap,
        DaemonSet
    );
    synced.expect("Node");
    tasks.spawn(watch_nodes(client.clone(), ctx.nodes.clone(), triggers.clone(), synced.clone()));
    let (tenants, writer) = reflector::store();
    synced.expect("Tenant");
    tasks.spawn(watch_tenants(client.clone(), writer, tenants.clone(), triggers.clone(), synced.clone()));
    tenants
}

/// Fills the store and asks for passes: over what changed beyond its status, and over its relatives.
async fn watch_tenants(
    client: Client,
    writer: reflector::store::Writer<Tenant>,
    store: Store<Tenant>,
    triggers: Triggers,
    synced: Synced,
) {
    let what_counts = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    let events = watcher(Api::<Tenant>::all(client), watcher::Config::default())
        .default_backoff()
        .modify(|tenant| {
            tenant.metadata.managed_fields = None;
            if let Some(annotations) = tenant.metadata.annotations.as_mut() {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        })
        .reflect(writer);
    pin_mut!(events);
    let mut seen: HashMap<String, (Option<u64>, Option<String>)> = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(tenant) | Event::InitApply(tenant)) => {
                let name = tenant.name_any();
                let now = (what_counts.hash_property(&tenant), tenant.spec.parent.clone());
                let before = seen.insert(name.clone(), now.clone());
                if before.as_ref() == Some(&now) {
                    continue;
                }
                triggers.push(&name);
                relatives(&store, &triggers, &name, before.and_then(|(_, parent)| parent).as_deref());
                relatives(&store, &triggers, &name, now.1.as_deref());
            }
            Ok(Event::Delete(tenant)) => {
                let name = tenant.name_any();
                seen.remove(&name);
                // The pass of a tenant that is gone forgets it.
                triggers.push(&name);
                relatives(&store, &triggers, &name, tenant.spec.parent.as_deref());
            }
            Ok(Event::InitDone) => synced.done("Tenant"),
            Ok(Event::Init) => {}
            Err(error) => tracing::warn!(%error, "the watch of tenants was interrupted and starts again"),
        }
    }
}

fn relatives(store: &Store<Tenant>, triggers: &Triggers, name: &str, parent: Option<&str>) {
    if let Some(parent) = parent {
        triggers.push(parent);
    }
    for child in store.state_filter(|tenant| tenant.spec.parent.as_deref() == Some(name)) {
        triggers.push(&child.name_any());
    }
}

/// Starts what only a leader does.
async fn lead_on(tasks: &mut JoinSet<()>, config: &Config, ctx: &Arc<Context>, triggers: &Triggers) {
    // Waited for only shortly: Postgres being away never keeps a leader from everything else.
    let is_prepared = matches!(timeout(PREPARE_LIMIT, prepare_postgres(ctx)).await, Ok(Ok(())));
    tasks.spawn(keep_postgres_ready(ctx.clone(), is_prepared));
    tasks.spawn(keep_reading(ctx.clone(), triggers.clone()));
    tasks.spawn(keep_reading_modules(ctx.clone()));
    tasks.spawn({
        let ctx = ctx.clone();
        async move { purge::run(&ctx).await }
    });
    tasks.spawn({
        let ctx = ctx.clone();
        async move {
            let db = ctx.systems.db.clone();
            ctx.lanes.probe(System::Postgres, || async { db.ping().await.is_ok() }).await;
        }
    });
    tasks.spawn({
        let ctx = ctx.clone();
        async move {
            let client = ctx.client.clone();
            ctx.lanes.probe(System::Kubernetes, || async { client.apiserver_version().await.is_ok() }).await;
        }
    });
    if let Some(bao) = ctx.systems.bao.clone() {
        tasks.spawn(prepare_openbao(bao.clone()));
        tasks.spawn(audit::run(ctx.clone()));
        let ctx = ctx.clone();
        tasks.spawn(async move { ctx.lanes.probe(System::OpenBao, || async { bao.ping().await.is_ok() }).await });
    }
    for tenant in ctx.tenants.state() {
        triggers.push(&tenant.name_any());
    }
    tasks.spawn(control(config.concurrency, ctx.clone(), triggers.clone()));
    tasks.spawn(satellite::run::<schedule::Schedules>(ctx.clone()));
    tasks.spawn(satellite::run::<alert::Rules>(ctx.clone()));
    tasks.spawn(satellite::run::<cloud::Accounts>(ctx.clone()));
}

async fn control(concurrency: u16, ctx: Arc<Context>, triggers: Triggers) {
    let forget = ctx.clone();
    let names = triggers.stream().filter_map(move |name| {
        let reference = ObjectRef::<Tenant>::new(&name);
        let is_there = forget.tenants.get(&reference).is_some();
        if !is_there {
            forget.forget(&name);
        }
        std::future::ready(is_there.then_some(reference))
    });
    let none = futures::stream::pending::<Result<Tenant, watcher::Error>>();
    Controller::for_stream(none, ctx.tenants.clone())
        .with_config(ControllerConfig::default().concurrency(concurrency))
        .reconcile_on(names)
        .run(reconcile, on_error, ctx)
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Brings the schema `shared` up to date, raises the epoch, and reads who is there.
async fn prepare_postgres(ctx: &Context) -> Result<(), crate::provision::Error> {
    let work = async {
        let lead = &ctx.systems.lead;
        if let Some(stored) = stored_epoch(ctx).await? {
            let mine = lead.permit(System::Postgres.limit())?;
            if stored >= mine.0 && stored > 0 {
                // A Lease made anew counts from the start; Postgres remembers more.
                lead.raise_above(stored);
            }
        }
        if store::migrate::platform_pending(&ctx.systems.db).await? > 0 {
            store::migrate::platform(&ctx.systems.db).await?;
        }
        ctx.registry.refresh().await
    };
    bounded(ctx.lanes.gate(System::Postgres), work).await
}

async fn stored_epoch(ctx: &Context) -> Result<Option<i64>, crate::provision::Error> {
    match store::fencing::stored(&ctx.systems.db).await {
        Ok(stored) => Ok(stored.map(|epoch| epoch.0)),
        // Before the first migration there is no such table.
        Err(store::Error::Database(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Repeats the preparation until it has succeeded, then keeps the rows fresh.
async fn keep_postgres_ready(ctx: Arc<Context>, is_prepared: bool) {
    let mut wait = if is_prepared { ROWS_PERIOD } else { PREPARE_RETRY };
    loop {
        sleep(spread(wait)).await;
        match prepare_postgres(&ctx).await {
            Ok(()) => wait = ROWS_PERIOD,
            Err(error) => {
                tracing::debug!(%error, "Postgres is not ready");
                wait = PREPARE_RETRY;
            }
        }
        crate::tenant::count(&ctx);
    }
}

/// Reads the figures of all tenants, and asks for passes over those whose figures changed.
async fn keep_reading(ctx: Arc<Context>, triggers: Triggers) {
    loop {
        match bounded(ctx.lanes.gate(System::Postgres), ctx.registry.refresh_figures()).await {
            Ok(changed) => changed.iter().for_each(|slug| triggers.push(slug)),
            Err(error) => tracing::debug!(%error, "the figures could not be read"),
        }
        sleep(spread(FIGURES_PERIOD)).await;
    }
}

/// Reads where the versions of modules stand; the schedules are woken by what changed.
async fn keep_reading_modules(ctx: Arc<Context>) {
    loop {
        let done = bounded(ctx.lanes.gate(System::Postgres), ctx.modules.refresh(&ctx.systems.db)).await;
        let wait = match done {
            Ok(()) => schedule::modules::PERIOD,
            Err(error) => {
                tracing::debug!(%error, "the catalog could not be read");
                PREPARE_RETRY
            }
        };
        sleep(spread(wait)).await;
    }
}

/// Mounts the engines that are missing, once. A token that may not is told in the log; what is missing then shows in each
/// tenant's condition.
async fn prepare_openbao(bao: OpenBao) {
    loop {
        match bao.prepare().await {
            Ok(()) => break,
            Err(error) if error.is_silence() => sleep(spread(PREPARE_RETRY)).await,
            Err(error) => {
                tracing::info!(%error, "the engines of OpenBao are not ours to mount; they have to be there");
                break;
            }
        }
    }
    // Its owner takes the end of a task for a fault.
    std::future::pending::<()>().await;
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
}
