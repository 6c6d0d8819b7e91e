//! The three kinds of a tenant's namespace, suspension, pauses and requests for a pass.

use catalog::Entry;
use catalog::lifecycle::GateReport;
use catalog::module::Module;
use kube::Api;
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::modules;
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
    let shipped = catalog.entries().first().unwrap();
    let known = &shipped.module.slug;
    stage.bring(shipped).await;
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

    modules_of_the_database(&stage, shipped).await;
    suspension_pauses_and_requests(&stage).await;
}

/// A module that no release of ours has, on its way from draft to retired.
async fn modules_of_the_database(stage: &Stage, shipped: &Entry) {
    let is = async |condition: &str, status: &str, reason: &str| {
        expect::<ScanSchedule>(stage, "tenant-acme", "ours", condition, status, reason).await;
    };
    let (slug, version) = ("our-own", "1.0.0");
    let ours = json!({ "schedule": "@daily", "modules": [{ "slug": slug, "version": version }, { "slug": shipped.module.slug }] });
    create::<ScanSchedule>(stage, "tenant-acme", "ScanSchedule", "ours", &ours).await;
    is("Stalled", "True", "UnknownModule").await;
    let module = Module { slug: slug.to_owned(), version: version.parse().unwrap(), ..shipped.module.clone() };
    let entry = Entry { module, checksum: "a".repeat(64), path: String::new() };
    let db = stage.owner();
    let mut tx = db.begin().await.unwrap();
    modules::put_draft(&mut tx, &entry).await.unwrap();
    tx.commit().await.unwrap();
    is("Stalled", "True", "ModuleNotReleased").await;

    let report = GateReport {
        checksum: entry.checksum.clone(),
        passed: true,
        at: chrono::Utc::now(),
        by: "tests".to_owned(),
        gates: Vec::new(),
    };
    let mut tx = db.begin().await.unwrap();
    modules::record_gates(&mut tx, slug, version, &report).await.unwrap();
    for _ in 0..2 {
        modules::promote(&mut tx, slug, version, modules::Succession::default(), "tests").await.unwrap();
    }
    tx.commit().await.unwrap();
    is("Ready", "False", "NotYetSupported").await;

    let mut tx = db.begin().await.unwrap();
    let sunset = chrono::Utc::now() + chrono::Duration::hours(1);
    modules::deprecate(&mut tx, slug, version, sunset, "tests").await.unwrap();
    tx.commit().await.unwrap();
    eventually(LONG, "the schedule says that its module is deprecated", async || {
        let schedule = Api::<ScanSchedule>::namespaced(stage.client.clone(), "tenant-acme").get("ours").await?;
        let text = serde_json::to_string(&schedule.status)?;
        Ok(text.contains("our-own 1.0.0 is deprecated").then_some(()))
    })
    .await
    .unwrap();
    is("Ready", "False", "NotYetSupported").await;

    let mut tx = db.begin().await.unwrap();
    modules::retire(&mut tx, slug, version, "tests").await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    is("Stalled", "True", "ModuleRetired").await;
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

pub async fn create<K>(stage: &Stage, namespace: &str, kind: &str, name: &str, spec: &Value)
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

pub async fn expect<K>(stage: &Stage, namespace: &str, name: &str, condition: &str, status: &str, reason: &str)
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
