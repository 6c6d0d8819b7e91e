//! An agent at the real API, from its enrolment on: what its first scan costs, then what it costs to wait for work, in memory,
//! CPU, messages and bytes with TLS. No peer does the same; the goals stand beside.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;
use crds::tenant::Tenant;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use store::{OwnerDb, PoolOptions, Slug};
use tests::harness::{Counted, eventually, program};
use tokio::time::sleep;

use crate::process::{self, Running};
use crate::report::{Figures, Report};
use crate::tenants::{PASSWORD, Prepared};

const ADMIN: &str = "root@tenantra.example";
const DAY_SECONDS: f64 = 86_400.0;
/// The API's default.
const POLL_SECONDS: f64 = 300.0;
/// What the runtime keeps for a moment after work is gone by then.
const SETTLE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);
/// More polls than fit into HPACK's table, so that what has to be said again now and then is counted.
const CYCLES: i64 = 30;
const BETWEEN_SIGN_INS: Duration = Duration::from_secs(6);
const FIRST_SCAN: Duration = Duration::from_mins(30);

pub async fn run(seconds: u64) -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let database_before = platform.database_bytes().await?;
    let begun = Instant::now();
    let agent = platform.agent(&["--token", &platform.enrollment_token().await?])?;
    let mut scan_peak = 0.0_f64;
    while !platform.is_scanned().await? {
        ensure!(begun.elapsed() < FIRST_SCAN, "the first scan takes more than {} s", FIRST_SCAN.as_secs());
        scan_peak = scan_peak.max(process::tree_mib(agent.pid()));
        sleep(LOOK).await;
    }
    let scan_wall = begun.elapsed().as_secs_f64();
    let scan_cpu = process::tree_cpu_seconds(agent.pid())?;
    let database = platform.database_bytes().await? - database_before;
    let (scan_requests, scan_bytes) = (platform.requests_in_all().await?, platform.bytes());

    sleep(SETTLE).await;
    let cpu_before = process::cpu_seconds(agent.pid())?;
    let mut peak = 0.0_f64;
    for _ in 0..seconds {
        peak = peak.max(process::tree_mib(agent.pid()));
        sleep(Duration::from_secs(1)).await;
    }
    let cpu = process::cpu_seconds(agent.pid())? - cpu_before;

    // The same agent with polls that are not held: what one costs.
    drop(agent);
    let agent = platform.agent(&["--poll-seconds", "0"])?;
    let settled = platform.requests().await? + 5;
    platform.until_requests(settled).await?;
    let (first, before) = (platform.requests().await?, platform.bytes());
    platform.until_requests(first + CYCLES).await?;
    let cycles = u32::try_from(platform.requests().await? - first)?;
    let bytes_of_poll = (platform.bytes() - before) / f64::from(cycles);
    drop(agent);

    let messages = DAY_SECONDS / POLL_SECONDS;
    let ours = Figures::from([
        ("peak_mib", peak),
        ("cores", cpu / Duration::from_secs(seconds).as_secs_f64()),
        ("messages", messages),
        ("bytes", messages * bytes_of_poll),
        ("poll_bytes", bytes_of_poll),
        ("scan_wall_s", scan_wall),
        ("scan_cpu_s", scan_cpu),
        ("scan_peak_mib", scan_peak),
        ("scan_messages", f64::from(u32::try_from(scan_requests)?)),
        ("scan_bytes", scan_bytes),
        ("asset_bytes", f64::from(u32::try_from(database)?)),
    ]);
    let limit = Figures::from([
        ("peak_mib", 20.0),
        ("cores", 0.001),
        ("messages", 300.0),
        ("bytes", 200_000.0),
        ("scan_peak_mib", 64.0),
    ]);
    Report { bench: "idle", ours: vec![ours], peer: Vec::new(), limit, ratio: "peak_mib" }.print();
    Ok(())
}

/// Postgres, Kubernetes and the API with a tenant; between agent and API every byte is counted.
struct Platform {
    folder: tempfile::TempDir,
    db: sqlx::PgPool,
    api: SocketAddr,
    counted: Counted,
    ca: PathBuf,
    _process: Running,
    _prepared: Prepared,
}

impl Platform {
    async fn start() -> anyhow::Result<Self> {
        let prepared = Prepared::new().await?;
        let owner = OwnerDb::connect(&prepared.owner_url, &PoolOptions::named("bench"))?;
        let catalog = catalog::Catalog::embedded()?;
        let mut tx = owner.begin().await?;
        for framework in catalog.frameworks() {
            store::frameworks::upsert(&mut tx, framework).await?;
        }
        store::modules::upsert(&mut tx, catalog.entries()).await?;
        let tenant = store::tenants::ensure(&mut tx, &Slug::parse("acme")?).await?.tenant;
        tx.commit().await?;
        store::provision::ensure(&owner, &tenant, None).await?;
        let manifest: Tenant = serde_json::from_value(json!({
            "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": "acme" },
            "spec": { "displayName": "acme", "plan": "Enterprise" },
        }))?;
        Api::all(prepared.world.cluster.client.clone()).create(&PostParams::default(), &manifest).await?;

