//! Risk: what is kept equals a recompute over the findings, in SQL and by `analysis`, and its explanation sums to it.

use analysis::risk::{AssetSums, Criticality, Exposure, Finding, FleetSums, Load};
use analysis::score::{Severity, Weights};
use catalog::envelope::{CheckVerdict, Verdict};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use store::risk::{self, NewRating, Rating};
use store::scores::Subject;
use store::{Error, Read, Write, rollups};
use uuid::Uuid;

use crate::ingest::Scene;

const CRITICALITIES: [Criticality; 4] =
    [Criticality::Low, Criticality::Normal, Criticality::High, Criticality::Critical];

/// The open findings of the scene's asset as risk sees them.
async fn findings(scene: &Scene, rating: Rating) -> anyhow::Result<Vec<Finding>> {
    let rows: Vec<(String, i16)> =
        sqlx::query_as("SELECT severity, exposure FROM tenant_acme.findings WHERE status = 'open' AND asset_id = $1")
            .bind(scene.context.asset_id)
            .fetch_all(&scene.installation.admin)
            .await?;
    rows.into_iter()
        .map(|(severity, code)| {
            let severity: Severity = serde_json::from_value(json!(severity))?;
            let exposure =
                Exposure { listens: code & 1 != 0, privileged: code & 2 != 0, internet_facing: rating.internet_facing };
            Ok(Finding { exposure, ..Finding::plain(severity) })
        })
        .collect()
}

/// Kept, recomputed in SQL, recomputed by `analysis` and explained: all the same.
async fn assert_all_agree(scene: &Scene) -> anyhow::Result<u8> {
    let weights = &scene.context.weights;
    let mut tx = scene.installation.api.tenant::<Read>(&scene.tenant).await?;
    assert_eq!(risk::differences(&mut tx, weights).await?, []);
    let explained = risk::of_asset(&mut tx, scene.context.asset_id, weights, 5).await?.unwrap();
    tx.rollback().await?;
    let findings = findings(scene, explained.rating).await?;
    let sums = AssetSums::of(&findings, weights);
    let load = sums.load(explained.rating.criticality, weights);
    let kept: (i64, i16) = sqlx::query_as("SELECT load, risk FROM tenant_acme.asset_scores WHERE asset_id = $1")
        .bind(scene.context.asset_id)
        .fetch_one(&scene.installation.admin)
        .await?;
    assert_eq!(kept, (load.millionths(), i16::from(load.risk())));
    assert_eq!(explained.risk, Some(load.risk()));
    let shares: u32 = explained.parts.iter().map(|part| u32::from(part.share)).sum();
    let rest = explained.rest.map_or(0, |rest| u32::from(rest.share));
    // Findings whose severity counts for nothing give nothing.
    assert_eq!(shares + rest, if sums.points > 0 { u32::from(load.risk()) } else { 0 });
    assert_eq!(explained.parts.len(), findings.len().min(5));
    let listed = i64::try_from(explained.parts.len())?;
    assert_eq!(explained.rest.map_or(0, |rest| rest.count), sums.findings - listed);
    assert!(explained.parts.is_sorted_by(|a, b| a.amount.part >= b.amount.part), "{:?}", explained.parts);
    Ok(load.risk())
}

#[tokio::test]
async fn the_kept_risk_equals_a_recompute_after_any_sequence() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    let mut random = StdRng::seed_from_u64(41);
    let resources = ["0.0.0.0:22", "127.0.0.1:25", "/etc/passwd", "[::]:80", "root"];
    let checks = scene.envelope(&[], &[]).checks.len();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..50 {
        let verdicts: Vec<Verdict> = (0..checks)
            .map(|_| match random.random_range(0..20) {
                0 | 1 => Verdict::Fail,
                2 => Verdict::Error,
                _ => Verdict::Pass,
            })
            .collect();
        let some: Vec<&str> = resources.into_iter().filter(|_| random.random_bool(0.5)).collect();
        let mut envelope = scene.envelope(&verdicts, &some);
        for finding in &mut envelope.findings {
            if random.random_bool(0.3) {
                finding.evidence.insert("username".to_owned(), json!("root"));
            }
        }
        if round % 7 == 6 {
            let new = NewRating {
                criticality: Some(CRITICALITIES[random.random_range(0..4)]),
                internet_facing: random.random_bool(0.5).then(|| random.random_bool(0.5)),
            };
            let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
            let (_, after) = risk::rate(&mut tx, scene.context.asset_id, new, &scene.context.weights).await?;
            tx.commit().await?;
            assert_eq!(Some(after.criticality), new.criticality);
            assert_all_agree(&scene).await?;
        }
        if round == 30 {
            scene.context.weights = Weights { critical: 7, high: 9, medium: 3, low: 0 };
            scene.keep().await?;
            let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
            risk::settle(&mut tx, &scene.context.weights).await?;
            assert_eq!(risk::settle(&mut tx, &scene.context.weights).await?, 0, "a second time nothing differs");
            tx.commit().await?;
            assert_all_agree(&scene).await?;
        }
        scene.apply(&envelope).await?;
        seen.insert(assert_all_agree(&scene).await?);
    }
    assert!(seen.len() > 5, "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn findings_from_before_exposure_was_kept_get_theirs_with_the_next_result() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.apply(&scene.envelope(&[Verdict::Fail], &["0.0.0.0:22"])).await?;
    let risk = assert_all_agree(&scene).await?;
    assert!(risk > 0);
    // As an upgrade leaves them.
    for statement in [
        "UPDATE tenant_acme.findings SET exposure = 0",
        "UPDATE tenant_acme.asset_scores SET extra_critical = 0, extra_high = 0, extra_medium = 0, extra_low = 0, load = 0, risk = 0",
    ] {
        scene.installation.admin(statement).await?;
    }
    scene.apply(&scene.envelope(&[Verdict::Fail], &["0.0.0.0:22"])).await?;
    assert_eq!(assert_all_agree(&scene).await?, risk);
    Ok(())
}

