//! A running API with its database and control plane, people who sign in, and hosts that enrol.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use catalog::envelope::{CheckVerdict, Fact, Facts, Summary, Verdict};
use catalog::wire::{AgentToken, EnrollResponse, sign_request};
use chrono::Utc;
use crds::tenant::Tenant;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};
use kube::Api;
use kube::api::PostParams;
use reqwest::{Method, Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{Bootstrap, OwnerDb, PoolOptions, Slug, TenantRef};
use tests::harness::{Cluster, Postgres, Stopped, program, until};
use url::Url;
use uuid::Uuid;

pub const ADMIN_EMAIL: &str = "root@tenantra.example";
pub const ADMIN_PASSWORD: &str = "Correct-Horse-Battery-7";

/// Everything that one test needs; ends with it.
pub struct Fixture {
    pub cluster: Cluster,
    pub owner: OwnerDb,
    pub base: String,
    pub http: reqwest::Client,
    owner_url: String,
    environment: Vec<(String, String)>,
    process: Mutex<Option<Child>>,
    postgres: Postgres,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Fixture {
    /// A database with the platform's schema, a control plane with the definitions, and the API over both.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further variables for the program.
    pub async fn start_with(further: &[(&str, &str)]) -> Result<Self> {
        let (cluster, postgres) = tokio::try_join!(Cluster::start(), Postgres::start())?;
        Self::over(cluster, postgres, further).await
    }

    /// The same with a database that waits for the disk, for tests that kill it.
    pub async fn start_durable() -> Result<Self> {
        let (cluster, postgres) = tokio::try_join!(Cluster::start(), Postgres::start_durable())?;
        Self::over(cluster, postgres, &[]).await
    }

    async fn over(cluster: Cluster, postgres: Postgres, further: &[(&str, &str)]) -> Result<Self> {
        cluster.install_crds().await?;
        let password = SecretString::from("a-password-of-this-test");
        let wanted =
            Bootstrap { owner_password: password.clone(), api_password: password, database: "tenantra".to_owned() };
        store::bootstrap(postgres.url(), &wanted).await?;
        let url = |role: &str| -> Result<String> {
            let mut url = Url::parse(postgres.url())?;
            let is_set = url.set_username(role).is_ok() && url.set_password(Some("a-password-of-this-test")).is_ok();
            ensure!(is_set, "the URL of PostgreSQL takes no user");
            url.set_path("tenantra");
            Ok(url.to_string())
        };
        let owner = OwnerDb::connect(&url("tenantra_owner")?, &PoolOptions::named("tests"))?;
        store::migrate::platform(&owner).await?;
        let mut tx = owner.begin().await?;
        for framework in CATALOG.frameworks() {
            store::frameworks::upsert(&mut tx, framework).await?;
        }
        store::modules::upsert(&mut tx, CATALOG.entries()).await?;
        tx.commit().await?;

        let key = SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF)?;
        // Free now; the program takes it in a moment, and again when a test starts it anew.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let environment = [
            ("TENA_LISTEN", listen.as_str()),
            ("TENA_DB_URL", &url("tenantra_api")?),
            ("TENA_JWT_SECRET", "a secret of this test that has more than 32 bytes"),
            ("TENA_BUNDLE_KEY", &key),
            ("TENA_SEED_ADMIN_EMAIL", ADMIN_EMAIL),
            ("TENA_SEED_ADMIN_PASSWORD", ADMIN_PASSWORD),
            ("TENA_SIGNIN_PER_MINUTE", "1000"),
            ("TENA_LOG_FORMAT", "text"),
            ("TENA_LOG_LEVEL", "info"),
            ("KUBECONFIG", &cluster.kubeconfig().display().to_string()),
        ]
        .iter()
        .chain(further)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        let fixture = Self {
            cluster,
            owner,
            base: format!("http://{listen}"),
            http: reqwest::Client::builder().timeout(Duration::from_mins(1)).build()?,
            owner_url: url("tenantra_owner")?,
            environment,
            process: Mutex::new(None),
            postgres,
        };
        fixture.start_program().await?;
        until(Duration::from_secs(30), "the first super admin can sign in", async || {
            Ok(fixture.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await.is_ok())
        })
        .await?;
        Ok(fixture)
    }

    /// Starts the program and waits until it is ready.
    pub async fn start_program(&self) -> Result<()> {
        let child = Command::new(program("tenantra-api")?)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .spawn()?;
        *self.process.lock().expect("no test panics while it holds this") = Some(child);
        until(Duration::from_secs(30), "the API is ready", async || {
            Ok(self.http.get(format!("{}/readyz", self.base)).send().await?.status().is_success())
        })
        .await
    }

    /// Ends the program as a power cut would.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().ok().and_then(|mut process| process.take()) {
            // It may have ended by itself; either way nothing is left.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends the database as a power cut would, and waits until it is back.
    pub async fn kill_database(&self) -> Result<()> {
        self.postgres.kill().await
    }

    /// Stops the database, so that nobody answers, until the guard is dropped.
    pub fn stop_database(&self) -> Result<Stopped> {
        self.postgres.stop()
    }

    /// A tenant: its resource by Kubernetes and its schema by the store, as the operator would.
    pub async fn tenant(&self, slug: &str, spec: Value) -> Result<TenantRef> {
        let api: Api<Tenant> = Api::all(self.cluster.client.clone());
        let mut spec = spec;
        spec["displayName"] = json!(format!("Tenant {slug}"));
        let object = serde_json::from_value(json!({
            "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": slug }, "spec": spec,
        }))?;
        api.create(&PostParams::default(), &object).await?;
        self.provision(slug).await
    }

    /// The schema of a tenant whose resource exists; waits until the API serves it.
    pub async fn provision(&self, slug: &str) -> Result<TenantRef> {
        let slug = Slug::parse(slug)?;
        let mut tx = self.owner.begin().await?;
        let row = store::tenants::ensure(&mut tx, &slug).await?;
        tx.commit().await?;
        store::provision::ensure(&self.owner, &row.tenant, None).await?;
        let admin = self.admin().await?;
        until(Duration::from_secs(10), "the API knows the tenant", async || {
            Ok(admin.get("/v1/overview").tenant(slug.as_str()).send().await?.status() == StatusCode::OK)
        })
        .await?;
        Ok(row.tenant)
    }

    /// The URL of the database as its owner, for looking at rows.
    pub fn owner_url(&self) -> String {
        self.owner_url.clone()
    }

    /// The URL of the database as the superuser.
    pub fn superuser_url(&self) -> Result<String> {
        let mut url = Url::parse(self.postgres.url())?;
        url.set_path("tenantra");
        Ok(url.into())
    }

    /// What the program is told, for another replica of it.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    /// The database as the API's login sees it.
    pub fn api_db(&self) -> Result<store::Db> {
        let (_, url) = self.environment.iter().find(|(name, _)| name == "TENA_DB_URL").context("no URL")?;
        Ok(store::Db::connect(url, &PoolOptions::named("tests"))?)
    }

    /// Signs in and gives the access token.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Person<'_>> {
        let response = self
            .http
            .post(format!("{}/v1/auth/login", self.base))
            .json(&json!({ "email": email, "password": password }))
            .send()
            .await?;
        let body = expect(response, StatusCode::OK).await?;
        let text = |key: &str| body[key].as_str().map(str::to_owned).with_context(|| format!("{body} has no {key}"));
        Ok(Person { fixture: self, access: text("access_token")?, refresh: text("refresh_token")? })
    }

    pub async fn admin(&self) -> Result<Person<'_>> {
        self.sign_in(ADMIN_EMAIL, ADMIN_PASSWORD).await
    }

    /// A person of a tenant with that role, signed in.
    pub async fn person(&self, slug: &str, role: &str) -> Result<Person<'_>> {
        let email = format!("{role}@{slug}.example");
        let password = "Another-Horse-Battery-8";
        let admin = self.admin().await?;
        let body = json!({ "email": email, "name": role, "role": role, "password": password });
        let response = admin.post("/v1/users", &body).tenant(slug).send().await?;
        expect(response, StatusCode::CREATED).await?;
        self.sign_in(&email, password).await
    }

    /// A token that so many hosts may enrol with.
    pub async fn enrollment_token(&self, slug: &str, max_uses: u32) -> Result<String> {
        let admin = self.admin().await?;
        let body = json!({ "name": "tests", "max_uses": max_uses });
        let response = admin.post("/v1/agents/enrollment-tokens", &body).tenant(slug).send().await?;
        let body = expect(response, StatusCode::CREATED).await?;
        Ok(body["token"].as_str().context("no token")?.to_owned())
    }

    /// A host that has enrolled with a token of the tenant.
    pub async fn host(&self, slug: &str) -> Result<Host> {
        let token = self.enrollment_token(slug, 1).await?;
        Host::enroll(&self.http, &self.base, json!({ "type": "enrollment_token", "token": token }), Uuid::new_v4())
            .await
    }

    pub fn request(&self, method: Method, path: &str) -> Call {
        Call(self.http.request(method, format!("{}{path}", self.base)))
    }
}

