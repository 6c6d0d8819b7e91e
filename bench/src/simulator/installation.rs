//! What simulated agents talk to: Postgres with fsync, a control plane, and the API's own program as it ships (TLS, the default
//! log), with the tenants they enrol into; and what API and Postgres use, as the kernel counts it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use crds::tenant::Tenant;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
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
/// All enrolments come from one address here.
const ENROLMENTS_PER_MINUTE: &str = "1000000";

/// The systems under load; they end with it.
pub struct Installation {
    /// As the superuser, inside the database `tenantra`.
    pub admin: PgPool,
    /// The URL of the database's owner.
    pub owner_url: String,
    /// Where the API listens, with TLS for `localhost`.
    pub api: SocketAddr,
    owner: OwnerDb,
    certificate: reqwest::Certificate,
    http: reqwest::Client,
    access: String,
    process: Running,
    prepared: Prepared,
    _folder: tempfile::TempDir,
}

/// What API and Postgres have used since they began.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU seconds of the API.
    pub api_s: f64,
    /// CPU seconds of Postgres, its workers included.
    pub postgres_s: f64,
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { api_s: self.api_s - before.api_s, postgres_s: self.postgres_s - before.postgres_s }
    }
}

impl Installation {
    /// Starts all of it and signs in.
    pub async fn start() -> anyhow::Result<Self> {
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
        let (ca, key) = (folder.path().join("ca.crt"), folder.path().join("tls.key"));
        fs::write(&ca, certificate.cert.pem())?;
        fs::write(&key, certificate.signing_key.serialize_pem())?;
        let api = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.path().join("api.log"))?;
        let bundle_key = SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF)?;
        let address = prepared.world.postgres.host_and_port()?;
        let child = Command::new(program("tenantra-api")?)
            .env("KUBECONFIG", prepared.world.cluster.kubeconfig())
            .env("TENA_LISTEN", api.to_string())
            .env("TENA_TLS_CERT_FILE", &ca)
            .env("TENA_TLS_KEY_FILE", &key)
            .env("TENA_DB_URL", format!("postgres://tenantra_api:{PASSWORD}@{address}/tenantra"))
            .env("TENA_JWT_SECRET", "for this benchmark, in more than 32 bytes")
            .env("TENA_BUNDLE_KEY", bundle_key.as_str())
            .env("TENA_SEED_ADMIN_EMAIL", ADMIN)
            .env("TENA_SEED_ADMIN_PASSWORD", PASSWORD)
            .env("TENA_ENROLL_PER_MINUTE", ENROLMENTS_PER_MINUTE)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let process = Running::new(child);
        let certificate = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes())?;
        let http = reqwest::Client::builder().tls_certs_only([certificate.clone()]).timeout(START_LIMIT).build()?;
        let access = sign_in(&http, api).await?;
        let owner_url = prepared.owner_url.clone();
        Ok(Self { admin, owner_url, api, owner, certificate, http, access, process, prepared, _folder: folder })
    }

    /// The certificate that the API shows.
    pub const fn certificate(&self) -> &reqwest::Certificate {
        &self.certificate
    }

    /// A tenant with these modules, by its resource and its schema.
    pub async fn tenant(&self, slug: &str, modules: &[&str]) -> anyhow::Result<TenantRef> {
        let manifest: Tenant = serde_json::from_value(json!({
            "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": slug },
            "spec": { "displayName": slug, "plan": "Enterprise", "modules": { "enable": modules } },
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
        let url = url(self.api, "/v1/agents/enrollment-tokens");
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
        self.process.pid()
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

    /// Writes out what Postgres holds back, so that each measurement begins in the same state.
    pub async fn checkpoint(&self) -> anyhow::Result<()> {
        sqlx::query("CHECKPOINT").execute(&self.admin).await?;
        Ok(())
    }

    /// Statements a second of an API that nobody talks to.
    pub async fn idle_statements(&self, watched: Duration) -> anyhow::Result<f64> {
        self.forget_statements().await?;
        sleep(watched).await;
        Ok(self.statements().await? / watched.as_secs_f64())
    }
}

pub fn url(api: SocketAddr, path: &str) -> String {
    format!("https://localhost:{}{path}", api.port())
}

async fn sign_in(http: &reqwest::Client, api: SocketAddr) -> anyhow::Result<String> {
    eventually(START_LIMIT, "the API is ready", async || {
        Ok(http.get(url(api, "/readyz")).send().await?.status().is_success().then_some(()))
    })
    .await?;
    eventually(START_LIMIT, "the administrator signs in", async || {
        let body = json!({ "email": ADMIN, "password": PASSWORD });
        let answer = http.post(url(api, "/v1/auth/login")).json(&body).send().await?;
        if !answer.status().is_success() {
            sleep(BETWEEN_SIGN_INS).await;
            return Ok(None);
        }
        let answer: Value = answer.json().await?;
        Ok(Some(answer["access_token"].as_str().context("an answer to a sign-in has a token")?.to_owned()))
    })
    .await
}
