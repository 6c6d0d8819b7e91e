//! Runs a module: its checks become verdicts and findings, its collections become facts. An error stays with the check that
//! caused it; the rest of the module is still decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use catalog::envelope::{
    Benchmark, CheckVerdict, Envelope, Finding, LogLevel, LogLine, ResourceUse, RunStatus, Summary, Verdict,
};
use catalog::facts::{Fact, FactRef, Facts, Row, snapshot_id};
use catalog::module::{Check, Module};
use chrono::{DateTime, Utc};
use sha2::Digest as _;
use uuid::Uuid;

use crate::engine::{Engine, QueryOutput};
use crate::error::Error;
use crate::functions::hex;
use crate::kernel::cpu_time;
use crate::reader::{Gap, cut};
use crate::redact::{redact, redact_row};
use crate::value::{Parameters, Value};

/// Findings of one check; beyond it a list says no more than its length.
const MAX_FINDINGS: usize = 500;
/// Values of one column that several rows about one resource have; more of them prove no more.
const MAX_JOINED_BYTES: usize = 1_000;
/// What the findings of one module may take: a result of more than 8 MiB is not taken.
const MAX_FINDINGS_BYTES: usize = 2 << 20;
/// Facts of one module on one asset, and what they may take.
pub const MAX_FACTS: usize = 50_000;
const MAX_FACTS_BYTES: usize = 5 << 20;
/// The longest key of a fact in a result; where one is longer, texts of the row are shortened to so much.
const MAX_KEY_BYTES: usize = 8_000;
const SHORTENED_BYTES: usize = 200;
/// The longest message; a result holds none of more than 4,000 letters.
const MAX_MESSAGE_BYTES: usize = 2_000;
/// Why a check does not apply, where its condition has no row.
const NOT_HERE: &str = "what the check is about is not on this host";
const MAX_LOG_LINES: usize = 100;

/// What is known before a run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The id of the run, given by the server or made for a run without one.
    pub run_id: Uuid,
    /// When it begins, by the corrected clock.
    pub started_at: DateTime<Utc>,
    /// Laid over the module's defaults.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The facts that the server acknowledged last; none to send all of them.
    pub previous: Option<PreviousFacts>,
}

/// Facts as they were acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreviousFacts {
    /// The id of the snapshot.
    pub snapshot: String,
    /// The hash of every fact, and its table.
    pub hashes: BTreeMap<String, String>,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct ModuleRun {
    /// What is sent.
    pub envelope: Envelope,
    /// The facts as they are now; keep them once the server acknowledged the envelope.
    pub facts: PreviousFacts,
    /// Fact tables that could not be read, or in part only: what was acknowledged of them still holds.
    pub unread_tables: Vec<String>,
}

