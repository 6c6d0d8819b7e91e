//! The rules for fixtures: each check has one that passes and one that fails, and nothing in them is misspelt.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::Verdict;
use crate::module::{Engine, Module};
use crate::problem::Report;

pub(super) fn all(report: &mut Report<'_>, module: &Module) {
    let tables: BTreeSet<&str> = module.requires.tables.iter().map(String::as_str).collect();
    let ids: BTreeSet<&str> = module.checks.iter().map(|check| check.id.as_str()).collect();
    let mut verdicts: BTreeMap<&str, BTreeSet<Verdict>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (index, test) in module.tests.iter().enumerate() {
        let field = format!("tests[{index}]");
        if !names.insert(&test.name) {
            report.add(
                format!("{field}.name"),
                format!("`{}` is there twice", test.name),
                "give each fixture its own name",
            );
        }
        for table in test.tables.keys().filter(|table| !tables.contains(table.as_str())) {
            report.add(
                format!("{field}.tables.{table}"),
                "is not in requires.tables",
                "no query would read it: remove it",
            );
        }
        if !test.parameters.is_empty()
            && let Err(error) = module.resolve_parameters(&test.parameters)
        {
            report.add(format!("{field}.parameters"), error.reason, "write what the module's parameters allow");
        }
        for (id, verdict) in &test.expect {
            if !ids.contains(id.as_str()) {
                report.add(format!("{field}.expect.{id}"), "is no check of this module", "name one of its checks");
            }
            if *verdict == Verdict::Error {
                report.add(format!("{field}.expect.{id}"), "expects `error`", "write pass, fail or not_applicable");
            }
            verdicts.entry(id).or_default().insert(*verdict);
        }
    }
    // What another engine decides is not to be seen without it.
    if module.engine != Engine::Tables {
        if !module.tests.is_empty() {
            report.add("tests", "are not for `engine: oscap`", "remove them: its rules are the content's");
        }
        return;
    }
    // A draft may still lack them; it is not released before it has them.
    for (index, check) in module.checks.iter().enumerate().filter(|_| !module.is_draft()) {
        for verdict in [Verdict::Pass, Verdict::Fail] {
            if !verdicts.get(check.id.as_str()).is_some_and(|seen| seen.contains(&verdict)) {
                report.add(
                    format!("checks[{index}]"),
                    format!("`{}` has no fixture that gives {}", check.id, verdict.as_str()),
                    format!("add one to tests with expect: {{ {}: {} }}", check.id, verdict.as_str()),
                );
            }
        }
    }
}
