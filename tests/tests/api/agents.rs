//! Hosts outside the cluster: enrolment by token and by an administrator, configuration, jobs, heartbeat, removal.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use catalog::wire::AgentConfig;
use ed25519_dalek::{SigningKey, VerifyingKey};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{CATALOG, Fixture, Host, enroll_request, expect};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_enrols_by_token_and_continues_when_it_enrols_again() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise", "agent": { "modulesProfile": "baseline_full" } })).await?;
    let token = fixture.enrollment_token("acme", 2).await?;
    let credential = json!({ "type": "enrollment_token", "token": token });
    let state = Uuid::new_v4();
    let first = Host::enroll(&fixture.http, &fixture.base, credential.clone(), state).await?;
    assert_eq!(first.enrolled.tenant.slug, "acme");

    // The bundle is signed by the key that the answer pins, and holds the tenant's modules.
    let bytes: [u8; 32] = BASE64_STANDARD.decode(&first.enrolled.bundle_public_key)?.try_into().unwrap();
    let pinned = VerifyingKey::from_bytes(&bytes)?;
    let bundle = catalog::bundle::verify(first.enrolled.config.bundle.as_ref().unwrap(), &pinned)?;
    assert!(bundle.modules.len() >= 12, "{}", bundle.modules.len());
    let path = format!("/v1/agents/config/{}?have={}", first.agent_id, first.enrolled.config.bundle_checksum);
    let signed = first.sign("GET", &path, Vec::new());
    let config = expect(first.send(Method::GET, &path, signed).await?, StatusCode::OK).await?;
    let config: AgentConfig = serde_json::from_value(config)?;
    assert!(config.bundle.is_none(), "it has that bundle");
    assert_eq!(config.version, first.enrolled.config.version);
    let other = format!("/v1/agents/config/{}", Uuid::new_v4());
    let signed = first.sign("GET", &other, Vec::new());
    expect(first.send(Method::GET, &other, signed).await?, StatusCode::NOT_FOUND).await?;

    // The first jobs wait: one for each module up to the tenant's profile.
    let mut jobs = Vec::new();
    loop {
        let answer = first.jobs(0, 100).await?;
        let some = answer["jobs"].as_array().unwrap().clone();
        if some.is_empty() {
            break;
        }
        jobs.extend(some);
    }
    // Deprecated versions are in the bundle as well; they run only where somebody asks for them.
    let most = catalog::module::Profile::BaselineFull;
    let for_linux = bundle.modules.iter().filter(|module| module.platforms.os.contains(&catalog::module::Os::Linux));
    let expected: BTreeSet<&str> =
        for_linux.filter(|module| module.profile <= most).map(|module| module.slug.as_str()).collect();
    assert_eq!(jobs.len(), expected.len());

    // The same host again: the same agent and asset, and the earlier token holds no more.
    let second = Host::enroll(&fixture.http, &fixture.base, credential.clone(), state).await?;
    assert_eq!((second.agent_id, second.asset_id), (first.agent_id, first.asset_id));
    let refused = first.post("/v1/agents/heartbeat", &heartbeat()).await?;
    assert_eq!(expect(refused, StatusCode::UNAUTHORIZED).await?["code"], "revoked");
    expect(second.post("/v1/agents/heartbeat", &heartbeat()).await?, StatusCode::OK).await?;

    // Two uses were all.
    let third = Host::enroll(&fixture.http, &fixture.base, credential, Uuid::new_v4()).await;
    assert!(third.err().unwrap().to_string().contains("enrolment_refused"));

    let admin = fixture.admin().await?;
    let agents = admin.get("/v1/agents").tenant("acme").expect(StatusCode::OK).await?;
    assert_eq!((&agents["total"], &agents["items"][0]["online"]), (&json!(1), &json!(true)));
    let assets = admin.get("/v1/assets").tenant("acme").expect(StatusCode::OK).await?;
    assert_eq!(assets["items"][0]["id"], json!(first.asset_id));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_held_until_there_is_a_job_and_a_removed_agent_is_refused() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let ada = fixture.person("acme", "admin").await?;
    let key = SigningKey::from_bytes(&rand::random());
    let mut request = enroll_request(&json!(null), &key, Uuid::new_v4());
    request.as_object_mut().unwrap().remove("credential");
    let enrolled = ada.post("/v1/agents/enroll", &request).expect(StatusCode::CREATED).await?;
    assert!(enrolled["token"].as_str().unwrap().starts_with("tna_"));

    let host = fixture.host("acme").await?;
    while !host.jobs(0, 100).await?["jobs"].as_array().unwrap().is_empty() {}
    let begun = Instant::now();
    let empty = host.jobs(2, 1).await?;
    assert!(empty["jobs"].as_array().unwrap().is_empty());
    assert!(begun.elapsed() >= Duration::from_secs(2), "the poll was held");

    // A job that comes while the poll is held is answered at once.
    let module = CATALOG.latest().next().unwrap().module.clone();
    let tenant = host.enrolled.tenant.clone();
    let wait = host.jobs(60, 1);
    let enqueue = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let tenant = store::TenantRef { slug: store::Slug::parse(&tenant.slug)?, id: tenant.id };
        let version = module.version.to_string();
        let job = store::jobs::NewJob::now(host.agent_id, &module.slug, &version, module.profile, "tests");
        let mut tx = fixture.owner.begin().await?;
        store::jobs::enqueue_for(&mut tx, &tenant, &[job]).await?;
        tx.commit().await?;
        anyhow::Ok(Instant::now())
    };
    let (answer, enqueued) = tokio::try_join!(wait, enqueue)?;
    assert_eq!(answer["jobs"].as_array().unwrap().len(), 1);
    assert!(enqueued.elapsed() < Duration::from_secs(3), "{:?}", enqueued.elapsed());

    let too_long = json!({ "wait_seconds": 301, "max_jobs": 1, "state": heartbeat()["state"] });
    expect(host.post("/v1/agents/jobs/next", &too_long).await?, StatusCode::UNPROCESSABLE_ENTITY).await?;
    ada.delete(&format!("/v1/agents/{}", host.agent_id)).expect(StatusCode::NO_CONTENT).await?;
    let refused = host.post("/v1/agents/heartbeat", &heartbeat()).await?;
    assert_eq!(expect(refused, StatusCode::UNAUTHORIZED).await?["code"], "revoked");
    Ok(())
}

fn heartbeat() -> serde_json::Value {
    json!({ "state": { "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0 } })
}
