//! What a run changes, drawn from what is stored and what came in. Pure: the property test of the kept scores and the
//! writer both rest on it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use analysis::score::{self, Sums, Weighed, Weights};
use catalog::Severity;
use catalog::envelope::{Envelope, RunStatus, Verdict};
use catalog::facts::{Row, row_hash};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A check's verdict as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredState {
    pub(super) version: String,
    pub(super) verdict: Verdict,
    pub(super) severity: Severity,
    pub(super) weight: u32,
    pub(super) message: Option<String>,
}

/// A finding as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredFinding {
    pub(super) check: String,
    pub(super) severity: Severity,
    pub(super) is_open: bool,
    pub(super) content: Uuid,
}

/// A verdict to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateWrite {
    pub(super) check: String,
    pub(super) from: Option<Verdict>,
    pub(super) verdict: Verdict,
    pub(super) severity: Severity,
    pub(super) weight: u32,
    pub(super) message: Option<String>,
}

impl StateWrite {
    pub(super) fn is_transition(&self) -> bool {
        is_transition(self.from, Some(self.verdict))
    }
}

/// A finding to store, new or changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FindingWrite {
    pub(super) finding_id: Uuid,
    pub(super) check: String,
    pub(super) resource: String,
    pub(super) severity: Severity,
    pub(super) evidence: Row,
    pub(super) content: Uuid,
}

/// Open findings by severity, or a change of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OpenCounts {
    pub(super) critical: i64,
    pub(super) high: i64,
    pub(super) medium: i64,
    pub(super) low: i64,
}

impl OpenCounts {
    fn add(&mut self, severity: Severity, sign: i64) {
        *match severity {
            Severity::Critical => &mut self.critical,
            Severity::High => &mut self.high,
            Severity::Medium => &mut self.medium,
            Severity::Low => &mut self.low,
        } += sign;
    }
}

/// What to write for verdicts and findings.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) states: Vec<StateWrite>,
    /// Checks that the module no longer has, with their last verdict.
    pub(super) gone: Vec<(String, Verdict)>,
    pub(super) findings: Vec<FindingWrite>,
    pub(super) closed: Vec<Uuid>,
    /// New and reopened ones.
    pub(super) opened: Vec<Uuid>,
    pub(super) sums: Sums,
    pub(super) open: OpenCounts,
}

impl Plan {
    pub(super) fn changes_score(&self) -> bool {
        self.sums != Sums::default() || self.open != OpenCounts::default()
    }

    /// Checks that are gone and whose end is a transition.
    pub(super) fn ended(&self) -> impl Iterator<Item = &(String, Verdict)> + Clone {
        self.gone.iter().filter(|(_, verdict)| is_transition(Some(*verdict), None))
    }

    pub(super) fn transitions(&self) -> usize {
        self.states.iter().filter(|state| state.is_transition()).count() + self.ended().count()
    }
}

/// Whether a change is worth a row of history. A check that does not apply comes and goes without one: of the catalog's
/// checks most do not apply to a given host, and that says nothing about it.
fn is_transition(from: Option<Verdict>, to: Option<Verdict>) -> bool {
    let said = |verdict: Option<Verdict>| verdict.is_some_and(|verdict| verdict != Verdict::NotApplicable);
    from != to && (said(from) || said(to))
}

/// A finding that came in, under its identity.
pub(super) struct Incoming {
    pub(super) by_id: BTreeMap<Uuid, FindingWrite>,
}

/// Gives each finding its identity and the severity that its check has in the catalog. Rows of one check about one
/// resource are one finding: the one with the least hash, so that their order does not matter, and how many more.
pub(super) fn incoming(asset_id: Uuid, envelope: &Envelope, severities: &HashMap<String, Severity>) -> Incoming {
    let mut groups: BTreeMap<Uuid, (FindingWrite, u64)> = BTreeMap::new();
    for finding in &envelope.findings {
        let severity = severities.get(&finding.check).copied().unwrap_or(finding.severity);
        let finding_id = finding_id(asset_id, &envelope.module, &finding.check, &finding.resource);
        let content = content_hash(severity, &envelope.version, &finding.evidence);
        let write = || FindingWrite {
            finding_id,
            check: finding.check.clone(),
            resource: finding.resource.clone(),
            severity,
            evidence: finding.evidence.clone(),
            content,
        };
        match groups.get_mut(&finding_id) {
            None => {
                groups.insert(finding_id, (write(), 0));
            }
            Some((kept, more)) => {
                *more += 1;
                if content < kept.content {
                    *kept = write();
                }
            }
        }
    }
    let by_id = groups
        .into_iter()
        .map(|(id, (mut finding, more))| {
            if more > 0 {
                finding.evidence.insert("more_rows".to_owned(), Value::from(more));
                finding.content = content_hash(finding.severity, &envelope.version, &finding.evidence);
            }
            (id, finding)
        })
        .collect();
    Incoming { by_id }
}

