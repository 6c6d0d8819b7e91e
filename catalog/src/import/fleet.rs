//! Fleet's YAML: documents of `kind: policy` and `kind: query`, or lists below `policies:` and `queries:`, as its GitOps
//! repositories have them. A policy passes where its query has a row, so the check fails where it has none.

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::{Answer, Draft, NewCheck, bound, text, text_of};
use super::osquery::is_for_linux;
use super::{Compiler, Imported, Options, Source, sql_text, yaml_documents};
use crate::Severity;
use crate::problem::{Problem, Problems};

const LIMITS: &str =
    "A policy says yes or no for the whole host, so its finding names the host, not what is wrong on it.";
const KINDS: &str = "write kind: policy or kind: query with a spec, or a list below policies:";

/// Fields that only a policy has, and those that only a query has.
const OF_POLICIES: [&str; 7] = [
    "resolution",
    "critical",
    "calendar_events_enabled",
    "conditional_access_enabled",
    "run_script",
    "install_software",
    "type",
];
const OF_QUERIES: [&str; 7] = [
    "interval",
    "logging",
    "automations_enabled",
    "observer_can_run",
    "discard_data",
    "min_osquery_version",
    "snapshot",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Policy,
    Query,
}

/// An entry with the place where it stands.
struct Item {
    kind: Kind,
    field: String,
    spec: Value,
}

pub(super) fn read(source: &Source<'_>, options: &Options<'_>, compiler: &dyn Compiler) -> Result<Imported, Problems> {
    let documents = yaml_documents(source)?;
    let mut draft = Draft::new(source.stem(), &format!("Fleet policies of {}", source.stem()), "", LIMITS);
    let mut items = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        items.extend(items_of(source, &mut draft, index, document)?);
    }
    bound(source, "policies", items.len())?;
    let problems: Vec<Problem> =
        items.iter().filter_map(|item| add(source, compiler, &mut draft, item).err()).collect();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let named = documents.iter().find(|document| document.is_object()).unwrap_or(&Value::Null);
    draft.finish(source, options, named)
}

fn items_of(source: &Source<'_>, draft: &mut Draft, index: usize, document: &Value) -> Result<Vec<Item>, Problems> {
    let listed = |kind: Kind, field: &str, list: &[Value]| -> Vec<Item> {
        let item = |(at, spec): (usize, &Value)| Item { kind, field: format!("{field}[{at}]"), spec: spec.clone() };
        list.iter().enumerate().map(item).collect()
    };
    match document {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => {
            let mut items = listed(Kind::Policy, &format!("documents[{index}]"), list);
            tell_apart(&mut items);
            Ok(items)
        }
        Value::Object(object) if object.contains_key("kind") => {
            let kind = match object.get("kind").and_then(Value::as_str) {
                Some("policy") => Kind::Policy,
                Some("query" | "report") => Kind::Query,
                other => {
                    draft.note(
                        &format!("documents[{index}]"),
                        format!("left out: kind {} is not a scan", other.unwrap_or("?")),
                    );
                    return Ok(Vec::new());
                }
            };
            let field = format!("documents[{index}].spec");
            match object.get("spec") {
                Some(Value::Array(list)) => Ok(listed(kind, &field, list)),
                Some(spec @ Value::Object(_)) => Ok(vec![Item { kind, field, spec: spec.clone() }]),
                _ => source.refuse(&field, "is missing", "write spec: { name: …, query: … }"),
            }
        }
        Value::Object(object) => {
            let mut items = Vec::new();
            for (field, kind) in [("policies", Kind::Policy), ("queries", Kind::Query), ("reports", Kind::Query)] {
                if let Some(Value::Array(list)) = object.get(field) {
                    items.extend(listed(kind, field, list));
                }
            }
            if items.is_empty() {
                source.refuse(&format!("documents[{index}]"), "holds no policies", KINDS)
            } else {
                Ok(items)
            }
        }
        _ => source.refuse(&format!("documents[{index}]"), "is neither an object nor a list", KINDS),
    }
}

/// A list without a heading is of policies or of queries; Fleet's GitOps has files of both. Where an entry has fields of
/// neither, it is what its neighbours are.
fn tell_apart(items: &mut [Item]) {
    let has = |item: &Item, fields: &[&str]| fields.iter().any(|field| item.spec.get(*field).is_some());
    let are_queries =
        items.iter().any(|item| has(item, &OF_QUERIES)) && !items.iter().any(|item| has(item, &OF_POLICIES));
    for item in items {
        if are_queries || (has(item, &OF_QUERIES) && !has(item, &OF_POLICIES)) {
            item.kind = Kind::Query;
        }
    }
}

fn add(source: &Source<'_>, compiler: &dyn Compiler, draft: &mut Draft, item: &Item) -> Result<(), Problem> {
    let Item { kind, field, spec } = item;
    let name = text_of(spec, "name");
    if let Some(path) = spec.get("path").or_else(|| spec.get("paths")).and_then(text) {
        draft.note(field, format!("left out: it is in {path}; import that file"));
        return Ok(());
    }
    let decided_by = text_of(spec, "type");
    if !matches!(decided_by.as_str(), "" | "dynamic") && spec.get("query").is_none() {
        let subject = if name.trim().is_empty() { field } else { &name };
        draft.note(subject, format!("left out: its type {decided_by} has no query, Fleet decides it"));
        return Ok(());
    }
    if name.trim().is_empty() {
        return Err(source.problem(format!("{field}.name"), "is missing", "write name: …"));
    }
    let Some(sql) = spec.get("query").and_then(Value::as_str) else {
        return Err(source.problem(format!("{field}.query"), "is missing or no text", "write query: SELECT …"));
    };
    let platform = text_of(spec, "platform");
    if !is_for_linux(&platform) {
        draft.note(&name, format!("left out: it is for {platform}"));
        return Ok(());
    }
    let (sql, columns) = match sql_text::one_select(sql).and_then(|sql| Ok((compiler.columns(&sql)?, sql))) {
        Ok((columns, sql)) => (sql, columns),
        Err(reason) => {
            draft.note(&name, format!("left out: {reason}"));
            return Ok(());
        }
    };
    if *kind == Kind::Query {
        draft.collect(&name, sql, columns);
        return Ok(());
    }
    let is_critical = spec.get("critical").and_then(Value::as_bool).unwrap_or_default();
    draft.check(NewCheck {
        title: name.clone(),
        severity: if is_critical { Severity::High } else { Severity::Medium },
        answer: Answer::Query(sql_text::fails_without_rows(&sql, &name), None),
        rationale: text_of(spec, "description"),
        remediation: text_of(spec, "resolution"),
        controls: BTreeMap::new(),
        name,
    });
    Ok(())
}
