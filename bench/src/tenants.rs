//! Tenants applied at once, all Ready, on a real control plane, Postgres (fsync on) and OpenBao; beside it the same raw
//! writes: as many objects of the same kinds, schemas from the same migrations, paths of the same shapes, by sixteen
//! workers that read nothing, plan nothing and report nothing.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crds::conditions::ConditionType;
use crds::tenant::Tenant;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use store::{Bootstrap, OwnerDb, PoolOptions, bootstrap};
use tests::harness::{World, eventually, program};

use crate::noop;
use crate::process::{self, Running};
use crate::raw;
use crate::report::{Figures, Report};

/// As many as the operator reconciles side by side.
pub const WORKERS: usize = 16;
pub const PASSWORD: &str = "Bench-only-7-words";
/// How often the API server looks at the sizes of what it stores.
const SIZES_KNOWN: Duration = Duration::from_secs(70);

pub async fn run(runs: u32, tenants: u32) -> anyhow::Result<()> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        let world = Prepared::new().await?;
        // Sizes are told once a minute, and are the same every time.
        let (figures, objects) = operator(&world, tenants, run == 1).await?;
        ours.push(figures);
        peer.push(raw::run(&world, tenants, &objects).await?);
    }
    // 100 tenants in 20 s, 1,000 in 100 s.
    let wall = if tenants <= 100 { 20.0 } else { f64::from(tenants) / 10.0 };
    let limit = Figures::from([
        ("wall_s", wall),
        ("ratio", 1.5),
        ("first_s", 3.0),
        ("noop_writes", 0.0),
        ("noop_statements", 3.0),
        ("noop_reads", 8.0),
        ("peak_mib", 60.0),
        ("noop_peak_mib", 60.0),
        ("etcd_bytes", 24_576.0),
    ]);
    Report { bench: "tenants", ours, peer, limit, ratio: "wall_s" }.print();
    Ok(())
}

/// The three systems, with the kinds installed and the database bootstrapped.
pub struct Prepared {
    pub world: World,
    pub owner_url: String,
    folder: tempfile::TempDir,
}

impl Prepared {
    pub async fn new() -> anyhow::Result<Self> {
        let world = World::start_durable().await?;
        world.cluster.install_crds().await?;
        let wanted = Bootstrap {
            owner_password: PASSWORD.into(),
            api_password: PASSWORD.into(),
            database: "tenantra".to_owned(),
        };
        bootstrap(world.postgres.url(), &wanted).await?;
        let owner_url = format!("postgres://tenantra_owner:{PASSWORD}@{}/tenantra", world.postgres.host_and_port()?);
        let owner = OwnerDb::connect(&owner_url, &PoolOptions::named("bench"))?;
        store::migrate::platform(&owner).await?;
        owner.close().await;
        Ok(Self { world, owner_url, folder: tempfile::tempdir()? })
    }
}

fn manifest(slug: &str) -> Tenant {
    let spec = json!({
        "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": slug },
        "spec": { "displayName": slug, "plan": "Pro", "isolation": { "networkPolicy": "Strict" },
                  "limits": { "cpu": "4", "memory": "8Gi", "pods": 50 } },
    });
    #[expect(clippy::expect_used, reason = "the value above is a Tenant; the first run would show otherwise")]
    serde_json::from_value(spec).expect("a Tenant")
}

/// Seconds from the first apply until all are Ready.
async fn apply(api: &Api<Tenant>, slugs: &[String]) -> anyhow::Result<f64> {
    let start = Instant::now();
    stream::iter(slugs)
        .map(|slug| async move {
            api.patch(slug, &PatchParams::apply("bench"), &Patch::Apply(&manifest(slug))).await.map(|_| ())
        })
        .buffer_unordered(WORKERS)
        .try_collect::<()>()
        .await?;
    // From the API server's cache: looking must cost the machine as little as can be.
    let from_cache = ListParams::default().match_any();
    eventually(Duration::from_mins(10), "all tenants are Ready", async || {
        let all = api.list(&from_cache).await?;
        let is_ready = |tenant: &&Tenant| {
            tenant
                .status
                .as_ref()
                .is_some_and(|status| crds::conditions::is_true(&status.conditions, ConditionType::Ready))
        };
        let ready = all.items.iter().filter(is_ready).filter_map(|tenant| tenant.metadata.name.as_ref());
        let ready: std::collections::HashSet<_> = ready.collect();
        Ok(slugs.iter().all(|slug| ready.contains(slug)).then_some(()))
    })
    .await?;
    Ok(start.elapsed().as_secs_f64())
}

