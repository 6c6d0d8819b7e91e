//! Some assets of a tenant with modules that map to a framework, and what is kept of them held against a recompute.

use std::collections::BTreeMap;

use analysis::compliance::Standing;
use analysis::grant::Grant;
use analysis::score::{Severity, Sums, Verdict as Counted, Weighed, Weights};
use analysis::sum::Sum as _;
use catalog::envelope::Envelope;
use catalog::module::Module;
use catalog::{Catalog, wire};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use store::ingest::{self, IngestContext, IngestOutcome};
use store::waivers::{self, NewWaiver, Place, Subject, Waiver};
use store::{Page, Read, Start, Write, agents, checks, compliance, scores};
use uuid::Uuid;

use crate::ingest::Scene;

pub const FRAMEWORK: &str = "cis-debian-12";
pub const ASSETS: usize = 3;

/// Some assets of a tenant, the first two in production, and modules that map to a framework.
pub struct Fleet {
    pub scene: Scene,
    pub assets: Vec<IngestContext>,
    pub modules: Vec<Module>,
    pub catalog: Catalog,
    pub weights: Weights,
}

impl Fleet {
    pub async fn new() -> anyhow::Result<Self> {
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

    pub async fn apply(&self, asset: usize, envelope: &Envelope) -> store::Result<IngestOutcome> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        let outcome = ingest::apply(&mut tx, &self.assets[asset], envelope).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    pub async fn waive(
        &self,
        place: Place,
        subject: Subject,
        from: TimeDelta,
        until: TimeDelta,
    ) -> store::Result<Waiver> {
        let now = Utc::now();
        let grant = Grant::new("anna", "replaced in May", now + from, now + until).unwrap();
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        let new = NewWaiver { place, subject, grant, created_by: "user:1".to_owned() };
        let made = waivers::create(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(made)
    }

    pub async fn revoke(&self, waiver_id: Uuid) -> store::Result<()> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        waivers::revoke(&mut tx, waiver_id, "user:2").await?;
        tx.commit().await
    }

    /// Lets the time of a waiver pass.
    pub async fn end(&self, waiver_id: Uuid) -> anyhow::Result<()> {
        let past = "starts_at = now() - interval '2 s', ends_at = now() - interval '1 s'";
        let statement = format!("UPDATE tenant_acme.waivers SET {past} WHERE waiver_id = '{waiver_id}'");
        self.scene.installation.admin(&statement).await
    }

    pub async fn keep(&self) -> anyhow::Result<compliance::Kept> {
        loop {
            let kept = compliance::keep(&self.scene.installation.api, &self.scene.tenant, &self.weights).await?;
            if kept.is_whole {
                return Ok(kept);
            }
        }
    }

    pub fn check(&self, module: usize, check: usize) -> Subject {
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
    pub async fn assert_kept_is_recomputed(&self) -> anyhow::Result<()> {
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

pub fn enrollment(number: usize, environment: &str) -> agents::Enrollment {
    agents::Enrollment {
        identity: format!("state:fleet-{number}"),
        hostname: format!("fleet-{number}"),
        os: wire::OsInfo::default(),
        agent_version: "0.1.0".to_owned(),
        labels: BTreeMap::from([("environment".to_owned(), environment.to_owned())]),
        source: agents::Source::Admin,
    }
}

pub fn production() -> Place {
    Place::Label { key: "environment".to_owned(), value: "production".to_owned() }
}