/// Somebody who is signed in.
pub struct Person<'a> {
    fixture: &'a Fixture,
    pub access: String,
    pub refresh: String,
}

impl Person<'_> {
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call(self.fixture.request(method, path).0.bearer_auth(&self.access))
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Call {
        Call(self.call(Method::POST, path).0.json(body))
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }
}

/// A request on its way.
pub struct Call(pub reqwest::RequestBuilder);

impl Call {
    pub fn tenant(self, slug: &str) -> Self {
        Self(self.0.header("x-tenantra-tenant", slug))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub async fn send(self) -> Result<Response> {
        Ok(self.0.send().await?)
    }

    /// Sends and gives the body of an answer with that status.
    pub async fn expect(self, status: StatusCode) -> Result<Value> {
        expect(self.send().await?, status).await
    }
}

/// The body of an answer with that status; anything else is an error that shows the answer.
pub async fn expect(response: Response, status: StatusCode) -> Result<Value> {
    let (got, url) = (response.status(), response.url().clone());
    let text = response.text().await?;
    ensure!(got == status, "{url}: {got} instead of {status}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// An enrolled host that signs what it sends.
pub struct Host {
    pub key: SigningKey,
    pub token: AgentToken,
    pub agent_id: Uuid,
    pub asset_id: Uuid,
    pub enrolled: EnrollResponse,
    pub sequence: AtomicU64,
    http: reqwest::Client,
    base: String,
}

/// The parts of a signed request, for tests that break one of them.
pub struct Signed {
    pub timestamp_ms: i64,
    pub sequence: u64,
    pub signature: String,
    pub token: String,
    pub body: Vec<u8>,
}

impl Host {
    /// Enrols with any credential; `state_uuid` is what makes the host this host.
    pub async fn enroll(http: &reqwest::Client, base: &str, credential: Value, state_uuid: Uuid) -> Result<Self> {
        let key = SigningKey::from_bytes(&rand::random());
        let request = enroll_request(&credential, &key, state_uuid);
        let response = http.post(format!("{base}/v1/agents/enroll/self")).json(&request).send().await?;
        let body = expect(response, StatusCode::CREATED).await?;
        let enrolled: EnrollResponse = serde_json::from_value(body)?;
        Ok(Self {
            key,
            token: enrolled.token.parse()?,
            agent_id: enrolled.agent_id,
            asset_id: enrolled.asset_id,
            sequence: AtomicU64::new(enrolled.sequence_start),
            enrolled,
            http: http.clone(),
            base: base.to_owned(),
        })
    }

    /// Signs a request with the next sequence number and the time now.
    pub fn sign(&self, method: &str, path: &str, body: Vec<u8>) -> Signed {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let timestamp_ms = Utc::now().timestamp_millis();
        let signature = sign_request(&self.key, method, path, timestamp_ms, sequence, &body);
        Signed { timestamp_ms, sequence, signature, token: self.token.expose(), body }
    }

    pub async fn send(&self, method: Method, path: &str, signed: Signed) -> Result<Response> {
        let Signed { timestamp_ms, sequence, signature, token, body } = signed;
        let request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(token)
            .header("x-tenantra-timestamp", timestamp_ms)
            .header("x-tenantra-sequence", sequence)
            .header("x-tenantra-signature", signature)
            .header("content-type", "application/json")
            .body(body);
        Ok(request.send().await?)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Response> {
        let signed = self.sign("POST", path, serde_json::to_vec(body)?);
        self.send(Method::POST, path, signed).await
    }

    /// Takes the jobs that wait, without waiting itself.
    pub async fn jobs(&self, wait_seconds: u32, max_jobs: u32) -> Result<Value> {
        let config = &self.enrolled.config;
        let body = json!({
            "wait_seconds": wait_seconds, "max_jobs": max_jobs,
            "state": { "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0, "bundle_checksum": config.bundle_checksum },
        });
        expect(self.post("/v1/agents/jobs/next", &body).await?, StatusCode::OK).await
    }

    /// Sends results and gives the acknowledgements.
    pub async fn results(&self, results: &[Value]) -> Result<Vec<Value>> {
        let response = self.post("/v1/agents/results", &json!({ "results": results })).await?;
        let body = expect(response, StatusCode::OK).await?;
        Ok(body["results"].as_array().context("no results")?.clone())
    }
}

/// What a host sends to enrol.
pub fn enroll_request(credential: &Value, key: &SigningKey, state_uuid: Uuid) -> Value {
    json!({
        "credential": credential,
        "public_key": BASE64_STANDARD.encode(key.verifying_key().as_bytes()),
        "identity": { "state_uuid": state_uuid },
        "hostname": "host-1",
        "os": { "name": "Debian GNU/Linux 12", "version": "12", "id": "debian", "arch": "x86_64", "kernel": "6.1.0" },
        "agent_version": "0.1.0",
        "labels": {},
    })
}

/// The catalog that ships; read once, because that takes its time.
pub static CATALOG: LazyLock<catalog::Catalog> = LazyLock::new(|| catalog::Catalog::embedded().expect("the catalog"));

/// The newest version of a module.
pub fn version_of(slug: &str) -> String {
    CATALOG.module(slug, None).expect("the module").module.version.to_string()
}

/// A run of a compliance module in which the first `failing` checks fail and the others pass.
pub fn envelope(run_id: Uuid, failing: usize) -> Value {
    let module = &CATALOG.module("linux-sshd-hardening", None).expect("the module").module;
    let checks: Vec<CheckVerdict> = module
        .checks
        .iter()
        .enumerate()
        .map(|(index, check)| CheckVerdict {
            id: check.id.clone(),
            verdict: if index < failing { Verdict::Fail } else { Verdict::Pass },
            message: None,
        })
        .collect();
    let findings: Vec<Value> = module.checks[..failing]
        .iter()
        .map(|check| {
            json!({ "check": check.id, "severity": check.severity, "resource": "sshd", "evidence": { "actual": "6" } })
        })
        .collect();
    json!({
        "run_id": run_id, "module": module.slug, "version": module.version, "status": "succeeded",
        "started_at": Utc::now(), "duration_ms": 41, "resource": { "cpu_ms": 12, "max_rss_kb": 2100 },
        "summary": Summary::of(&checks), "checks": checks, "findings": findings, "facts": Facts::default(),
    })
}

/// A row of the users' inventory.
pub fn fact(username: &str) -> Value {
    let row = BTreeMap::from([("username".to_owned(), json!(username)), ("uid".to_owned(), json!(1000))]);
    json!(Fact::new("users", &["username".to_owned()], row))
}

/// A run of the users' inventory whose facts are now these; all of them are sent as added.
pub fn inventory(run_id: Uuid, base: Option<&str>, now: &[Value]) -> Value {
    let facts: Vec<Fact> = now.iter().map(|fact| serde_json::from_value(fact.clone()).expect("a fact")).collect();
    let mut facts = Facts::between(None, &BTreeMap::new(), facts);
    facts.base = base.map(str::to_owned);
    json!({
        "run_id": run_id, "module": "linux-inventory-users", "version": version_of("linux-inventory-users"), "status": "succeeded",
        "started_at": Utc::now(), "duration_ms": 5, "resource": { "cpu_ms": 1, "max_rss_kb": 900 },
        "summary": Summary::default(), "checks": [], "findings": [], "facts": facts,
    })
}