/// Runs one module. It never fails as a whole: what goes wrong is in the envelope.
pub fn run_module(engine: &Engine, module: &Module, order: Order) -> ModuleRun {
    let started = Instant::now();
    let cpu_before = cpu_time();
    let mut run = Run {
        engine,
        parameters: Parameters::new(),
        deadline: started + module.profile.budget().wall,
        is_over: false,
        log: Vec::new(),
    };
    let mut checks = Vec::with_capacity(module.checks.len());
    let mut findings = Vec::new();
    let mut facts = Collected::default();
    let mut refused = None;
    match module.resolve_parameters(&order.parameters) {
        Ok(parameters) => {
            run.parameters = parameters.iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect();
            let mut room = MAX_FINDINGS_BYTES;
            for check in &module.checks {
                let (mut verdict, mut found) = run.check(check);
                let listed = found.len();
                found.truncate(fitting(&found, &mut room));
                if found.len() < listed {
                    verdict.message = Some(cut_list(verdict.message.as_deref(), listed, found.len()));
                }
                checks.push(verdict);
                findings.extend(found);
            }
            facts = run.collect(module);
        }
        Err(error) => {
            let message = error.to_string();
            checks.extend(module.checks.iter().map(|check| CheckVerdict {
                id: check.id.clone(),
                verdict: Verdict::Error,
                message: Some(message.clone()),
            }));
            facts.unreadable.extend(module.collect.iter().map(|collect| collect.table.clone()));
            run.say(LogLevel::Error, message.clone());
            refused = Some(message);
        }
    }
    let has_error = checks.iter().any(|check| check.verdict == Verdict::Error) || !facts.unreadable.is_empty();
    let status = match (refused.is_some(), run.is_over, has_error) {
        (true, ..) => RunStatus::Failed,
        (_, true, _) => RunStatus::Timeout,
        (_, _, true) => RunStatus::Partial,
        _ => RunStatus::Succeeded,
    };
    let unread_tables = facts.unreadable.union(&facts.partial).cloned().collect();
    let (changes, now) = facts.against(order.previous.unwrap_or_default());
    let envelope = Envelope {
        run_id: order.run_id,
        module: module.slug.clone(),
        version: module.version.to_string(),
        status,
        started_at: order.started_at,
        duration_ms: milliseconds(started.elapsed()),
        resource: ResourceUse {
            cpu_ms: milliseconds(cpu_time().saturating_sub(cpu_before)),
            max_rss_kb: max_resident_kib(),
        },
        summary: Summary::of(&checks),
        benchmarks: benchmarks(module, &checks),
        checks,
        findings,
        facts: changes,
        artifacts: Vec::new(),
        log: run.log,
    };
    ModuleRun { envelope, facts: now, unread_tables }
}

/// Answers a single check: its verdict and, if it fails, what fails. For tests of modules as well as for runs.
pub(crate) fn decide(
    check: &Check,
    mut ask: impl FnMut(&str) -> Result<QueryOutput, Error>,
) -> (CheckVerdict, Vec<Finding>) {
    let verdict = |verdict, message: Option<String>| {
        let message = message.map(|mut message| {
            cut(&mut message, MAX_MESSAGE_BYTES);
            message
        });
        CheckVerdict { id: check.id.clone(), verdict, message }
    };
    if check.rule.is_some() {
        let message = "another engine decides it, which is not asked here";
        return (verdict(Verdict::Error, Some(message.to_owned())), Vec::new());
    }
    if let Some(applies) = &check.applies {
        match ask(applies) {
            Ok(answer) if answer.rows.is_empty() => {
                let decided = match gap_of(&answer) {
                    Some((Gap::Unread | Gap::Undecided, message)) => {
                        verdict(Verdict::Error, Some(format!("applies: {message}")))
                    }
                    Some((Gap::NoSubject, message)) => verdict(Verdict::NotApplicable, Some(message)),
                    Some((Gap::Closed, _)) | None => verdict(Verdict::NotApplicable, Some(NOT_HERE.to_owned())),
                };
                return (decided, Vec::new());
            }
            Ok(_) => {}
            Err(error) => return (verdict(Verdict::Error, Some(format!("applies: {error}"))), Vec::new()),
        }
    }
    let answer = match ask(&check.query) {
        Ok(answer) => answer,
        Err(error) => return (verdict(Verdict::Error, Some(error.to_string())), Vec::new()),
    };
    if let Some((Gap::Undecided, message)) = gap_of(&answer) {
        return (verdict(Verdict::Error, Some(message)), Vec::new());
    }
    if answer.rows.is_empty() {
        let decided = match gap_of(&answer) {
            Some((Gap::Unread | Gap::Undecided, message)) => verdict(Verdict::Error, Some(message)),
            Some((Gap::NoSubject, message)) => verdict(Verdict::NotApplicable, Some(message)),
            Some((Gap::Closed, _)) | None => verdict(Verdict::Pass, None),
        };
        return (decided, Vec::new());
    }
    let Some(resource) = answer.columns.iter().position(|column| column == "resource") else {
        return (verdict(Verdict::Error, Some("the query has no column named resource".to_owned())), Vec::new());
    };
    let (findings, count) = findings(check, &answer, resource);
    let message = (count > findings.len()).then(|| cut_list(None, count, findings.len()));
    (verdict(Verdict::Fail, message), findings)
}

