//! An upgrade of a thousand tenants' schemas with the real command, killed twice on the way and started again, while tenants
//! write; beside it the same statements by a script, in as many schemas at once, that nobody kills. Then what an empty tenant
//! takes, and what Postgres' processes hold once a pool has served all of them.

mod locks;
mod memory;
mod schemas;

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use store::migrate::Scope;
use store::{OwnerDb, PoolOptions, Slug, TenantRef};
use tests::harness::program;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use url::Url;

use crate::report::{Figures, Report};
use crate::tenants::{PASSWORD, Prepared};
use locks::Watch;
use schemas::Files;

/// Schemas that are migrated side by side: the command's default.
const AT_ONCE: usize = 4;
/// How often it is looked how far the command has come.
const LOOK: Duration = Duration::from_millis(10);
/// No upgrade takes longer.
const LIMIT: Duration = Duration::from_mins(10);
/// Tenants that are made for the size of one.
const EMPTY: u32 = 20;

pub async fn run(runs: u32, tenants: u32, behind: usize) -> anyhow::Result<()> {
    let files = Files::behind(behind)?;
    eprintln!("{tenants} schemas without {}", files.told());
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        let bench = Bench::new(files).await?;
        let made = schemas::tenants(&bench.owner, &bench.pool, tenants, files).await?;
        let raw = schemas::raw(&bench.pool, tenants, files).await?;
        let mut figures = bench.upgrade(&made).await?;
        peer.push(bench.raw_upgrade(&raw).await?);
        figures.insert("empty_bytes", bench.empty_bytes().await?);
        // Takes a minute or two, and the same every time.
        if run == 1 {
            let postmaster = bench.prepared.world.postgres.pid()?;
            let memory = memory::measure(&bench.api_url()?, postmaster, &made).await?;
            figures.insert("backend_mib", memory.after_mib);
            figures.insert("backend_peak_mib", memory.peak_mib);
        }
        ours.push(figures);
    }
    // A thousand in half a minute.
    let wall = f64::from(tenants) * 0.03;
    let limit =
        Figures::from([("wall_s", wall), ("lock_ms", 100.0), ("empty_bytes", 1_400_000.0), ("backend_mib", 3_072.0)]);
    Report { bench: "migrate", ours, peer, limit, ratio: "wall_s" }.print();
    Ok(())
}

struct Bench {
    prepared: Prepared,
    files: Files,
    /// As the superuser, inside the database `tenantra`.
    admin: PgPool,
    admin_url: String,
    owner: OwnerDb,
    pool: PgPool,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new(files: Files) -> anyhow::Result<Self> {
        let prepared = Prepared::new().await?;
        let mut inside = Url::parse(prepared.world.postgres.url())?;
        inside.set_path("/tenantra");
        let admin_url = inside.to_string();
        let admin = PgPoolOptions::new().max_connections(2).connect(&admin_url).await?;
        let owner = OwnerDb::connect(&prepared.owner_url, &PoolOptions::named("bench"))?;
        let pool = schemas::pool(&prepared.owner_url).await?;
        let bench = Self { prepared, files, admin, admin_url, owner, pool, folder: tempfile::tempdir()? };
        // What an installation has before its tenants: the catalog above all.
        let status = bench.command(&["migrate"])?.wait().await?;
        ensure!(status.success(), "the platform's own schema was not migrated ({status}): {}", bench.told());
        Ok(bench)
    }

    fn api_url(&self) -> anyhow::Result<String> {
        let address = self.prepared.world.postgres.host_and_port()?;
        Ok(format!("postgres://tenantra_api:{PASSWORD}@{address}/tenantra"))
    }

    /// `tenantra db …`; it is killed if it is dropped.
    fn command(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        let log = File::create(self.folder.path().join("command.log"))?;
        let child = Command::new(program("tenantra")?)
            .arg("db")
            .args(arguments)
            .env("TENA_DB_OWNER_URL", &self.prepared.owner_url)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    /// What the command printed last.
    fn told(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("command.log")).unwrap_or_default();
        let bad = text.lines().filter(|line| line.contains("failed")).take(5).collect::<Vec<_>>().join("\n");
        if bad.is_empty() { text } else { bad }
    }

