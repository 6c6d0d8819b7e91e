//! Risk and drift over the API: what made a risk, who may say how much an asset matters, what changed in words, what silences
//! it, and that another tenant sees nothing of it.

use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::harness::until;
use uuid::Uuid;

use crate::fixture::{Call, Fixture, Person, envelope, fact, inventory};

fn patch(person: &Person<'_>, path: &str, body: &Value) -> Call {
    Call(person.call(Method::PATCH, path).0.json(body))
}

/// The shares of the parts and of the rest.
fn shares(explained: &Value) -> i64 {
    let parts = explained["parts"].as_array().unwrap().iter().map(|part| part["share"].as_i64().unwrap());
    parts.sum::<i64>() + explained["rest"]["share"].as_i64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_risk_can_be_opened_and_an_assets_owner_says_how_much_it_matters() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let (mia, ada) = (fixture.person("acme", "manager").await?, fixture.person("acme", "readonly").await?);
    let eve = fixture.person("other", "admin").await?;
    let host = fixture.host("acme").await?;
    let asset = format!("/v1/assets/{}", host.asset_id);
    let path = format!("{asset}/risk");
    assert_eq!(ada.get(&path).expect(StatusCode::OK).await?["risk"], Value::Null);
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 6) })]).await?;

    let explained = ada.get(&path).expect(StatusCode::OK).await?;
    let risk = explained["risk"].as_i64().unwrap();
    assert!((1..=100).contains(&risk) && shares(&explained) == risk, "{explained}");
    assert!(explained["parts"][0]["why"].as_str().unwrap().contains("point"), "{explained}");
    let short = ada.get(&format!("{path}?parts=2")).expect(StatusCode::OK).await?;
    assert_eq!((short["parts"].as_array().unwrap().len(), &short["rest"]["count"]), (2, &json!(4)));
    assert_eq!(shares(&short), risk);
    let tenant = ada.get("/v1/risk").expect(StatusCode::OK).await?;
    assert_eq!((&tenant["risk"], &tenant["assets"], shares(&tenant)), (&json!(risk), &json!(1), risk));
    assert_eq!(ada.get(&asset).expect(StatusCode::OK).await?["risk"], risk);

    let rating = json!({ "criticality": "critical", "internet_facing": true });
    patch(&ada, &asset, &rating).expect(StatusCode::FORBIDDEN).await?;
    patch(&eve, &asset, &rating).expect(StatusCode::NOT_FOUND).await?;
    let rated = patch(&mia, &asset, &rating).expect(StatusCode::OK).await?;
    assert_eq!((&rated["criticality"], &rated["internet_facing"]), (&json!("critical"), &json!(true)));
    let after = rated["risk"].as_i64().unwrap();
    assert!(after > risk, "{after} after {risk}");
    let explained = ada.get(&path).expect(StatusCode::OK).await?;
    assert_eq!((explained["risk"].as_i64(), shares(&explained)), (Some(after), after));
    patch(&mia, &asset, &rating).expect(StatusCode::OK).await?;
    let db = PgPool::connect(&fixture.owner_url()).await?;
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM tenant_acme.audit_log WHERE action = 'asset.rated'")
        .fetch_one(&db)
        .await?;
    assert_eq!(recorded, 1, "what changes nothing is not on record");
    for wrong in [json!({}), json!({ "criticality": "huge" }), json!({ "colour": "red" })] {
        patch(&mia, &asset, &wrong).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    }
    until(Duration::from_secs(10), "the tenant's trend follows", async || {
        let trend = ada.get("/v1/risk/trend").expect(StatusCode::OK).await?;
        Ok(trend.as_array().and_then(|days| days.last()?["risk"].as_i64()) == Some(after))
    })
    .await?;
    let trend = ada.get(&format!("/v1/risk/trend?days=7&asset_id={}", host.asset_id)).expect(StatusCode::OK).await?;
    assert_eq!(trend[0]["risk"], after);
    for refused in ["/v1/risk/trend?days=0", "/v1/risk/trend?days=367", "/v1/risk?parts=0", "/v1/risk?parts=101"] {
        ada.get(refused).expect(StatusCode::BAD_REQUEST).await?;
    }
    for foreign in [path, format!("/v1/risk/trend?asset_id={}", host.asset_id)] {
        eve.get(&foreign).expect(StatusCode::NOT_FOUND).await?;
    }
    assert_eq!(eve.get("/v1/risk").expect(StatusCode::OK).await?["risk"], Value::Null);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_in_words_once_and_silenced_where_somebody_allowed_it() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let (mia, ada) = (fixture.person("acme", "manager").await?, fixture.person("acme", "readonly").await?);
    let eve = fixture.person("other", "admin").await?;
    let host = fixture.host("acme").await?;
    let report = async |names: &[&str]| -> Result<()> {
        let facts: Vec<Value> = names.iter().map(|name| fact(name)).collect();
        host.results(&[json!({ "envelope": inventory(Uuid::now_v7(), None, &facts) })]).await?;
        Ok(())
    };
    let total = async |path: &str| -> Result<i64> {
        Ok(ada.get(path).expect(StatusCode::OK).await?["total"].as_i64().unwrap_or(-1))
    };
    report(&["alice"]).await?;
    // Killed before it was followed: the next start finds what waits.
    fixture.kill();
    fixture.start_program().await?;
    report(&["alice", "bob"]).await?;
    until(Duration::from_secs(20), "drift is followed", async || Ok(total("/v1/drift").await? == 1)).await?;
    fixture.kill();
    fixture.start_program().await?;
    let list = ada.get("/v1/drift?kind=account&min_rarity=0&silenced=false").expect(StatusCode::OK).await?;
    let drift = &list["items"][0];
    assert_eq!((&list["total"], &drift["subject"], &drift["change"]), (&json!(1), &json!("bob"), &json!("appeared")));
    assert!(drift["sentence"].as_str().unwrap().starts_with("has the account bob; "), "{drift}");
    let one = format!("/v1/drift/{}", drift["id"].as_str().unwrap());
    assert_eq!(&ada.get(&one).expect(StatusCode::OK).await?, drift);
    eve.get(&one).expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(eve.get("/v1/drift").expect(StatusCode::OK).await?["total"], 0);
    assert_eq!(total("/v1/drift?kind=port").await?, 0);
    for refused in ["/v1/drift?kind=colour", "/v1/drift?min_rarity=101", "/v1/drift?since=yesterday"] {
        ada.get(refused).expect(StatusCode::BAD_REQUEST).await?;
    }
    let file = ada.get("/v1/drift/export.csv").send().await?.text().await?;
    assert!(file.lines().count() == 2 && file.contains("has the account bob"), "{file}");

    let until_then = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let approval = json!({ "kind": "account", "subject": "deploy-", "is_beginning": true, "why": "the new pipeline",
        "asset_id": host.asset_id, "until": until_then });
    ada.post("/v1/drift/approvals", &approval).expect(StatusCode::FORBIDDEN).await?;
    eve.post("/v1/drift/approvals", &approval).expect(StatusCode::NOT_FOUND).await?;
    let approved = mia.post("/v1/drift/approvals", &approval).expect(StatusCode::CREATED).await?;
    assert_eq!((&approved["subject"], &approved["is_beginning"]), (&json!("deploy-"), &json!(true)));
    for (field, wrong) in [
        ("why", json!(" ")),
        ("until", json!("2020-01-01T00:00:00Z")),
        ("until", json!("2999-01-01T00:00:00Z")),
        ("subject", json!("")),
        ("group", json!("web servers")),
    ] {
        let mut body = approval.clone();
        body[field] = wrong;
        let refused = mia.post("/v1/drift/approvals", &body).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
        assert_eq!(refused["details"]["field"], field, "{refused}");
    }
    report(&["alice", "bob", "deploy-1"]).await?;
    let silenced = "/v1/drift?silenced=true";
    until(Duration::from_secs(20), "the approved change is followed", async || Ok(total(silenced).await? == 1)).await?;
    let list = ada.get(silenced).expect(StatusCode::OK).await?;
    let silence = &list["items"][0]["silenced_by"];
    assert_eq!((&silence["by"], &silence["why"]), (&json!("approval"), &json!("the new pipeline")));
    assert_eq!(silence["who"], "manager@acme.example");

    let window = json!({ "why": "moving", "until": until_then });
    let planned = mia.post("/v1/maintenance-windows", &window).expect(StatusCode::CREATED).await?;
    assert_eq!(total("/v1/maintenance-windows").await?, 1);
    let windows = format!("/v1/maintenance-windows/{}", planned["id"].as_str().unwrap());
    let approvals = format!("/v1/drift/approvals/{}", approved["id"].as_str().unwrap());
    for path in [&windows, &approvals] {
        ada.delete(path).expect(StatusCode::FORBIDDEN).await?;
        eve.delete(path).expect(StatusCode::NOT_FOUND).await?;
        mia.delete(path).expect(StatusCode::NO_CONTENT).await?;
        mia.delete(path).expect(StatusCode::NOT_FOUND).await?;
    }
    assert_eq!(total("/v1/drift/approvals").await?, 0);
    let db = PgPool::connect(&fixture.owner_url()).await?;
    let recorded: Vec<String> = sqlx::query_scalar(
        "SELECT action FROM tenant_acme.audit_log WHERE action LIKE 'drift\\_%' OR action LIKE 'maintenance\\_%' ORDER BY action",
    )
    .fetch_all(&db)
    .await?;
    let expected = [
        "drift_approval.created",
        "drift_approval.removed",
        "maintenance_window.created",
        "maintenance_window.removed",
    ];
    assert_eq!(recorded, expected);
    assert_eq!(total("/v1/drift").await?, 2, "each was told once");
    Ok(())
}
