//! One check: the answer of its query becomes a verdict, and if it fails, findings: one a resource, as many as there is room for.

use std::collections::BTreeMap;

use catalog::envelope::{CheckVerdict, Finding, Verdict};
use catalog::module::Check;

use super::MAX_MESSAGE_BYTES;
use crate::engine::QueryOutput;
use crate::error::Error;
use crate::reader::{Gap, cut};
use crate::redact::{redact, redact_row};

/// Findings of one check; beyond it a list says no more than its length.
const MAX_FINDINGS: usize = 500;
/// Values of one column that several rows about one resource have; more of them prove no more.
const MAX_JOINED_BYTES: usize = 1_000;
/// Why a check does not apply, where its condition has no row.
const NOT_HERE: &str = "what the check is about is not on this host";

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
pub(super) fn cut_list(said: Option<&str>, count: usize, listed: usize) -> String {
    let count = said.and_then(|said| said.split(' ').next()?.parse().ok()).unwrap_or(count);
    format!("{count} fail, {listed} are listed")
}

/// How many of the findings there is room for; the room shrinks by what they take.
pub(super) fn fitting(findings: &[Finding], room: &mut usize) -> usize {
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
pub(super) fn gap_of(answer: &QueryOutput) -> Option<(Gap, String)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

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
}
