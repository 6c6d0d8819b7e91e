//! Standings: what is kept equals what the verdicts and the waivers say, whatever came in whatever order.

use analysis::score::Weights;
use catalog::envelope::{RunStatus, Summary, Verdict};
use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use store::ingest::IngestContext;
use store::waivers::{Place, Subject};
use store::{Read, Write, agents, compliance, scores};
use uuid::Uuid;

use crate::fleet::{ASSETS, FRAMEWORK, Fleet, enrollment, production};
use crate::ingest::envelope_of;

const ROUNDS: usize = 60;

#[tokio::test]
async fn what_is_kept_equals_a_recompute_after_any_order_of_results_and_waivers() -> anyhow::Result<()> {
    let mut fleet = Fleet::new().await?;
    let mut random = StdRng::seed_from_u64(2611);
    let mut open: Vec<Uuid> = Vec::new();
    let day = TimeDelta::days(1);
    for round in 0..ROUNDS {
        let (asset, module) = (random.random_range(0..ASSETS), random.random_range(0..fleet.modules.len()));
        if round == ROUNDS / 2 {
            fleet.weights = Weights { critical: 7, high: 7, medium: 3, low: 0 };
            for context in &mut fleet.assets {
                context.weights = fleet.weights;
            }
        }
        match random.random_range(0..10) {
            0 | 1 => {
                let place = match random.random_range(0..3) {
                    0 => Place::Every,
                    1 => production(),
                    _ => Place::Asset(fleet.assets[asset].asset_id),
                };
                let check = random.random_range(0..fleet.modules[module].checks.len());
                let control = fleet.modules[module].checks[check].controls[FRAMEWORK][0].clone();
                let subject = if random.random_bool(0.5) {
                    fleet.check(module, check)
                } else {
                    Subject::Control { framework: FRAMEWORK.to_owned(), control }
                };
                // Some begin tomorrow only.
                let from = if random.random_bool(0.2) { day } else { -day };
                open.push(fleet.waive(place, subject, from, day * 9).await?.waiver_id);
            }
            2 if !open.is_empty() => {
                fleet.revoke(open.swap_remove(random.random_range(0..open.len()))).await?;
            }
            3 if !open.is_empty() => {
                fleet.end(open.swap_remove(random.random_range(0..open.len()))).await?;
            }
            _ => {
                let verdicts: Vec<Verdict> = fleet.modules[module]
                    .checks
                    .iter()
                    .map(|_| match random.random_range(0..8) {
                        0..3 => Verdict::Fail,
                        3 => Verdict::NotApplicable,
                        4 => Verdict::Error,
                        _ => Verdict::Pass,
                    })
                    .collect();
                let mut envelope = envelope_of(&fleet.modules[module], &verdicts, &["a"]);
                match random.random_range(0..5) {
                    0 => envelope.status = RunStatus::Partial,
                    1 => {
                        // A check left the module.
                        let gone = envelope.checks.pop().unwrap();
                        envelope.findings.retain(|finding| finding.check != gone.id);
                        envelope.summary = Summary::of(&envelope.checks);
                    }
                    _ => {}
                }
                fleet.apply(asset, &envelope).await?;
                // An asset's score is what its verdicts say even before anybody followed.
                let mut tx = fleet.scene.installation.api.tenant::<Read>(&fleet.scene.tenant).await?;
                assert_eq!(scores::differences(&mut tx).await?, []);
            }
        }
        // Not after each: the worker comes when it comes.
        if random.random_bool(0.6) || round + 1 == ROUNDS {
            fleet.keep().await?;
            fleet.assert_kept_is_recomputed().await?;
        }
    }
    // An asset goes, and its sums with it.
    let gone = fleet.assets[0].asset_id;
    fleet.scene.installation.admin(&format!("DELETE FROM tenant_acme.assets WHERE asset_id = '{gone}'")).await?;
    fleet.keep().await?;
    let mut tx = fleet.scene.installation.api.tenant::<Read>(&fleet.scene.tenant).await?;
    assert_eq!(compliance::differences(&mut tx).await?, []);
    Ok(())
}

