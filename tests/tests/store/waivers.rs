//! Waivers: what one changes while it holds, what it may name, and how many there may be.

use std::collections::{BTreeMap, BTreeSet};

use analysis::compliance::Standing;
use analysis::grant::Grant;
use catalog::envelope::{Envelope, Verdict};
use chrono::{TimeDelta, Utc};
use store::waivers::{self, NewWaiver, Place, Subject};
use store::{Error, Page, Read, Start, Write, assets, compliance, rollups};
use uuid::Uuid;

use crate::fleet::{ASSETS, FRAMEWORK, Fleet, production};
use crate::ingest::envelope_of;

#[tokio::test]
async fn a_waived_check_fails_again_when_its_waiver_ends_and_the_score_follows() -> anyhow::Result<()> {
    let fleet = Fleet::new().await?;
    let score = async || -> anyhow::Result<(Option<i16>, i32)> {
        let mut tx = fleet.scene.installation.api.tenant::<Read>(&fleet.scene.tenant).await?;
        let asset = assets::get(&mut tx, fleet.assets[0].asset_id).await?.unwrap();
        Ok((asset.score, asset.failed))
    };
    let failing = envelope_of(&fleet.modules[0], &[Verdict::Fail], &["a"]);
    fleet.apply(0, &failing).await?;
    fleet.keep().await?;
    let before = score().await?;
    assert!(before.0 < Some(100) && before.1 == 1, "{before:?}");
    let waiver = fleet.waive(production(), fleet.check(0, 0), TimeDelta::zero(), TimeDelta::days(1)).await?;
    assert_eq!((waiver.state.as_str(), waiver.label_value.as_deref()), ("in_force", Some("production")));
    let kept = fleet.keep().await?;
    assert_eq!(kept.due_at.map(|at| at.timestamp_millis()), Some(waiver.ends_at.timestamp_millis()));
    assert_eq!(score().await?, (Some(100), 0));
    // It goes on failing, in the same way and in another: nothing changes. It passes and fails again: the ingest itself knows.
    fleet.apply(0, &Envelope { run_id: Uuid::now_v7(), ..failing.clone() }).await?;
    fleet.apply(0, &envelope_of(&fleet.modules[0], &[], &[])).await?;
    fleet.apply(0, &Envelope { run_id: Uuid::now_v7(), ..failing }).await?;
    assert_eq!(score().await?, (Some(100), 0), "before any worker came");
    fleet.end(waiver.waiver_id).await?;
    let kept = fleet.keep().await?;
    assert_eq!((score().await?, kept.due_at), (before, None));
    fleet.assert_kept_is_recomputed().await?;

    // What others see: the rollup has it, and knows when to look again.
    let waiver = fleet.waive(Place::Every, fleet.check(0, 0), TimeDelta::zero(), TimeDelta::days(1)).await?;
    let kept = fleet.keep().await?;
    let rollup = rollups::refresh(&fleet.scene.installation.api, &fleet.scene.tenant).await?;
    assert_eq!((rollup.checks_failed, rollup.score), (0, Some(100)));
    let mut tx = fleet.scene.installation.api.platform().await?;
    compliance::publish(&mut tx, fleet.scene.tenant.id, &kept).await?;
    let below = compliance::below(&mut tx, &["acme".to_owned(), "nobody".to_owned()]).await?;
    assert_eq!(below.len(), 1);
    assert_eq!(below[0].standings[""].checks.waived, 1);
    assert_eq!(below[0].standings[FRAMEWORK], kept.standings.unwrap()[FRAMEWORK]);
    let soon = std::time::Duration::from_hours(1);
    assert_eq!(rollups::stale(&mut tx, soon, 10).await?, []);
    tx.commit().await?;
    fleet.scene.installation.admin("UPDATE shared.tenant_rollups SET due_at = now() - interval '1 s'").await?;
    let mut tx = fleet.scene.installation.api.platform().await?;
    assert_eq!(rollups::stale(&mut tx, soon, 10).await?, std::slice::from_ref(&fleet.scene.tenant));
    tx.rollback().await?;

    // The trend has today, for the framework and for the tenant.
    let mut tx = fleet.scene.installation.api.tenant::<Read>(&fleet.scene.tenant).await?;
    for framework in [None, Some(FRAMEWORK)] {
        let trend = compliance::trend(&mut tx, framework, 30).await?;
        assert_eq!(trend.len(), 1);
        assert!(trend.values().all(|standing| standing.checks.waived >= 1 && standing.score() == Some(100)));
    }
    assert!(compliance::trend(&mut tx, Some("no-such-framework"), 30).await?.is_empty());
    // From the control to the check to the asset.
    let control = fleet.modules[0].checks[0].controls[FRAMEWORK][0].clone();
    let start = Start::Page(Page::new(1, 100));
    let mapped = compliance::checks(&mut tx, FRAMEWORK, &control, &start).await?;
    let wanted = (&fleet.modules[0].slug, &fleet.modules[0].checks[0].id);
    let check = mapped.items.iter().find(|row| (&row.module, &row.check_id) == wanted).unwrap();
    assert_eq!((check.waived, check.failed), (1, 0));
    let name = (check.module.as_str(), check.check_id.as_str());
    let on = compliance::results(&mut tx, name, Some("waived"), &Start::Page(Page::new(1, 100))).await?;
    assert_eq!((on.total.count, on.items[0].asset_id), (1, fleet.assets[0].asset_id));
    let on = compliance::results(&mut tx, name, Some("fail"), &Start::Page(Page::new(1, 100))).await?;
    assert!(on.items.is_empty());
    let (assets, group) = compliance::group(&mut tx, "environment", "production").await?;
    let group = group.iter().find(|row| row.framework == FRAMEWORK).unwrap();
    let controls = fleet.catalog.framework(FRAMEWORK).unwrap().controls.len();
    assert_eq!((assets, group.standing.controls.all()), (2, i64::try_from(2 * controls)?));
    assert_eq!(group.standing.checks.waived, kept_of(&below[0].standings, FRAMEWORK).checks.waived);
    let listed = compliance::framework_on_assets(&mut tx, FRAMEWORK, &Start::Page(Page::new(1, 100))).await?;
    assert_eq!(listed.items.len(), ASSETS + 1);
    for row in &listed.items {
        assert_eq!(row.standing.controls.all(), i64::try_from(controls)?, "{}", row.name);
    }
    drop(tx);
    fleet.revoke(waiver.waiver_id).await?;
    fleet.keep().await?;
    assert_eq!(score().await?, before);
    Ok(())
}

