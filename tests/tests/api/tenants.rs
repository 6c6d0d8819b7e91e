//! Tenants through their resource: made, listed, suspended, deleted, and left alone where a GitOps tool has them.

use std::time::Duration;

use anyhow::Result;
use crds::tenant::Tenant;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use reqwest::{Method, StatusCode};
use serde_json::json;
use store::tenants::{Progress, TenantState};
use tests::harness::until;
use uuid::Uuid;

use crate::fixture::{Fixture, enroll_request, expect};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_read_and_deleted_through_its_resource() -> Result<()> {
    let fixture = Fixture::start().await?;
    let admin = fixture.admin().await?;
    let me = admin.get("/v1/auth/me").expect(StatusCode::OK).await?;
    let body = json!({ "slug": "acme", "spec": { "displayName": "Acme Corp", "plan": "Pro" } });
    let made = admin.post("/v1/tenants", &body).expect(StatusCode::ACCEPTED).await?;
    assert_eq!(made["status"], "provisioning");
    let id = made["tenant_id"].as_str().unwrap().to_owned();

    // The caller reads their own write at once, by UUID and by slug.
    let response = admin.get(&format!("/v1/tenants/{id}")).send().await?;
    let etag = response.headers()["etag"].to_str()?.to_owned();
    let tenant = expect(response, StatusCode::OK).await?;
    assert_eq!((&tenant["slug"], &tenant["plan"], &tenant["id"]), (&json!("acme"), &json!("Pro"), &json!(id)));
    let list = admin.get("/v1/tenants").expect(StatusCode::OK).await?;
    assert_eq!((&list["total"], &list["items"][0]["slug"]), (&json!(1), &json!("acme")));
    let unchanged = admin.get("/v1/tenants/acme").header("if-none-match", &etag).send().await?;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);

    let api: Api<Tenant> = Api::all(fixture.cluster.client.clone());
    let object = api.get("acme").await?;
    assert_eq!(object.annotations()["tenantra.io/changed-by"], me["id"].as_str().unwrap());
    assert!(object.managed_fields().iter().any(|fields| fields.manager.as_deref() == Some("tenantra-api")));

    admin.post("/v1/tenants", &body).expect(StatusCode::CONFLICT).await?;
    // Kubernetes' own sentences come through.
    let unknown = json!({ "slug": "other", "spec": { "displayName": "O", "colour": "red" } });
    let refused = admin.post("/v1/tenants", &unknown).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    assert!(refused["message"].as_str().unwrap().contains("colour"), "{refused}");
    let reserved = json!({ "slug": "platform", "spec": { "displayName": "O" } });
    let refused = admin.post("/v1/tenants", &reserved).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    assert!(refused["message"].as_str().unwrap().contains("choose another"), "{refused}");

    let stale =
        admin.delete("/v1/tenants/acme").header("if-match", "\"1\"").expect(StatusCode::PRECONDITION_FAILED).await?;
    assert_eq!(stale["code"], "precondition_failed");
    admin.delete("/v1/tenants/acme").header("if-match", &etag).expect(StatusCode::ACCEPTED).await?;
    admin.get("/v1/tenants/acme").expect(StatusCode::NOT_FOUND).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitops_tools_tenant_is_read_only_here() -> Result<()> {
    let fixture = Fixture::start().await?;
    let api: Api<Tenant> = Api::all(fixture.cluster.client.clone());
    let object = json!({
        "apiVersion": "tenantra.io/v1alpha1", "kind": "Tenant", "metadata": { "name": "acme" }, "spec": { "displayName": "A" },
    });
    api.patch("acme", &PatchParams::apply("kustomize-controller"), &Patch::Apply(&object)).await?;
    let admin = fixture.admin().await?;
    until(Duration::from_secs(5), "the API knows the tenant", async || {
        Ok(admin.get("/v1/tenants").expect(StatusCode::OK).await?["total"] == 1)
    })
    .await?;
    let refused = admin.delete("/v1/tenants/acme").expect(StatusCode::CONFLICT).await?;
    assert_eq!(
        (&refused["code"], &refused["details"]["manager"]),
        (&json!("managed_by_gitops"), &json!("kustomize-controller"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_refused_everywhere_and_comes_back() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Pro" })).await?;
    let ada = fixture.person("acme", "admin").await?;
    let host = fixture.host("acme").await?;
    let token = fixture.enrollment_token("acme", 5).await?;
    host.jobs(0, 1).await?;

    let api: Api<Tenant> = Api::all(fixture.cluster.client.clone());
    let suspend = |is_suspended: bool| Patch::Merge(json!({ "spec": { "suspend": is_suspended } }));
    api.patch("acme", &PatchParams::default(), &suspend(true)).await?;
    until(Duration::from_secs(2), "the suspension holds", async || {
        Ok(ada.get("/v1/overview").send().await?.status() == StatusCode::FORBIDDEN)
    })
    .await?;
    for path in ["/v1/overview", "/v1/findings", "/v1/agents", "/v1/users", "/v1/auth/me"] {
        assert_eq!(ada.get(path).expect(StatusCode::FORBIDDEN).await?["code"], "tenant_suspended", "{path}");
    }
    assert!(fixture.sign_in("admin@acme.example", "Another-Horse-Battery-8").await.is_err());
    let refused = host.post("/v1/agents/heartbeat", &json!({ "state": state() })).await?;
    assert_eq!(expect(refused, StatusCode::FORBIDDEN).await?["code"], "tenant_suspended");
    let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
    let credential = json!({ "type": "enrollment_token", "token": token });
    let request = crate::fixture::enroll_request(&credential, &key, uuid::Uuid::new_v4());
    let refused = fixture.request(reqwest::Method::POST, "/v1/agents/enroll/self").0.json(&request).send().await?;
    expect(refused, StatusCode::FORBIDDEN).await?;

    api.patch("acme", &PatchParams::default(), &suspend(false)).await?;
    until(Duration::from_secs(2), "the suspension is over", async || {
        Ok(ada.get("/v1/overview").send().await?.status() == StatusCode::OK)
    })
    .await?;
    expect(host.post("/v1/agents/heartbeat", &json!({ "state": state() })).await?, StatusCode::OK).await?;
    // The refused enrolment took no use of the token.
    let tokens = ada.get("/v1/agents/enrollment-tokens").expect(StatusCode::OK).await?;
    assert_eq!(tokens["items"][0]["uses"], 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_a_retained_tenants_slug_opens_nothing_before_it_is_adopted() -> Result<()> {
    let fixture = Fixture::start().await?;
    let tenant = fixture.tenant("acme", json!({ "plan": "Pro" })).await?;
    let ada = fixture.person("acme", "admin").await?;
    let host = fixture.host("acme").await?;
    let token = fixture.enrollment_token("acme", 5).await?;
    let set = async |state: TenantState| -> Result<()> {
        let mut tx = fixture.owner.begin().await?;
        let progress = Progress { state, step: String::new(), purge_after: None };
        store::tenants::set_progress(&mut tx, tenant.id, &progress).await?;
        Ok(tx.commit().await?)
    };
    let has_account = async || -> Result<bool> {
        let mut tx = fixture.api_db()?.platform().await?;
        Ok(store::users::by_login(&mut tx, "eve@evil.example").await?.is_some())
    };
    set(TenantState::Retained).await?;
    // The operator says Stalled/SlugRetained to this object; here it is only seen.
    let api: Api<Tenant> = Api::all(fixture.cluster.client.clone());
    let named = Patch::Merge(json!({ "spec": { "admin": { "email": "eve@evil.example" } } }));
    api.patch("acme", &PatchParams::default(), &named).await?;

    let admin = fixture.admin().await?;
    for call in [ada.get("/v1/overview"), ada.get("/v1/auth/me"), admin.get("/v1/findings").tenant("acme")] {
        assert_eq!(call.expect(StatusCode::FORBIDDEN).await?["code"], "tenant_suspended");
    }
    assert!(fixture.sign_in("admin@acme.example", "Another-Horse-Battery-8").await.is_err());
    let refused = host.post("/v1/agents/heartbeat", &json!({ "state": state() })).await?;
    assert_eq!(expect(refused, StatusCode::FORBIDDEN).await?["code"], "tenant_suspended");
    let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
    let request = enroll_request(&json!({ "type": "enrollment_token", "token": token }), &key, Uuid::new_v4());
    let enroll = || fixture.request(Method::POST, "/v1/agents/enroll/self").0.json(&request).send();
    expect(enroll().await?, StatusCode::FORBIDDEN).await?;
    let again = json!({ "slug": "acme", "spec": { "displayName": "A" } });
    let refused = admin.post("/v1/tenants", &again).expect(StatusCode::CONFLICT).await?;
    assert_eq!(refused["code"], "slug_retained");
    assert!(!refused["message"].as_str().unwrap().contains(&tenant.id.to_string()), "{refused}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!has_account().await?, "the address of a manifest that was refused got an account");

    set(TenantState::Active).await?;
    ada.get("/v1/overview").expect(StatusCode::OK).await?;
    expect(enroll().await?, StatusCode::CREATED).await?;
    until(Duration::from_mins(1), "the first administrator has an account", has_account).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uuid_of_a_purged_tenant_is_not_its_successors() -> Result<()> {
    let fixture = Fixture::start().await?;
    let purged = fixture.tenant("acme", json!({ "plan": "Pro" })).await?;
    let mut tx = fixture.owner.begin().await?;
    store::tenants::purge(&mut tx, purged.id).await?;
    let successor = store::tenants::ensure(&mut tx, &purged.slug).await?.tenant;
    tx.commit().await?;
    let admin = fixture.admin().await?;
    let path = format!("/v1/tenants/{}", purged.id);
    admin.get(&path).expect(StatusCode::NOT_FOUND).await?;
    admin.delete(&path).expect(StatusCode::NOT_FOUND).await?;
    let there = admin.get(&format!("/v1/tenants/{}", successor.id)).expect(StatusCode::OK).await?;
    assert_eq!((&there["slug"], &there["deleting"]), (&json!("acme"), &json!(false)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_words_and_the_parent_are_the_platforms() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("child", json!({ "plan": "Pro", "parent": "acme" })).await?;
    let api: Api<Tenant> = Api::all(fixture.cluster.client.clone());
    let condition = json!({
        "type": "Ready", "status": "False", "reason": "PostgresUnavailable",
        "message": "Postgres is not reachable: 10.0.0.7", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = Patch::Merge(json!({ "status": { "conditions": [condition] } }));
    api.patch_status("child", &PatchParams::default(), &status).await?;
    let admin = fixture.admin().await?;
    until(Duration::from_secs(5), "the API knows the condition", async || {
        let seen = admin.get("/v1/tenants/current").tenant("child").expect(StatusCode::OK).await?;
        let message = seen["conditions"][0]["message"].as_str().unwrap_or_default();
        Ok(message.ends_with("10.0.0.7") && seen["parent"] == "acme")
    })
    .await?;
    let ada = fixture.person("child", "admin").await?;
    let seen = ada.get("/v1/tenants/current").expect(StatusCode::OK).await?;
    assert_eq!((&seen["parent"], &seen["reason"]), (&json!(null), &json!("PostgresUnavailable")));
    let shown = &seen["conditions"][0];
    assert_eq!((&shown["type"], &shown["status"]), (&json!("Ready"), &json!("False")));
    assert!(shown.get("message").is_none(), "{shown}");
    Ok(())
}

fn state() -> serde_json::Value {
    json!({ "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0 })
}
