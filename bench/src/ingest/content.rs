//! What is reported: the compliance modules with the most checks, half of them failing on hundreds of files each, and an inventory
//! of packages. Every host reports the same; its findings are its own all the same, because a finding belongs to its asset.

use anyhow::{Context, ensure};
use catalog::Catalog;
use catalog::envelope::{CheckVerdict, Envelope, Facts, Finding, ResourceUse, RunStatus, Summary, Verdict};
use catalog::facts::Row;
use catalog::module::Module;
use catalog::wire::{ResultsRequest, SubmittedResult};
use chrono::Utc;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::simulator::{Subject, package};

/// Compliance modules in a report.
const COMPLIANCE: usize = 4;
const FINDINGS_OF_EACH: usize = 2_600;
const PACKAGES: u32 = 600;

/// One host's report, without the ids of its runs.
pub struct Reports {
    envelopes: Vec<Envelope>,
}

impl Reports {
    /// From the catalog that ships.
    pub fn of_catalog() -> anyhow::Result<Self> {
        let catalog = Catalog::embedded()?;
        let mut modules: Vec<&Module> = catalog.latest().map(|entry| &entry.module).collect();
        modules.sort_by(|a, b| b.checks.len().cmp(&a.checks.len()).then_with(|| a.slug.cmp(&b.slug)));
        modules.truncate(COMPLIANCE);
        ensure!(modules.iter().all(|module| module.checks.len() >= 2), "the catalog has too few checks");
        let mut envelopes: Vec<Envelope> = modules.into_iter().map(compliance).collect();
        let slug = Subject::Software.module();
        let software = &catalog.module(slug, None).with_context(|| format!("the catalog has no {slug}"))?.module;
        let packages = (0..PACKAGES).map(|number| package(number, 0)).collect();
        envelopes.push(Envelope {
            facts: Facts::between(None, &BTreeMap::new(), packages),
            ..envelope(software, Vec::new(), Vec::new())
        });
        Ok(Self { envelopes })
    }

    /// Slugs of what is reported.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.envelopes.iter().map(|envelope| envelope.module.as_str())
    }

    /// Findings in one report.
    pub fn findings(&self) -> usize {
        self.envelopes.iter().map(|envelope| envelope.findings.len()).sum()
    }

    /// Facts in one report.
    pub fn facts(&self) -> usize {
        self.envelopes.iter().map(|envelope| envelope.facts.added.len()).sum()
    }

    /// The report, as runs that nobody has seen.
    pub fn request(&self) -> ResultsRequest {
        let fresh = |envelope: &Envelope| SubmittedResult {
            job_id: None,
            envelope: Envelope { run_id: Uuid::now_v7(), ..envelope.clone() },
        };
        ResultsRequest { results: self.envelopes.iter().map(fresh).collect() }
    }
}

/// Every other check fails, on as many files as it takes.
fn compliance(module: &Module) -> Envelope {
    let is_failing = |position: usize| position.is_multiple_of(2);
    let verdict = |(position, check): (usize, &catalog::module::Check)| CheckVerdict {
        id: check.id.clone(),
        verdict: if is_failing(position) { Verdict::Fail } else { Verdict::Pass },
        message: None,
    };
    let checks = module.checks.iter().enumerate().map(verdict).collect();
    let failing: Vec<_> = module.checks.iter().step_by(2).collect();
    let finding = |number: usize| {
        let check = failing[number % failing.len()];
        Finding {
            check: check.id.clone(),
            severity: check.severity,
            resource: format!("/srv/{}/releases/{:04}/config/{number:05}.yaml", module.slug, number % 97),
            evidence: Row::from([
                ("actual".to_owned(), json!("0666")),
                ("expected".to_owned(), json!("0640")),
                ("owner".to_owned(), json!(format!("user{:03}", number % 211))),
                ("size".to_owned(), json!(number * 37 % 65_536)),
            ]),
        }
    };
    envelope(module, checks, (0..FINDINGS_OF_EACH).map(finding).collect())
}

fn envelope(module: &Module, checks: Vec<CheckVerdict>, findings: Vec<Finding>) -> Envelope {
    Envelope {
        run_id: Uuid::nil(),
        module: module.slug.clone(),
        version: module.version.to_string(),
        status: RunStatus::Succeeded,
        started_at: Utc::now(),
        duration_ms: 480,
        resource: ResourceUse { cpu_ms: 310, max_rss_kb: 21_000 },
        summary: Summary::of(&checks),
        checks,
        findings,
        benchmarks: Vec::new(),
        facts: Facts::default(),
        artifacts: Vec::new(),
        log: Vec::new(),
    }
}
