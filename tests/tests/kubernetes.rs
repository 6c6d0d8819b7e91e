//! The agent against a real API server: every table answers, the modules tell good from bad, and an account that may see
//! little makes nothing pass. Pods are objects without a kubelet; what they are asked about is in their specification.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use catalog::envelope::{Envelope, Verdict, validate_json};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::harness::{Cluster, program, until};

/// What nobody may see, in a Secret and in what kubectl writes beside it.
const MARK: &str = "bm9ib2R5LXNlZXMtdGhpcw==";

fn agent(arguments: &[&str]) -> Result<Output> {
    let output = Command::new(program("tenantra-agent")?).args(arguments).stdin(Stdio::null()).output()?;
    Ok(output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A cluster with what is good in `good` and what is bad in `bad`.
struct Stage {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn start() -> Result<Self> {
        let stage = Stage { cluster: Cluster::start().await?, folder: tempfile::tempdir()? };
        stage.fill().await?;
        Ok(stage)
    }

    fn client(&self) -> Client {
        self.cluster.client.clone()
    }

    async fn fill(&self) -> Result<()> {
        let restricted = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
        for (name, labels) in [("good", restricted), ("bad", json!({}))] {
            create::<Namespace>(&Api::all(self.client()), json!({ "metadata": { "name": name, "labels": labels } }))
                .await?;
            let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), name);
            // The controller makes it; a pod without it is refused.
            until(Duration::from_secs(30), "the default account is there", async || {
                Ok(accounts.get_opt("default").await?.is_some())
            })
            .await?;
        }
        let (good, bad) = (self.client(), self.client());
        create::<NetworkPolicy>(
            &Api::namespaced(good.clone(), "good"),
            json!({
                "metadata": { "name": "deny" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
            }),
        )
        .await?;
        create::<Pod>(&Api::namespaced(good, "good"), json!({
            "metadata": { "name": "web" },
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "web", "image": "web:1.2",
                    "resources": { "limits": { "memory": "1Mi" }, "requests": { "cpu": "1m" } },
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
                    },
                }],
            },
        }))
        .await?;
        create::<Pod>(
            &Api::namespaced(bad.clone(), "bad"),
            json!({
                "metadata": { "name": "miner" },
                "spec": {
                    "hostNetwork": true, "hostPID": true,
                    "volumes": [{ "name": "root", "hostPath": { "path": "/" } }],
                    "containers": [{
                        "name": "miner", "image": "miner", "securityContext": { "privileged": true },
                        "env": [{ "name": "DB_PASSWORD", "value": "made-up-word" }],
                    }],
                },
            }),
        )
        .await?;
        create::<Service>(
            &Api::namespaced(bad.clone(), "bad"),
            json!({
                "metadata": { "name": "open" }, "spec": { "type": "NodePort", "ports": [{ "port": 80 }] },
            }),
        )
        .await?;
        create::<ConfigMap>(
            &Api::namespaced(bad.clone(), "bad"),
            json!({
                "metadata": { "name": "settings" }, "data": { "api_key": "made-up-word" },
            }),
        )
        .await?;
        create::<Secret>(&Api::namespaced(bad.clone(), "bad"), json!({
            "metadata": { "name": "hidden", "annotations": { "kubectl.kubernetes.io/last-applied-configuration": MARK } },
            "type": "Opaque", "data": { "password": MARK },
        }))
        .await?;
        create::<ClusterRole>(&Api::all(bad.clone()), json!({
            "metadata": { "name": "everything" }, "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }],
        }))
        .await?;
        create::<ClusterRoleBinding>(
            &Api::all(bad.clone()),
            json!({
                "metadata": { "name": "eve" },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "everything" },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve" }],
            }),
        )
        .await?;
        self.static_pods(bad).await
    }

    /// The API server's own pod, as a kubelet mirrors it.
    async fn static_pods(&self, client: Client) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "kube-system");
        until(Duration::from_secs(30), "the default account is there", async || {
            Ok(accounts.get_opt("default").await?.is_some())
        })
        .await?;
        create::<Pod>(&Api::namespaced(client, "kube-system"), json!({
            "metadata": { "name": "kube-apiserver-a", "labels": { "component": "kube-apiserver", "tier": "control-plane" } },
            "spec": { "containers": [{
                "name": "kube-apiserver", "image": "kube-apiserver:1",
                "command": ["kube-apiserver", "--authorization-mode=Node,RBAC", "--profiling=true", "--token-auth-file=/t"],
            }] },
        }))
        .await?;
        Ok(())
    }

    /// A kubeconfig like the administrator's for an account that may list pods and namespaces, and nothing else.
    async fn small_account(&self) -> Result<PathBuf> {
        let (client, name) = (self.client(), "watcher");
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "good");
        create(&accounts, json!({ "metadata": { "name": name } })).await?;
        let group = "rbac.authorization.k8s.io";
        create::<ClusterRole>(
            &Api::all(client.clone()),
            json!({
                "metadata": { "name": name },
                "rules": [{ "apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list"] }],
            }),
        )
        .await?;
        create::<ClusterRoleBinding>(
            &Api::all(client.clone()),
            json!({
                "metadata": { "name": name }, "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": "good" }],
            }),
        )
        .await?;
        create::<Role>(&Api::namespaced(client.clone(), "good"), json!({
            "metadata": { "name": name }, "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }],
        }))
        .await?;
        create::<RoleBinding>(
            &Api::namespaced(client, "good"),
            json!({
                "metadata": { "name": name }, "roleRef": { "apiGroup": group, "kind": "Role", "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": "good" }],
            }),
        )
        .await?;
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        let token = answer.status.context("the answer has a token")?.token;
        self.config(|user| *user = json!({ "token": token }), |_| {}).await
    }

    /// The administrator's kubeconfig with another user or cluster.
    async fn config(&self, user: impl FnOnce(&mut Value), cluster: impl FnOnce(&mut Value)) -> Result<PathBuf> {
        let mut config: Value = serde_saphyr::from_str(&std::fs::read_to_string(self.cluster.kubeconfig())?)?;
        user(&mut config["users"][0]["user"]);
        cluster(&mut config["clusters"][0]["cluster"]);
        let path = self.folder.path().join(format!("config-{}", uuid::Uuid::new_v4()));
        tokio::fs::write(&path, serde_json::to_vec(&config)?).await?;
        Ok(path)
    }
}

