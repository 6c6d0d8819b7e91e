//! What benchmarks of the API talk to: Postgres with fsync, a control plane, and the API's own program as it ships, with the
//! tenants that are brought in; and what API and Postgres use, as the kernel counts it. Every benchmark starts it here, so that
//! their figures are of the same program in the same state.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use crds::tenant::Tenant;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use store::{OwnerDb, PoolOptions, Slug, TenantRef};
use tests::harness::{eventually, program};
use tokio::time::sleep;
use url::Url;

use crate::process::{self, Running};
use crate::tenants::{PASSWORD, Prepared};

const ADMIN: &str = "root@tenantra.example";
/// Few sign-ins may fail at once.
const BETWEEN_SIGN_INS: Duration = Duration::from_secs(6);
const START_LIMIT: Duration = Duration::from_mins(1);
/// API and Postgres are quiet when they have used no more than so much of a processor in each of so many seconds, and nothing
/// waits: a worker may rest for five seconds before it begins with what waits.
const QUIET_CPU_S: f64 = 0.1;
const QUIET_SECONDS: u32 = 7;
/// Tenants that nobody marked are looked at every five minutes.
const QUIET_LIMIT: u32 = 600;
/// All enrolments and all sign-ins come from one address here, and a benchmark may last longer than an hour.
const LIMITS: [(&str, &str); 3] = [
    ("TENA_ENROLL_PER_MINUTE", "1000000"),
    ("TENA_SIGNIN_PER_MINUTE", "100000"),
    ("TENA_ACCESS_TOKEN_EXPIRE_MINUTES", "1440"),
];
/// What the API signs access tokens with.
pub const JWT_SECRET: &str = "for this benchmark, in more than 32 bytes";
/// Logs warnings alone, for benchmarks of what the log has no part in.
pub const QUIET: (&str, &str) = ("TENA_LOG_LEVEL", "warn");

/// How the API is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As it ships: with TLS, for `localhost`.
    Tls,
    /// Without, where what is behind it is measured.
    Plain,
}

/// The systems under load; they end with it.
pub struct Installation {
    /// As the superuser, inside the database `tenantra`.
    pub admin: PgPool,
    /// The URL of the database's owner.
    pub owner_url: String,
    /// The URL of the database as the API's login reaches it.
    pub api_url: String,
    /// Where the API listens.
    pub api: SocketAddr,
    /// The certificate that the API shows, as a file.
    pub ca_file: PathBuf,
    transport: Transport,
    owner: OwnerDb,
    certificate: reqwest::Certificate,
    http: reqwest::Client,
    access: String,
    /// How the API is started, and its process.
    process: Mutex<(Command, Running)>,
    prepared: Prepared,
    folder: tempfile::TempDir,
}

/// What API and Postgres have used since they began.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU seconds of the API.
    pub api_s: f64,
    /// CPU seconds of Postgres, its workers included.
    pub postgres_s: f64,
}

/// What is left to do after the last answer.
#[derive(Debug, sqlx::FromRow)]
struct Waiting {
    /// Runs whose drift is not followed.
    drift: i64,
    /// Events of all tenants.
    events: i64,
    /// Audit rows that have no place in their chain.
    unchained: i64,
    /// Vacuums and analyses that Postgres began by itself, and that are under way.
    autovacuums: i64,
}

impl Waiting {
    const fn is_nothing(&self) -> bool {
        self.drift == 0 && self.events == 0 && self.unchained == 0 && self.autovacuums == 0
    }
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { api_s: self.api_s - before.api_s, postgres_s: self.postgres_s - before.postgres_s }
    }
}

impl Installation {
    /// Starts all of it and signs in; the API is told `environment` beside what it needs.
    pub async fn start(transport: Transport, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let prepared = Prepared::new().await?;
        let owner = OwnerDb::connect(&prepared.owner_url, &PoolOptions::named("bench"))?;
        let catalog = catalog::Catalog::embedded()?;
        let mut tx = owner.begin().await?;
        for framework in catalog.frameworks() {
            store::frameworks::upsert(&mut tx, framework).await?;
        }
        store::modules::upsert(&mut tx, catalog.entries()).await?;
        tx.commit().await?;
        let mut inside = Url::parse(prepared.world.postgres.url())?;
        inside.set_path("/tenantra");
        let admin = PgPoolOptions::new().max_connections(2).connect(inside.as_str()).await?;
        sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&admin).await?;

