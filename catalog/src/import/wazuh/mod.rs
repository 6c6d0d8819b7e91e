//! Wazuh SCA policies: checks made of rules over files, folders, processes and the output of commands. A rule becomes SQL
//! where one of our tables answers it; a check with a rule that none answers is left out and named.

mod command;
mod regex;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::regex::Dialect;
use super::draft::{Answer, Draft, NewCheck, bound, text, text_of};
use super::{Compiler, Imported, Options, Source, sql_text, yaml_documents};
use crate::Severity;
use crate::problem::Problems;

const LIMITS: &str = "A file or command that is not there counts as one without lines. Commands are not run: what they \
                      would print is taken from tables. A finding names the host, the evidence names the rules.";

/// What holds for every check of a policy.
struct Policy<'a> {
    id: String,
    variables: BTreeMap<String, String>,
    dialect: Dialect,
    compiler: &'a dyn Compiler,
}

pub(super) fn read(source: &Source<'_>, options: &Options<'_>, compiler: &dyn Compiler) -> Result<Imported, Problems> {
    let mut documents = yaml_documents(source)?;
    let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
        return source.refuse("", "is not one document", "write policy: and checks: in one document");
    };
    let head = document.get("policy").cloned().unwrap_or_default();
    let name = [text_of(&head, "id"), text_of(&head, "name"), source.stem().to_owned()];
    let name = name.iter().find(|name| !name.is_empty()).map_or("", String::as_str);
    let mut draft = Draft::new(name, &text_of(&head, "name"), &text_of(&head, "description"), LIMITS);
    let policy = Policy {
        id: text_of(&head, "id"),
        variables: variables(&document),
        dialect: Dialect::named(&text_of(&head, "regex_type")),
        compiler,
    };
    let Some(checks) = document.get("checks").and_then(Value::as_array) else {
        return source.refuse(
            "checks",
            "is no list",
            "write checks: [{ id: …, title: …, condition: all, rules: […] }]",
        );
    };
    bound(source, "checks", checks.len())?;
    let applies = requirements(&policy, &mut draft, &document);
    let mut problems = Vec::new();
    let mut unmapped = BTreeSet::new();
    for (index, check) in checks.iter().enumerate() {
        let Some(rules) = check.get("rules").and_then(Value::as_array) else {
            problems.push(source.problem(
                format!("checks[{index}].rules"),
                "is no list",
                "write rules: ['f:/etc/… -> r:…']",
            ));
            continue;
        };
        bound(source, &format!("checks[{index}].rules"), rules.len())?;
        add(&policy, options, &mut draft, check, rules, applies.as_deref(), &mut unmapped);
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    if !unmapped.is_empty() {
        let names: Vec<&str> = unmapped.iter().map(String::as_str).collect();
        draft.note("compliance", format!("not mapped: the catalog has no framework for {}", names.join(", ")));
    }
    draft.finish(source, options, &head)
}

fn add(
    policy: &Policy<'_>,
    options: &Options<'_>,
    draft: &mut Draft,
    check: &Value,
    rules: &[Value],
    applies: Option<&str>,
    unmapped: &mut BTreeSet<String>,
) {
    let (id, title) = (text_of(check, "id"), text_of(check, "title"));
    let subject = format!("{id} {title}");
    let dialect = check.get("regex_type").and_then(Value::as_str).map_or(policy.dialect, Dialect::named);
    let condition = match condition(policy, dialect, &text_of(check, "condition"), rules) {
        Ok(condition) => condition,
        Err(reason) => return draft.note(&subject, format!("left out: {reason}")),
    };
    let told: Vec<String> = rules.iter().filter_map(text).collect();
    let query = format!(
        "SELECT 'host' AS resource, {} AS rules\nWHERE NOT (\n{condition}\n)",
        sql_text::quote(&told.join("; "))
    );
    if let Err(reason) = policy.compiler.columns(&query) {
        return draft.note(&subject, format!("left out: {reason}"));
    }
    draft.check(NewCheck {
        name: if title.is_empty() { format!("check {id}") } else { title.clone() },
        title,
        severity: Severity::Medium,
        answer: Answer::Query(query, applies.map(str::to_owned)),
        rationale: [text_of(check, "rationale"), text_of(check, "description")]
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        remediation: text_of(check, "remediation"),
        controls: controls(policy, options, check, unmapped),
    });
}

