//! Results on their way in: a repeat is harmless, what is kept equals a recompute, the number of statements does not grow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use analysis::score::Weights;
use catalog::envelope::{CheckVerdict, Envelope, Finding, ResourceUse, RunStatus, Summary, Verdict};
use catalog::facts::{Fact, Facts};
use catalog::module::Module;
use catalog::{Catalog, Entry, Severity};
use chrono::Utc;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use store::findings::{FindingFilter, Status};
use store::ingest::{self, IngestContext, IngestOutcome};
use store::{
    Error, Page, Read, TenantRef, Write, agents, assets, checks, compliance, findings, frameworks, modules, overview,
    rollups, runs, scores,
};
use tracing_subscriber::layer::SubscriberExt as _;
use uuid::Uuid;

use crate::installation::Installation;

/// A tenant with one agent and the catalog.
pub struct Scene {
    pub installation: Installation,
    pub tenant: TenantRef,
    pub context: IngestContext,
    module: Entry,
}

impl Scene {
    pub async fn new() -> anyhow::Result<Self> {
        let installation = Installation::start().await?;
        let tenant = installation.tenant("acme").await?;
        let catalog = Catalog::embedded().map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let mut tx = installation.owner.begin().await?;
        modules::upsert(&mut tx, catalog.entries()).await?;
        for framework in catalog.frameworks() {
            frameworks::upsert(&mut tx, framework).await?;
        }
        tx.commit().await?;
        let module = catalog
            .latest()
            .max_by_key(|entry| entry.module.checks.len())
            .cloned()
            .ok_or_else(|| anyhow::anyhow!("the catalog is empty"))?;
        let mut tx = installation.api.tenant::<Write>(&tenant).await?;
        let enrolled = agents::enroll(&mut tx, &enrollment("host-1")).await?;
        tx.commit().await?;
        let context = IngestContext {
            agent_id: enrolled.agent_id,
            asset_id: enrolled.asset_id,
            job_id: None,
            weights: Weights::default(),
        };
        Ok(Self { installation, tenant, context, module })
    }

    /// An envelope with these verdicts by position (the rest pass), and these failing resources of each failing check.
    pub fn envelope(&self, verdicts: &[Verdict], resources: &[&str]) -> Envelope {
        envelope_of(&self.module.module, verdicts, resources)
    }

