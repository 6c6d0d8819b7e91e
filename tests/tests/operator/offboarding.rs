//! Deleting a tenant: what its policy takes back, what holds it, and what the deletion of the kind itself does not do.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::json;
use tests::harness::until;

use crate::stage::{LONG, Stage};

#[tokio::test]
async fn a_retained_tenant_keeps_its_data_and_its_slug() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    stage.apply("acme", json!({})).await;
    let id = stage.ready("acme").await.status.unwrap().tenant_id.unwrap();
    stage.bao("POST", "secret/data/tenants/acme/smtp", Some(json!({ "data": { "password": "x" } }))).await.unwrap();

    stage.delete("acme").await;
    stage.gone("acme").await;
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'acme'").await, "retained");
    assert_eq!(stage.ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_acme'").await, "1");
    assert!(namespaces.get_opt("tenant-acme").await.unwrap().is_some());
    until(LONG, "the agents are gone", async || Ok(namespaces.get_opt("tenantra-agent-acme").await?.is_none()))
        .await
        .unwrap();
    // Nobody gets in, but the secrets are kept.
    assert!(stage.bao("GET", "sys/policies/acl/tenant_acme_policy", None).await.is_none());
    assert!(stage.bao("GET", "auth/token/roles/tenant_acme", None).await.is_none());
    assert!(stage.bao("GET", "secret/data/tenants/acme/smtp", None).await.is_some());
    assert!(stage.bao("GET", "transit/keys/tenant-acme", None).await.is_some());
    let steps = "SELECT string_agg(action || COALESCE(' ' || (details->'details'->>'skipped'), ''), ',' ORDER BY created_at, audit_id) FROM shared.platform_audit WHERE action LIKE 'offboard.%'";
    let expected = "offboard.suspended false,offboard.exported true,offboard.revoked false,offboard.realm_disabled true,offboard.logs_archived true,offboard.workloads_removed false,offboard.retained";
    assert_eq!(stage.ask(steps).await, expected);

    // The slug is not reused, unless the manifest names whom it continues.
    stage.apply("acme", json!({})).await;
    stage.wait("acme", "Stalled", "True", "SlugRetained").await;
    stage.delete("acme").await;
    stage.gone("acme").await;
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'acme'").await, "retained");
    stage.apply_with("acme", json!({ "tenantra.io/adopt": id }), json!({})).await;
    let adopted = stage.ready("acme").await;
    assert_eq!(adopted.status.unwrap().tenant_id, Some(id));
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'acme'").await, "active");
    assert!(stage.bao("GET", "sys/policies/acl/tenant_acme_policy", None).await.is_some());

    an_archive_is_held(&stage).await;
    many_deletions_are_held(&stage).await;
}

async fn an_archive_is_held(stage: &Stage) {
    stage.apply("archived", json!({ "deletionPolicy": "Archive" })).await;
    stage.ready("archived").await;
    stage.delete("archived").await;
    stage.wait("archived", "Stalled", "True", "NotYetSupported").await;
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'archived'").await, "active");
    assert!(stage.bao("GET", "auth/token/roles/tenant_archived", None).await.is_some());
    stage.apply("archived", json!({ "deletionPolicy": "Retain" })).await;
    stage.gone("archived").await;
}

async fn many_deletions_are_held(stage: &Stage) {
    let slugs: Vec<String> = (0..11).map(|number| format!("m{number}")).collect();
    for slug in &slugs {
        stage.apply(slug, json!({ "agent": { "enabled": false } })).await;
    }
    for slug in &slugs {
        stage.ready(slug).await;
    }
    for slug in &slugs {
        stage.delete(slug).await;
    }
    for slug in &slugs {
        stage.wait(slug, "Stalled", "True", "MassDeletion").await;
    }
    for slug in &slugs {
        stage.annotate(slug, "tenantra.io/confirm-mass-deletion", "true").await;
    }
    for slug in &slugs {
        stage.gone(slug).await;
    }
}

#[tokio::test]
async fn deleting_the_kind_releases_its_tenants_and_removes_nothing() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    stage.apply("acme", json!({ "deletionPolicy": "Purge", "purgeAfter": "1s" })).await;
    let id = stage.ready("acme").await.status.unwrap().tenant_id.unwrap();

    let kinds: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    kinds.delete("tenants.tenantra.io", &kube::api::DeleteParams::default()).await.unwrap();
    until(LONG, "the kind is gone", async || Ok(kinds.get_opt("tenants.tenantra.io").await?.is_none())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'acme'").await, "active");
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    assert!(namespaces.get("tenantra-agent-acme").await.unwrap().metadata.deletion_timestamp.is_none());
    assert!(stage.bao("GET", "auth/token/roles/tenant_acme", None).await.is_some());

    // The same manifests again continue where it was.
    stage.world.cluster.install_crds().await.unwrap();
    stage.apply("acme", json!({})).await;
    assert_eq!(stage.ready("acme").await.status.unwrap().tenant_id, Some(id));
}

#[tokio::test]
async fn a_tenant_that_was_never_made_anywhere_goes_at_once() {
    let stage = Stage::new().await;
    // No operator leads: the object has no finalizer, or one that a dead operator left.
    stage.apply("acme", json!({})).await;
    let body = json!({ "metadata": { "finalizers": ["tenantra.io/offboard"] } });
    stage.tenants.patch("acme", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(body)).await.unwrap();
    stage.delete("acme").await;
    let _operator = stage.operator("one", &[]);
    stage.gone("acme").await;
}