#[tokio::test]
async fn agents_and_the_worker_come_at_once_and_nothing_is_lost() -> anyhow::Result<()> {
    let fleet = Fleet::new().await?;
    for module in 0..fleet.modules.len() {
        fleet.waive(Place::Every, fleet.check(module, 0), TimeDelta::zero(), TimeDelta::days(1)).await?;
    }
    let agent = async |asset: usize| -> anyhow::Result<()> {
        let mut random = StdRng::seed_from_u64(u64::try_from(asset)?);
        for _ in 0..12 {
            let module = &fleet.modules[random.random_range(0..fleet.modules.len())];
            let verdicts = [0; 4].map(|_: i32| if random.random_bool(0.5) { Verdict::Fail } else { Verdict::Pass });
            fleet.apply(asset, &envelope_of(module, &verdicts, &["a"])).await?;
        }
        Ok(())
    };
    let worker = async || -> anyhow::Result<()> {
        for _ in 0..30 {
            compliance::keep(&fleet.scene.installation.api, &fleet.scene.tenant, &fleet.weights).await?;
        }
        Ok(())
    };
    let waiver = async || -> anyhow::Result<()> {
        for _ in 0..6 {
            let made = fleet.waive(production(), fleet.check(0, 1), TimeDelta::zero(), TimeDelta::days(1)).await?;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            fleet.revoke(made.waiver_id).await?;
        }
        Ok(())
    };
    // No deadlock, no time-out: each would be an error here.
    tokio::try_join!(agent(0), agent(1), agent(2), worker(), worker(), waiver())?;
    fleet.keep().await?;
    fleet.assert_kept_is_recomputed().await
}

#[tokio::test]
async fn following_takes_as_many_statements_for_many_checks_as_for_one_and_none_writes_where_nothing_changed()
-> anyhow::Result<()> {
    let fleet = Fleet::new().await?;
    let installation = &fleet.scene.installation;
    installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    let sum = "SELECT sum(calls)::bigint FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname IN ('tenantra_api', 'tenant_acme')";
    fleet.keep().await?;
    let mut taken = Vec::new();
    for assets in [1, ASSETS] {
        for asset in 0..assets {
            for module in &fleet.modules {
                let verdict = if assets == 1 { Verdict::Fail } else { Verdict::Pass };
                fleet.apply(asset, &envelope_of(module, &vec![verdict; module.checks.len()], &["a"])).await?;
            }
        }
        installation.admin("SELECT pg_stat_statements_reset()").await?;
        let kept = fleet.keep().await?;
        taken.push(installation.number(sum).await?);
        let measured = store::rollups::refresh(&installation.api, &fleet.scene.tenant).await?;
        assert_eq!(kept.measured, Some(measured), "it needs not be measured again");
    }
    println!("one asset and {ASSETS}: {taken:?} statements");
    assert_eq!(taken[0], taken[1]);
    assert!(taken[0] <= 30, "{taken:?}");
    let rows = "SELECT (SELECT sum(xmin::text::bigint) FROM tenant_acme.standings)::bigint
        + (SELECT sum(xmin::text::bigint) FROM tenant_acme.score_days)::bigint";
    let before = installation.number(rows).await?;
    let kept = fleet.keep().await?;
    assert!(kept.is_whole && kept.standings.is_some() && kept.measured.is_none());
    assert_eq!(installation.number(rows).await?, before, "no row was written again");
    Ok(())
}

#[tokio::test]
async fn assets_that_ingests_hold_do_not_stand_before_the_others() -> anyhow::Result<()> {
    let mut fleet = Fleet::new().await?;
    let mut tx = fleet.scene.installation.api.tenant::<Write>(&fleet.scene.tenant).await?;
    for number in ASSETS..60 {
        let enrolled = agents::enroll(&mut tx, &enrollment(number, "test")).await?;
        let (agent_id, asset_id) = (enrolled.agent_id, enrolled.asset_id);
        fleet.assets.push(IngestContext { agent_id, asset_id, job_id: None, weights: fleet.weights });
    }
    tx.commit().await?;
    for asset in 0..fleet.assets.len() {
        fleet.apply(asset, &envelope_of(&fleet.modules[0], &[], &[])).await?;
    }
    fleet.keep().await?;
    // Every check weighs something else, and all assets but the last are held.
    fleet.weights = Weights { critical: 100, high: 50, medium: 20, low: 10 };
    let mut ingests = fleet.scene.installation.admin.begin().await?;
    sqlx::query(
        "SELECT FROM tenant_acme.asset_modules WHERE asset_id < (SELECT max(asset_id::text)::uuid FROM tenant_acme.asset_modules)
         FOR UPDATE",
    )
    .execute(&mut *ingests)
    .await?;
    let kept = compliance::keep(&fleet.scene.installation.api, &fleet.scene.tenant, &fleet.weights).await?;
    assert!(!kept.is_whole, "what is held is behind");
    let others = "SELECT count(*) FROM tenant_acme.asset_scores k WHERE revision = stood_revision
        AND EXISTS (SELECT FROM tenant_acme.asset_modules m WHERE m.asset_id = k.asset_id)";
    assert_eq!(fleet.scene.installation.number(others).await?, 1, "the last one is followed");
    ingests.rollback().await?;
    fleet.keep().await?;
    assert_eq!(fleet.scene.installation.number(others).await?, 60);
    Ok(())
}
