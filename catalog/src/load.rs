//! From bytes to valid modules and frameworks. Every problem names the file, the field, what is wrong and what to write.

mod check;
mod fixtures;
mod scap;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::catalog::Entry;
use crate::family::{self, Templates};
use crate::framework::Framework;
use crate::module::{Module, Platforms};
use crate::problem::{Problem, Problems, Report};
use crate::sql;

/// Folders of `modules/` that are no category.
const TEMPLATES: &str = "templates/";
const FAMILIES: &str = "families/";

/// Identifiers of the controls of each framework.
pub type Controls = BTreeMap<String, BTreeSet<String>>;

/// The identifiers that checks may map to.
pub fn controls<'a>(frameworks: impl IntoIterator<Item = &'a Framework>) -> Controls {
    frameworks
        .into_iter()
        .map(|framework| {
            (framework.slug.clone(), framework.controls.iter().map(|control| control.id.clone()).collect())
        })
        .collect()
}

/// Reads a framework.
pub fn framework(file: &str, bytes: &[u8]) -> Result<Framework, Problems> {
    let framework: Framework = parse(file, bytes)?;
    let mut report = Report::of(file);
    report.require_kebab_case("slug", &framework.slug);
    report.require_text("title", &framework.title);
    report.require_text("version", &framework.version);
    if framework.controls.is_empty() {
        report.add("controls", "is empty", "list at least one control as { id: …, title: … }");
    }
    let mut seen = BTreeSet::new();
    for (index, control) in framework.controls.iter().enumerate() {
        if !seen.insert(&control.id) {
            report.add(format!("controls[{index}].id"), format!("`{}` is there twice", control.id), "remove one");
        }
        report.require_text(format!("controls[{index}].title"), &control.title);
    }
    report.into_result(framework)
}

/// Reads all files of `modules/`, each with its path below it: modules, and those that `families/` with the checks of
/// `templates/` make. What is wrong with some is reported beside the others.
pub fn modules(files: &[(String, Vec<u8>)], controls: &Controls) -> (Vec<Entry>, Vec<Problem>) {
    let below = |folder: &'static str| files.iter().filter(move |(path, _)| path.starts_with(folder));
    let (templates, mut problems) =
        Templates::read(below(TEMPLATES).map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    let mut entries = Vec::new();
    let mut take = |outcome: Result<Entry, Problems>| match outcome {
        Ok(entry) => entries.push(entry),
        Err(Problems(found)) => problems.extend(found),
    };
    for (path, bytes) in files.iter().filter(|(path, _)| !path.starts_with(TEMPLATES)) {
        if !path.starts_with(FAMILIES) {
            take(entry(path, bytes, &templates, controls));
            continue;
        }
        match family::modules(path, bytes, &templates) {
            Ok(made) => made.into_iter().for_each(|(label, document)| take(expanded(&label, document, controls))),
            Err(found) => take(Err(found)),
        }
    }
    (entries, problems)
}

/// Reads a module and checks all that can be checked without running it. `file` must end in
/// `<category>/<slug>@<version>.yaml`.
pub fn module(file: &str, bytes: &[u8], controls: &Controls) -> Result<Module, Problems> {
    entry(file, bytes, &Templates::default(), controls).map(|entry| entry.module)
}

fn entry(file: &str, bytes: &[u8], templates: &Templates, controls: &Controls) -> Result<Entry, Problems> {
    if bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"families:")) {
        let mut document: Value = parse(file, bytes)?;
        family::checks(file, &mut document, templates)?;
        return expanded(file, document, controls);
    }
    let module = checked(file, parse(file, bytes)?, controls)?;
    Ok(Entry { module, checksum: hex::encode(Sha256::digest(bytes)), path: file.to_owned() })
}

/// A module that families made. It needs no list of its tables: its queries say them.
fn expanded(file: &str, document: Value, controls: &Controls) -> Result<Entry, Problems> {
    let checksum = hex::encode(Sha256::digest(family::canonical(&document)));
    let mut module: Module = serde_json::from_value(document).map_err(|error| {
        Problems(vec![Problem {
            file: file.to_owned(),
            field: String::new(),
            wrong: error.to_string(),
            advice: "compare it with a file that ships".to_owned(),
        }])
    })?;
    let checks = module.checks.iter().flat_map(|check| [Some(&check.query), check.applies.as_ref()]);
    let queries = checks.flatten().chain(module.collect.iter().map(|collect| &collect.query));
    module.requires.tables =
        queries.flat_map(|query| sql::references(query).tables).collect::<BTreeSet<_>>().into_iter().collect();
    Ok(Entry { module: checked(file, module, controls)?, checksum, path: file.to_owned() })
}

