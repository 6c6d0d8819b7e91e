//! What a run changes, drawn from what is stored and what came in. Pure: the property test of the kept scores and the
//! writer both rest on it.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use analysis::risk::Exposure;
use analysis::score::{self, Sums, Weighed, Weights};
use catalog::Severity;
use catalog::envelope::{Envelope, RunStatus, Verdict};
use catalog::facts::{Row, row_digest};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::exposure;

/// A check's verdict as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredState {
    pub(super) version: String,
    pub(super) verdict: Verdict,
    pub(super) severity: Severity,
    pub(super) weight: u32,
    pub(super) message: Option<String>,
    /// It fails and was counted as waived.
    pub(super) is_waived: bool,
}

impl StoredState {
    fn weighed(&self) -> Weighed {
        Weighed { verdict: verdict_of(self.verdict).under(self.is_waived), weight: self.weight }
    }
}

/// A finding as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredFinding {
    pub(super) check: String,
    pub(super) severity: Severity,
    pub(super) is_open: bool,
    pub(super) content: Uuid,
    pub(super) exposure: Exposure,
}

/// A verdict to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateWrite<'a> {
    pub(super) check: &'a str,
    pub(super) from: Option<Verdict>,
    pub(super) verdict: Verdict,
    pub(super) severity: Severity,
    pub(super) weight: u32,
    pub(super) message: Option<&'a str>,
    /// It fails, and a waiver covers it.
    pub(super) is_waived: bool,
}

impl StateWrite<'_> {
    fn begins_to_fail(&self) -> bool {
        self.verdict == Verdict::Fail && self.from != Some(Verdict::Fail)
    }

    pub(super) fn is_transition(&self) -> bool {
        is_transition(self.from, Some(self.verdict))
    }
}

/// A finding to store, new or changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FindingWrite<'a> {
    pub(super) finding_id: Uuid,
    pub(super) check: &'a str,
    pub(super) resource: &'a str,
    pub(super) severity: Severity,
    pub(super) evidence: Cow<'a, Row>,
    pub(super) content: Uuid,
    pub(super) exposure: Exposure,
}

/// Open findings by severity, or a change of them; or by how many percent exposure makes these weigh more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OpenCounts {
    pub(super) critical: i64,
    pub(super) high: i64,
    pub(super) medium: i64,
    pub(super) low: i64,
}

impl OpenCounts {
    /// Both together.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            critical: self.critical + other.critical,
            high: self.high + other.high,
            medium: self.medium + other.medium,
            low: self.low + other.low,
        }
    }

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
pub(super) struct Plan<'a> {
    pub(super) states: Vec<StateWrite<'a>>,
    /// Checks that the module no longer has, with their last verdict.
    pub(super) gone: Vec<(String, Verdict)>,
    /// Findings that no row is stored of.
    pub(super) new: Vec<FindingWrite<'a>>,
    /// Findings whose row changes, be it that they come back.
    pub(super) changed: Vec<FindingWrite<'a>>,
    pub(super) closed: Vec<Uuid>,
    /// New and reopened ones.
    pub(super) opened: Vec<Uuid>,
    pub(super) sums: Sums,
    pub(super) open: OpenCounts,
    /// Controls may stand otherwise: a verdict, a weight, or the version whose mappings hold has changed.
    pub(super) moves_standing: bool,
    /// What exposure adds to their weight, in percent.
    pub(super) extra: OpenCounts,
}

impl Plan<'_> {
    pub(super) fn changes_score(&self) -> bool {
        let none = OpenCounts::default();
        self.sums != Sums::default() || self.open != none || self.extra != none
    }

    /// One finding more is open, or with a sign of -1 one less.
    fn count(&mut self, severity: Severity, exposure: Exposure, sign: i64) {
        self.open.add(severity, sign);
        self.extra.add(severity, sign * exposure::extra(exposure));
    }

    /// Checks that fail and did not before.
    pub(super) fn begin_to_fail(&self) -> impl Iterator<Item = &str> {
        self.states.iter().filter(|state| state.begins_to_fail()).map(|state| state.check)
    }

    /// Counts those of them that are waived as such.
    pub(super) fn waive(&mut self, is_waived: impl Fn(&str) -> bool) {
        for state in self.states.iter_mut().filter(|state| state.begins_to_fail() && is_waived(state.check)) {
            state.is_waived = true;
            let as_counted = |verdict| Some(Weighed { verdict, weight: state.weight });
            self.sums.change(as_counted(score::Verdict::Fail), as_counted(score::Verdict::Waived));
        }
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

/// The findings that came in, each under its identity.
pub(super) struct Incoming<'a> {
    pub(super) by_id: BTreeMap<Uuid, FindingWrite<'a>>,
}