fn kept_of(standings: &BTreeMap<String, Standing>, framework: &str) -> Standing {
    standings.get(framework).copied().unwrap_or_default()
}

#[tokio::test]
async fn a_waiver_names_what_is_there_and_an_end_that_is_to_come() -> anyhow::Result<()> {
    let fleet = Fleet::new().await?;
    let (zero, day) = (TimeDelta::zero(), TimeDelta::days(1));
    let over = fleet.waive(Place::Every, fleet.check(0, 0), -day * 2, -day).await.unwrap_err();
    assert!(matches!(&over, Error::Invalid(said) if said.contains("over already")), "{over}");
    let foreign = fleet.waive(Place::Asset(Uuid::now_v7()), fleet.check(0, 0), zero, day).await;
    assert!(matches!(foreign, Err(Error::NotFound("asset"))));
    let subject = Subject::Check { module: fleet.modules[0].slug.clone(), check: "no-such-check".to_owned() };
    assert!(matches!(fleet.waive(Place::Every, subject, zero, day).await, Err(Error::NotFound("check"))));
    let subject = Subject::Control { framework: FRAMEWORK.to_owned(), control: "99.99".to_owned() };
    assert!(matches!(fleet.waive(Place::Every, subject, zero, day).await, Err(Error::NotFound("control"))));
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        ids.insert(fleet.waive(Place::Every, fleet.check(0, 1), day, day * 2).await?.waiver_id);
    }
    let revoked = *ids.first().unwrap();
    fleet.revoke(revoked).await?;
    fleet.revoke(revoked).await?;
    assert!(matches!(fleet.revoke(Uuid::now_v7()).await, Err(Error::NotFound("waiver"))));
    let mut tx = fleet.scene.installation.api.tenant::<Read>(&fleet.scene.tenant).await?;
    let first = waivers::list(&mut tx, None, &Start::after(None, 2)).await?;
    let rest = waivers::list(&mut tx, None, &Start::after(first.next, 2)).await?;
    let listed: Vec<Uuid> = first.items.iter().chain(&rest.items).map(|waiver| waiver.waiver_id).collect();
    assert_eq!(listed, ids.iter().rev().copied().collect::<Vec<_>>(), "newest first, each once");
    assert_eq!((first.total.count, rest.next), (3, None));
    let start = Start::Page(Page::default());
    let only = waivers::list(&mut tx, Some(waivers::State::Revoked), &start).await?;
    assert_eq!((only.items.len(), only.items[0].revoked_by.as_deref()), (1, Some("user:2")));
    assert_eq!(waivers::list(&mut tx, Some(waivers::State::Waiting), &start).await?.total.count, 2);
    drop(tx);
    let recorded = "SELECT count(*) FROM tenant_acme.audit_log WHERE action IN ('waiver.created', 'waiver.revoked')";
    assert_eq!(fleet.scene.installation.number(recorded).await?, 4, "a repeat is nobody's deed");
    Ok(())
}

#[tokio::test]
async fn waivers_made_at_once_are_no_more_than_the_most() -> anyhow::Result<()> {
    let fleet = Fleet::new().await?;
    let Subject::Check { module, check } = fleet.check(0, 0) else { anyhow::bail!("it is a check") };
    fleet
        .scene
        .installation
        .admin(&format!(
            "INSERT INTO tenant_acme.waivers (waiver_id, module, check_id, who, why, starts_at, ends_at, created_by)
             SELECT gen_random_uuid(), '{module}', '{check}', 'anna', 'why', now(), now() + interval '1 day', 'user:1'
             FROM generate_series(2, {})",
            waivers::MAX_OPEN
        ))
        .await?;
    let now = Utc::now();
    let grant = Grant::new("anna", "replaced in May", now, now + TimeDelta::days(1))?;
    let new = NewWaiver { place: Place::Every, subject: fleet.check(0, 1), grant, created_by: "user:1".to_owned() };
    let mut first = fleet.scene.installation.api.tenant::<Write>(&fleet.scene.tenant).await?;
    waivers::create(&mut first, &new).await?;
    let (second, ended) =
        tokio::join!(fleet.waive(Place::Every, fleet.check(0, 2), TimeDelta::zero(), TimeDelta::days(1)), async move {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            first.commit().await
        });
    ended?;
    assert!(matches!(second, Err(Error::Invalid(_))), "{second:?}");
    Ok(())
}