    pub async fn apply(&self, envelope: &Envelope) -> store::Result<IngestOutcome> {
        let mut tx = self.installation.api.tenant::<Write>(&self.tenant).await?;
        let outcome = ingest::apply(&mut tx, &self.context, envelope).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Counts what is kept by the context's weights.
    pub async fn keep(&self) -> store::Result<()> {
        while !compliance::keep(&self.installation.api, &self.tenant, &self.context.weights).await?.is_whole {}
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<Vec<findings::Finding>> {
        let mut tx = self.installation.api.tenant::<Read>(&self.tenant).await?;
        let filter = FindingFilter { status: Some(Status::Open), ..FindingFilter::default() };
        Ok(findings::list(&mut tx, &filter, findings::Sort::WorstFirst, &Page::new(1, 100).into()).await?.items)
    }

    /// The kept score equals what the verdicts give, in SQL and by `analysis`.
    pub async fn assert_kept_is_recomputed(&self) -> anyhow::Result<()> {
        let mut tx = self.installation.api.tenant::<Read>(&self.tenant).await?;
        assert_eq!(scores::differences(&mut tx).await?, []);
        let asset = assets::get(&mut tx, self.context.asset_id).await?.unwrap();
        let mut page = 1;
        let mut sums = analysis::score::Sums::default();
        loop {
            let states = checks::list(&mut tx, self.context.asset_id, None, &Page::new(page, 100).into()).await?;
            for state in &states.items {
                let severity: analysis::score::Severity = serde_json::from_value(json!(state.severity))?;
                let verdict: analysis::score::Verdict = serde_json::from_value(json!(state.verdict))?;
                let verdict = verdict.under(state.is_waived);
                let weight = u32::from(self.context.weights.of(severity));
                sums.change(None, Some(analysis::score::Weighed { verdict, weight }));
            }
            if states.items.len() < 100 {
                break;
            }
            page += 1;
        }
        assert_eq!(asset.score, sums.score().map(i16::from));
        assert_eq!(i64::from(asset.failed), sums.failed);
        Ok(())
    }
}

/// An envelope of the module with these verdicts by position (the rest pass), and these failing resources of each failing
/// check.
pub fn envelope_of(module: &Module, verdicts: &[Verdict], resources: &[&str]) -> Envelope {
    let checks: Vec<CheckVerdict> = module
        .checks
        .iter()
        .enumerate()
        .map(|(index, check)| CheckVerdict {
            id: check.id.clone(),
            verdict: verdicts.get(index).copied().unwrap_or(Verdict::Pass),
            message: None,
        })
        .collect();
    let findings = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Fail)
        .flat_map(|check| {
            resources.iter().map(|resource| Finding {
                check: check.id.clone(),
                severity: Severity::Low,
                resource: (*resource).to_owned(),
                evidence: BTreeMap::from([("actual".to_owned(), json!("6"))]),
            })
        })
        .collect();
    Envelope {
        run_id: Uuid::now_v7(),
        module: module.slug.clone(),
        version: module.version.to_string(),
        status: RunStatus::Succeeded,
        started_at: Utc::now(),
        duration_ms: 12,
        resource: ResourceUse::default(),
        summary: Summary::of(&checks),
        checks,
        findings,
        benchmarks: Vec::new(),
        facts: Facts::default(),
        artifacts: Vec::new(),
        log: Vec::new(),
    }
}

pub fn enrollment(name: &str) -> agents::Enrollment {
    agents::Enrollment {
        identity: format!("state:{name}"),
        hostname: name.to_owned(),
        os: catalog::wire::OsInfo::default(),
        agent_version: "0.1.0".to_owned(),
        labels: BTreeMap::new(),
        source: agents::Source::Admin,
    }
}

pub fn fact(port: u16, path: &str) -> Fact {
    let row = BTreeMap::from([("port".to_owned(), json!(port.to_string())), ("path".to_owned(), json!(path))]);
    Fact::new("listening_ports", &["port".to_owned()], row)
}

#[tokio::test]
async fn the_same_result_again_changes_nothing() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let envelope = scene.envelope(&[Verdict::Fail, Verdict::Fail, Verdict::NotApplicable, Verdict::Error], &["a", "b"]);
    let first = scene.apply(&envelope).await?;
    assert_eq!((first.duplicate, first.opened, first.closed), (false, 4, 0));
    // What does not apply has no history.
    let told = envelope.checks.iter().filter(|check| check.verdict != Verdict::NotApplicable).count();
    assert_eq!(first.transitions, told as u64);
    assert!(told < envelope.checks.len());
    let again = scene.apply(&envelope).await?;
    assert!(again.duplicate);
    assert_eq!(again.snapshot, first.snapshot);
    // The same content as a new run: a run more, no verdict, finding or transition.
    let counts = "SELECT (SELECT count(*) FROM tenant_acme.findings) + (SELECT count(*) FROM tenant_acme.check_transitions)
        + (SELECT sum(xmin::text::bigint)::bigint FROM tenant_acme.findings) + (SELECT sum(xmin::text::bigint)::bigint FROM tenant_acme.check_states)";
    let before = scene.installation.number(counts).await?;
    let same = scene.apply(&Envelope { run_id: Uuid::now_v7(), ..envelope.clone() }).await?;
    assert_eq!((same.opened, same.closed, same.transitions), (0, 0, 0));
    assert_eq!(scene.installation.number(counts).await?, before, "no row was written again");
    assert_eq!(scene.open().await?.len(), 4);
    scene.assert_kept_is_recomputed().await
}

