//! What every test of the operator starts with: the systems, the kinds, the roles of Postgres, and operators as processes.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use catalog::Entry;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::Connection;
use store::{OwnerDb, PoolOptions};
use tempfile::TempDir;
use tests::harness::{World, eventually, program, until};

use crds::tenant::Tenant;

/// Longer than anything here takes on a busy machine of two cores.
pub const LONG: Duration = Duration::from_mins(1);
/// What is deleted or edited by hand is back within this.
pub const BACK: Duration = Duration::from_secs(5);
const OWNER_PASSWORD: &str = "owner";

pub struct Stage {
    pub world: World,
    pub client: Client,
    pub tenants: Api<Tenant>,
    folder: TempDir,
    started: AtomicU32,
}

/// An operator's process; it ends with the guard.
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Stage {
    pub async fn new() -> Self {
        let world = World::start().await.unwrap();
        world.cluster.install_crds().await.unwrap();
        let wanted = store::Bootstrap {
            owner_password: OWNER_PASSWORD.to_owned().into(),
            api_password: "api".to_owned().into(),
            database: "tenantra".into(),
        };
        store::bootstrap(world.postgres.url(), &wanted).await.unwrap();
        let client = world.cluster.client.clone();
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { tenants: Api::all(client.clone()), client, world, folder, started: AtomicU32::new(0) };
        stage.namespace("tenantra-system").await;
        stage
    }

    /// An operator under that name; a name that was used before continues its lease.
    pub fn operator(&self, name: &str, change: &[(&str, &str)]) -> Operator {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.path().join(format!("{number}-{name}.log"));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(program("tenantra-operator").unwrap());
        command
            .env_clear()
            .env("KUBECONFIG", self.world.cluster.kubeconfig())
            .env("TENA_DB_OWNER_URL", self.owner_url())
            .env("TENA_VAULT_ADDR", self.world.openbao.address())
            .env("TENA_VAULT_TOKEN", self.world.openbao.token())
            .env("TENA_POD_NAME", name)
            .env("TENA_LISTEN", "127.0.0.1:0")
            .env("TENA_LOG_FORMAT", "text")
            .env("TENA_LOG_LEVEL", "info,operator=debug")
            .env("TENA_RESYNC_SECONDS", "2")
            .envs(change.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        Operator { child: command.spawn().unwrap(), log }
    }

    /// Postgres as the operator uses it.
    pub fn owner_url(&self) -> String {
        self.database("tenantra_owner", OWNER_PASSWORD)
    }

    /// The same, for a test's own use.
    pub fn owner(&self) -> OwnerDb {
        OwnerDb::connect(&self.owner_url(), &PoolOptions::named("tests")).unwrap()
    }

    /// Postgres as the API uses it.
    pub fn api_url(&self) -> String {
        self.database("tenantra_api", "api")
    }

    /// Brings a module of the catalog, as `tenantra db migrate` does.
    pub async fn bring(&self, entry: &Entry) {
        let db = self.owner();
        let mut tx = db.begin().await.unwrap();
        store::modules::upsert(&mut tx, [entry]).await.unwrap();
        tx.commit().await.unwrap();
        db.close().await;
    }

    fn database(&self, user: &str, password: &str) -> String {
        let mut url = url::Url::parse(self.world.postgres.url()).unwrap();
        url.set_username(user).unwrap();
        url.set_password(Some(password)).unwrap();
        url.set_path("tenantra");
        url.into()
    }

    /// Sends statements as the superuser, in the operator's database.
    pub async fn sql(&self, statement: &str) {
        let mut connection = self.superuser().await;
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// One value, as text.
    pub async fn ask(&self, query: &str) -> String {
        let mut connection = self.superuser().await;
        let query = format!("SELECT COALESCE(({query})::text, '')");
        let answer = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        answer
    }

    async fn superuser(&self) -> sqlx::PgConnection {
        let mut url = url::Url::parse(self.world.postgres.url()).unwrap();
        url.set_path("tenantra");
        sqlx::PgConnection::connect(url.as_str()).await.unwrap()
    }

    /// Asks OpenBao as root: a read without a body, else a write.
    pub async fn bao(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let url = format!("{}/v1/{path}", self.world.openbao.address());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request =
            reqwest::Client::new().request(method, url).header("x-vault-token", self.world.openbao.token());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        Some(answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn namespace(&self, name: &str) {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        Api::<Namespace>::all(self.client.clone()).create(&kube::api::PostParams::default(), &namespace).await.unwrap();
    }

    pub async fn apply(&self, slug: &str, spec: Value) -> Tenant {
        self.apply_with(slug, json!({}), spec).await
    }

    pub async fn apply_with(&self, slug: &str, annotations: Value, mut spec: Value) -> Tenant {
        spec["displayName"] = slug.into();
        let body = json!({
            "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant",
            "metadata": { "name": slug, "annotations": annotations }, "spec": spec,
        });
        let params = PatchParams::apply("tests").force();
        self.tenants.patch(slug, &params, &Patch::Apply(body)).await.unwrap()
    }

    pub async fn annotate(&self, slug: &str, key: &str, value: &str) {
        let body = json!({ "metadata": { "annotations": { key: value } } });
        self.tenants.patch(slug, &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    }

    /// Waits until a condition of a tenant has that status and reason; an empty reason is any.
    pub async fn wait(&self, slug: &str, condition: &str, status: &str, reason: &str) -> Tenant {
        let what = format!("{slug} has {condition}={status} {reason}");
        eventually(LONG, &what, async || {
            let tenant = self.tenants.get(slug).await?;
            let found = says(&tenant, condition);
            let is_so = found.as_ref().is_some_and(|(s, r)| s == status && (reason.is_empty() || r == reason));
            anyhow::ensure!(is_so, "it says {found:?}");
            Ok(Some(tenant))
        })
        .await
        .unwrap()
    }

    pub async fn ready(&self, slug: &str) -> Tenant {
        self.wait(slug, "Ready", "True", "Succeeded").await
    }

    pub async fn delete(&self, slug: &str) {
        self.tenants.delete(slug, &kube::api::DeleteParams::default()).await.unwrap();
    }

    pub async fn gone(&self, slug: &str) {
        until(LONG, &format!("{slug} is gone"), async || Ok(self.tenants.get_opt(slug).await?.is_none()))
            .await
            .unwrap();
    }

    pub fn objects(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let (group, version, plural) = match kind {
            "ResourceQuota" => ("", "v1", "resourcequotas"),
            "LimitRange" => ("", "v1", "limitranges"),
            "ServiceAccount" => ("", "v1", "serviceaccounts"),
            "ConfigMap" => ("", "v1", "configmaps"),
            "Role" => ("rbac.authorization.k8s.io", "v1", "roles"),
            "RoleBinding" => ("rbac.authorization.k8s.io", "v1", "rolebindings"),
            "NetworkPolicy" => ("networking.k8s.io", "v1", "networkpolicies"),
            "DaemonSet" => ("apps", "v1", "daemonsets"),
            other => panic!("no kind {other}"),
        };
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version,
            kind: kind.into(),
            plural: plural.into(),
        };
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }
}

/// Status and reason of a condition.
pub fn says(tenant: &Tenant, condition: &str) -> Option<(String, String)> {
    let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().find(|c| c.type_ == condition).map(|c| (c.status.clone(), c.reason.clone()))
}

impl Operator {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and wait until the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) {
        until(LONG, "the operator has ended", async || Ok(self.child.try_wait()?.is_some())).await.unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log tells something.
    pub async fn tells(&self, what: &str) {
        until(LONG, &format!("the operator tells: {what}"), async || Ok(self.log().contains(what))).await.unwrap();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the operator's last lines:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
        // A stopped process has to go on to be killed.
        let _ = kill_process(self.pid(), Signal::CONT);
        self.kill();
    }
}
