//! The rules for one check.

use std::collections::BTreeSet;

use super::{Controls, scap};
use crate::module::{Check, Engine, Module};
use crate::problem::Report;
use crate::sql;

pub(super) fn all(report: &mut Report<'_>, module: &Module, controls: &Controls) {
    let mut seen = BTreeSet::new();
    for (index, check) in module.checks.iter().enumerate() {
        let field = format!("checks[{index}]");
        if !seen.insert(&check.id) {
            report.add(format!("{field}.id"), format!("`{}` is there twice", check.id), "give each check its own id");
        }
        report.require_kebab_case(format!("{field}.id"), &check.id);
        report.require_text(format!("{field}.title"), &check.title);
        report.require_text(format!("{field}.rationale"), &check.rationale);
        report.require_text(format!("{field}.remediation.text"), &check.remediation.text);
        match module.engine {
            Engine::Tables => by_query(report, &field, check),
            Engine::Oscap => scap::rule(report, &field, check),
        }
        mapped(report, &field, check, controls);
    }
}

fn by_query(report: &mut Report<'_>, field: &str, check: &Check) {
    if check.rule.is_some() {
        report.add(format!("{field}.rule"), "is for `engine: oscap`", "remove it, or name the engine");
    }
    let query = sql::references(&check.query);
    if !query.is_one_select {
        report.add(
            format!("{field}.query"),
            "is not one SELECT",
            "write one statement that begins with SELECT or WITH",
        );
    }
    if !query.aliases.contains("resource") {
        report.add(format!("{field}.query"), "selects no `resource`", "name what fails: SELECT path AS resource, …");
    }
    if let Some(applies) = &check.applies
        && !sql::references(applies).is_one_select
    {
        report.add(format!("{field}.applies"), "is not one SELECT", "write SELECT 1 FROM … LIMIT 1");
    }
}

fn mapped(report: &mut Report<'_>, field: &str, check: &Check, controls: &Controls) {
    for (framework, ids) in &check.controls {
        let field = format!("{field}.controls.{framework}");
        let Some(known) = controls.get(framework) else {
            let names: Vec<&str> = controls.keys().map(String::as_str).collect();
            report.add(field, "is no framework of the catalog", format!("write one of {}", names.join(", ")));
            continue;
        };
        for id in ids.iter().filter(|id| !known.contains(*id)) {
            report.add(&field, format!("has no control `{id}`"), format!("see frameworks/{framework}.yaml"));
        }
    }
}