#[tokio::test]
async fn findings_close_and_come_back_as_themselves() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.apply(&scene.envelope(&[Verdict::Fail], &["a", "b"])).await?;
    let before = scene.open().await?;
    let one = scene.apply(&scene.envelope(&[Verdict::Fail], &["b"])).await?;
    assert_eq!((one.opened, one.closed, one.transitions), (0, 1, 0));
    // An undecided check leaves its findings as they are.
    let undecided = scene.apply(&scene.envelope(&[Verdict::Error], &[])).await?;
    assert_eq!((undecided.closed, undecided.transitions), (0, 1));
    assert_eq!(scene.open().await?.len(), 1);
    let over = scene.apply(&scene.envelope(&[], &[])).await?;
    assert_eq!(over.closed, 1);
    let back = scene.apply(&scene.envelope(&[Verdict::Fail], &["a", "b"])).await?;
    assert_eq!(back.opened, 2);
    let after = scene.open().await?;
    let ids = |list: &[findings::Finding]| {
        list.iter().map(|finding| finding.finding_id).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ids(&before), ids(&after));
    assert!(after.iter().all(|finding| finding.times_reopened == 1 && finding.first_seen_at < finding.opened_at));
    assert!(after.iter().all(|finding| !finding.rationale.is_empty() && finding.title != finding.check_id));
    let severity = scene.module.module.checks[0].severity.as_str();
    assert!(
        after.iter().all(|finding| finding.severity == severity),
        "the catalog decides how bad it is, not the agent"
    );
    // A failed run says nothing.
    let failed = Envelope { status: RunStatus::Failed, ..scene.envelope(&[], &[]) };
    scene.apply(&failed).await?;
    assert_eq!(scene.open().await?.len(), 2);
    scene.assert_kept_is_recomputed().await
}

#[tokio::test]
async fn what_is_kept_equals_a_recompute_after_any_sequence() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    let mut random = StdRng::seed_from_u64(23);
    let resources = ["a", "b", "c", "d"];
    for round in 0..60 {
        let verdicts: Vec<Verdict> = scene
            .module
            .module
            .checks
            .iter()
            .map(|_| match random.random_range(0..8) {
                0 | 1 => Verdict::Fail,
                2 => Verdict::NotApplicable,
                3 => Verdict::Error,
                _ => Verdict::Pass,
            })
            .collect();
        let some: Vec<&str> = resources.iter().copied().filter(|_| random.random_bool(0.6)).collect();
        let mut envelope = scene.envelope(&verdicts, &some);
        // Rows of one resource, in any order, are one finding.
        if let Some(first) = envelope.findings.first().cloned() {
            envelope.findings.push(Finding { evidence: BTreeMap::from([("other".to_owned(), json!(round))]), ..first });
        }
        match random.random_range(0..6) {
            0 => envelope.status = RunStatus::Partial,
            1 => envelope.status = RunStatus::Failed,
            2 => {
                // A check left the module.
                let gone = envelope.checks.pop().unwrap();
                envelope.findings.retain(|finding| finding.check != gone.id);
                envelope.summary = Summary::of(&envelope.checks);
            }
            _ => {}
        }
        if round == 30 {
            scene.context.weights = Weights { critical: 7, high: 7, medium: 3, low: 0 };
            scene.keep().await?;
            scene.assert_kept_is_recomputed().await?;
        }
        scene.apply(&envelope).await?;
        scene.assert_kept_is_recomputed().await?;
    }
    let rollup = rollups::refresh(&scene.installation.api, &scene.tenant).await?;
    let mut tx = scene.installation.api.tenant::<Read>(&scene.tenant).await?;
    let overview = overview::read(&mut tx).await?;
    assert_eq!(overview.score.map(i16::from), rollup.score);
    assert_eq!(overview.totals.open_high, rollup.open_high);
    assert_eq!(overview.trend.last().and_then(|day| day.score), rollup.score);
    assert!(runs::list(&mut tx, &runs::RunFilter::default(), &Page::default().into()).await?.total.count >= 60);
    Ok(())
}