/// The rules as one expression, or the first that cannot be asked, by its text.
fn condition(policy: &Policy<'_>, dialect: Dialect, condition: &str, rules: &[Value]) -> Result<String, String> {
    if rules.is_empty() {
        return Err("it has no rules".to_owned());
    }
    let mut asked = Vec::with_capacity(rules.len());
    for rule in rules {
        let text = text(rule).ok_or("one of its rules is no text")?;
        let text = substituted(policy, &text);
        let sql = rule::sql(&text, dialect, policy.compiler).map_err(|reason| format!("rule `{text}`: {reason}"))?;
        asked.push(sql);
    }
    Ok(match condition {
        "all" | "all required" | "" => asked.join("\nAND "),
        "any" | "any required" => asked.join("\nOR "),
        "none" => format!("NOT (\n{}\n)", asked.join("\nOR ")),
        other => return Err(format!("its condition `{other}` is none of all, any, none")),
    })
}

/// The policy is for hosts where its requirements hold.
fn requirements(policy: &Policy<'_>, draft: &mut Draft, document: &Value) -> Option<String> {
    let requirements = document.get("requirements")?;
    let rules = requirements.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
    let made = condition(policy, policy.dialect, &text_of(requirements, "condition"), &rules).and_then(|condition| {
        let query = format!("SELECT 1 WHERE (\n{condition}\n)");
        policy.compiler.columns(&query).map(|_| query)
    });
    match made {
        Ok(query) => Some(query),
        Err(reason) => {
            draft.note("requirements", format!("left out, the checks apply to every host: {reason}"));
            None
        }
    }
}

fn variables(document: &Value) -> BTreeMap<String, String> {
    let variables = document.get("variables").and_then(Value::as_object);
    let variables = variables.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), text(value)?)));
    variables.filter(|(name, _)| name.len() > 1 && name.starts_with('$')).collect()
}

/// The rule with its variables, each replaced once: what a variable holds is not read for variables again.
fn substituted(policy: &Policy<'_>, rule: &str) -> String {
    let mut made = String::with_capacity(rule.len());
    let mut rest = rule;
    while let Some(at) = rest.find('$') {
        made.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest name wins: $sshd_file before $sshd.
        let named = policy.variables.iter().filter(|(name, _)| rest.starts_with(name.as_str()));
        if let Some((name, value)) = named.max_by_key(|(name, _)| name.len()) {
            made.push_str(value);
            rest = &rest[name.len()..];
        } else {
            made.push('$');
            rest = &rest[1..];
        }
    }
    made.push_str(rest);
    made
}

/// The controls that the catalog knows: the policy's own benchmark, NIST SP 800-53 and ISO 27001.
fn controls(
    policy: &Policy<'_>,
    options: &Options<'_>,
    check: &Value,
    unmapped: &mut BTreeSet<String>,
) -> BTreeMap<String, Vec<String>> {
    let mut mapped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let entries = check.get("compliance").and_then(Value::as_array).into_iter().flatten();
    for (name, ids) in entries.filter_map(Value::as_object).flatten() {
        let wanted = if name == "cis" { squashed(&policy.id) } else { squashed(name) };
        let framework = options.controls.iter().find(|(framework, _)| {
            let framework = squashed(framework);
            framework == wanted || (name != "cis" && !wanted.is_empty() && framework.starts_with(&wanted))
        });
        let Some((framework, known)) = framework else {
            unmapped.insert(name.clone());
            continue;
        };
        let ids = text(ids).unwrap_or_default();
        let ids = ids.split(',').map(|id| id.trim().to_owned()).filter(|id| known.contains(id));
        let list = mapped.entry(framework.clone()).or_default();
        list.extend(ids);
        list.dedup();
    }
    mapped.retain(|_, ids| !ids.is_empty());
    mapped
}

/// `cis_debian12` and `cis-debian-12`, `nist_sp_800-53` and `nist-800-53-r5` without what differs.
fn squashed(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    letters.to_ascii_lowercase().replace("nistsp", "nist")
}