#[tokio::test]
async fn a_tenants_risk_is_that_of_its_mean_load_and_its_trend_follows() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let weights = scene.context.weights;
    let names: Vec<String> = (0..3_000).map(|number| format!("0.0.0.0:{number}")).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
    let before = risk::of_asset(&mut tx, scene.context.asset_id, &weights, 5).await?.unwrap();
    assert_eq!((before.risk, before.parts.len()), (None, 0), "nothing looked at it yet");
    assert_eq!(risk::of_tenant(&mut tx, 5).await?.risk, None);
    assert_eq!(risk::trend(&mut tx, Subject::Tenant, 30).await?, []);
    assert_eq!(risk::trend(&mut tx, Subject::Asset(scene.context.asset_id), 30).await?, []);
    let unknown = risk::trend(&mut tx, Subject::Asset(Uuid::now_v7()), 30).await;
    assert!(matches!(unknown, Err(Error::NotFound("asset"))));
    assert_eq!(risk::of_asset(&mut tx, Uuid::now_v7(), &weights, 5).await?, None);
    let new = NewRating { criticality: Some(Criticality::Critical), internet_facing: Some(true) };
    let unknown = risk::rate(&mut tx, Uuid::now_v7(), new, &weights).await;
    assert!(matches!(unknown, Err(Error::NotFound("asset"))));
    let (from, to) = risk::rate(&mut tx, scene.context.asset_id, new, &weights).await?;
    assert_eq!((from.criticality, from.internet_facing), (Criticality::Normal, false));
    assert_eq!((to.criticality, to.internet_facing), (Criticality::Critical, true));
    tx.commit().await?;

    scene.apply(&scene.envelope(&[Verdict::Fail, Verdict::Fail, Verdict::Fail], &many)).await?;
    assert_eq!(assert_all_agree(&scene).await?, 100, "no asset counts for more than this");
    // Another asset, where nothing is wrong, and one that nothing looked at.
    for (name, scores) in [("clean", true), ("unknown", false)] {
        let id = Uuid::now_v7();
        scene
            .installation
            .admin(&format!("INSERT INTO tenant_acme.assets (asset_id, identity, kind, name) VALUES ('{id}', '{name}', 'host', '{name}')"))
            .await?;
        if scores {
            scene
                .installation
                .admin(&format!(
                    "INSERT INTO tenant_acme.asset_scores (asset_id, passed_weight, assessed_weight, passed, failed, not_applicable,
                         error, open_critical, open_high, open_medium, open_low, updated_at)
                     VALUES ('{id}', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now())"
                ))
                .await?;
        }
    }
    let rollup = rollups::refresh(&scene.installation.api, &scene.tenant).await?;
    let expected = FleetSums::of([Load::MAX, Load::default()]);
    assert_eq!((rollup.risk_load, rollup.risk_assets), (expected.load, expected.assets));
    assert_eq!(rollup.risk, expected.risk().map(i16::from));
    let mut tx = scene.installation.api.tenant::<Read>(&scene.tenant).await?;
    let explained = risk::of_tenant(&mut tx, 1).await?;
    assert_eq!((explained.risk, explained.assets), (expected.risk(), 2));
    assert_eq!(explained.parts.iter().map(|part| part.share).sum::<u8>(), expected.risk().unwrap());
    assert_eq!((explained.parts[0].risk, explained.parts[0].asset_id), (100, scene.context.asset_id));
    assert_eq!(explained.rest.map(|rest| rest.count), Some(1));
    let trend = risk::trend(&mut tx, Subject::Tenant, 30).await?;
    assert_eq!(trend.last().map(|day| day.risk), rollup.risk);
    let trend = risk::trend(&mut tx, Subject::Asset(scene.context.asset_id), 30).await?;
    assert_eq!(trend.iter().map(|day| day.risk).collect::<Vec<_>>(), [100]);
    tx.rollback().await?;
    let mut tx = scene.installation.owner.begin().await?;
    let stored = rollups::get(&mut tx, scene.tenant.id).await?.unwrap();
    assert_eq!(stored.rollup, rollup);

    // All is mended: no finding, no risk.
    let clean: Vec<CheckVerdict> = scene.envelope(&[], &[]).checks;
    assert!(clean.iter().all(|check| check.verdict == Verdict::Pass));
    scene.apply(&scene.envelope(&[], &[])).await?;
    assert_eq!(assert_all_agree(&scene).await?, 0);
    Ok(())
}