/// Says of how many failures a list names some; `said` is what was said of a longer part of the same list.
fn cut_list(said: Option<&str>, count: usize, listed: usize) -> String {
    let count = said.and_then(|said| said.split(' ').next()?.parse().ok()).unwrap_or(count);
    format!("{count} fail, {listed} are listed")
}

/// How many of the findings there is room for; the room shrinks by what they take.
fn fitting(findings: &[Finding], room: &mut usize) -> usize {
    for (count, finding) in findings.iter().enumerate() {
        let evidence: usize = finding.evidence.iter().map(|(name, value)| name.len() + text_bytes(value) + 8).sum();
        let size = finding.check.len() + finding.resource.len() + evidence + 64;
        if size > *room {
            *room = 0;
            return count;
        }
        *room -= size;
    }
    findings.len()
}

fn text_bytes(value: &serde_json::Value) -> usize {
    value.as_str().map_or(16, str::len)
}

/// Why an answer without rows proves nothing; what was not read counts for more than what is not there.
fn gap_of(answer: &QueryOutput) -> Option<(Gap, String)> {
    let of = |gap| answer.warnings.iter().find(|warning| warning.gap == gap);
    let warning = of(Gap::Undecided).or_else(|| of(Gap::Unread)).or_else(|| of(Gap::NoSubject))?;
    Some((warning.gap, format!("{}: {}", warning.table, warning.message)))
}

/// One finding a resource, which is the finding's identity: a second row about the same adds its evidence. Beside them, how
/// many resources fail.
fn findings(check: &Check, answer: &QueryOutput, resource: usize) -> (Vec<Finding>, usize) {
    let mut listed: BTreeMap<String, usize> = BTreeMap::new();
    let mut findings: Vec<Finding> = Vec::new();
    for row in &answer.rows {
        let name = match redact(&row[resource].to_string()) {
            // A result names what fails.
            empty if empty.is_empty() => "(empty)".to_owned(),
            name => name,
        };
        let evidence: BTreeMap<String, serde_json::Value> = answer
            .columns
            .iter()
            .zip(redact_row(&answer.columns, row))
            .enumerate()
            .filter(|(position, _)| *position != resource)
            .map(|(_, (column, value))| (column.clone(), value))
            .collect();
        let position = *listed.entry(name.clone()).or_insert(findings.len());
        if let Some(finding) = findings.get_mut(position) {
            add_evidence(&mut finding.evidence, &evidence);
        } else if findings.len() < MAX_FINDINGS {
            findings.push(Finding { check: check.id.clone(), severity: check.severity, resource: name, evidence });
        }
    }
    (findings, listed.len())
}

/// Joins the values of two rows, each value once.
fn add_evidence(known: &mut BTreeMap<String, serde_json::Value>, more: &BTreeMap<String, serde_json::Value>) {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (column, value) in more {
        match known.get_mut(column) {
            Some(known) if known.is_null() => *known = value.clone(),
            Some(_) if value.is_null() => {}
            Some(known) if known != value => {
                let (joined, new) = (text(known), text(value));
                if joined.len() < MAX_JOINED_BYTES && !joined.split(", ").any(|one| one == new) {
                    *known = format!("{joined}, {new}").into();
                }
            }
            _ => {}
        }
    }
}

/// A host can have names of any length. What is shortened ends in a digest, so that two of them stay two.
fn with_short_key(fact: Fact, key: &[String]) -> Fact {
    if fact.key.len() <= MAX_KEY_BYTES {
        return fact;
    }
    let Fact { table, mut row, .. } = fact;
    for value in row.values_mut() {
        if let Some(text) = value.as_str().filter(|text| text.len() > SHORTENED_BYTES) {
            let digest = hex(&sha2::Sha256::digest(text));
            let mut short = text.to_owned();
            cut(&mut short, SHORTENED_BYTES);
            *value = format!("{short}{}", &digest[..16]).into();
        }
    }
    Fact::new(table, key, row)
}