        let folder = tempfile::tempdir()?;
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let (ca_file, key_file) = (folder.path().join("ca.crt"), folder.path().join("tls.key"));
        fs::write(&ca_file, certificate.cert.pem())?;
        fs::write(&key_file, certificate.signing_key.serialize_pem())?;
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let bundle_key = SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF)?;
        let address = prepared.world.postgres.host_and_port()?;
        let api_url = format!("postgres://tenantra_api:{PASSWORD}@{address}/tenantra");
        let mut command = Command::new(program("tenantra-api")?);
        command
            .env("KUBECONFIG", prepared.world.cluster.kubeconfig())
            .env("TENA_LISTEN", api.to_string())
            .env("TENA_DB_URL", &api_url)
            .env("TENA_JWT_SECRET", JWT_SECRET)
            .env("TENA_BUNDLE_KEY", bundle_key.as_str())
            .env("TENA_SEED_ADMIN_EMAIL", ADMIN)
            .env("TENA_SEED_ADMIN_PASSWORD", PASSWORD)
            .envs(LIMITS)
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        if transport == Transport::Tls {
            command.env("TENA_TLS_CERT_FILE", &ca_file).env("TENA_TLS_KEY_FILE", &key_file);
        }
        let process = Running::new(start(&mut command, folder.path())?);
        let certificate = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes())?;
        let http = reqwest::Client::builder().tls_certs_only([certificate.clone()]).timeout(START_LIMIT).build()?;
        let access = sign_in(&http, &base(transport, api)).await?;
        let owner_url = prepared.owner_url.clone();
        Ok(Self {
            admin,
            owner_url,
            api_url,
            api,
            ca_file,
            transport,
            owner,
            certificate,
            http,
            access,
            process: Mutex::new((command, process)),
            prepared,
            folder,
        })
    }

    /// Where a path of the API is.
    pub fn url(&self, path: &str) -> String {
        base(self.transport, self.api) + path
    }

    /// The administrator's access token.
    pub fn access(&self) -> &str {
        &self.access
    }

    /// The certificate that the API shows.
    pub const fn certificate(&self) -> &reqwest::Certificate {
        &self.certificate
    }

    /// A tenant with these modules, or with those of its plan if none are named, by its resource and its schema.
    pub async fn tenant(&self, slug: &str, modules: &[&str]) -> anyhow::Result<TenantRef> {
        let mut spec = json!({ "displayName": slug, "plan": "Enterprise" });
        if !modules.is_empty() {
            spec["modules"] = json!({ "enable": modules });
        }
        let manifest: Tenant = serde_json::from_value(json!({
            "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": slug }, "spec": spec,
        }))?;
        Api::all(self.prepared.world.cluster.client.clone()).create(&PostParams::default(), &manifest).await?;
        self.schema(slug).await
    }

    /// A tenant's row and schema alone: nobody can enrol into it.
    pub async fn schema(&self, slug: &str) -> anyhow::Result<TenantRef> {
        let mut tx = self.owner.begin().await?;
        let tenant = store::tenants::ensure(&mut tx, &Slug::parse(slug)?).await?.tenant;
        tx.commit().await?;
        store::provision::ensure(&self.owner, &tenant, None).await?;
        Ok(tenant)
    }

    /// A token for so many hosts, as soon as the API serves the tenant.
    pub async fn enrollment_token(&self, slug: &str, max_uses: u32) -> anyhow::Result<String> {
        let url = self.url("/v1/agents/enrollment-tokens");
        eventually(START_LIMIT, "the API serves the tenant", async || {
            let body = json!({ "name": "bench", "max_uses": max_uses });
            let call = self.http.post(&url).header("x-tenantra-tenant", slug).bearer_auth(&self.access);
            let answer = call.json(&body).send().await?;
            if !answer.status().is_success() {
                return Ok(None);
            }
            let answer: Value = answer.json().await?;
            Ok(answer["token"].as_str().map(str::to_owned))
        })
        .await
    }

    /// What API and Postgres have used so far.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        let postgres_s = process::live_tree_cpu_seconds(self.postgres_pid()?)?;
        Ok(Usage { api_s: process::cpu_seconds(self.api_pid())?, postgres_s })
    }

    /// The API's process.
    pub fn api_pid(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).1.pid()
    }

    /// Ends the API with SIGKILL, starts it again, and waits until it is ready.
    pub async fn kill_api(&self) -> anyhow::Result<()> {
        {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            let (command, running) = &mut *process;
            running.replace(|| start(command, self.folder.path()))?;
        }
        is_ready(&self.http, &base(self.transport, self.api)).await
    }

    /// Ends Postgres with SIGKILL and waits until it is back, which it is five times in a minute at most.
    pub async fn kill_postgres(&self) -> anyhow::Result<()> {
        self.prepared.world.postgres.kill().await
    }

    /// The database as its owner.
    pub const fn owner(&self) -> &OwnerDb {
        &self.owner
    }

    /// The postmaster.
    pub fn postgres_pid(&self) -> anyhow::Result<u32> {
        self.prepared.world.postgres.pid()
    }

    /// Statements that the API has sent since [`Installation::forget_statements`]: BEGIN, COMMIT and SET among them.
    pub async fn statements(&self) -> anyhow::Result<f64> {
        let sum = "SELECT COALESCE(sum(calls), 0)::float8 FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
            WHERE r.rolname = 'tenantra_api' OR r.rolname LIKE 'tenant\\_%'";
        Ok(sqlx::query_scalar(sum).fetch_one(&self.admin).await?)
    }

    /// Begins to count statements anew.
    pub async fn forget_statements(&self) -> anyhow::Result<()> {
        sqlx::query("SELECT pg_stat_statements_reset()").execute(&self.admin).await?;
        Ok(())
    }

    /// Brings all into the state in which each measurement begins: API and Postgres are quiet, statistics are new, which Postgres
    /// would otherwise make meanwhile, and what it holds back is written out.
    pub async fn settle(&self, schema: &str) -> anyhow::Result<()> {
        self.quiet(schema).await?;
        for statement in ["ANALYZE", "CHECKPOINT"] {
            sqlx::query(statement).execute(&self.admin).await?;
        }
        Ok(())
    }

    /// Waits until API and Postgres have done what was left to do after the last answer, in a tenant's schema and beside it.
    async fn quiet(&self, schema: &str) -> anyhow::Result<()> {
        let mut quiet = 0;
        for _ in 0..QUIET_LIMIT {
            let before = self.usage()?;
            sleep(Duration::from_secs(1)).await;
            let used = self.usage()? - before;
            let is_quiet = used.api_s + used.postgres_s <= QUIET_CPU_S && self.waiting(schema).await?.is_nothing();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet == QUIET_SECONDS {
                return Ok(());
            }
        }
        let waiting = self.waiting(schema).await?;
        bail!("API and Postgres were not quiet for {QUIET_SECONDS} s together in {QUIET_LIMIT} s: {waiting:?}")
    }

    /// What is asked is no part of any usage, and none of the API's statements.
    async fn waiting(&self, schema: &str) -> anyhow::Result<Waiting> {
        let waiting = format!(
            "SELECT (SELECT count(*) FROM {schema}.drift_runs) AS drift,
                 (SELECT count(*) FROM shared.outbox WHERE done_at IS NULL AND dead_at IS NULL AND not_before <= now()) AS events,
                 (SELECT count(*) FROM {schema}.audit_log WHERE sequence IS NULL) AS unchained,
                 (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker') AS autovacuums"
        );
        Ok(sqlx::query_as(AssertSqlSafe(waiting)).fetch_one(&self.admin).await?)
    }

    /// Bytes of write-ahead log that Postgres has written so far.
    pub async fn wal_bytes(&self) -> anyhow::Result<f64> {
        let bytes = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8";
        Ok(sqlx::query_scalar(bytes).fetch_one(&self.admin).await?)
    }

    /// Statements a second of an API that nobody talks to.
    pub async fn idle_statements(&self, watched: Duration) -> anyhow::Result<f64> {
        self.forget_statements().await?;
        sleep(watched).await;
        Ok(self.statements().await? / watched.as_secs_f64())
    }
}

