//! Standings and waivers: what is kept equals what the verdicts and the waivers say, whatever came in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use analysis::compliance::Standing;
use analysis::grant::Grant;
use analysis::score::{Severity, Sums, Verdict as Counted, Weighed, Weights};
use analysis::sum::Sum as _;
use catalog::envelope::{Envelope, RunStatus, Summary, Verdict};
use catalog::module::Module;
use catalog::{Catalog, wire};
use chrono::{TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use store::ingest::{self, IngestContext, IngestOutcome};
use store::waivers::{self, NewWaiver, Place, Subject, Waiver};
use store::{Error, Page, Read, Start, Write, agents, assets, checks, compliance, rollups, scores};
use uuid::Uuid;

use crate::ingest::{Scene, envelope_of};

const FRAMEWORK: &str = "cis-debian-12";
const ASSETS: usize = 3;
const ROUNDS: usize = 60;

/// Some assets of a tenant, the first two in production, and modules that map to a framework.
struct Fleet {
    scene: Scene,
    assets: Vec<IngestContext>,
    modules: Vec<Module>,
    catalog: Catalog,
    weights: Weights,
}

impl Fleet {
    async fn new() -> anyhow::Result<Self> {
        let scene = Scene::new().await?;
        let catalog = Catalog::embedded().map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let is_mapped = |module: &Module| {
            module.checks.len() > 3 && module.checks.iter().all(|check| check.controls.contains_key(FRAMEWORK))
        };
        let modules: Vec<Module> =
            catalog.latest().map(|entry| &entry.module).filter(|&module| is_mapped(module)).take(3).cloned().collect();
        assert_eq!(modules.len(), 3);
        let mut assets = Vec::new();
        let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
        for number in 0..ASSETS {
            let environment = if number < 2 { "production" } else { "test" };
            let enrolled = agents::enroll(&mut tx, &enrollment(number, environment)).await?;
            assets.push(IngestContext {
                agent_id: enrolled.agent_id,
                asset_id: enrolled.asset_id,
                job_id: None,
                weights: Weights::default(),
            });
        }
        tx.commit().await?;
        Ok(Self { scene, assets, modules, catalog, weights: Weights::default() })
    }

    async fn apply(&self, asset: usize, envelope: &Envelope) -> store::Result<IngestOutcome> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        let outcome = ingest::apply(&mut tx, &self.assets[asset], envelope).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    async fn waive(&self, place: Place, subject: Subject, from: TimeDelta, until: TimeDelta) -> store::Result<Waiver> {
        let now = Utc::now();
        let grant = Grant::new("anna", "replaced in May", now + from, now + until).unwrap();
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        let new = NewWaiver { place, subject, grant, created_by: "user:1".to_owned() };
        let made = waivers::create(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(made)
    }

    async fn revoke(&self, waiver_id: Uuid) -> store::Result<()> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        waivers::revoke(&mut tx, waiver_id, "user:2").await?;
        tx.commit().await
    }

    /// Lets the time of a waiver pass.
    async fn end(&self, waiver_id: Uuid) -> anyhow::Result<()> {
        let past = "starts_at = now() - interval '2 s', ends_at = now() - interval '1 s'";
        let statement = format!("UPDATE tenant_acme.waivers SET {past} WHERE waiver_id = '{waiver_id}'");
        self.scene.installation.admin(&statement).await
    }

    async fn keep(&self) -> anyhow::Result<compliance::Kept> {
        loop {
            let kept = compliance::keep(&self.scene.installation.api, &self.scene.tenant, &self.weights).await?;
            if kept.is_whole {
                return Ok(kept);
            }
        }
    }

    fn check(&self, module: usize, check: usize) -> Subject {
        let module = &self.modules[module];
        Subject::Check { module: module.slug.clone(), check: module.checks[check].id.clone() }
    }

    /// Waivers that hold now.
    async fn in_force(&self) -> anyhow::Result<Vec<Waiver>> {
        let mut tx = self.scene.installation.api.tenant::<Read>(&self.scene.tenant).await?;
        let start = Start::Page(Page::new(1, 100));
        Ok(waivers::list(&mut tx, Some(waivers::State::InForce), &start).await?.items)
    }

    /// Every check on an asset.
    async fn states(&self, asset: usize) -> anyhow::Result<Vec<checks::CheckState>> {
        let mut tx = self.scene.installation.api.tenant::<Read>(&self.scene.tenant).await?;
        let mut states = Vec::new();
        for page in 1.. {
            let start = Page::new(page, 100).into();
            let part = checks::list(&mut tx, self.assets[asset].asset_id, None, &start).await?;
            states.extend(part.items);
            if part.next.is_none() {
                assert_eq!(states.len(), usize::try_from(part.total.count)?, "the kept number of checks");
                break;
            }
        }
        Ok(states)
    }

    /// Whether one of the waivers covers a check on an asset, told by their fields.
    fn is_covered(&self, waivers: &[Waiver], asset: usize, module: &str, check: &str) -> bool {
        let controls = |waiver: &Waiver| {
            let checks = self.modules.iter().find(|one| one.slug == module).map(|module| module.checks.iter());
            let found = checks.into_iter().flatten().find(|one| one.id == check);
            let mapped = found.zip(waiver.framework.as_ref()).and_then(|(check, slug)| check.controls.get(slug));
            mapped.is_some_and(|controls| waiver.control.as_ref().is_some_and(|control| controls.contains(control)))
        };
        waivers.iter().any(|waiver| {
            let is_here = match (&waiver.asset_id, &waiver.label_value) {
                (Some(asset_id), _) => *asset_id == self.assets[asset].asset_id,
                (None, Some(value)) => (value == "production") == (asset < 2),
                (None, None) => true,
            };
            let is_check = waiver.module.as_deref() == Some(module) && waiver.check_id.as_deref() == Some(check);
            is_here && (is_check || controls(waiver))
        })
    }

    /// What is kept equals what the verdicts and the waivers in force give, by SQL and by `analysis` alone.
    async fn assert_kept_is_recomputed(&self) -> anyhow::Result<()> {
        let waivers = self.in_force().await?;
        let framework = self.catalog.framework(FRAMEWORK).unwrap();
        let mut expected: BTreeMap<String, Standing> = BTreeMap::new();
        let mut once = Sums::default();
        for asset in 0..ASSETS {
            let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
            for state in self.states(asset).await? {
                let is_covered = self.is_covered(&waivers, asset, &state.module, &state.check_id);
                let verdict: Counted = serde_json::from_value(json!(state.verdict))?;
                assert_eq!(state.is_waived, verdict == Counted::Fail && is_covered, "{state:?}");
                let severity: Severity = serde_json::from_value(json!(state.severity))?;
                let weight = u32::from(self.weights.of(severity));
                let weighed = Weighed { verdict: verdict.under(is_covered), weight };
                once.change(None, Some(weighed));
                let module = self.modules.iter().find(|module| module.slug == state.module).unwrap();
                let check = module.checks.iter().find(|check| check.id == state.check_id).unwrap();
                for control in &check.controls[FRAMEWORK] {
                    if let Some(control) = framework.control(control) {
                        sums.entry(&control.id).or_default().change(None, Some(weighed));
                    }
                }
            }
            for control in &framework.controls {
                let on_asset = Standing::of_control(sums.remove(control.id.as_str()).unwrap_or_default());
                let standing = expected.entry(control.id.clone()).or_default();
                *standing = standing.plus(on_asset);
            }
        }
        // The scene's own asset, which nothing was reported of.
        for standing in expected.values_mut() {
            standing.change(None, Some(Sums::default()));
        }
        let mut tx = self.scene.installation.api.tenant::<Read>(&self.scene.tenant).await?;
        assert_eq!(scores::differences(&mut tx).await?, []);
        assert_eq!(compliance::differences(&mut tx).await?, []);
        let mut found: BTreeMap<String, Standing> = BTreeMap::new();
        let mut place = None;
        loop {
            let part = compliance::controls(&mut tx, FRAMEWORK, None, &Start::after(place, 50)).await?;
            found.extend(part.items.into_iter().map(|row| (row.control, row.standing)));
            place = part.next;
            if place.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
        let standings = compliance::standings(&mut tx).await?;
        let whole = standings.frameworks.iter().find(|one| one.framework == FRAMEWORK).unwrap();
        assert_eq!(whole.standing, Standing::total(expected.values().copied()));
        assert_eq!(whole.controls.all(), i64::try_from(framework.controls.len())?);
        assert_eq!(standings.tenant.checks, once);
        Ok(())
    }
}

fn enrollment(number: usize, environment: &str) -> agents::Enrollment {
    agents::Enrollment {
        identity: format!("state:fleet-{number}"),
        hostname: format!("fleet-{number}"),
        os: wire::OsInfo::default(),
        agent_version: "0.1.0".to_owned(),
        labels: BTreeMap::from([("environment".to_owned(), environment.to_owned())]),
        source: agents::Source::Admin,
    }
}

fn production() -> Place {
    Place::Label { key: "environment".to_owned(), value: "production".to_owned() }
}

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
        fleet.keep().await?;
        taken.push(installation.number(sum).await?);
    }
    println!("one asset and {ASSETS}: {taken:?} statements");
    assert_eq!(taken[0], taken[1]);
    assert!(taken[0] <= 30, "{taken:?}");
    let rows = "SELECT (SELECT sum(xmin::text::bigint) FROM tenant_acme.standings)::bigint
        + (SELECT sum(xmin::text::bigint) FROM tenant_acme.score_days)::bigint";
    let before = installation.number(rows).await?;
    let kept = fleet.keep().await?;
    assert!(kept.is_whole && kept.standings.is_some());
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