struct Run<'a> {
    engine: &'a Engine,
    parameters: Parameters,
    deadline: Instant,
    is_over: bool,
    log: Vec<LogLine>,
}

impl Run<'_> {
    fn check(&mut self, check: &Check) -> (CheckVerdict, Vec<Finding>) {
        let decided = decide(check, |sql| self.ask(sql));
        if let (CheckVerdict { verdict: Verdict::Error, message: Some(message), .. }, _) = &decided {
            self.say(LogLevel::Error, format!("{}: {message}", check.id));
        }
        decided
    }

    fn ask(&mut self, sql: &str) -> Result<QueryOutput, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let answer = if left.is_zero() {
            Err(Error::OverTime(Duration::ZERO))
        } else {
            self.engine.query_within(sql, &self.parameters, left)
        };
        match answer {
            Ok(answer) => {
                for warning in &answer.warnings {
                    self.say(LogLevel::Warn, format!("{}: {}", warning.table, warning.message));
                }
                Ok(answer)
            }
            Err(error) => {
                self.is_over |= Instant::now() >= self.deadline;
                Err(if left.is_zero() { Error::RunOver } else { error })
            }
        }
    }

    fn collect(&mut self, module: &Module) -> Collected {
        let mut collected = Collected::default();
        for collect in &module.collect {
            match self.ask(&collect.query) {
                Ok(answer)
                    if collected.facts.len() + answer.rows.len() > MAX_FACTS
                        || collected.size_bytes + answer.size_bytes() > MAX_FACTS_BYTES =>
                {
                    let most = MAX_FACTS_BYTES >> 20;
                    let message = format!("{}: more than {MAX_FACTS} facts or {most} MiB in one module", collect.table);
                    self.say(LogLevel::Error, message);
                    collected.unreadable.insert(collect.table.clone());
                }
                // Of a table that gave nothing, nothing has gone: what was known of it holds.
                Ok(answer) if answer.rows.is_empty() && matches!(gap_of(&answer), Some((Gap::Unread, _))) => {
                    collected.unreadable.insert(collect.table.clone());
                }
                Ok(answer) if matches!(gap_of(&answer), Some((Gap::Undecided, _))) => {
                    collected.unreadable.insert(collect.table.clone());
                }
                Ok(answer) => {
                    collected.size_bytes += answer.size_bytes();
                    if matches!(gap_of(&answer), Some((Gap::Unread, _))) {
                        collected.partial.insert(collect.table.clone());
                    }
                    for row in answer.rows {
                        let row: Row = answer.columns.iter().cloned().zip(redact_row(&answer.columns, &row)).collect();
                        let fact = with_short_key(Fact::new(collect.table.clone(), &collect.key, row), &collect.key);
                        if fact.key.len() > MAX_KEY_BYTES {
                            self.say(LogLevel::Error, format!("{}: a fact has too long a key", collect.table));
                            collected.unreadable.insert(collect.table.clone());
                        } else {
                            collected.facts.insert(fact.hash(), fact);
                        }
                    }
                }
                Err(error) => {
                    self.say(LogLevel::Error, format!("{}: {error}", collect.table));
                    collected.unreadable.insert(collect.table.clone());
                }
            }
        }
        collected
    }

    fn say(&mut self, level: LogLevel, mut message: String) {
        cut(&mut message, MAX_MESSAGE_BYTES);
        let line = LogLine { level, message };
        if self.log.len() < MAX_LOG_LINES && !self.log.contains(&line) {
            self.log.push(line);
        }
    }
}

/// The facts of a run, and the tables that could not be read: what is not seen has not gone.
#[derive(Default)]
struct Collected {
    facts: BTreeMap<String, Fact>,
    size_bytes: usize,
    unreadable: BTreeSet<String>,
    /// Tables of which a part was read: what is seen is there, what is not seen may be.
    partial: BTreeSet<String>,
}

