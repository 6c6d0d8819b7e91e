//! Compliance over the API: waivers with what they change, the way from a framework to what was found, trends, and the tenants
//! below a tenant.

use std::time::Duration;

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::harness::until;
use uuid::Uuid;

use crate::fixture::{CATALOG, Fixture, envelope};

const FRAMEWORK: &str = "cis-debian-12";
const MODULE: &str = "linux-sshd-hardening";
/// Scores follow within this, and a second is for a slow machine.
const SOON: Duration = Duration::from_secs(6);

/// The first check of the module, and the control that it is mapped to.
fn first_check() -> (String, String) {
    let check = &CATALOG.module(MODULE, None).expect("the module").module.checks[0];
    (check.id.clone(), check.controls[FRAMEWORK][0].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_moves_the_scores_until_it_is_taken_back() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise", "frameworks": [FRAMEWORK] })).await?;
    let (mia, ada) = (fixture.person("acme", "manager").await?, fixture.person("acme", "readonly").await?);
    let host = fixture.host("acme").await?;
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 1) })]).await?;
    let (check, control) = first_check();
    let scores = async |what: &str, score: &dyn Fn(&Value) -> bool| -> Result<Value> {
        until(SOON, what, async || Ok(score(&ada.get("/v1/compliance/scores").expect(StatusCode::OK).await?))).await?;
        ada.get("/v1/compliance/scores").expect(StatusCode::OK).await
    };
    // The framework a little later than the check where the catalog is still being brought in.
    let failed = |scores: &Value| scores["checks"]["failed"] == 1 && scores["frameworks"][0]["failed"] == 1;
    let before = scores("the failure counts", &failed).await?;
    assert!(before["score"].as_i64().unwrap() < 100, "{before}");
    assert_eq!(before["frameworks"][0]["framework"], FRAMEWORK);

    let until_when = Utc::now() + TimeDelta::days(30);
    let wanted = json!({
        "check": { "module": MODULE, "check": check }, "asset_id": host.asset_id, "why": "replaced in May", "until": until_when,
    });
    ada.post("/v1/waivers", &wanted).expect(StatusCode::FORBIDDEN).await?;
    let made = mia.post("/v1/waivers", &wanted).expect(StatusCode::CREATED).await?;
    assert_eq!((&made["state"], &made["asset"]["id"]), (&json!("in_force"), &json!(host.asset_id)), "{made}");
    assert_eq!((&made["who"], &made["check"]["check"]), (&json!("manager@acme.example"), &json!(check)));
    let waived = scores("the waiver counts", &|scores: &Value| scores["checks"]["waived"] == 1).await?;
    assert_eq!((&waived["score"], &waived["checks"]["failed"]), (&json!(100), &json!(0)), "{waived}");
    assert_eq!(waived["frameworks"][0]["coverage"], before["frameworks"][0]["coverage"], "its state is known");
    let mut overview = Value::Null;
    until(SOON, "the overview follows, in a transaction of its own", async || {
        overview = ada.get("/v1/overview").expect(StatusCode::OK).await?;
        Ok(overview["score"] == 100 && overview["checks"]["waived"] == 1)
    })
    .await?;
    let asset = ada.get(&format!("/v1/assets/{}", host.asset_id)).expect(StatusCode::OK).await?;
    for counted in [&overview["checks"], &asset["checks"]] {
        assert_eq!(*counted, waived["checks"], "what is waived is in no other number, and missing in none");
    }

    // The way down: the framework, its control, the control's check, the asset, the rows.
    let framework = format!("/v1/compliance/frameworks/{FRAMEWORK}");
    let shown = ada.get(&framework).expect(StatusCode::OK).await?;
    assert_eq!((&shown["selected"], &shown["by_worst"]["waived"]), (&json!(true), &json!(1)), "{shown}");
    let controls = ada.get(&format!("{framework}/coverage?status=waived")).expect(StatusCode::OK).await?;
    assert_eq!((&controls["total"], &controls["items"][0]["id"]), (&json!(1), &json!(control)), "{controls}");
    let all = ada.get(&format!("{framework}/coverage?page_size=100")).expect(StatusCode::OK).await?;
    let of_framework = CATALOG.framework(FRAMEWORK).unwrap().controls.len();
    assert_eq!(all["total"], of_framework, "what no check assesses is listed too");
    let checks = ada.get(&format!("{framework}/controls/{control}/checks")).expect(StatusCode::OK).await?;
    let row = checks["items"].as_array().unwrap().iter().find(|row| row["check"] == check.as_str()).unwrap().clone();
    assert_eq!((&row["waived"], &row["failed"]), (&json!(1), &json!(0)));
    let results =
        ada.get(&format!("/v1/compliance/results?module={MODULE}&check={check}")).expect(StatusCode::OK).await?;
    assert_eq!(results["items"][0]["verdict"], "waived", "{results}");
    let rows = ada
        .get(&format!("/v1/findings?asset_id={}&module={MODULE}&check={check}", host.asset_id))
        .expect(StatusCode::OK)
        .await?;
    assert_eq!(rows["total"], 1, "a waiver hides nothing");
    let evidence = ada.get(&format!("{framework}/controls/{control}/evidence")).expect(StatusCode::OK).await?;
    assert_eq!(evidence["items"], rows["items"]);
    let assets = ada.get(&format!("{framework}/assets")).expect(StatusCode::OK).await?;
    assert_eq!(assets["items"][0]["score"], 100);
    let on_asset = ada.get(&format!("/v1/assets/{}/checks?verdict=fail", host.asset_id)).expect(StatusCode::OK).await?;
    assert_eq!((&on_asset["total"], &on_asset["items"][0]["waived"]), (&json!(1), &json!(true)));
    let trend = ada.get(&format!("/v1/compliance/trends?framework={FRAMEWORK}&days=7")).expect(StatusCode::OK).await?;
    assert_eq!(trend["days"].as_array().unwrap().last().unwrap()["score"], 100, "{trend}");
    let insights = ada.get("/v1/compliance/trends/insights?days=7").expect(StatusCode::OK).await?;
    assert_eq!((&insights["open_failures"], &insights["waived"]), (&json!(0), &json!(1)), "{insights}");
    let group = ada.get("/v1/compliance/groups?key=nobody&value=has").expect(StatusCode::OK).await?;
    assert_eq!(group, json!({ "assets": 0, "frameworks": [] }));

    let address = format!("/v1/waivers/{}", made["id"].as_str().unwrap());
    ada.delete(&address).expect(StatusCode::FORBIDDEN).await?;
    mia.delete(&address).expect(StatusCode::NO_CONTENT).await?;
    mia.delete(&address).expect(StatusCode::NO_CONTENT).await?;
    let after = scores("it fails again", &|scores: &Value| scores["checks"]["failed"] == 1).await?;
    assert_eq!(after["score"], before["score"]);
    let list = ada.get("/v1/waivers?state=revoked").expect(StatusCode::OK).await?;
    assert_eq!((&list["total"], &list["items"][0]["id"]), (&json!(1), &made["id"]), "it stays on record");

    // One that ends by itself.
    let soon = json!({ "check": { "module": MODULE, "check": check }, "why": "an hour of work", "until": Utc::now() + TimeDelta::seconds(8) });
    mia.post("/v1/waivers", &soon).expect(StatusCode::CREATED).await?;
    scores("the short waiver counts", &|scores: &Value| scores["checks"]["waived"] == 1).await?;
    until(Duration::from_secs(8) + SOON, "the short waiver is over", async || {
        let scores = ada.get("/v1/compliance/scores").expect(StatusCode::OK).await?;
        Ok(scores["checks"]["failed"] == 1 && scores["checks"]["waived"] == 0)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_belongs_to_its_tenant_and_says_what_is_wrong_with_it() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let (mia, eve) = (fixture.person("acme", "manager").await?, fixture.person("other", "admin").await?);
    let host = fixture.host("acme").await?;
    let (check, control) = first_check();
    let good = json!({
        "control": { "framework": FRAMEWORK, "control": control }, "label": { "key": "environment", "value": "test" },
        "why": "no data in it", "who": "the head of operations", "until": Utc::now() + TimeDelta::days(9),
    });
    let made = mia.post("/v1/waivers", &good).expect(StatusCode::CREATED).await?;
    assert_eq!((&made["who"], &made["asset"]), (&json!("the head of operations"), &Value::Null));
    let path = format!("/v1/waivers/{}", made["id"].as_str().unwrap());
    mia.get(&path).expect(StatusCode::OK).await?;
    eve.get(&path).expect(StatusCode::NOT_FOUND).await?;
    eve.get(&path).tenant("acme").expect(StatusCode::NOT_FOUND).await?;
    eve.delete(&path).expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(eve.get("/v1/waivers").expect(StatusCode::OK).await?["total"], 0);
    assert_eq!(mia.get(&path).expect(StatusCode::OK).await?["state"], "in_force");

    let tomorrow = Utc::now() + TimeDelta::days(1);
    let of = |change: Value| {
        let mut body = json!({ "check": { "module": MODULE, "check": check }, "why": "because", "until": tomorrow });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    for (change, field, said) in [
        (json!({ "until": Utc::now() - TimeDelta::days(1) }), "until", "over already"),
        (json!({ "check": { "module": MODULE, "check": "no-such-check" } }), "check", "no such check"),
        (
            json!({ "check": null, "control": { "framework": FRAMEWORK, "control": "99.99" } }),
            "control",
            "no such control",
        ),
        (json!({ "asset_id": Uuid::now_v7() }), "asset_id", "no such asset"),
        (json!({ "why": "" }), "why", "why"),
        (json!({ "check": null }), "check", "one of the two"),
    ] {
        let refused = mia.post("/v1/waivers", &of(change)).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
        assert_eq!(refused["details"]["field"], field, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(said), "{refused}");
    }
    // An asset of another tenant is one that is not there.
    let abroad = of(json!({ "asset_id": host.asset_id }));
    let refused = eve.post("/v1/waivers", &abroad).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    assert_eq!(refused["details"]["field"], "asset_id");
    mia.post("/v1/waivers", &of(json!({ "forever": true }))).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    for missing in [
        "/v1/compliance/frameworks/no-such-framework".to_owned(),
        "/v1/compliance/frameworks/no-such-framework/coverage".to_owned(),
        "/v1/compliance/frameworks/no-such-framework/assets".to_owned(),
        format!("/v1/compliance/frameworks/{FRAMEWORK}/controls/99.99/checks"),
        format!("/v1/compliance/frameworks/{FRAMEWORK}/controls/99.99/evidence"),
        format!("/v1/compliance/results?module={MODULE}&check=no-such-check"),
        "/v1/compliance/trends/insights?framework=no-such-framework".to_owned(),
    ] {
        mia.get(&missing).expect(StatusCode::NOT_FOUND).await?;
    }
    for wrong in [
        "/v1/compliance/trends?days=0",
        "/v1/compliance/trends?days=367",
        "/v1/compliance/trends?framework=",
        "/v1/compliance/results?module=x",
        "/v1/compliance/groups?key=&value=x",
        "/v1/waivers?state=asleep",
    ] {
        mia.get(wrong).expect(StatusCode::BAD_REQUEST).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managing_tenant_sees_the_sums_of_those_below_it_and_of_no_other() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("msp", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("shop", json!({ "plan": "Enterprise", "parent": "msp" })).await?;
    fixture.tenant("stranger", json!({ "plan": "Enterprise" })).await?;
    for (slug, failing) in [("msp", 1), ("shop", 2), ("stranger", 3)] {
        let host = fixture.host(slug).await?;
        host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), failing) })]).await?;
    }
    let (top, ada) = (fixture.person("msp", "msp_admin").await?, fixture.person("shop", "admin").await?);
    until(SOON, "the tree has both", async || {
        let tree = top.get("/v1/compliance/tree").expect(StatusCode::OK).await?;
        let failed = |node: usize, of: &str| tree["items"][node][of]["checks"]["failed"].clone();
        let names = (&tree["items"][0]["tenant"], &tree["items"][1]["tenant"], &tree["items"][1]["parent"]);
        anyhow::ensure!(tree["total"] == 2 && names == (&json!("msp"), &json!("shop"), &json!("msp")), "{tree}");
        Ok((failed(0, "own"), failed(0, "total"), failed(1, "total")) == (json!(1), json!(3), json!(2)))
    })
    .await?;
    let one = top.get(&format!("/v1/compliance/tree?framework={FRAMEWORK}")).expect(StatusCode::OK).await?;
    let controls = CATALOG.framework(FRAMEWORK).unwrap().controls.len();
    let counts = one["items"][0]["total"]["controls"].as_object().unwrap().values();
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), 2 * u64::try_from(controls)?);
    ada.get("/v1/compliance/tree").expect(StatusCode::FORBIDDEN).await?;
    ada.get("/v1/compliance/tree").tenant("msp").expect(StatusCode::NOT_FOUND).await?;
    Ok(())
}
