//! From a scanner's results to verdicts and findings of a module, each check by its rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::arf::{Outcome, RuleResult};
use crate::envelope::{CheckVerdict, Finding, LogLevel, LogLine, Verdict};
use crate::module::{Check, Module};

/// What a scanner's results say about a module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decided {
    /// One for each check, in their order.
    pub checks: Vec<CheckVerdict>,
    /// One for each check that failed.
    pub findings: Vec<Finding>,
    /// What a person should know beside them.
    pub log: Vec<LogLine>,
}

/// Decides every check of a module.
pub fn decide(module: &Module, results: &[RuleResult]) -> Decided {
    let mut by_rule: BTreeMap<&str, Vec<&RuleResult>> = BTreeMap::new();
    for result in results {
        by_rule.entry(&result.rule).or_default().push(result);
    }
    let mut decided = Decided::default();
    let mut asked = BTreeSet::new();
    for check in &module.checks {
        let rule = check.rule.as_deref().unwrap_or_default();
        asked.insert(rule);
        let (verdict, finding) = one(check, by_rule.get(rule).map(Vec::as_slice).unwrap_or_default());
        decided.checks.push(verdict);
        decided.findings.extend(finding);
    }
    let is_decided =
        |results: &[&RuleResult]| results.iter().any(|result| verdict(result.outcome).0 != Verdict::NotApplicable);
    let others = by_rule.iter().filter(|(rule, results)| !asked.contains(*rule) && is_decided(results)).count();
    if others > 0 {
        let message = format!("the scanner decided {others} rules that are no checks of the module");
        decided.log.push(LogLine { level: LogLevel::Warn, message });
    }
    decided
}

/// What a word of XCCDF means here, and what is said with it.
pub const fn verdict(outcome: Outcome) -> (Verdict, Option<&'static str>) {
    match outcome {
        Outcome::Pass => (Verdict::Pass, None),
        Outcome::Fixed => (Verdict::Pass, Some("the scanner says that it mended it")),
        Outcome::Fail => (Verdict::Fail, None),
        Outcome::NotApplicable => (Verdict::NotApplicable, Some("not applicable here, says the scanner")),
        Outcome::NotSelected => (Verdict::NotApplicable, Some("not selected: the profile does not choose the rule")),
        Outcome::Informational => (Verdict::NotApplicable, Some("informational: the rule decides nothing")),
        Outcome::NotChecked => (
            Verdict::Error,
            Some("not checked: the scanner has no check for it, or may not start the script that is one"),
        ),
        Outcome::Unknown => (Verdict::Error, Some("unknown: the scanner could not decide")),
        Outcome::Error => (Verdict::Error, Some("the check broke within the scanner")),
    }
}

/// Of several results of one rule the worst counts.
fn one(check: &Check, results: &[&RuleResult]) -> (CheckVerdict, Option<Finding>) {
    let rank = |result: &RuleResult| match verdict(result.outcome).0 {
        Verdict::Fail => 3,
        Verdict::Error => 2,
        Verdict::Pass => 1,
        Verdict::NotApplicable => 0,
    };
    let said = |verdict, message| CheckVerdict { id: check.id.clone(), verdict, message };
    let Some(worst) = results.iter().max_by_key(|result| rank(result)) else {
        return (said(Verdict::Error, Some("the scanner's report has no result for the rule".to_owned())), None);
    };
    let (verdict, meaning) = verdict(worst.outcome);
    let message = match (meaning, verdict) {
        (Some(meaning), Verdict::Error) if !worst.messages.is_empty() => {
            Some(format!("{meaning}: {}", worst.messages.join("; ")))
        }
        (meaning, _) => meaning.map(str::to_owned),
    };
    let finding = (verdict == Verdict::Fail).then(|| finding(check, worst));
    (said(verdict, message), finding)
}

fn finding(check: &Check, result: &RuleResult) -> Finding {
    let text = |lines: Vec<String>| Value::from(lines.join("\n"));
    let mut evidence = BTreeMap::new();
    if !result.proofs.is_empty() {
        evidence.insert("expected".to_owned(), text(result.proofs.iter().map(|proof| proof.test.clone()).collect()));
        let found = |lines: &[String]| if lines.is_empty() { "nothing".to_owned() } else { lines.join("; ") };
        evidence.insert("found".to_owned(), text(result.proofs.iter().map(|proof| found(&proof.found)).collect()));
    }
    if !result.messages.is_empty() {
        evidence.insert("message".to_owned(), text(result.messages.clone()));
    }
    Finding { check: check.id.clone(), severity: check.severity, resource: "host".to_owned(), evidence }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::evidence::Proof;
    use super::*;

    fn check(id: &str) -> Check {
        serde_json::from_value(json!({
            "id": id, "title": id, "severity": "high", "rule": format!("rule_{id}"), "rationale": "a test",
            "remediation": { "text": "mend it" },
        }))
        .unwrap()
    }

    fn module(ids: &[&str]) -> Module {
        let checks: Vec<Check> = ids.iter().map(|id| check(id)).collect();
        serde_json::from_value(json!({
            "slug": "m", "version": "1.0.0", "title": "m", "category": "compliance", "description": "m",
            "platforms": { "os": ["linux"] }, "profile": "baseline_full", "engine": "oscap", "prerequisites": "p",
            "limits": "l", "privileges": "p", "data_sensitivity": "d", "checks": checks, "changelog": [],
        }))
        .unwrap()
    }

    fn result(id: &str, outcome: Outcome) -> RuleResult {
        RuleResult { rule: format!("rule_{id}"), outcome, messages: Vec::new(), proofs: Vec::new() }
    }

    #[test]
    fn every_check_has_a_verdict_and_what_is_no_plain_answer_is_said() {
        use Verdict::{Error, Fail, NotApplicable, Pass};

        let results = [
            result("a", Outcome::Pass),
            RuleResult {
                messages: vec!["m".to_owned()],
                proofs: vec![
                    Proof { test: "is no".to_owned(), found: vec!["text=yes".to_owned(), "text=YES".to_owned()] },
                    Proof { test: "is there".to_owned(), found: Vec::new() },
                ],
                ..result("b", Outcome::Fail)
            },
            RuleResult { messages: vec!["no such probe".to_owned()], ..result("c", Outcome::Error) },
            result("d", Outcome::NotChecked),
            result("e", Outcome::NotSelected),
            result("f", Outcome::Informational),
            result("g", Outcome::Pass),
            result("g", Outcome::Fail),
            result("z", Outcome::Pass),
        ];
        let decided = decide(&module(&["a", "b", "c", "d", "e", "f", "g", "h"]), &results);
        let verdicts: Vec<Verdict> = decided.checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Pass, Fail, Error, Error, NotApplicable, NotApplicable, Fail, Error]);
        let message = |at: usize| decided.checks[at].message.as_deref().unwrap_or_default();
        assert!(message(2).ends_with("no such probe") && message(3).starts_with("not checked"), "{decided:?}");
        assert!(message(4).starts_with("not selected") && message(5).starts_with("informational"), "{decided:?}");
        assert!(message(7).contains("no result"), "{decided:?}");
        assert_eq!(decided.findings.len(), 2);
        assert_eq!(
            json!(decided.findings[0].evidence),
            json!({ "expected": "is no\nis there", "found": "text=yes; text=YES\nnothing", "message": "m" })
        );
        assert_eq!(decided.log.len(), 1);
    }
}