impl Collected {
    fn against(mut self, previous: PreviousFacts) -> (Facts, PreviousFacts) {
        self.facts.retain(|_, fact| !self.unreadable.contains(&fact.table));
        let base = (!previous.snapshot.is_empty()).then_some(previous.snapshot);
        let known = if base.is_some() { previous.hashes } else { BTreeMap::new() };
        let mut hashes: BTreeMap<String, String> =
            self.facts.iter().map(|(hash, fact)| (hash.clone(), fact.table.clone())).collect();
        let mut removed = Vec::new();
        for (hash, table) in known.iter().filter(|(hash, _)| !self.facts.contains_key(*hash)) {
            let may_be_there = self.unreadable.contains(table) || self.partial.contains(table);
            if may_be_there && hashes.len() < MAX_FACTS {
                hashes.insert(hash.clone(), table.clone());
            } else {
                removed.push(FactRef { table: table.clone(), hash: hash.clone() });
            }
        }
        let snapshot = snapshot_id(hashes.keys().map(String::as_str));
        let added =
            self.facts.into_iter().filter(|(hash, _)| !known.contains_key(hash)).map(|(_, fact)| fact).collect();
        (Facts { base, snapshot: snapshot.clone(), added, removed }, PreviousFacts { snapshot, hashes })
    }
}

