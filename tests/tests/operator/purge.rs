//! Step 7: nothing is left, and it takes two people whom the API server itself tells apart.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::json;
use tests::harness::until;

use crate::stage::{LONG, Stage};
use crds::tenant::Tenant;

const POLICIES: &str = include_str!("../../../charts/tenantra/templates/admission.yaml");
const CISO: &str = "tenantra.io/purge-approved-by-ciso";
const COMPLIANCE: &str = "tenantra.io/purge-approved-by-compliance";

#[tokio::test]
async fn a_purge_takes_two_people_and_leaves_nothing() {
    let stage = Stage::new().await;
    install_policies(&stage).await;
    for user in ["ada", "bob"] {
        allow(&stage, user, &["get", "patch", "update", "approve-purge"]).await;
    }
    allow(&stage, "eve", &["get", "patch", "update"]).await;
    let _operator = stage.operator("one", &[]);
    stage.apply("acme", json!({ "deletionPolicy": "Purge", "purgeAfter": "1s" })).await;
    let id = stage.ready("acme").await.status.unwrap().tenant_id.unwrap();
    stage
        .bao("POST", "secret/data/tenants/acme/deep/smtp", Some(json!({ "data": { "password": "x" } })))
        .await
        .unwrap();

    let [ada, bob, eve] = [client(&stage, "ada").await, client(&stage, "bob").await, client(&stage, "eve").await];
    assert!(refusal(&eve, CISO, "eve").await.contains("verb approve-purge"));
    assert!(refusal(&ada, CISO, "bob").await.contains("your own user name"));
    approve(&ada, CISO, "ada").await.unwrap();
    assert!(refusal(&ada, COMPLIANCE, "ada").await.contains("two people"));
    approve(&bob, COMPLIANCE, "bob").await.unwrap();
    assert!(refusal(&bob, CISO, "bob").await.contains("never changed"));
    let moved = json!({ "spec": { "database": { "instance": "second" } } });
    let moved =
        Api::<Tenant>::all(ada.clone()).patch("acme", &PatchParams::default(), &Patch::Merge(moved)).await.unwrap_err();
    assert!(moved.to_string().contains("verb move"), "{moved}");

    stage.delete("acme").await;
    stage.gone("acme").await;
    until(LONG, "the row says purged", async || {
        Ok(stage.ask(&format!("SELECT state FROM shared.tenants WHERE tenant_id = '{id}'")).await == "purged")
    })
    .await
    .unwrap();
    assert_eq!(stage.ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_acme'").await, "0");
    assert_eq!(stage.ask("SELECT count(*) FROM pg_roles WHERE rolname = 'tenant_acme'").await, "0");
    for path in [
        "sys/policies/acl/tenant_acme_policy",
        "auth/token/roles/tenant_acme",
        "auth/kubernetes/role/tenant-acme",
        "transit/keys/tenant-acme",
        "transit/keys/audit-acme",
        "pki/roles/tenant-acme",
        "secret/metadata/tenants/acme/deep/smtp",
        "secret/metadata/tenants/acme/.tenantra",
    ] {
        assert!(stage.bao("GET", path, None).await.is_none(), "{path} is left");
    }
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    for name in ["tenant-acme", "tenantra-agent-acme"] {
        until(LONG, &format!("{name} is gone"), async || Ok(namespaces.get_opt(name).await?.is_none())).await.unwrap();
    }
    // The slug is free again, for another tenant.
    stage.apply("acme", json!({})).await;
    assert_ne!(stage.ready("acme").await.status.unwrap().tenant_id, Some(id));
}

#[tokio::test]
async fn without_approvals_nothing_is_purged() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    let same = json!({ CISO: "ada", COMPLIANCE: "ada" });
    stage.apply_with("same", same, json!({ "deletionPolicy": "Purge", "purgeAfter": "1s" })).await;
    stage.apply("none", json!({ "deletionPolicy": "Purge", "purgeAfter": "1s" })).await;
    for slug in ["same", "none"] {
        stage.ready(slug).await;
        stage.delete(slug).await;
        stage.gone(slug).await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(13)).await;
    assert_eq!(stage.ask("SELECT count(*) FROM shared.tenants WHERE state = 'offboarded'").await, "2");
    assert_eq!(
        stage.ask("SELECT count(*) FROM pg_namespace WHERE nspname IN ('tenant_same', 'tenant_none')").await,
        "2"
    );
}

async fn client(stage: &Stage, user: &str) -> Client {
    stage.world.cluster.client_as(user, &[]).await.unwrap()
}

async fn approve(client: &Client, key: &str, value: &str) -> kube::Result<Tenant> {
    let body = json!({ "metadata": { "annotations": { key: value } } });
    Api::<Tenant>::all(client.clone()).patch("acme", &PatchParams::default(), &Patch::Merge(body)).await
}

async fn refusal(client: &Client, key: &str, value: &str) -> String {
    approve(client, key, value).await.unwrap_err().to_string()
}

async fn allow(stage: &Stage, user: &str, verbs: &[&str]) {
    let rbac = |kind: &str| ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind));
    let documents = [
        (
            "ClusterRole",
            json!({ "rules": [{ "apiGroups": ["tenantra.io"], "resources": ["tenants"], "verbs": verbs }] }),
        ),
        (
            "ClusterRoleBinding",
            json!({
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
            }),
        ),
    ];
    for (kind, mut body) in documents {
        body["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
        body["kind"] = kind.into();
        body["metadata"] = json!({ "name": user });
        let api: Api<DynamicObject> = Api::all_with(stage.client.clone(), &rbac(kind));
        api.patch(user, &PatchParams::apply("tests"), &Patch::Apply(body)).await.unwrap();
    }
}

pub async fn install_policies(stage: &Stage) {
    for document in POLICIES.replace("{{ .Release.Namespace }}", "tenantra-system").split("\n---\n") {
        let body: serde_json::Value = serde_saphyr::from_str(document).unwrap();
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", body["kind"].as_str().unwrap());
        let mut resource = ApiResource::from_gvk(&gvk);
        if resource.kind == "ValidatingAdmissionPolicy" {
            resource.plural = "validatingadmissionpolicies".into();
        }
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        let api: Api<DynamicObject> = Api::all_with(stage.client.clone(), &resource);
        api.patch(&name, &PatchParams::apply("tests"), &Patch::Apply(&body)).await.unwrap();
    }
    // The API server takes a policy into use a moment after it was written.
    let probe = json!({ "displayName": "Probe" });
    until(LONG, "the policies are in force", async || {
        let body = json!({
            "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant",
            "metadata": { "name": "probe", "annotations": { CISO: "nobody" } }, "spec": probe,
        });
        let params = PatchParams::apply("tests").dry_run();
        Ok(stage.tenants.patch("probe", &params, &Patch::Apply(body)).await.is_err())
    })
    .await
    .unwrap();
}