    /// The upgrade: killed when a third is done, killed again when two thirds are, and then to its end.
    async fn upgrade(&self, tenants: &[TenantRef]) -> anyhow::Result<Figures> {
        self.checkpoint().await?;
        let schemas = tenants.iter().map(|tenant| tenant.schema().to_string()).collect();
        let watch = Watch::begin(&self.admin_url, schemas).await?;
        let concurrency = AT_ONCE.to_string();
        let arguments = ["migrate", "--concurrency", &concurrency];
        let begun = Instant::now();
        for third in [1, 2] {
            let place = tenants.get(tenants.len() * third / 3).context("a tenant at each third")?;
            let mut command = self.command(&arguments)?;
            tokio::select! {
                ended = command.wait() => bail!("it ended ({}) before it could be killed: {}", ended?, self.told()),
                reached = self.reached(place) => reached?,
            }
            command.kill().await?;
        }
        let finishing = Instant::now();
        let mut command = self.command(&arguments)?;
        let status = tokio::time::timeout(LIMIT, command.wait()).await.context("it did not end in time")??;
        let (wall, finishing) = (begun.elapsed().as_secs_f64(), finishing.elapsed().as_secs_f64());
        ensure!(status.success(), "it could not be resumed ({status}): {}", self.told());
        let waits = watch.end().await?;
        let status = self.command(&["status", "--check"])?.wait().await?;
        ensure!(status.success(), "a schema is not at the newest version ({status}): {}", self.told());

        let again = Instant::now();
        let status = self.command(&arguments)?.wait().await?;
        ensure!(status.success(), "a pass that changes nothing failed ({status}): {}", self.told());
        Ok(Figures::from([
            ("wall_s", wall),
            ("finish_wall_s", finishing),
            ("noop_wall_s", again.elapsed().as_secs_f64()),
            ("lock_ms", waits.locked_ms),
            ("write_max_ms", waits.write_ms),
        ]))
    }

    /// Returns once the tenant's schema is at the newest version. Schemas are brought forward in the order of their names.
    async fn reached(&self, tenant: &TenantRef) -> anyhow::Result<()> {
        let schema = tenant.schema();
        let statement = format!("SELECT EXISTS (SELECT FROM {schema}.schema_migrations WHERE version = $1)");
        loop {
            let is_done: bool = sqlx::query_scalar(AssertSqlSafe(statement.clone()))
                .bind(Scope::Tenant.head())
                .fetch_one(&self.admin)
                .await?;
            if is_done {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    async fn raw_upgrade(&self, schemas: &[String]) -> anyhow::Result<Figures> {
        self.checkpoint().await?;
        let watch = Watch::begin(&self.admin_url, schemas.to_vec()).await?;
        let begun = Instant::now();
        schemas::bring_forward(&self.pool, schemas, self.files).await?;
        let wall = begun.elapsed().as_secs_f64();
        let waits = watch.end().await?;
        Ok(Figures::from([("wall_s", wall), ("lock_ms", waits.locked_ms), ("write_max_ms", waits.write_ms)]))
    }

    /// What a tenant with nothing in it adds to the database.
    async fn empty_bytes(&self) -> anyhow::Result<f64> {
        self.checkpoint().await?;
        let before = self.database_bytes().await?;
        for number in 0..EMPTY {
            let mut tx = self.owner.begin().await?;
            let slug = Slug::parse(&format!("empty-{number}"))?;
            let tenant = store::tenants::ensure(&mut tx, &slug).await?.tenant;
            tx.commit().await?;
            store::provision::ensure(&self.owner, &tenant, None).await?;
        }
        Ok((self.database_bytes().await? - before) / f64::from(EMPTY))
    }

    async fn database_bytes(&self) -> anyhow::Result<f64> {
        let size = "SELECT pg_database_size(current_database())::float8";
        Ok(sqlx::query_scalar(size).fetch_one(&self.admin).await?)
    }

    /// Writes out what Postgres holds back, so that each measurement begins in the same state.
    async fn checkpoint(&self) -> anyhow::Result<()> {
        sqlx::query("CHECKPOINT").execute(&self.admin).await?;
        Ok(())
    }
}
