//! The program `tenantra` as a person runs it: its output, its errors and its exit status, on a real Postgres and a real
//! API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crds::conditions::{self, ConditionType, Status};
use crds::tenant::{Tenant, TenantStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use store::{OwnerDb, PoolOptions, Slug};
use tests::harness::{Cluster, Postgres, program};

const OWNER: &str = "0wner-pw-5ecret";
const API: &str = "ap1-pw-5ecret";

/// What a run gave.
struct Told {
    status: i32,
    out: String,
    err: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }

    /// It ended with `status`, and nothing that it said holds a secret or the traces of a crash.
    fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "out: {}\nerr: {}", self.out, self.err);
        for hidden in [OWNER, API, "panicked", "RUST_BACKTRACE", "stack backtrace", "\u{1b}["] {
            assert!(!self.out.contains(hidden) && !self.err.contains(hidden), "{hidden}: {}{}", self.out, self.err);
        }
        self
    }

    /// The line on standard error that says why.
    fn why(&self) -> &str {
        let line = self.err.lines().find(|line| line.starts_with("tenantra: "));
        line.unwrap_or_else(|| panic!("no sentence: {}", self.err))
    }
}

fn run_as(program: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Told {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read ends before the write; that is its answer then.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Told {
        status: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

async fn run(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Told {
    let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let (arguments, input) = (own(arguments), input.to_owned());
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        run_as(&program("tenantra").unwrap(), &arguments, &environment, &input)
    })
    .await
    .unwrap()
}

struct Database {
    postgres: Postgres,
    owner_url: String,
}

impl Database {
    async fn start() -> Self {
        let postgres = Postgres::start().await.unwrap();
        let owner_url = url(&postgres, "tenantra_owner", OWNER, "tenantra");
        Self { postgres, owner_url }
    }

    async fn bootstrap(&self) -> Told {
        let environment = [
            ("TENA_DB_ADMIN_URL", self.postgres.url()),
            ("TENA_DB_OWNER_PASSWORD", OWNER),
            ("TENA_DB_API_PASSWORD", API),
        ];
        run(&["db", "bootstrap", "-o", "json"], &environment, "").await
    }

    async fn db(&self, arguments: &[&str]) -> Told {
        let arguments: Vec<&str> = ["db"].iter().chain(arguments).copied().collect();
        run(&arguments, &[("TENA_DB_OWNER_URL", &self.owner_url)], "").await
    }

    async fn provision(&self, slug: &str) {
        let db = OwnerDb::connect(&self.owner_url, &PoolOptions::named("test")).unwrap();
        let mut tx = db.begin().await.unwrap();
        let row = store::tenants::ensure(&mut tx, &Slug::parse(slug).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        store::provision::ensure(&db, &row.tenant, None).await.unwrap();
        db.close().await;
    }

    async fn sql(&self, statement: &'static str) {
        let db = sqlx::PgPool::connect(&self.owner_url).await.unwrap();
        sqlx::query(statement).execute(&db).await.unwrap();
        db.close().await;
    }
}

fn url(postgres: &Postgres, user: &str, password: &str, database: &str) -> String {
    let mut url = url::Url::parse(postgres.url()).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    url.set_path(database);
    url.to_string()
}

fn line<'a>(lines: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = lines.as_array().unwrap().iter().find(|line| line[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value} in {lines}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_made_migrated_and_told_about() {
    let database = Database::start().await;
    let made = database.bootstrap().await.ended(0).json();
    assert_eq!(made["database"], "tenantra");
    assert_eq!(made["warnings"], json!([]));
    database.bootstrap().await.ended(0);

    let before = database.db(&["status", "-o", "json", "--check"]).await.ended(1).json();
    assert_eq!(line(&before, "schema", "shared")["state"], "missing");

    let first = database.db(&["migrate", "-o", "json"]).await.ended(0).json();
    assert_eq!(line(&first, "name", "shared")["outcome"], "changed");
    assert_eq!(line(&first, "name", "catalog")["outcome"], "changed");

    for slug in ["acme", "two-words"] {
        database.provision(slug).await;
    }
    let second = database.db(&["migrate", "-o", "json", "--concurrency", "2"]).await.ended(0).json();
    let outcomes: Vec<&Value> = second.as_array().unwrap().iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["unchanged"; 4], "{second}");
    assert_eq!(line(&second, "tenant", "two-words")["name"], "tenant_two_words");

    let status = database.db(&["status", "-o", "json", "--check"]).await.ended(0).json();
    assert!(
        status.as_array().unwrap().iter().all(|line| line["state"] == "current" && line["pending"] == 0),
        "{status}"
    );
    let table = database.db(&["status"]).await.ended(0).out;
    assert!(table.lines().next().unwrap().starts_with("SCHEMA"), "{table}");
    assert!(table.lines().any(|row| row.starts_with("tenant_acme") && row.contains("current")), "{table}");

    let whole = database.db(&["verify", "-o", "json"]).await.ended(0).json();
    assert_eq!(whole, json!({ "tenants": 2, "faults": [] }));
    assert!(database.db(&["verify"]).await.ended(0).out.contains("2 tenants"));
    database.sql("GRANT SELECT ON shared.users TO tenantra_tenant").await;
    let told = database.db(&["verify"]).await.ended(1).out;
    assert!(told.contains("REVOKE SELECT ON shared.users FROM tenantra_tenant"), "{told}");
    let keys = run(&["audit", "key", "acme", "-o", "json"], &[("TENA_DB_OWNER_URL", &database.owner_url)], "").await;
    assert_eq!(keys.ended(0).json()[0]["keys"], json!([]), "nothing was signed yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_fails_does_not_stop_the_others() {
    let database = Database::start().await;
    database.bootstrap().await.ended(0);
    database.db(&["migrate"]).await.ended(0);
    for slug in ["bad", "good"] {
        database.provision(slug).await;
    }
    database.sql("UPDATE tenant_bad.schema_migrations SET checksum = 'edited'").await;
    database.sql("REVOKE SELECT ON tenant_good.assets FROM tenant_good").await;

    let told = database.db(&["migrate", "-o", "json"]).await.ended(1).json();
    let failed = line(&told, "tenant", "bad");
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["message"].as_str().unwrap().contains("another content"), "{failed}");
    assert_eq!(line(&told, "tenant", "good")["outcome"], "changed", "what was revoked is granted again");

    let table = database.db(&["migrate"]).await.ended(1);
    assert!(table.out.lines().any(|row| row.starts_with("tenant_bad") && row.contains("failed")), "{}", table.out);
    assert!(table.why().contains("run it again"));
    let status = database.db(&["status", "-o", "json"]).await.ended(0).json();
    assert_eq!(line(&status, "tenant", "bad")["state"], "wrong");
    assert_eq!(line(&status, "tenant", "good")["state"], "current");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_in_a_sentence_without_secrets() {
    let database = Database::start().await;
    let owner = |url: &str| vec![("TENA_DB_OWNER_URL".to_owned(), url.to_owned())];
    let before = database.db(&["status"]).await.ended(3);
    assert!(before.why().contains("tenantra_owner"), "{}", before.why());
    database.bootstrap().await.ended(0);

    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (vec![], 2, "set TENA_DB_OWNER_URL"),
        (owner(&format!("mysql://a:{OWNER}@127.0.0.1/x")), 2, "write postgres://"),
        (owner(&format!("postgres://a:{OWNER}@host:not-a-port/x")), 2, "write postgres://"),
        (owner(&format!("postgres://a:{OWNER}@127.0.0.1:{unused}/x")), 3, "does not answer (connection refused)"),
        (
            owner(&format!("postgres://a:{OWNER}@no-such-host.invalid/x")),
            3,
            "no-such-host.invalid:5432 does not answer",
        ),
        (
            owner(&url(&database.postgres, "tenantra_owner", "wr0ng", "tenantra")),
            3,
            "refuses the user 'tenantra_owner'",
        ),
        (owner(&url(&database.postgres, "tenantra_owner", OWNER, "nothing")), 3, "db bootstrap"),
        (
            vec![("TENA_DB_OWNER_URL_FILE".to_owned(), "/no/such/file".to_owned())],
            2,
            "/no/such/file, which cannot be read",
        ),
    ];
    for (environment, status, hint) in cases {
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        for command in ["migrate", "status"] {
            let began = Instant::now();
            let told = run(&["db", command], &environment, "").await.ended(status);
            assert!(told.why().contains(hint), "{hint}: {}", told.why());
            assert!(!told.err.contains("wr0ng") && told.out.is_empty());
            assert!(began.elapsed() < Duration::from_secs(20), "{hint}: {:?}", began.elapsed());
        }
    }

    let api = url(&database.postgres, "tenantra_api", API, "tenantra");
    let told = run(&["db", "migrate"], &[("TENA_DB_OWNER_URL", &api)], "").await.ended(3);
    assert!(told.why().contains("has to name tenantra_owner"), "{}", told.why());
    let told = run(&["db", "bootstrap"], &[("TENA_DB_ADMIN_URL", database.postgres.url())], "").await.ended(2);
    assert!(told.why().contains("TENA_DB_OWNER_PASSWORD_FILE"), "{}", told.why());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_files_and_old_names_are_told() {
    let database = Database::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (admin, owner, api) = (file("admin", database.postgres.url()), file("owner", OWNER), file("api", API));
    let environment = [
        ("TENA_DB_ADMIN_URL_FILE", &*admin),
        ("TENA_DB_OWNER_PASSWORD_FILE", &*owner),
        ("TENA_DB_API_PASSWORD_FILE", &*api),
    ];
    let told = run(&["db", "bootstrap"], &environment, "").await.ended(0);
    assert!(told.out.contains("tenantra db migrate"), "{}", told.out);

    let url = file("url", &database.owner_url);
    run(&["db", "migrate"], &[("TENA_DB_OWNER_URL_FILE", &url)], "").await.ended(0);
    for alias in ["TENA_DB_URL", "DATABASE_URL"] {
        let told = run(&["db", "status"], &[(alias, &database.owner_url)], "").await.ended(0);
        assert!(told.why().contains(alias), "{}", told.why());
    }
}

struct Kubernetes {
    cluster: Cluster,
}

impl Kubernetes {
    async fn start() -> Self {
        let cluster = Cluster::start().await.unwrap();
        Self { cluster }
    }

    async fn tenant(&self, arguments: &[&str]) -> Told {
        self.tenant_with(arguments, "").await
    }

    async fn tenant_with(&self, arguments: &[&str], input: &str) -> Told {
        let arguments: Vec<&str> = ["tenant"].iter().chain(arguments).copied().collect();
        run(&arguments, &[("KUBECONFIG", self.cluster.kubeconfig().to_str().unwrap())], input).await
    }

    /// Plays the operator: writes a status.
    async fn report(&self, name: &str, ready: Status, kind: ConditionType, reason: &str, message: &str) {
        let api: Api<Tenant> = Api::all(self.cluster.client.clone());
        let generation = api.get(name).await.unwrap().metadata.generation;
        let mut status = TenantStatus { observed_generation: generation, score: Some(87), ..TenantStatus::default() };
        let now = jiff::Timestamp::now();
        let _ = conditions::set(&mut status.conditions, ConditionType::Ready, ready, reason, "", generation, now);
        let _ = conditions::set(&mut status.conditions, kind, ready, reason, message, generation, now);
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_shown_suspended_and_deleted() {
    let kubernetes = Kubernetes::start().await;
    let told = kubernetes.tenant(&["list"]).await.ended(3);
    assert!(told.why().contains("install the chart tenantra-crds"), "{}", told.why());
    kubernetes.cluster.install_crds().await.unwrap();
    assert!(kubernetes.tenant(&["list"]).await.ended(0).out.contains("tenantra tenant create"));

    let options =
        ["create", "msp", "--display-name", "Muster MSP", "--plan", "enterprise", "--admin-email", "ada@msp.example"];
    kubernetes.tenant(&options).await.ended(0);
    let manifest = "apiVersion: tenantra.io/v1alpha1\nkind: Tenant\nmetadata: { name: kunde }\nspec: { displayName: Kunde, parent: msp }\n";
    let made = kubernetes.tenant_with(&["create", "-f", "-", "-o", "json"], manifest).await.ended(0).json();
    assert_eq!(made["parent"], "msp");
    let api: Api<Tenant> = Api::all(kubernetes.cluster.client.clone());
    let msp = api.get("msp").await.unwrap();
    assert_eq!(msp.spec.admin.as_ref().unwrap().email, "ada@msp.example");
    assert!(
        msp.metadata.managed_fields.unwrap().iter().any(|fields| fields.manager.as_deref() == Some("tenantra-cli"))
    );

    kubernetes
        .report("msp", Status::False, ConditionType::DatabaseReady, "Unreachable", "Postgres does not answer")
        .await;
    let list = kubernetes.tenant(&["list"]).await.ended(0).out;
    let rows: Vec<Vec<&str>> = list.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "PLAN", "READY", "REASON", "SCORE", "AGENTS", "AGE"]);
    assert_eq!(rows[1][..6], ["kunde", "Free", "-", "-", "-", "0/0"]);
    assert_eq!(rows[2][..6], ["msp", "Enterprise", "False", "Unreachable", "87", "0/0"]);
    let json = kubernetes.tenant(&["list", "-o", "json"]).await.ended(0).json();
    assert_eq!(line(&json, "slug", "msp")["display_name"], "Muster MSP");
    assert_eq!(line(&json, "slug", "msp")["ready"], false);

    let get = kubernetes.tenant(&["get", "msp"]).await.ended(0).out;
    assert!(
        get.lines().any(|row| row.starts_with("DatabaseReady") && row.contains("Postgres does not answer")),
        "{get}"
    );
    let tree = kubernetes.tenant(&["tree"]).await.ended(0).out;
    assert!(tree.starts_with("msp") && tree.lines().nth(1).unwrap().starts_with("└─ kunde"), "{tree}");
    let tree = kubernetes.tenant(&["tree", "-o", "json"]).await.ended(0).json();
    assert_eq!(tree[0]["children"][0]["slug"], "kunde");

    assert_eq!(kubernetes.tenant(&["suspend", "msp", "-o", "json"]).await.ended(0).json()["suspended"], true);
    assert!(api.get("msp").await.unwrap().spec.suspend);
    assert!(kubernetes.tenant(&["suspend", "msp"]).await.ended(0).out.contains("already"));
    assert_eq!(kubernetes.tenant(&["activate", "msp", "-o", "json"]).await.ended(0).json()["suspended"], false);

    assert!(kubernetes.tenant(&["delete", "msp", "--yes"]).await.ended(1).why().contains("kunde"));
    let told = kubernetes.tenant_with(&["delete", "kunde"], "msp\n").await.ended(1);
    assert!(told.why().contains("nothing was deleted"), "{}", told.why());
    assert!(told.err.contains("only this object goes"), "{}", told.err);
    assert!(kubernetes.tenant(&["delete", "kunde"]).await.ended(1).why().contains("--yes"));
    kubernetes.tenant_with(&["delete", "kunde"], "kunde\n").await.ended(0);
    let told = kubernetes.tenant(&["delete", "msp", "--yes", "--wait", "-o", "json"]).await.ended(0).json();
    assert_eq!(told["gone"], true);
    assert!(kubernetes.tenant(&["get", "msp"]).await.ended(1).why().contains("tenant list"));
}

#[tokio::test(flavor = "multi_thread")]
async fn create_waits_and_names_the_condition() {
    let kubernetes = Kubernetes::start().await;
    kubernetes.cluster.install_crds().await.unwrap();
    let told = kubernetes.tenant(&["create", "slow", "--wait", "--timeout", "1"]).await.ended(1);
    assert!(told.why().contains("waits for the operator to take it up"), "{}", told.why());

    let operator = async {
        let api: Api<Tenant> = Api::all(kubernetes.cluster.client.clone());
        tests::harness::until(Duration::from_secs(20), "acme is there", async || {
            Ok(api.get_opt("acme").await?.is_some())
        })
        .await
        .unwrap();
        kubernetes
            .report("acme", Status::False, ConditionType::DatabaseReady, "Progressing", "runs its migrations")
            .await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        kubernetes.report("acme", Status::True, ConditionType::DatabaseReady, "Succeeded", "").await;
    };
    let (told, ()) = tokio::join!(kubernetes.tenant(&["create", "acme", "--wait", "--timeout", "60"]), operator);
    let told = told.ended(0);
    assert!(told.err.contains("acme waits for DatabaseReady (Progressing: runs its migrations)"), "{}", told.err);
    assert!(told.out.contains("acme") && told.out.contains("DatabaseReady"), "{}", told.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubernetes_refuses_is_told_with_what_to_do() {
    let kubernetes = Kubernetes::start().await;
    kubernetes.cluster.install_crds().await.unwrap();
    kubernetes.tenant(&["create", "acme"]).await.ended(0);
    assert!(kubernetes.tenant(&["create", "acme"]).await.ended(1).why().contains("exists already"));
    assert!(kubernetes.tenant(&["create", "Acme Corp"]).await.ended(2).why().contains("lower-case"));
    assert!(kubernetes.tenant(&["create", "admin"]).await.ended(2).why().contains("reserved"));
    let told = kubernetes.tenant(&["create", "other", "--admin-email", "nobody"]).await.ended(2);
    assert!(told.err.contains("spec.admin.email") && told.err.contains("write an e-mail address"), "{}", told.err);
    let misspelt = "apiVersion: tenantra.io/v1alpha1\nkind: Tenant\nmetadata: { name: other }\nspec: { displayName: X, plam: Pro }\n";
    let told = kubernetes.tenant_with(&["create", "-f", "-"], misspelt).await.ended(2);
    assert!(told.err.contains("plam"), "{}", told.err);
    let told = kubernetes.tenant_with(&["create", "-f", "-"], "apiVersion: v1\nkind: Secret\n").await.ended(2);
    assert!(told.why().contains("kubectl apply"), "{}", told.why());
    let dry = kubernetes.tenant(&["create", "dry", "--dry-run", "-o", "json"]).await.ended(0).json();
    assert_eq!(dry["slug"], "dry");
    kubernetes.tenant(&["get", "dry"]).await.ended(1);

    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{ "name": "x", "cluster": { "server": format!("https://127.0.0.1:{unused}") } }],
        "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
        "users": [{ "name": "x", "user": { "token": API } }],
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let told = run(&["tenant", "list", "--kubeconfig", kubeconfig], &[], "").await.ended(3);
    assert!(told.why().contains("does not answer (Connection refused)"), "{}", told.why());
    let told = run(&["tenant", "list", "--kubeconfig", kubeconfig, "--context", "y"], &[], "").await.ended(2);
    assert!(told.why().contains("--context"), "{}", told.why());
    let told = run(&["tenant", "list"], &[("HOME", folder.path().to_str().unwrap())], "").await.ended(2);
    assert!(told.why().contains("set KUBECONFIG"), "{}", told.why());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_module_passes_its_tests() {
    let modules = run(&["module", "list", "-o", "json"], &[], "").await.ended(0).json();
    let tested = run(&["module", "test", "-o", "json"], &[], "").await.ended(0).json();
    assert_eq!(modules.as_array().unwrap().len(), tested.as_array().unwrap().len());
    assert!(tested.as_array().unwrap().iter().all(|line| line["failed"] == 0 && line["problems"] == json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_are_listed_filtered_and_shown() {
    let all = run(&["module", "list", "-o", "json"], &[], "").await.ended(0).json();
    let network = run(&["module", "list", "--category", "network", "-o", "json"], &[], "").await.ended(0).json();
    assert!(network.as_array().unwrap().iter().all(|line| line["category"] == "network"));
    assert!(network.as_array().unwrap().len() < all.as_array().unwrap().len());
    let cis = run(&["module", "list", "--framework", "cis-debian-12"], &[], "").await.ended(0).out;
    assert!(cis.contains("linux-sshd-hardening"), "{cis}");
    assert!(run(&["module", "list", "--category", "nothing"], &[], "").await.ended(2).why().contains("compliance"));

    let shown = run(&["module", "show", "linux-sshd-hardening"], &[], "").await.ended(0).out;
    assert!(shown.contains("sshd-max-auth-tries") && shown.contains("cis-debian-12 5.1.16"), "{shown}");
    let check = run(&["module", "show", "linux-sshd-hardening", "sshd-max-auth-tries"], &[], "").await.ended(0).out;
    assert!(check.contains("SELECT") && check.contains("OpenSCAP"), "{check}");
    assert!(
        run(&["module", "show", "linux-sshd-hardning"], &[], "")
            .await
            .ended(2)
            .why()
            .contains("'linux-sshd-hardening'")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_module_is_found_and_a_failing_test_says_what_differs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog");
    let same = run(&["module", "check-files", source.to_str().unwrap()], &[], "").await.ended(0).out;
    assert!(same.contains("all are as in this program"), "{same}");

    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(&source).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let path = folder.path().join("catalog/modules/compliance/linux-sshd-hardening@1.2.0.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    // Each check keeps a test that passes and one that fails, so that the module is still one.
    let (pass, fail) = ("sshd-max-auth-tries: pass", "sshd-max-auth-tries: fail");
    let swapped = text.replacen(pass, "{}", 1).replacen(fail, pass, 1).replacen("{}", fail, 1);
    std::fs::write(&path, swapped).unwrap();
    let folder = folder.path().join("catalog");
    let folder = folder.to_str().unwrap();
    let differs = run(&["module", "check-files", folder, "-o", "json"], &[], "").await.ended(1).json();
    assert_eq!(differs[0]["difference"], "changed", "{differs}");
    let failed = run(&["module", "test", "linux-sshd-hardening", "--dir", folder], &[], "").await.ended(1).out;
    assert!(failed.contains("pass expected, fail found"), "{failed}");
}

#[test]
fn linked_as_a_plugin_it_is_called_as_kubectl_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-tenantra");
    std::os::unix::fs::symlink(program("tenantra").unwrap(), &plugin).unwrap();
    let help = run_as(&plugin, &["tenant", "create", "--help"], &[], "").ended(0);
    assert!(help.out.contains("Usage: kubectl tenantra tenant create"), "{}", help.out);
    let help = run_as(&program("tenantra").unwrap(), &["--help"], &[], "").ended(0);
    assert!(help.out.contains("Usage: tenantra") && help.out.contains("Exit status:"), "{}", help.out);
    for shell in ["bash", "zsh", "fish"] {
        let script = run_as(&program("tenantra").unwrap(), &["completion", shell], &[], "").ended(0);
        assert!(script.out.contains("tenantra"));
    }
}