/// The verdicts by control: a control fails with any of its checks. The verdicts are in the order of the module's checks.
pub fn benchmarks(module: &Module, checks: &[CheckVerdict]) -> Vec<Benchmark> {
    let rank = |verdict| match verdict {
        Verdict::Fail => 3,
        Verdict::Error => 2,
        Verdict::Pass => 1,
        Verdict::NotApplicable => 0,
    };
    let mut worst: BTreeMap<(&str, &str), Verdict> = BTreeMap::new();
    for (check, decided) in module.checks.iter().zip(checks) {
        for (framework, controls) in &check.controls {
            for control in controls {
                let status = worst.entry((framework, control)).or_insert(decided.verdict);
                if rank(decided.verdict) > rank(*status) {
                    *status = decided.verdict;
                }
            }
        }
    }
    worst
        .into_iter()
        .map(|((framework, control), status)| Benchmark {
            framework: framework.to_owned(),
            control: control.to_owned(),
            status,
        })
        .collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The greatest resident set of this process, in KiB.
fn max_resident_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.split_whitespace().next()?.parse().ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &str) -> Fact {
        let row = Row::from([("name".to_owned(), serde_json::Value::from(name))]);
        Fact::new("packages", &["name".to_owned()], row)
    }

    fn collected(names: &[&str]) -> Collected {
        let facts = names.iter().map(|name| (fact(name).hash(), fact(name))).collect();
        Collected { facts, ..Collected::default() }
    }

    fn answer(rows: Vec<Vec<Value>>) -> QueryOutput {
        let columns = ["resource", "type", "missing"].map(str::to_owned).to_vec();
        QueryOutput { columns, rows, ..QueryOutput::default() }
    }

    fn check() -> Check {
        serde_json::from_value(serde_json::json!({
            "id": "one", "title": "one", "severity": "high", "query": "SELECT 1", "rationale": "a test",
            "remediation": { "text": "mend it" }, "controls": {},
        }))
        .unwrap()
    }

    #[test]
    fn rows_about_one_resource_are_one_finding_with_the_evidence_of_all() {
        let row = |cells: [&str; 3]| cells.map(Value::from).to_vec();
        let rows = vec![
            row(["/etc/pam.d/common-auth", "auth", "preauth"]),
            row(["/etc/pam.d/common-auth", "auth", "authfail"]),
            row(["/etc/pam.d/common-auth", "auth", "authfail"]),
        ];
        let (verdict, findings) = decide(&check(), |_| Ok(answer(rows.clone())));
        assert_eq!((verdict.verdict, verdict.message), (Verdict::Fail, None));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].evidence["missing"], "preauth, authfail");
        assert_eq!(findings[0].evidence["type"], "auth");
    }

    #[test]
    fn a_list_that_is_cut_says_of_how_many() {
        let rows: Vec<_> = (0..=MAX_FINDINGS).map(|n| vec![Value::from(n), Value::Null, Value::Null]).collect();
        let (verdict, findings) = decide(&check(), |_| Ok(answer(Vec::clone(&rows))));
        assert_eq!(findings.len(), MAX_FINDINGS);
        assert_eq!(verdict.message.as_deref(), Some("501 fail, 500 are listed"));
        let twice = vec![vec![Value::from("/dev/shm"), Value::Null, Value::Null]; 2];
        let (verdict, _) = decide(&check(), |_| Ok(answer(twice.clone())));
        assert_eq!(verdict.message, None);
    }

    #[test]
    fn findings_beyond_the_room_of_a_module_are_counted() {
        let finding = |n: usize| {
            let evidence = BTreeMap::from([("line".to_owned(), serde_json::Value::from("x".repeat(3_000)))]);
            Finding {
                check: "one".into(),
                severity: catalog::envelope::Severity::Low,
                resource: n.to_string(),
                evidence,
            }
        };
        let found: Vec<Finding> = (0..500).map(finding).collect();
        let mut room = 1 << 20;
        let fits = fitting(&found, &mut room);
        assert!((300..350).contains(&fits), "{fits}");
        assert_eq!(fitting(&found, &mut room), 0);
        assert_eq!(cut_list(Some("501 fail, 500 are listed"), 500, fits), format!("501 fail, {fits} are listed"));
        assert_eq!(cut_list(None, 500, 2), "500 fail, 2 are listed");
    }

    #[test]
    fn a_fact_with_an_endless_name_has_a_key_that_can_be_sent() {
        let fact = |end: &str| {
            let row = Row::from([("name".to_owned(), format!("{}{end}", "\u{1}".repeat(3_900)).into())]);
            let key = ["name".to_owned()];
            with_short_key(Fact::new("packages", &key, row), &key)
        };
        assert!(fact("a").key.len() < MAX_KEY_BYTES);
        assert_ne!(fact("a").hash(), fact("b").hash());
    }

    #[test]
    fn facts_are_sent_as_changes() {
        let (first, known) = collected(&["a", "b"]).against(PreviousFacts::default());
        assert_eq!((first.base, first.added.len(), first.removed.len()), (None, 2, 0));
        let (second, _) = collected(&["b", "c"]).against(known.clone());
        assert_eq!(
            (second.base.as_deref(), second.added.len(), second.removed.len()),
            (Some(known.snapshot.as_str()), 1, 1)
        );
        let (third, again) = collected(&["a", "b"]).against(known.clone());
        assert!(third.is_unchanged());
        assert_eq!(again, known);
    }

    #[test]
    fn what_is_not_seen_of_a_table_that_is_read_in_part_has_not_gone() {
        let (_, known) = collected(&["a", "b"]).against(PreviousFacts::default());
        let part = Collected { partial: BTreeSet::from(["packages".to_owned()]), ..collected(&["b", "c"]) };
        let (changes, now) = part.against(known.clone());
        assert!(changes.removed.is_empty());
        assert_eq!(changes.added, [fact("c")]);
        assert_eq!(now.hashes.len(), 3);
        // Once the whole is read again, what has gone is told.
        let (changes, _) = collected(&["b", "c"]).against(now);
        assert_eq!((changes.added.len(), changes.removed.len()), (0, 1));
    }

    #[test]
    fn facts_of_a_table_that_cannot_be_read_stay() {
        let (_, known) = collected(&["a", "b"]).against(PreviousFacts::default());
        let unreadable = BTreeSet::from(["packages".to_owned()]);
        let broken = Collected { unreadable, ..Collected::default() };
        let (changes, again) = broken.against(known.clone());
        assert!(changes.is_unchanged() && changes.removed.is_empty());
        assert_eq!(again, known);
    }
}