#[tokio::test]
async fn facts_follow_snapshots_and_a_wrong_base_is_refused_whole() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let at = |facts: Facts| Envelope { facts, ..scene.envelope(&[Verdict::Fail], &["a"]) };
    let known = |facts: &[Fact]| facts.iter().map(|fact| (fact.hash(), fact.table.clone())).collect::<BTreeMap<_, _>>();
    let first = vec![fact(22, "/usr/sbin/sshd"), fact(80, "/usr/sbin/nginx")];
    let begun = scene.apply(&at(Facts::between(None, &BTreeMap::new(), first.clone()))).await?;
    assert_eq!((begun.facts_added, begun.facts_removed), (2, 0));
    let changes = "SELECT count(*) FROM tenant_acme.fact_changes";
    assert_eq!(scene.installation.number(changes).await?, 0, "the first inventory is no drift");
    // 80 changed its program, 4444 appeared.
    let second = vec![fact(22, "/usr/sbin/sshd"), fact(80, "/tmp/x"), fact(4444, "/tmp/x")];
    let delta = Facts::between(begun.snapshot.clone(), &known(&first), second.clone());
    let after_second = scene.apply(&at(delta.clone())).await?;
    assert_eq!((after_second.facts_added, after_second.facts_removed), (2, 1));
    let moves = "SELECT count(*) FROM tenant_acme.fact_changes WHERE (kind = 'changed' AND before->>'path' = '/usr/sbin/nginx') OR kind = 'added'";
    assert_eq!(scene.installation.number(moves).await?, 2);
    // The old base again, a base nobody knows, and a snapshot that the changes do not lead to.
    let runs_before = scene.installation.number("SELECT count(*) FROM tenant_acme.runs").await?;
    let lies = Facts {
        snapshot: "0".repeat(32),
        base: after_second.snapshot.clone(),
        added: vec![fact(1, "x")],
        removed: vec![],
    };
    for facts in [delta, Facts { base: Some("f".repeat(32)), ..Facts::default() }, lies] {
        let refused = scene.apply(&at(facts)).await.unwrap_err();
        assert!(matches!(refused, Error::SnapshotMismatch { .. }), "{refused}");
    }
    assert_eq!(
        scene.installation.number("SELECT count(*) FROM tenant_acme.runs").await?,
        runs_before,
        "nothing of it is there"
    );
    assert_eq!(scene.installation.number("SELECT count(*) FROM tenant_acme.facts").await?, 3);
    // The whole again replaces what is there.
    let third = vec![fact(22, "/usr/sbin/sshd")];
    let whole = scene.apply(&at(Facts::between(None, &BTreeMap::new(), third.clone()))).await?;
    assert_eq!((whole.facts_added, whole.facts_removed), (0, 2));
    // What the next poll says without sending anything.
    let unchanged = |base: &str| catalog::wire::UnchangedRun {
        job_id: None,
        run_id: Uuid::now_v7(),
        module: scene.module.module.slug.clone(),
        version: scene.module.module.version.to_string(),
        base: base.to_owned(),
        started_at: Utc::now(),
        duration_ms: 5,
    };
    let (good, bad) = (unchanged(whole.snapshot.as_deref().unwrap()), unchanged("0123"));
    let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
    let (agent_id, asset_id) = (scene.context.agent_id, scene.context.asset_id);
    let refused = runs::record_unchanged(&mut tx, agent_id, asset_id, &[good.clone(), bad.clone()]).await?;
    assert_eq!(refused, [bad.run_id]);
    assert!(runs::record_unchanged(&mut tx, agent_id, asset_id, &[good]).await?.is_empty(), "a repeat is harmless");
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn results_that_contradict_the_catalog_are_refused() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let good = scene.envelope(&[Verdict::Fail], &["a"]);
    let unknown_module = Envelope { version: "99.0.0".to_owned(), ..good.clone() };
    assert!(matches!(scene.apply(&unknown_module).await, Err(Error::UnknownModule { .. })));
    let mut unknown_check = good.clone();
    unknown_check.checks[1].id = "no-such-check".to_owned();
    assert!(matches!(scene.apply(&unknown_check).await, Err(Error::InvalidResult { .. })));
    let mut miscounted = good.clone();
    miscounted.summary.passed += 1;
    assert!(matches!(scene.apply(&miscounted).await, Err(Error::InvalidResult { .. })));
    let foreign = IngestContext { asset_id: Uuid::now_v7(), ..scene.context.clone() };
    let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
    assert!(matches!(ingest::apply(&mut tx, &foreign, &good).await, Err(Error::NotFound("asset"))));
    Ok(())
}