fn query(kubeconfig: &Path, sql: &str) -> Result<(Value, String)> {
    let output = agent(&["query", "--kubeconfig", kubeconfig.to_str().unwrap(), "-o", "json", sql])?;
    ensure!(output.status.success(), "{sql}: {}", said(&output));
    Ok((serde_json::from_slice(&output.stdout)?, said(&output)))
}

fn scan(kubeconfig: &Path, more: &[&str]) -> Result<Vec<Envelope>> {
    let mut arguments = vec!["scan", "--kubeconfig", kubeconfig.to_str().unwrap(), "-o", "json"];
    arguments.extend(more);
    let output = agent(&arguments)?;
    ensure!(output.status.success(), "{}", said(&output));
    let envelopes = String::from_utf8(output.stdout)?;
    envelopes
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line)?;
            validate_json(&value).map_err(|error| anyhow::anyhow!("{error:?}"))?;
            Ok(serde_json::from_value(value)?)
        })
        .collect()
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<K>
where
    K: kube::Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let text = object.to_string();
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await.with_context(|| text)
}

/// What a check decided, and about what.
fn decided<'a>(runs: &'a [Envelope], check: &str) -> (Verdict, BTreeSet<&'a str>) {
    let run = runs.iter().find(|run| run.checks.iter().any(|one| one.id == check)).unwrap_or_else(|| panic!("{check}"));
    let verdict = run.checks.iter().find(|one| one.id == check).unwrap().verdict;
    (verdict, run.findings.iter().filter(|one| one.check == check).map(|one| one.resource.as_str()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_read_and_judged() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.cluster.kubeconfig().to_owned();

    // Every table, in one go.
    let tables = String::from_utf8(agent(&["tables"])?.stdout)?;
    let tables: Vec<&str> = tables
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("kubernetes_"))
        .collect();
    assert!(tables.len() >= 36, "{tables:?}");
    let sql: Vec<String> = tables.iter().map(|table| format!("SELECT * FROM {table} LIMIT 3")).collect();
    let (answers, warnings) = query(&admin, &sql.join("; "))?;
    assert_eq!(answers.as_array().unwrap().len(), tables.len());
    assert_eq!(warnings, "", "an administrator sees everything");

    let (pods, _) = query(
        &admin,
        "SELECT namespace, name, host_network, creation_timestamp, tags FROM kubernetes_pod WHERE namespace = 'bad'",
    )?;
    assert_eq!((&pods[0]["name"], &pods[0]["host_network"]), (&json!("miner"), &json!(1)));
    assert!(pods[0]["creation_timestamp"].as_i64().unwrap() > 1_700_000_000);
    let (one, _) =
        query(&admin, "SELECT count(*) AS found FROM kubernetes_pod WHERE name = 'web' AND namespace = 'good'")?;
    assert_eq!(one[0]["found"], 1);
    let (version, _) = query(&admin, "SELECT version, major, minor FROM kubernetes_cluster")?;
    assert_eq!(version[0]["major"], 1);
    let (secrets, _) = query(&admin, "SELECT * FROM kubernetes_secret")?;
    assert!(secrets.to_string().contains("hidden") && secrets.to_string().contains("password"));
    assert!(!secrets.to_string().contains(MARK), "the value of a secret is shown");

    // Every module for clusters and no other.
    let runs = scan(&admin, &[])?;
    assert!(runs.len() >= 15 && runs.iter().all(|run| run.module.starts_with("kubernetes-")), "{}", runs.len());
    let errors: Vec<_> =
        runs.iter().flat_map(|run| &run.checks).filter(|check| check.verdict == Verdict::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(runs.iter().map(|run| run.checks.len()).sum::<usize>() >= 120);
    for (check, resource) in [
        ("container-privileged", "bad/miner/miner"),
        ("container-secret-written", "bad/miner/miner"),
        ("container-image-latest", "bad/miner/miner"),
        ("pod-host-network", "bad/miner"),
        ("pod-host-path-of-system", "bad/miner"),
        ("config-map-secret", "bad/settings"),
        ("network-policy-missing", "bad"),
        ("namespace-admits-everything", "bad"),
        ("service-node-port", "bad/open"),
        ("account-default-token", "bad/default"),
        ("rbac-reads-secrets", "eve"),
        ("rbac-creates-tokens", "eve"),
        ("rbac-any-verb", "everything"),
        ("cluster-apiserver-profiling", "kube-apiserver-a"),
        ("cluster-apiserver-token-file", "kube-apiserver-a"),
    ] {
        let (verdict, resources) = decided(&runs, check);
        assert_eq!(verdict, Verdict::Fail, "{check}");
        assert!(resources.contains(resource), "{check}: {resources:?}");
        let is_good = |resource: &&str| resource.starts_with("good") && check != "account-default-token";
        assert!(!resources.iter().any(is_good), "{check}: {resources:?}");
    }
    for check in [
        "rbac-masters",
        "rbac-strangers",
        "cluster-apiserver-authorization",
        "cluster-apiserver-rbac",
        "pod-runtime-socket",
        "account-bootstrap-token",
    ] {
        assert_eq!(decided(&runs, check), (Verdict::Pass, BTreeSet::new()), "{check}");
    }
    for check in ["cluster-etcd-certificate", "cluster-scheduler-profiling", "storage-class-not-encrypted"] {
        assert_eq!(decided(&runs, check).0, Verdict::NotApplicable, "{check}");
    }
    let all = serde_json::to_string(&runs)?;
    assert!(!all.contains(MARK) && !all.contains("made-up-word"), "a secret is in a result");

    // By framework, as a person would ask.
    let runs = scan(&admin, &["--framework", "cis-kubernetes"])?;
    assert!(runs.iter().all(|run| run.benchmarks.iter().any(|one| one.framework == "cis-kubernetes")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_sees_little_makes_nothing_pass() -> Result<()> {
    let stage = Stage::start().await?;
    let small = stage.small_account().await?;
    let (rows, warnings) = query(&small, "SELECT name FROM kubernetes_secret")?;
    assert_eq!(rows, json!([]));
    assert!(warnings.contains("may not list secrets") && warnings.contains("verb list"), "{warnings}");
    let (rows, warnings) = query(&small, "SELECT name FROM kubernetes_config_map WHERE namespace = 'good'")?;
    assert!(
        !rows.as_array().unwrap().is_empty() && warnings.is_empty(),
        "a role of one namespace is enough: {warnings}"
    );

    let runs = scan(&small, &[])?;
    for (check, expected) in [
        ("container-privileged", Verdict::Fail),
        ("pod-runtime-socket", Verdict::Pass),
        // What others lack cannot be known where the others are not seen.
        ("network-policy-missing", Verdict::Error),
        ("network-policy-allows-all", Verdict::Error),
        ("rbac-reads-secrets", Verdict::Error),
        ("rbac-masters", Verdict::Error),
        ("rbac-role-missing", Verdict::Error),
        ("account-lasting-token", Verdict::Error),
        ("config-map-secret", Verdict::Error),
        ("service-node-port", Verdict::Error),
        ("node-not-ready", Verdict::Error),
    ] {
        let (verdict, resources) = decided(&runs, check);
        assert_eq!(verdict, expected, "{check}: {resources:?}");
    }

    // A token that is none, and a server that is another.
    let stranger = stage.config(|user| *user = json!({ "token": "nonsense" }), |_| {}).await?;
    let (rows, warnings) = query(&stranger, "SELECT name FROM kubernetes_pod")?;
    assert!(rows == json!([]) && warnings.contains("does not know this account (401)"), "{warnings}");
    let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()])?;
    let foreign = stage
        .config(
            |_| {},
            |cluster| {
                use base64::Engine as _;
                cluster.as_object_mut().unwrap().remove("certificate-authority");
                cluster["certificate-authority-data"] =
                    base64::engine::general_purpose::STANDARD.encode(other.cert.pem()).into();
            },
        )
        .await?;
    let (rows, warnings) = query(&foreign, "SELECT name FROM kubernetes_pod")?;
    assert!(rows == json!([]) && warnings.contains("certificate"), "{warnings}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_named_is_asked() -> Result<()> {
    let stage = Stage::start().await?;
    // A kubeconfig on the host, or in the environment, is nobody's word.
    let home = stage.folder.path().join("home");
    std::fs::create_dir_all(home.join(".kube"))?;
    std::fs::copy(stage.cluster.kubeconfig(), home.join(".kube/config"))?;
    let output = Command::new(program("tenantra-agent")?)
        .args(["query", "-o", "json", "SELECT name FROM kubernetes_pod"])
        .env("HOME", &home)
        .env("KUBECONFIG", stage.cluster.kubeconfig())
        .output()?;
    assert_eq!(String::from_utf8(output.stdout.clone())?.trim(), "[]");
    assert!(said(&output).contains("no Kubernetes cluster is given: pass --kubeconfig"), "{}", said(&output));
    // With a cluster, nothing else can be reached.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let sql = format!("SELECT * FROM tls_endpoints WHERE host = '127.0.0.1' AND port = {port}");
    let (rows, warnings) = query(stage.cluster.kubeconfig(), &sql)?;
    assert_eq!(rows, json!([]));
    assert!(warnings.contains("cannot be reached") || !has_ports_of_landlock(), "{warnings}");
    let (rows, _) = query(stage.cluster.kubeconfig(), "SELECT id FROM docker_containers")?;
    assert_eq!(rows, json!([]));
    // What would run a program is refused before anything is asked.
    let exec = stage.config(|user| *user = json!({ "exec": { "command": "touch" } }), |_| {}).await?;
    let output = agent(&["query", "--kubeconfig", exec.to_str().unwrap(), "SELECT 1"])?;
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("exec would start a program"), "{}", said(&output));
    let open = stage.config(|_| {}, |cluster| cluster["insecure-skip-tls-verify"] = true.into()).await?;
    let output = agent(&["query", "--kubeconfig", open.to_str().unwrap(), "SELECT version FROM kubernetes_cluster"])?;
    assert!(said(&output).contains("--insecure-skip-tls-verify"), "{}", said(&output));
    let output = agent(&[
        "query",
        "--kubeconfig",
        open.to_str().unwrap(),
        "--insecure-skip-tls-verify",
        "-o",
        "json",
        "SELECT version FROM kubernetes_cluster",
    ])?;
    assert!(String::from_utf8(output.stdout.clone())?.contains("\"version\""), "{}", said(&output));
    Ok(())
}

/// Landlock tells ports apart since Linux 6.7.
fn has_ports_of_landlock() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(7))
        && std::fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|modules| modules.contains("landlock"))
}