/// Gives each finding its identity and the severity that its check has in the catalog. Rows of one check about one
/// resource are one finding: the one with the least hash, so that their order does not matter, and how many more.
pub(super) fn incoming<'a>(
    asset_id: Uuid,
    envelope: &'a Envelope,
    severities: &HashMap<String, Severity>,
) -> Incoming<'a> {
    let identity = Identity::of(asset_id, &envelope.module);
    let mut by_id: BTreeMap<Uuid, FindingWrite<'a>> = BTreeMap::new();
    let mut more: HashMap<Uuid, u64> = HashMap::new();
    for finding in &envelope.findings {
        let severity = severities.get(&finding.check).copied().unwrap_or(finding.severity);
        let write = FindingWrite {
            finding_id: identity.finding(&finding.check, &finding.resource),
            check: &finding.check,
            resource: &finding.resource,
            severity,
            evidence: Cow::Borrowed(&finding.evidence),
            content: content_hash(severity, &envelope.version, &finding.evidence),
            exposure: exposure::of(&finding.resource, &finding.evidence),
        };
        match by_id.entry(write.finding_id) {
            Entry::Vacant(place) => {
                place.insert(write);
            }
            Entry::Occupied(mut kept) => {
                *more.entry(write.finding_id).or_default() += 1;
                if write.content < kept.get().content {
                    kept.insert(write);
                }
            }
        }
    }
    for (id, more) in more {
        if let Some(finding) = by_id.get_mut(&id) {
            finding.evidence.to_mut().insert("more_rows".to_owned(), Value::from(more));
            finding.content = content_hash(finding.severity, &envelope.version, &finding.evidence);
        }
    }
    Incoming { by_id }
}

/// Compares what came in with what is stored.
///
/// A verdict `error` decides nothing: its findings stay as they are. A check that a complete run does not name is no
/// longer in the module: its verdict goes and its findings close.
pub(super) fn plan<'a>(
    envelope: &'a Envelope,
    incoming: Incoming<'a>,
    severities: &HashMap<String, Severity>,
    weights: Weights,
    states: Option<&HashMap<String, StoredState>>,
    findings: Option<&HashMap<Uuid, StoredFinding>>,
) -> Plan<'a> {
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
        let stored = states.and_then(|states| states.get(&check.id));
        let is_same = stored.is_some_and(|stored| {
            (stored.verdict, stored.severity, stored.weight) == (check.verdict, severity, weight)
                && stored.version == envelope.version
                && stored.message == check.message
        });
        if is_same {
            continue;
        }
        // A check that goes on failing stays waived.
        let is_waived = check.verdict == Verdict::Fail && stored.is_some_and(|stored| stored.is_waived);
        plan.sums.change(
            stored.map(StoredState::weighed),
            Some(Weighed { verdict: verdict_of(check.verdict).under(is_waived), weight }),
        );
        plan.moves_standing |= stored.is_none_or(|stored| {
            (stored.verdict, stored.weight, stored.version.as_str())
                != (check.verdict, weight, envelope.version.as_str())
        });
        plan.states.push(StateWrite {
            check: &check.id,
            from: stored.map(|stored| stored.verdict),
            verdict: check.verdict,
            severity,
            weight,
            message: check.message.as_deref(),
            is_waived,
        });
    }
    let is_complete = envelope.status == RunStatus::Succeeded;
    if is_complete {
        for (check, stored) in states.into_iter().flatten().filter(|(check, _)| !named.contains(check.as_str())) {
            plan.sums.change(Some(stored.weighed()), None);
            plan.moves_standing = true;
            plan.gone.push((check.clone(), stored.verdict));
        }
        plan.gone.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let open = findings.into_iter().flatten().filter(|(_, stored)| stored.is_open);
    for (id, stored) in open.filter(|(id, _)| !incoming.by_id.contains_key(id)) {
        let is_over =
            decided.contains(stored.check.as_str()) || (is_complete && !named.contains(stored.check.as_str()));
        if is_over {
            plan.closed.push(*id);
            plan.count(stored.severity, stored.exposure, -1);
        }
    }
    plan.closed.sort_unstable();
    for (id, finding) in incoming.by_id {
        let stored = findings.and_then(|findings| findings.get(&id));
        // One that was stored before exposure was looked at has none, whatever its evidence says.
        let is_same = |stored: &StoredFinding| {
            stored.content == finding.content && exposure::code(stored.exposure) == exposure::code(finding.exposure)
        };
        if stored.is_some_and(|stored| stored.is_open && is_same(stored)) {
            continue;
        }
        match stored.filter(|stored| stored.is_open) {
            Some(stored) => plan.count(stored.severity, stored.exposure, -1),
            None => plan.opened.push(id),
        }
        plan.count(finding.severity, finding.exposure, 1);
        if stored.is_some() { plan.changed.push(finding) } else { plan.new.push(finding) }
    }
    plan
}