fn checked(file: &str, module: Module, controls: &Controls) -> Result<Module, Problems> {
    let mut report = Report::of(file);
    names(&mut report, file, &module);
    documentation(&mut report, &module);
    let declared = parameters(&mut report, &module);
    scap::content(&mut report, &module);
    check::all(&mut report, &module, controls);
    collections(&mut report, &module);
    references(&mut report, &module, &declared);
    fixtures::all(&mut report, &module);
    report.into_result(module)
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, Problems> {
    let problem = |wrong: String, advice: &str| {
        Problems(vec![Problem { file: file.to_owned(), field: String::new(), wrong, advice: advice.to_owned() }])
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| problem(format!("is not UTF-8: {error}"), "save the file as UTF-8"))?;
    // The message names the field and its line and column.
    serde_saphyr::from_str(text).map_err(|error| problem(error.to_string(), "compare it with a file that ships"))
}

fn names(report: &mut Report<'_>, file: &str, module: &Module) {
    report.require_kebab_case("slug", &module.slug);
    let expected = format!("{}/{}.yaml", module.category.as_str(), module.reference());
    if !file.ends_with(&expected) {
        report.add("", "the file's name does not match its content", format!("name it modules/{expected}"));
    }
    if module.platforms == Platforms::default() {
        report.add("platforms", "names no platform", "write { os: [linux] }, { kubernetes: true } or { cloud: [aws] }");
    }
    if module.checks.is_empty() && module.collect.is_empty() {
        report.add("checks", "the module neither decides nor collects anything", "write checks or collect");
    }
}

fn documentation(report: &mut Report<'_>, module: &Module) {
    for (field, text) in [
        ("title", &module.title),
        ("description", &module.description),
        ("prerequisites", &module.prerequisites),
        ("limits", &module.limits),
        ("privileges", &module.privileges),
        ("data_sensitivity", &module.data_sensitivity),
    ] {
        report.require_text(field, text);
    }
    match module.changelog.first() {
        None => report.add("changelog", "is empty", format!("write - {{ version: {}, text: … }}", module.version)),
        Some(change) if change.version != module.version => report.add(
            "changelog[0].version",
            format!("is {}, but the module is {}", change.version, module.version),
            "put the newest version first",
        ),
        Some(_) => {}
    }
    for (index, change) in module.changelog.iter().enumerate() {
        report.require_text(format!("changelog[{index}].text"), &change.text);
    }
}

/// Checks the parameters' schema and gives their names.
fn parameters(report: &mut Report<'_>, module: &Module) -> BTreeSet<String> {
    let schema = &module.parameters;
    if schema.get("type") != Some(&json!("object")) {
        report.add("parameters.type", "is not `object`", "write type: object");
    }
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        report.add("parameters.additionalProperties", "is not false", "write additionalProperties: false");
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if property.get("default").is_none() {
            report.add(
                format!("parameters.properties.{name}.default"),
                "is missing",
                "give every parameter a default, so that the module runs without any",
            );
        }
    }
    // Most modules have none, and compiling a schema is the dearest step of loading one.
    if *schema == crate::module::no_parameters() {
        return BTreeSet::new();
    }
    match jsonschema::validator_for(schema) {
        Err(error) => report.add("parameters", format!("is no JSON Schema: {error}"), "see json-schema.org"),
        Ok(validator) => {
            for error in validator.iter_errors(&json!(module.default_parameters())) {
                let name = error.instance_path().to_string().replace('/', ".");
                report.add(
                    format!("parameters.properties{name}.default"),
                    format!("breaks its own schema: {error}"),
                    "write a default that the schema allows",
                );
            }
        }
    }
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn collections(report: &mut Report<'_>, module: &Module) {
    let mut seen = BTreeSet::new();
    for (index, collect) in module.collect.iter().enumerate() {
        let field = format!("collect[{index}]");
        if !seen.insert(&collect.table) {
            report.add(
                format!("{field}.table"),
                format!("`{}` is collected twice", collect.table),
                "join the queries into one",
            );
        }
        if collect.key.is_empty() {
            report.add(format!("{field}.key"), "is empty", "name the columns that say what a row is about");
        }
        if !sql::references(&collect.query).is_one_select {
            report.add(
                format!("{field}.query"),
                "is not one SELECT",
                "write one statement that begins with SELECT or WITH",
            );
        }
    }
}

/// Every parameter and table that a query names is declared, and the other way round.
fn references(report: &mut Report<'_>, module: &Module, declared: &BTreeSet<String>) {
    let mut queries = Vec::new();
    for (index, check) in module.checks.iter().enumerate() {
        if check.rule.is_none() {
            queries.push((format!("checks[{index}].query"), &check.query));
        }
        queries.extend(check.applies.as_ref().map(|applies| (format!("checks[{index}].applies"), applies)));
    }
    for (index, collect) in module.collect.iter().enumerate() {
        queries.push((format!("collect[{index}].query"), &collect.query));
    }
    let tables: BTreeSet<&str> = module.requires.tables.iter().map(String::as_str).collect();
    let (mut used_parameters, mut used_tables) = (BTreeSet::new(), BTreeSet::new());
    for (field, query) in queries {
        let found = sql::references(query);
        for name in found.parameters.difference(declared) {
            report.add(&field, format!("uses :{name}, which is not declared"), "declare it in parameters.properties");
        }
        for name in found.tables.iter().filter(|table| !tables.contains(table.as_str())) {
            report.add(&field, format!("reads the table `{name}`"), "add it to requires.tables");
        }
        used_parameters.extend(found.parameters);
        used_tables.extend(found.tables);
    }
    for name in declared.difference(&used_parameters) {
        report.add(format!("parameters.properties.{name}"), "no query uses it", format!("use :{name} or remove it"));
    }
    for name in tables.into_iter().filter(|table| !used_tables.contains(*table)) {
        report.add("requires.tables", format!("no query reads `{name}`"), "remove it");
    }
}