/// Counts what sqlx sends.
struct Statements(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn the_number_of_statements_does_not_grow_with_the_result() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let count = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Statements(count.clone())));
    let taken = || count.swap(0, Ordering::SeqCst);
    let names: Vec<String> = (0..10_000).map(|number| format!("/srv/{number}")).collect();
    let few: Vec<&str> = names[..10].iter().map(String::as_str).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    let facts = |of: u16| Facts::between(None, &BTreeMap::new(), (0..of).map(|port| fact(port, "x")).collect());
    let mut numbers = Vec::new();
    for (resources, rows) in [(&few, 5), (&many, 2000), (&few, 5)] {
        let envelope = Envelope { facts: facts(rows), ..scene.envelope(&[Verdict::Fail], resources) };
        taken();
        scene.apply(&envelope).await?;
        let new = taken();
        scene.apply(&Envelope { run_id: Uuid::now_v7(), ..envelope.clone() }).await?;
        let repeat = taken();
        scene.apply(&envelope).await?;
        numbers.push((new, repeat, taken()));
    }
    // BEGIN with its settings, definitions, run, facts, waivers (where a check begins to fail), verdicts, score, events and
    // audit, COMMIT; of what was there before also what is stored, what goes and what closes. Of the COPY of new findings sqlx
    // tells nothing.
    assert_eq!(numbers, [(9, 7, 4), (10, 7, 4), (12, 7, 4)]);
    let mut tx = scene.installation.api.tenant::<Read>(&scene.tenant).await?;
    taken();
    overview::read(&mut tx).await?;
    let for_overview = taken();
    let filter = FindingFilter {
        q: Some("srv".to_owned()),
        severities: vec![Severity::Critical, Severity::High, Severity::Medium, Severity::Low],
        ..FindingFilter::default()
    };
    let page = findings::list(&mut tx, &filter, findings::Sort::WorstFirst, &Page::new(2, 100).into()).await?;
    let for_list = taken();
    // BEGIN and COMMIT come on top of each.
    assert!(for_overview == 2 && for_list == 2, "{for_overview} {for_list}");
    // A search looks at 5,000 findings at a time.
    assert_eq!((page.total.count, page.total.is_exact, page.items.len()), (5_000, false, 100));
    Ok(())
}

#[tokio::test]
async fn the_catalog_is_brought_once_and_a_released_version_stays() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let catalog = Catalog::embedded().map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let mut tx = scene.installation.owner.begin().await?;
    let again = modules::upsert(&mut tx, catalog.entries()).await?;
    assert_eq!(again.added, 0);
    for framework in catalog.frameworks() {
        assert!(!frameworks::upsert(&mut tx, framework).await?);
    }
    assert_eq!(modules::versions(&mut tx, None).await?.len(), catalog.entries().len());
    let changed = Entry { checksum: "other".to_owned(), ..scene.module.clone() };
    let refused = modules::upsert(&mut tx, [&changed]).await.unwrap_err();
    assert!(matches!(refused, Error::ReleasedChanged { .. }), "{refused}");
    tx.rollback().await?;
    let back = scene.installation.admin("UPDATE shared.module_versions SET state = 'draft'").await;
    assert!(back.is_err(), "the database refuses it, whoever asks");
    Ok(())
}
