//! One tenant from its manifest to Ready, and what somebody deletes or edits by hand comes back.

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tests::harness::until;

use crate::stage::{BACK, LONG, Stage};

const KINDS: [&str; 8] =
    ["ResourceQuota", "LimitRange", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount", "ConfigMap", "DaemonSet"];

#[tokio::test]
async fn what_is_deleted_or_edited_by_hand_comes_back() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    let limits = json!({ "cpu": "4", "memory": "8Gi", "pods": 50 });
    stage.apply("acme", json!({ "limits": limits, "isolation": { "networkPolicy": "Strict" } })).await;
    let tenant = stage.ready("acme").await;
    let status = tenant.status.unwrap();
    assert_eq!(status.schema.as_deref(), Some("tenant_acme"));
    assert_eq!(status.vault_path.as_deref(), Some("secret/data/tenants/acme"));
    assert_eq!(stage.ask("SELECT tenant_id FROM shared.tenants WHERE slug = 'acme'").await, status.tenant_id.unwrap());

    for namespace in ["tenant-acme", "tenantra-agent-acme"] {
        for kind in KINDS {
            children_come_back(&stage, kind, namespace).await;
        }
    }
    edits_are_taken_back(&stage).await;
    a_namespace_comes_back(&stage).await;
    outside_systems_are_repaired_at_the_next_resync(&stage).await;
    a_node_of_the_tenant_is_counted(&stage).await;
}

async fn children_come_back(stage: &Stage, kind: &str, namespace: &str) {
    let api = stage.objects(kind, namespace);
    let ours = ListParams::default().labels("tenantra.io/tenant=acme");
    for object in api.list(&ours).await.unwrap() {
        let (name, uid) = (object.metadata.name.unwrap(), object.metadata.uid);
        api.delete(&name, &kube::api::DeleteParams::default()).await.unwrap();
        until(BACK, &format!("{kind} {namespace}/{name} is back"), async || {
            Ok(api
                .get_opt(&name)
                .await?
                .is_some_and(|there| there.metadata.uid != uid && there.metadata.deletion_timestamp.is_none()))
        })
        .await
        .unwrap();
    }
}

async fn edits_are_taken_back(stage: &Stage) {
    let cases = [
        (
            "ResourceQuota",
            "tenant-acme",
            "tenantra",
            json!({ "spec": { "hard": { "pods": "5000" } } }),
            "/spec/hard/pods",
        ),
        ("LimitRange", "tenant-acme", "tenantra", json!({ "spec": { "limits": [] } }), "/spec/limits"),
        ("NetworkPolicy", "tenant-acme", "allow-api", json!({ "spec": { "egress": [{}] } }), "/spec/egress"),
        (
            "Role",
            "tenant-acme",
            "tenantra-user",
            json!({ "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }] }),
            "/rules",
        ),
        ("RoleBinding", "tenant-acme", "tenantra-admin", json!({ "subjects": [] }), "/subjects"),
        (
            "ServiceAccount",
            "tenant-acme",
            "tenantra-workload",
            json!({ "automountServiceAccountToken": true }),
            "/automountServiceAccountToken",
        ),
        ("ConfigMap", "tenantra-agent-acme", "tenantra-ca", json!({ "data": { "ca.crt": "another" } }), "/data"),
        (
            "DaemonSet",
            "tenantra-agent-acme",
            "tenantra-agent",
            json!({ "spec": { "template": { "spec": { "nodeSelector": { "tenantra.io/tenant": "other" } } } } }),
            "/spec/template/spec/nodeSelector",
        ),
        (
            "Role",
            "tenant-acme",
            "tenantra-admin",
            json!({ "metadata": { "labels": { "tenantra.io/tenant": null } } }),
            "/metadata/labels",
        ),
        (
            "Role",
            "tenant-acme",
            "tenantra-admin",
            json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "me" } } }),
            "/metadata/labels",
        ),
    ];
    for (kind, namespace, name, edit, path) in cases {
        let api = stage.objects(kind, namespace);
        let at = |object: &DynamicObject| serde_json::to_value(object).unwrap().pointer(path).cloned();
        let before = at(&api.get(name).await.unwrap());
        let after = at(&api.patch(name, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap());
        assert_ne!(before, after, "{kind} {name}: the edit changed something");
        until(BACK, &format!("{kind} {namespace}/{name} is as it was"), async || {
            Ok(at(&api.get(name).await?) == before)
        })
        .await
        .unwrap();
    }
}

async fn a_namespace_comes_back(stage: &Stage) {
    let api: Api<Namespace> = Api::all(stage.client.clone());
    let uid = api.get("tenant-acme").await.unwrap().metadata.uid;
    api.delete("tenant-acme", &kube::api::DeleteParams::default()).await.unwrap();
    until(LONG, "the namespace is made anew", async || {
        Ok(api.get_opt("tenant-acme").await?.is_some_and(|there| there.metadata.uid != uid))
    })
    .await
    .unwrap();
    let quotas = stage.objects("ResourceQuota", "tenant-acme");
    until(LONG, "its quota is back", async || Ok(quotas.get_opt("tenantra").await?.is_some())).await.unwrap();
    stage.ready("acme").await;
}

async fn outside_systems_are_repaired_at_the_next_resync(stage: &Stage) {
    stage.sql("REVOKE SELECT ON tenant_acme.findings FROM tenant_acme").await;
    stage.sql("ALTER ROLE tenant_acme LOGIN").await;
    stage.bao("DELETE", "sys/policies/acl/tenant_acme_policy", None).await.unwrap();
    let widened = json!({ "allowed_policies": ["root"] });
    stage.bao("POST", "auth/token/roles/tenant_acme", Some(widened)).await.unwrap();

    let grants = "SELECT has_table_privilege('tenant_acme', 'tenant_acme.findings', 'SELECT') AND NOT rolcanlogin FROM pg_roles WHERE rolname = 'tenant_acme'";
    until(LONG, "the grants are back", async || Ok(stage.ask(grants).await == "true")).await.unwrap();
    until(LONG, "policy and role are back", async || {
        let policy = stage.bao("GET", "sys/policies/acl/tenant_acme_policy", None).await;
        let role = stage.bao("GET", "auth/token/roles/tenant_acme", None).await;
        let allowed = role.as_ref().and_then(|role| role.pointer("/data/allowed_policies")).cloned();
        Ok(policy.is_some() && allowed == Some(json!(["tenant_acme_policy"])))
    })
    .await
    .unwrap();
}

async fn a_node_of_the_tenant_is_counted(stage: &Stage) {
    stage.wait("acme", "AgentsReady", "True", "NoNodes").await;
    let node: Node =
        serde_json::from_value(json!({ "metadata": { "name": "n1", "labels": { "tenantra.io/tenant": "acme" } } }))
            .unwrap();
    Api::<Node>::all(stage.client.clone()).create(&PostParams::default(), &node).await.unwrap();
    let tenant = stage.wait("acme", "AgentsReady", "False", "WaitingForAgents").await;
    assert_eq!(tenant.status.unwrap().agents.unwrap().desired, 1);
    stage.ready("acme").await;

    // The answer that `kubectl get tnt` prints.
    let request = http::Request::get("/apis/tenantra.io/v1alpha1/tenants")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = stage.client.request(request).await.unwrap();
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().filter_map(|c| c["name"].as_str()).collect();
    for column in ["PLAN", "READY", "SCORE", "AGENTS", "AGE"] {
        assert!(names.contains(&column), "{names:?}");
    }
}