/// Compares what came in with what is stored.
///
/// A verdict `error` decides nothing: its findings stay as they are. A check that a complete run does not name is no
/// longer in the module: its verdict goes and its findings close.
pub(super) fn plan(
    envelope: &Envelope,
    incoming: Incoming,
    severities: &HashMap<String, Severity>,
    weights: Weights,
    states: &HashMap<String, StoredState>,
    findings: &HashMap<Uuid, StoredFinding>,
) -> Plan {
    let mut plan = Plan::default();
    let mut named = HashSet::new();
    let mut decided = BTreeSet::new();
    for check in &envelope.checks {
        named.insert(check.id.as_str());
        if check.verdict != Verdict::Error {
            decided.insert(check.id.as_str());
        }
        let Some(severity) = severities.get(&check.id).copied() else { continue };
        let weight = u32::from(weights.of(severity_of(severity)));
        let stored = states.get(&check.id);
        let is_same = stored.is_some_and(|stored| {
            (stored.verdict, stored.severity, stored.weight) == (check.verdict, severity, weight)
                && stored.version == envelope.version
                && stored.message == check.message
        });
        if is_same {
            continue;
        }
        plan.sums.change(
            stored.map(|stored| Weighed { verdict: verdict_of(stored.verdict), weight: stored.weight }),
            Some(Weighed { verdict: verdict_of(check.verdict), weight }),
        );
        plan.states.push(StateWrite {
            check: check.id.clone(),
            from: stored.map(|stored| stored.verdict),
            verdict: check.verdict,
            severity,
            weight,
            message: check.message.clone(),
        });
    }
    let is_complete = envelope.status == RunStatus::Succeeded;
    if is_complete {
        for (check, stored) in states.iter().filter(|(check, _)| !named.contains(check.as_str())) {
            let from = Weighed { verdict: verdict_of(stored.verdict), weight: stored.weight };
            plan.sums.change(Some(from), None);
            plan.gone.push((check.clone(), stored.verdict));
        }
        plan.gone.sort_by(|a, b| a.0.cmp(&b.0));
    }
    for (id, stored) in findings.iter().filter(|(id, stored)| stored.is_open && !incoming.by_id.contains_key(id)) {
        let is_over =
            decided.contains(stored.check.as_str()) || (is_complete && !named.contains(stored.check.as_str()));
        if is_over {
            plan.closed.push(*id);
            plan.open.add(stored.severity, -1);
        }
    }
    plan.closed.sort_unstable();
    for (id, finding) in incoming.by_id {
        let stored = findings.get(&id);
        if stored.is_some_and(|stored| stored.is_open && stored.content == finding.content) {
            continue;
        }
        match stored.filter(|stored| stored.is_open) {
            Some(stored) => plan.open.add(stored.severity, -1),
            None => plan.opened.push(id),
        }
        plan.open.add(finding.severity, 1);
        plan.findings.push(finding);
    }
    plan
}

/// The identity of a finding as a UUID (RFC 9562 version 8). Its first six bytes come from asset and module alone, so
/// that the findings of one run lie side by side in the index.
pub(super) fn finding_id(asset_id: Uuid, module: &str, check: &str, resource: &str) -> Uuid {
    let prefix = Sha256::new().chain_update(asset_id.as_bytes()).chain_update(module.as_bytes()).finalize();
    let mut whole = Sha256::new();
    whole.update(asset_id.as_bytes());
    for part in [module, check, resource] {
        whole.update((part.len() as u64).to_be_bytes());
        whole.update(part.as_bytes());
    }
    let whole = whole.finalize();
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&prefix[..6]);
    bytes[6..].copy_from_slice(&whole[..10]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn content_hash(severity: Severity, version: &str, evidence: &Row) -> Uuid {
    hash_to_uuid(&row_hash(&format!("{severity} {version}"), evidence)).unwrap_or_default()
}

/// The 32 hexadecimal digits of a hash as the uuid that is stored.
pub(super) fn hash_to_uuid(hash: &str) -> Option<Uuid> {
    if hash.len() == 32 { Uuid::try_parse(hash).ok() } else { None }
}

const fn severity_of(severity: Severity) -> score::Severity {
    match severity {
        Severity::Low => score::Severity::Low,
        Severity::Medium => score::Severity::Medium,
        Severity::High => score::Severity::High,
        Severity::Critical => score::Severity::Critical,
    }
}

const fn verdict_of(verdict: Verdict) -> score::Verdict {
    match verdict {
        Verdict::Pass => score::Verdict::Pass,
        Verdict::Fail => score::Verdict::Fail,
        Verdict::NotApplicable => score::Verdict::NotApplicable,
        Verdict::Error => score::Verdict::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_applied_has_no_history() {
        use Verdict::{Fail, NotApplicable, Pass};
        for (from, to, is_told) in [
            (None, Some(NotApplicable), false),
            (Some(NotApplicable), None, false),
            (None, Some(Pass), true),
            (Some(NotApplicable), Some(Fail), true),
            (Some(Fail), Some(NotApplicable), true),
            (Some(Fail), None, true),
            (Some(Pass), Some(Pass), false),
        ] {
            assert_eq!(is_transition(from, to), is_told, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn a_finding_keeps_its_identity_and_no_other_shares_it() {
        let asset = Uuid::from_u128(7);
        let id = finding_id(asset, "m", "c", "r");
        assert_eq!(id, finding_id(asset, "m", "c", "r"));
        assert_ne!(id, finding_id(asset, "m", "cr", ""));
        assert_ne!(id, finding_id(asset, "m", "c", "s"));
        assert_eq!(id.as_bytes()[..6], finding_id(asset, "m", "x", "y").as_bytes()[..6]);
        assert_eq!(id.get_version_num(), 8);
    }
}