/// Where a path of an API with TLS is.
pub fn url(api: SocketAddr, path: &str) -> String {
    base(Transport::Tls, api) + path
}

fn base(transport: Transport, api: SocketAddr) -> String {
    match transport {
        Transport::Tls => format!("https://localhost:{}", api.port()),
        Transport::Plain => format!("http://{api}"),
    }
}

/// Starts the API; what several of them log is in one file.
fn start(command: &mut Command, folder: &Path) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("api.log"))?;
    Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
}

async fn is_ready(http: &reqwest::Client, base: &str) -> anyhow::Result<()> {
    eventually(START_LIMIT, "the API is ready", async || {
        Ok(http.get(format!("{base}/readyz")).send().await?.status().is_success().then_some(()))
    })
    .await
}

async fn sign_in(http: &reqwest::Client, base: &str) -> anyhow::Result<String> {
    is_ready(http, base).await?;
    eventually(START_LIMIT, "the administrator signs in", async || {
        let body = json!({ "email": ADMIN, "password": PASSWORD });
        let answer = http.post(format!("{base}/v1/auth/login")).json(&body).send().await?;
        if !answer.status().is_success() {
            sleep(BETWEEN_SIGN_INS).await;
            return Ok(None);
        }
        let answer: Value = answer.json().await?;
        Ok(Some(answer["access_token"].as_str().context("an answer to a sign-in has a token")?.to_owned()))
    })
    .await
}