/// What the findings of one module on one asset have in common: the first six bytes of their identities, so that they lie
/// side by side in the index, and the beginning of what is hashed for the rest.
struct Identity {
    prefix: [u8; 6],
    begun: Sha256,
}

impl Identity {
    fn of(asset_id: Uuid, module: &str) -> Self {
        let whole = Sha256::new().chain_update(asset_id.as_bytes()).chain_update(module.as_bytes()).finalize();
        let mut prefix = [0_u8; 6];
        prefix.copy_from_slice(&whole[..6]);
        let mut begun = Sha256::new().chain_update(asset_id.as_bytes());
        add_part(&mut begun, module);
        Self { prefix, begun }
    }

    /// The identity of a finding as a UUID (RFC 9562 version 8).
    fn finding(&self, check: &str, resource: &str) -> Uuid {
        let mut whole = self.begun.clone();
        add_part(&mut whole, check);
        add_part(&mut whole, resource);
        let mut bytes = [0_u8; 16];
        bytes[..6].copy_from_slice(&self.prefix);
        bytes[6..].copy_from_slice(&whole.finalize()[..10]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// With its length, so that no two lists of parts are hashed alike.
fn add_part(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part.as_bytes());
}

fn content_hash(severity: Severity, version: &str, evidence: &Row) -> Uuid {
    Uuid::from_bytes(row_digest(&format!("{severity} {version}"), evidence))
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
    fn only_what_begins_to_fail_is_waived() {
        let state = |check: &'static str, from: Option<Verdict>, verdict: Verdict| StateWrite {
            check,
            from,
            verdict,
            severity: Severity::High,
            weight: 5,
            message: None,
            is_waived: false,
        };
        let states = vec![
            state("new", None, Verdict::Fail),
            state("worse", Some(Verdict::Pass), Verdict::Fail),
            state("still", Some(Verdict::Fail), Verdict::Fail),
            state("fine", None, Verdict::Pass),
        ];
        let mut plan = Plan { states, ..Plan::default() };
        assert_eq!(plan.begin_to_fail().collect::<Vec<_>>(), ["new", "worse"]);
        plan.waive(|check| check != "worse");
        let waived: Vec<&str> = plan.states.iter().filter(|state| state.is_waived).map(|state| state.check).collect();
        assert_eq!(waived, ["new"]);
        // A difference: taken out as a failure, put in as waived.
        assert_eq!((plan.sums.failed, plan.sums.waived, plan.sums.assessed_weight), (-1, 1, -5));
    }

    #[test]
    fn a_finding_keeps_its_identity_and_no_other_shares_it() {
        let asset = Uuid::from_u128(7);
        let finding_id = |check, resource| Identity::of(asset, "m").finding(check, resource);
        let id = finding_id("c", "r");
        // What is stored was made so: it may never change.
        assert_eq!(id, uuid::uuid!("e208a778-02e0-86b5-bde2-959258e48f1f"));
        assert_eq!(id, finding_id("c", "r"));
        assert_ne!(id, finding_id("cr", ""));
        assert_ne!(id, finding_id("c", "s"));
        assert_ne!(id, Identity::of(asset, "n").finding("c", "r"));
        assert_eq!(id.as_bytes()[..6], finding_id("x", "y").as_bytes()[..6]);
        assert_eq!(id.get_version_num(), 8);
    }
}
