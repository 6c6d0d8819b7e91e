//! The three kinds of a tenant's namespace, suspension, pauses and requests for a pass.

use kube::Api;
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::harness::eventually;

use crate::stage::{LONG, Stage, says};
use crds::alert_rule::AlertRule;
use crds::cloud_account::CloudAccount;
use crds::scan_schedule::ScanSchedule;

#[tokio::test]
async fn objects_in_a_tenants_namespace_are_checked_and_told_honestly() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    stage.apply("acme", json!({})).await;
    stage.ready("acme").await;

    let schedule = |module: &str| json!({ "schedule": "@daily", "modules": [{ "slug": module }] });
    let catalog = catalog::Catalog::embedded().unwrap();
    let known = &catalog.entries().first().unwrap().module.slug;
    let rule = json!({ "on": "finding", "channels": [{ "inApp": {} }] });
    let account = json!({ "provider": "aws", "accountId": "123456789012", "credentialReference": { "path": "aws", "key": "role" } });

    create::<ScanSchedule>(&stage, "tenant-acme", "ScanSchedule", "good", &schedule(known)).await;
    create::<ScanSchedule>(&stage, "tenant-acme", "ScanSchedule", "bad", &schedule("no-such-module")).await;
    create::<ScanSchedule>(&stage, "default", "ScanSchedule", "lost", &schedule(known)).await;
    create::<AlertRule>(&stage, "tenant-acme", "AlertRule", "rule", &rule).await;
    create::<CloudAccount>(&stage, "tenant-acme", "CloudAccount", "account", &account).await;

    expect::<ScanSchedule>(&stage, "tenant-acme", "good", "Ready", "False", "NotYetSupported").await;
    expect::<ScanSchedule>(&stage, "tenant-acme", "bad", "Stalled", "True", "UnknownModule").await;
    expect::<ScanSchedule>(&stage, "default", "lost", "Stalled", "True", "NoTenant").await;
    expect::<AlertRule>(&stage, "tenant-acme", "rule", "Ready", "False", "NotYetSupported").await;
    expect::<CloudAccount>(&stage, "tenant-acme", "account", "Ready", "False", "NotYetSupported").await;

    suspension_pauses_and_requests(&stage).await;
}

async fn suspension_pauses_and_requests(stage: &Stage) {
    stage.apply("acme", json!({ "suspend": true })).await;
    stage.wait("acme", "Ready", "True", "Suspended").await;
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'acme'").await, "suspended");
    stage.apply("acme", json!({})).await;
    stage.ready("acme").await;
    assert_eq!(stage.ask("SELECT state FROM shared.tenants WHERE slug = 'acme'").await, "active");
    stage.annotate("acme", "tenantra.io/suspended-by", "ada").await;
    stage.wait("acme", "Ready", "True", "Suspended").await;
    stage.annotate("acme", "tenantra.io/suspended-by", "").await;
    stage.ready("acme").await;

    stage.annotate("acme", "tenantra.io/reconcile-requested-at", "now").await;
    eventually(LONG, "the request is echoed", async || {
        let tenant = stage.tenants.get("acme").await?;
        Ok((tenant.status.and_then(|s| s.last_handled_reconcile_at).as_deref() == Some("now")).then_some(()))
    })
    .await
    .unwrap();

    stage.annotate("acme", "tenantra.io/reconcile", "disabled").await;
    stage.wait("acme", "Paused", "True", "").await;
    let roles = stage.objects("Role", "tenant-acme");
    roles.delete("tenantra-admin", &kube::api::DeleteParams::default()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(roles.get_opt("tenantra-admin").await.unwrap().is_none(), "a paused tenant is left alone");
    stage.annotate("acme", "tenantra.io/reconcile", "enabled").await;
    eventually(LONG, "the role is back", async || Ok(roles.get_opt("tenantra-admin").await?)).await.unwrap();
    let tenant = stage.ready("acme").await;
    assert_eq!(says(&tenant, "Paused"), None);
}

async fn create<K>(stage: &Stage, namespace: &str, kind: &str, name: &str, spec: &Value)
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let body =
        json!({ "apiVersion": "tenantra.io/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec });
    let object: K = serde_json::from_value(body).unwrap();
    Api::<K>::namespaced(stage.client.clone(), namespace).create(&PostParams::default(), &object).await.unwrap();
}

async fn expect<K>(stage: &Stage, namespace: &str, name: &str, condition: &str, status: &str, reason: &str)
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(stage.client.clone(), namespace);
    eventually(LONG, &format!("{name} has {condition}={status} {reason}"), async || {
        let object = serde_json::to_value(api.get(name).await?)?;
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let found =
            conditions.iter().find(|c| c["type"] == condition).map(|c| (c["status"].clone(), c["reason"].clone()));
        anyhow::ensure!(found == Some((status.into(), reason.into())), "it says {found:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
}