        let folder = tempfile::tempdir()?;
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let (ca, key) = (folder.path().join("ca.crt"), folder.path().join("tls.key"));
        fs::write(&ca, certificate.cert.pem())?;
        fs::write(&key, certificate.signing_key.serialize_pem())?;
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.path().join("api.log"))?;
        let bundle_key = SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF)?;
        let database =
            format!("postgres://tenantra_api:{PASSWORD}@{}/tenantra", prepared.world.postgres.host_and_port()?);
        let child = Command::new(program("tenantra-api")?)
            .env("KUBECONFIG", prepared.world.cluster.kubeconfig())
            .env("TENA_LISTEN", api.to_string())
            .env("TENA_TLS_CERT_FILE", &ca)
            .env("TENA_TLS_KEY_FILE", &key)
            .env("TENA_DB_URL", database)
            .env("TENA_JWT_SECRET", "for this benchmark, in more than 32 bytes")
            .env("TENA_BUNDLE_KEY", bundle_key.as_str())
            .env("TENA_SEED_ADMIN_EMAIL", ADMIN)
            .env("TENA_SEED_ADMIN_PASSWORD", PASSWORD)
            .env("TENA_LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let process = Running::new(child);
        let counted = Counted::start(api).await?;
        let db = sqlx::PgPool::connect(&prepared.owner_url).await?;
        Ok(Self { folder, db, api, counted, ca, _process: process, _prepared: prepared })
    }

    /// Signs in, as soon as the API is ready, and makes a token for one host.
    async fn enrollment_token(&self) -> anyhow::Result<String> {
        let certificate = reqwest::Certificate::from_pem(&fs::read(&self.ca)?)?;
        let http = reqwest::Client::builder().tls_certs_only([certificate]).build()?;
        let url = |path: &str| format!("https://localhost:{}{path}", self.api.port());
        eventually(Duration::from_mins(1), "the API is ready", async || {
            Ok(http.get(url("/readyz")).send().await?.status().is_success().then_some(()))
        })
        .await?;
        let access = eventually(Duration::from_mins(1), "the administrator signs in", async || {
            let body = json!({ "email": ADMIN, "password": PASSWORD });
            let answer = http.post(url("/v1/auth/login")).json(&body).send().await?;
            if !answer.status().is_success() {
                // Few may fail at once.
                sleep(BETWEEN_SIGN_INS).await;
                return Ok(None);
            }
            let answer: Value = answer.json().await?;
            Ok(answer["access_token"].as_str().map(str::to_owned))
        })
        .await?;
        eventually(Duration::from_mins(1), "the API serves the tenant", async || {
            let body = json!({ "name": "bench", "max_uses": 1 });
            let call = http.post(url("/v1/agents/enrollment-tokens")).header("x-tenantra-tenant", "acme");
            let answer = call.bearer_auth(&access).json(&body).send().await?;
            if !answer.status().is_success() {
                return Ok(None);
            }
            let answer: Value = answer.json().await?;
            Ok(answer["token"].as_str().map(str::to_owned))
        })
        .await
    }

    fn agent(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("agent.log"))?;
        let child = Command::new(program("tenantra-agent")?)
            .args(["run", "--server", &format!("https://localhost:{}", self.counted.address().port()), "--ca-file"])
            .arg(&self.ca)
            .arg("--state-dir")
            .arg(self.folder.path().join("state"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Running::new(child))
    }

    /// Whether the first jobs are there and every one is answered.
    async fn is_scanned(&self) -> anyhow::Result<bool> {
        let count = "SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM shared.jobs";
        let (all, open): (i64, i64) = sqlx::query_as(count).fetch_one(&self.db).await?;
        Ok(all > 0 && open == 0)
    }

    /// The number of the agent's last request. It begins anywhere; a restart leaves some out.
    async fn requests(&self) -> anyhow::Result<i64> {
        let top = "SELECT window_top FROM shared.agent_credentials WHERE revoked_at IS NULL";
        Ok(sqlx::query_scalar(top).fetch_one(&self.db).await?)
    }

    /// How many requests the agent has sent, as long as they are fewer than the window remembers.
    async fn requests_in_all(&self) -> anyhow::Result<i64> {
        let used = "SELECT bit_count(window_bits) FROM shared.agent_credentials WHERE revoked_at IS NULL";
        Ok(sqlx::query_scalar(used).fetch_one(&self.db).await?)
    }

    /// What the tenant's tables and their indexes take.
    async fn database_bytes(&self) -> anyhow::Result<i64> {
        let sum = "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'tenant_acme' AND c.relkind = 'r'";
        Ok(sqlx::query_scalar(sum).fetch_one(&self.db).await?)
    }

    async fn until_requests(&self, count: i64) -> anyhow::Result<()> {
        eventually(Duration::from_mins(5), "the agent polls", async || {
            Ok((self.requests().await? >= count).then_some(()))
        })
        .await
    }

    #[expect(clippy::cast_precision_loss, reason = "a benchmark transfers less than 2^52 bytes")]
    fn bytes(&self) -> f64 {
        self.counted.bytes() as f64
    }
}