fn start_operator(prepared: &Prepared, port: u16) -> anyhow::Result<Running> {
    let log = File::create(prepared.folder.path().join("operator.log"))?;
    let child = Command::new(program("tenantra-operator")?)
        .env("KUBECONFIG", prepared.world.cluster.kubeconfig())
        .env("TENA_DB_OWNER_URL", &prepared.owner_url)
        .env("TENA_VAULT_ADDR", prepared.world.openbao.address())
        .env("TENA_VAULT_TOKEN", prepared.world.openbao.token())
        .env("TENA_NAMESPACE", "default")
        .env("TENA_LISTEN", format!("127.0.0.1:{port}"))
        .env("TENA_LOG_LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(Running::new(child))
}

async fn is_leading(port: u16) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{port}/readyz");
    eventually(Duration::from_mins(1), "the operator is ready", async || {
        Ok(reqwest::get(&url).await?.status().is_success().then_some(()))
    })
    .await
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn operator(prepared: &Prepared, tenants: u32, with_sizes: bool) -> anyhow::Result<(Figures, raw::Objects)> {
    let client = &prepared.world.cluster.client;
    let api: Api<Tenant> = Api::all(client.clone());
    let port = free_port()?;
    let process = start_operator(prepared, port)?;
    is_leading(port).await?;

    let first = apply(&api, &["first".to_owned()]).await?;
    let stored_before = if with_sizes { stored(client).await? } else { None };
    let cpu_before = process::cpu_seconds(process.pid())?;
    let slugs: Vec<String> = (0..tenants).map(|n| format!("ours-{n:04}")).collect();
    let wall = apply(&api, &slugs).await?;
    let cpu = process::cpu_seconds(process.pid())? - cpu_before;
    let peak = process::peak_mib(process.pid())?;
    let objects = raw::Objects::of(client, "first").await?;
    ensure!(!objects.is_empty(), "the operator made no objects for the tenant first");
    let stored = if with_sizes { stored(client).await? } else { None };

    // A new process looks at every tenant again; nothing changed, so it may write nothing but its Lease.
    drop(process);
    let watch = noop::Watch::begin(prepared).await?;
    let port = free_port()?;
    let process = start_operator(prepared, port)?;
    is_leading(port).await?;
    settled(port, tenants + 1).await?;
    let counted = watch.end(prepared).await?;
    let of_each = f64::from(tenants + 1);
    let mut figures = Figures::from([
        ("wall_s", wall),
        ("first_s", first),
        ("cpu_s", cpu),
        ("peak_mib", peak),
        ("noop_writes", counted.writes),
        ("noop_statements", counted.statements / of_each),
        ("noop_reads", counted.reads / of_each),
        ("noop_peak_mib", process::peak_mib(process.pid())?),
    ]);
    if let Some((before, after)) = stored_before.zip(stored) {
        figures.insert("etcd_bytes", (after - before) / f64::from(tenants));
    }
    Ok((figures, objects))
}

/// What the API server stores, as soon as it knows; none from one that does not tell.
async fn stored(client: &kube::Client) -> anyhow::Result<Option<f64>> {
    tokio::time::sleep(SIZES_KNOWN).await;
    let stored = raw::stored_bytes(client).await?;
    if stored.is_none() {
        eprintln!("this API server does not tell the sizes of what it stores");
    }
    Ok(stored)
}

/// Waits until the operator has been over every tenant once.
async fn settled(port: u16, tenants: u32) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    eventually(Duration::from_mins(5), "a pass over every tenant", async || {
        let text = reqwest::get(&url).await?.text().await?;
        let passes = text.lines().find_map(|line| line.strip_prefix("tenantra_operator_reconcile_seconds_count "));
        Ok((passes.context("no metric of passes")?.parse::<u32>()? >= tenants).then_some(()))
    })
    .await
}
