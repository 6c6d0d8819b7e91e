//! The catalog through the API: what a tenant sees and chooses, what its agents then get, and the platform's steps of a version.

use std::time::Duration;

use anyhow::Result;
use catalog::lifecycle::{Gate, GateReport};
use chrono::Utc;
use crds::tenant::Tenant;
use kube::Api;
use kube::api::{Patch, PatchParams};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use store::TenantRef;
use store::jobs::NewJob;
use tests::harness::until;

use crate::fixture::{CATALOG, Fixture, Host, Person, version_of};

const CRON: &str = "linux-cron";

fn put(person: &Person<'_>, path: &str, body: &Value) -> crate::fixture::Call {
    crate::fixture::Call(person.call(Method::PUT, path).0.json(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reads_the_catalog_and_chooses_in_its_resource() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("other", json!({ "plan": "Enterprise" })).await?;
    let (ada, rita) = (fixture.person("acme", "admin").await?, fixture.person("acme", "readonly").await?);
    let all = rita.get("/v1/modules?page_size=2").expect(StatusCode::OK).await?;
    assert_eq!((&all["total"], all["items"].as_array().unwrap().len()), (&json!(CATALOG.latest().count()), 2));
    assert!(all["items"].as_array().unwrap().iter().all(|one| one["enabled"] == true && one["state"] == "released"));
    let one = rita.get("/v1/modules?q=linux-cron&category=compliance").expect(StatusCode::OK).await?;
    assert_eq!(one["items"][0]["slug"], CRON);
    rita.get("/v1/modules?state=gone").expect(StatusCode::BAD_REQUEST).await?;
    let shown = rita.get("/v1/modules/linux-cron").expect(StatusCode::OK).await?;
    assert!(
        shown["check_list"].as_array().unwrap().iter().all(|check| check["query"].as_str().unwrap().contains("SELECT"))
    );
    assert_eq!(shown["parameters"]["type"], "object");
    let versions = rita.get("/v1/modules/linux-cron/versions").expect(StatusCode::OK).await?;
    assert_eq!((&versions["total"], &versions["items"][0]["schedulable"]), (&json!(1), &json!(true)));
    assert_eq!(versions["items"][0]["gates"]["passed"], true);
    let response = rita.get("/v1/modules/linux-cron").send().await?;
    let etag = response.headers()["etag"].to_str()?.to_owned();
    let same = rita.get("/v1/modules/linux-cron").header("if-none-match", &etag).send().await?;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    for path in ["/v1/modules/nothing", "/v1/modules/nothing/versions", "/v1/modules/%2e%2e%2f"] {
        rita.get(path).expect(StatusCode::NOT_FOUND).await?;
    }
    let billing = fixture.person("acme", "billing_viewer").await?;
    assert_eq!(billing.get("/v1/modules").expect(StatusCode::FORBIDDEN).await?["code"], "forbidden");
    rita.get("/v1/modules").tenant("other").expect(StatusCode::NOT_FOUND).await?;

    // The switch is the resource's: what GitOps reads is what is so.
    let switch =
        |person, enabled: bool| put(person, "/v1/modules/linux-cron/enablement", &json!({ "enabled": enabled }));
    switch(&rita, false).expect(StatusCode::FORBIDDEN).await?;
    assert_eq!(switch(&ada, false).expect(StatusCode::OK).await?["enabled"], false);
    let api: Api<Tenant> = Api::all(fixture.cluster.client.clone());
    assert_eq!(api.get("acme").await?.spec.modules.unwrap().disable, [CRON]);
    let off = ada.get("/v1/modules?enabled=false").expect(StatusCode::OK).await?;
    assert_eq!((&off["total"], &off["items"][0]["slug"]), (&json!(1), &json!(CRON)));
    assert_eq!(switch(&ada, false).expect(StatusCode::OK).await?["enabled"], false, "the same again");
    let stale = switch(&ada, true).header("if-match", "\"1\"").expect(StatusCode::PRECONDITION_FAILED).await?;
    assert_eq!(stale["code"], "precondition_failed");
    assert_eq!(switch(&ada, true).expect(StatusCode::OK).await?["enabled"], true);
    assert!(api.get("acme").await?.spec.modules.unwrap().disable.is_empty());
    put(&ada, "/v1/modules/nothing/enablement", &json!({ "enabled": true })).expect(StatusCode::NOT_FOUND).await?;
    let unknown = put(&ada, "/v1/modules/linux-cron/enablement", &json!({ "enabled": true, "colour": 1 }));
    assert_eq!(unknown.expect(StatusCode::UNPROCESSABLE_ENTITY).await?["details"]["field"], "colour");

    // A pattern that people wrote is theirs.
    let pattern = Patch::Merge(json!({ "spec": { "modules": { "disable": ["linux-c*"] } } }));
    api.patch("acme", &PatchParams::default(), &pattern).await?;
    until(Duration::from_secs(5), "the pattern is known", async || {
        Ok(ada.get("/v1/modules/linux-cron").expect(StatusCode::OK).await?["enabled"] == false)
    })
    .await?;
    let refused = switch(&ada, true).expect(StatusCode::CONFLICT).await?;
    assert!(refused["message"].as_str().unwrap().contains("linux-c*"), "{refused}");

    // The free plan chooses none.
    fixture.tenant("free", json!({ "plan": "Free" })).await?;
    let bob = fixture.person("free", "admin").await?;
    assert_eq!(switch(&bob, false).expect(StatusCode::FORBIDDEN).await?["code"], "feature_not_in_plan");
    Ok(())
}

async fn enqueue(fixture: &Fixture, host: &Host, slug: &str, version: &str) -> Result<NewJob> {
    let tenant = TenantRef { slug: store::Slug::parse(&host.enrolled.tenant.slug)?, id: host.enrolled.tenant.id };
    let job = NewJob::now(host.agent_id, slug, version, catalog::module::Profile::BaselineFast, "tests");
    let mut tx = fixture.owner.begin().await?;
    store::jobs::enqueue_for(&mut tx, &tenant, std::slice::from_ref(&job)).await?;
    tx.commit().await?;
    Ok(job)
}

async fn modules_of_jobs(host: &Host) -> Result<Vec<String>> {
    let mut modules = Vec::new();
    loop {
        let answer = host.jobs(0, 32).await?;
        let jobs = answer["jobs"].as_array().unwrap().clone();
        if jobs.is_empty() {
            return Ok(modules);
        }
        modules.extend(jobs.iter().map(|job| job["module"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_refuses_what_the_tenant_has_not_enabled() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise", "modules": { "disable": [CRON] } })).await?;
    let host = fixture.host("acme").await?;
    let mut jobs = modules_of_jobs(&host).await?;
    assert!(!jobs.is_empty() && !jobs.contains(&CRON.to_owned()), "{jobs:?}");
    // Queued all the same, as by a schedule of before: not handed out, and it says why.
    let job = enqueue(&fixture, &host, CRON, &version_of(CRON)).await?;
    enqueue(&fixture, &host, "linux-sudo", &version_of("linux-sudo")).await?;
    jobs = modules_of_jobs(&host).await?;
    assert_eq!(jobs, ["linux-sudo"]);
    let url = fixture.owner_url();
    let db = sqlx::PgPool::connect(&url).await?;
    let (state, why): (String, String) = sqlx::query_as("SELECT state, last_error FROM shared.jobs WHERE job_id = $1")
        .bind(job.job_id)
        .fetch_one(&db)
        .await?;
    assert!(state == "failed" && why.contains("not enabled"), "{state} {why}");
    db.close().await;
    // Nor anything that is not in the catalog.
    assert!(enqueue(&fixture, &host, "nothing", "1.0.0").await.is_err());
    Ok(())
}

fn document(version: &str, marked: bool) -> String {
    let mark = if marked { "state: draft\n" } else { "" };
    let tests = "tests:
  - { name: low, tables: { users: [{ uid: 1, username: ada }] }, expect: { low-uids: pass } }
  - { name: high, tables: { users: [{ uid: 11, username: ada }] }, expect: { low-uids: fail } }
";
    format!(
        "slug: our-module
version: {version}
{mark}title: Ours
category: identity
description: Decides one thing.
platforms: {{ os: [linux] }}
requires: {{ admin: false, tables: [users], network: [] }}
profile: baseline_fast
prerequisites: None.
limits: None.
privileges: None.
data_sensitivity: None.
checks:
  - id: low-uids
    title: Numbers are low
    severity: low
    query: SELECT username AS resource FROM users WHERE uid > 10
    rationale: An example.
    remediation: {{ text: Nothing. }}
    controls: {{}}
{}changelog: [{{ version: {version}, text: First release. }}]
",
        if marked { "" } else { tests }
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_takes_a_draft_to_its_release_and_to_its_end() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let (admin, ada) = (fixture.admin().await?, fixture.person("acme", "admin").await?);
    let host = fixture.host("acme").await?;
    modules_of_jobs(&host).await?;
    let send = |yaml: String| admin.post("/v1/modules", &json!({ "document": yaml }));
    ada.post("/v1/modules", &json!({ "document": document("1.0.0", true) })).expect(StatusCode::FORBIDDEN).await?;
    let draft = send(document("1.0.0", true)).expect(StatusCode::CREATED).await?;
    assert_eq!((&draft["state"], &draft["schedulable"]), (&json!("draft"), &json!(false)));
    send(document("1.0.0", true)).expect(StatusCode::OK).await?;
    let broken = send(document("1.0.0", false).replace("uid > 10", "uid > :most"))
        .expect(StatusCode::UNPROCESSABLE_ENTITY)
        .await?;
    assert!(broken["message"].as_str().unwrap().contains("checks[0].query"), "{broken}");
    let slash = send(document("1.0.0", true).replace("slug: our-module", "slug: ../our"))
        .expect(StatusCode::UNPROCESSABLE_ENTITY)
        .await?;
    assert!(slash["message"].as_str().unwrap().contains("kebab-case"), "{slash}");
    let large = send("x".repeat(2 << 20)).expect(StatusCode::PAYLOAD_TOO_LARGE).await?;
    assert_eq!(large["code"], "too_large");

    // Nobody in a tenant sees a draft, and nobody there moves one.
    ada.get("/v1/modules/our-module").expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(ada.get("/v1/modules?state=draft").expect(StatusCode::OK).await?["total"], 0);
    assert_eq!(admin.get("/v1/modules?state=draft").expect(StatusCode::OK).await?["items"][0]["slug"], "our-module");
    let promote = "/v1/modules/our-module/versions/1.0.0/promote";
    ada.post(promote, &json!({})).expect(StatusCode::FORBIDDEN).await?;
    admin.post("/v1/modules/our-module/versions/9.9.9/promote", &json!({})).expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(admin.post(promote, &json!({})).expect(StatusCode::CONFLICT).await?["code"], "gates_missing");

    let whole = send(document("1.0.0", false)).expect(StatusCode::OK).await?;
    let pass = async |version: &str, checksum: &Value| -> Result<()> {
        let report = GateReport {
            checksum: checksum.as_str().unwrap().to_owned(),
            passed: true,
            at: Utc::now(),
            by: "tests".to_owned(),
            gates: vec![Gate { name: "lint".to_owned(), passed: true, detail: String::new() }],
        };
        let mut tx = fixture.owner.begin().await?;
        store::modules::record_gates(&mut tx, "our-module", version, &report).await?;
        Ok(tx.commit().await?)
    };
    pass("1.0.0", &whole["checksum"]).await?;
    assert_eq!(admin.post(promote, &json!({})).expect(StatusCode::OK).await?["state"], "qa");
    let released = admin.post(promote, &json!({})).expect(StatusCode::OK).await?;
    assert_eq!((&released["state"], &released["schedulable"]), (&json!("released"), &json!(true)));
    assert_eq!(admin.post(promote, &json!({})).expect(StatusCode::CONFLICT).await?["code"], "wrong_state");
    assert_eq!(send(document("1.0.0", true)).expect(StatusCode::CONFLICT).await?["code"], "released");

    // Now tenants have it, and their agents can be asked for it.
    let seen = ada.get("/v1/modules/our-module").expect(StatusCode::OK).await?;
    assert_eq!((&seen["enabled"], &seen["check_list"][0]["id"]), (&json!(true), &json!("low-uids")));
    enqueue(&fixture, &host, "our-module", "1.0.0").await?;
    assert_eq!(modules_of_jobs(&host).await?, ["our-module"]);

    // A newer release takes its place.
    let newer = send(document("1.1.0", false)).expect(StatusCode::CREATED).await?;
    pass("1.1.0", &newer["checksum"]).await?;
    let promote = "/v1/modules/our-module/versions/1.1.0/promote";
    admin.post(promote, &json!({})).expect(StatusCode::OK).await?;
    admin.post(promote, &json!({})).expect(StatusCode::OK).await?;
    let versions = ada.get("/v1/modules/our-module/versions").expect(StatusCode::OK).await?;
    assert_eq!(
        (&versions["items"][0]["version"], &versions["items"][1]["state"]),
        (&json!("1.1.0"), &json!("deprecated"))
    );
    let retire = |version: &str| admin.post(&format!("/v1/modules/our-module/versions/{version}/retire"), &json!({}));
    assert_eq!(retire("1.1.0").expect(StatusCode::CONFLICT).await?["code"], "wrong_state");
    let deprecate =
        |sunset: Value| admin.post("/v1/modules/our-module/versions/1.1.0/deprecate", &json!({ "sunset_at": sunset }));
    deprecate(json!("2001-01-01T00:00:00Z")).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    let soon = Utc::now() + chrono::Duration::seconds(3);
    assert_eq!(deprecate(json!(soon)).expect(StatusCode::OK).await?["state"], "deprecated");
    assert_eq!(retire("1.0.0").expect(StatusCode::OK).await?["state"], "retired");

    // Both are queued no more: one retired by hand, one past its sunset; a queued job of before is not handed out either.
    assert!(enqueue(&fixture, &host, "our-module", "1.0.0").await.is_err());
    enqueue(&fixture, &host, "our-module", "1.1.0").await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(modules_of_jobs(&host).await?.is_empty());
    assert!(enqueue(&fixture, &host, "our-module", "1.1.0").await.is_err());
    // What ran of it stays readable.
    assert_eq!(ada.get("/v1/modules/our-module").expect(StatusCode::OK).await?["version"], "1.1.0");
    until(Duration::from_secs(90), "the sunset retires by itself", async || {
        let versions = admin.get("/v1/modules/our-module/versions").expect(StatusCode::OK).await?;
        Ok(versions["items"][0]["state"] == "retired")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_has_the_gates_run_and_nobody_else() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let (admin, ada) = (fixture.admin().await?, fixture.person("acme", "admin").await?);
    let send = |yaml: String| admin.post("/v1/modules", &json!({ "document": yaml }));
    let run = "/v1/modules/our-module/versions/1.0.0/tests-run";
    let promote = "/v1/modules/our-module/versions/1.0.0/promote";
    admin.post(run, &json!({})).expect(StatusCode::NOT_FOUND).await?;

    // A draft without fixtures: its report is kept, and it goes nowhere.
    send(document("1.0.0", true)).expect(StatusCode::CREATED).await?;
    ada.post(run, &json!({})).expect(StatusCode::FORBIDDEN).await?;
    let shown = admin.post(run, &json!({})).expect(StatusCode::OK).await?;
    assert_eq!((&shown["gates"]["passed"], &shown["state"]), (&json!(false), &json!("draft")), "{shown}");
    assert!(shown["gates"]["gates"][0]["detail"].as_str().unwrap().contains("marked as a draft"), "{shown}");
    assert_eq!(admin.post(promote, &json!({})).expect(StatusCode::CONFLICT).await?["code"], "gates_missing");

    // A query without end: stopped, and what it did is on record. Meanwhile the server answers.
    let endless = document("1.0.0", false).replace(
        "uid > 10",
        "uid > 10 AND (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) > 0",
    );
    send(endless).expect(StatusCode::OK).await?;
    let (stopped, alive) = tokio::join!(admin.post(run, &json!({})).send(), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = std::time::Instant::now();
        let answer = admin.get("/v1/modules/our-module/versions").expect(StatusCode::OK).await;
        answer.map(|_| began.elapsed())
    });
    assert!(alive? < Duration::from_secs(3), "the server was kept from others");
    assert!([StatusCode::OK, StatusCode::ACCEPTED].contains(&stopped?.status()));
    until(Duration::from_secs(100), "the look at an endless query ends", async || {
        let versions = admin.get("/v1/modules/our-module/versions").expect(StatusCode::OK).await?;
        let gates = &versions["items"][0]["gates"];
        Ok(gates["passed"] == false && !gates["gates"].to_string().contains("marked as a draft"))
    })
    .await?;

    // The whole one passes, and its way is open.
    let whole = send(document("1.0.0", false)).expect(StatusCode::OK).await?;
    assert_eq!(whole["gates"], Value::Null, "the gates of another content do not count");
    let passed = admin.post(run, &json!({})).expect(StatusCode::OK).await?;
    assert_eq!(passed["gates"]["passed"], true, "{passed}");
    let names: Vec<&str> =
        passed["gates"]["gates"].as_array().unwrap().iter().map(|gate| gate["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lint", "fixtures", "budget", "determinism"]);
    for state in ["qa", "released"] {
        assert_eq!(admin.post(promote, &json!({})).expect(StatusCode::OK).await?["state"], state);
    }
    assert_eq!(admin.post(run, &json!({})).expect(StatusCode::CONFLICT).await?["code"], "wrong_state");
    let url = fixture.owner_url();
    let db = sqlx::PgPool::connect(&url).await?;
    let runs: i64 = sqlx::query_scalar("SELECT count(*) FROM shared.platform_audit WHERE action = 'module.tests_run'")
        .fetch_one(&db)
        .await?;
    db.close().await;
    assert_eq!(runs, 3);
    Ok(())
}
