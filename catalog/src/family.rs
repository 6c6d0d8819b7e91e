//! Says alike things once. A family is a template with `${places}` and rows that fill them: in a module each row becomes a check
//! with its fixtures, in a file of `modules/families/` each row becomes a whole module. Everything else (database, bundle,
//! pages, checksums) sees the expanded modules only.
//!
//! ```yaml
//! families:
//!   - template: line-forbidden          # modules/templates/line-forbidden.yaml; or `check:` and `tests:` right here
//!     given: { severity: medium }       # the same for every row
//!     rows:
//!       - { id: redis-protected-mode, pattern: '^protected-mode\s+no', … }
//! ```
//!
//! A row stands above `given`, that above the `given` of the module, and this above the template's `defaults`. A place that
//! nothing fills and a value that no place takes are errors, so a misspelt name is found.

mod places;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use self::places::Places;
use crate::problem::{Problem, Problems};

/// Rows of one family: the largest that ships has about 60.
const MAX_ROWS: usize = 500;
/// Bytes of one module as JSON, its fixtures included: the largest that ships has about 150 KiB.
const MAX_MODULE_BYTES: usize = 1024 * 1024;

/// The checks and modules that several families share, by name.
#[derive(Debug, Default)]
pub(crate) struct Templates(BTreeMap<String, Template>);

/// A file of `modules/templates/`, or the part of a module's family that stands in its place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    /// As the file is called; only in files.
    #[serde(default, rename = "template")]
    name: Option<String>,
    #[serde(default)]
    defaults: Map<String, Value>,
    /// A check, with `tests`…
    #[serde(default)]
    check: Value,
    #[serde(default)]
    tests: Vec<Value>,
    /// … or a whole module.
    #[serde(default)]
    module: Value,
}

/// One entry of a module's `families`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    check: Option<Value>,
    #[serde(default)]
    tests: Vec<Value>,
    #[serde(default)]
    given: Map<String, Value>,
    rows: Vec<Map<String, Value>>,
}

/// A file of `modules/families/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Modules {
    /// As the file is called.
    family: String,
    /// The template of its modules.
    template: String,
    #[serde(default)]
    given: Map<String, Value>,
    rows: Vec<Map<String, Value>>,
}

impl Templates {
    /// Reads the files of `modules/templates/`; what cannot be used is reported and left out.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> (Self, Vec<Problem>) {
        let (mut templates, mut problems) = (BTreeMap::new(), Vec::new());
        for (file, bytes) in files {
            match crate::load::parse::<Template>(file, bytes) {
                Ok(template) => match &template.name {
                    Some(name) if is_file_of(file, name) => {
                        templates.insert(name.clone(), template);
                    }
                    _ => problems.push(problem(file, "template", "is not the file's name", "name both the same")),
                },
                Err(Problems(found)) => problems.extend(found),
            }
        }
        (Self(templates), problems)
    }

    fn unknown(&self, file: &str, field: &str, name: &str, fits: fn(&Template) -> bool) -> Problem {
        let known: Vec<&str> = self.0.iter().filter(|(_, known)| fits(known)).map(|(name, _)| name.as_str()).collect();
        let wrong = format!("`{name}` is no template that fits here");
        problem(file, field, &wrong, &format!("write one of {}", known.join(", ")))
    }
}

/// The modules of a file of `modules/families/`, each with the place it comes from.
pub(crate) fn modules(file: &str, bytes: &[u8], templates: &Templates) -> Result<Vec<(String, Value)>, Problems> {
    let family: Modules = crate::load::parse(file, bytes)?;
    if !is_file_of(file, &family.family) {
        return Err(Problems(vec![problem(file, "family", "is not the file's name", "name both the same")]));
    }
    let template = match templates.0.get(&family.template) {
        Some(template) if !template.module.is_null() => template,
        _ => {
            return Err(Problems(vec![templates.unknown(file, "template", &family.template, |t| !t.module.is_null())]));
        }
    };
    let (mut modules, mut problems) = (Vec::new(), Vec::new());
    let used = fill(file, None, &family.rows, &[&family.given, &template.defaults], &mut problems, |places| {
        modules.push(places.fill(&template.module)?);
        Ok(())
    });
    report_unused(file, "given", &family.given, &used, &mut problems);
    let mut named = Vec::with_capacity(modules.len());
    for mut document in modules {
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let label = format!("{file}#{}/{}@{}.yaml", text("category"), text("slug"), text("version"));
        match checks(&label, &mut document, templates) {
            Ok(()) => named.push((label, document)),
            Err(Problems(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(named) } else { Err(Problems(problems)) }
}

/// Puts the checks and fixtures of a module's `families` behind those it writes out.
pub(crate) fn checks(file: &str, document: &mut Value, templates: &Templates) -> Result<(), Problems> {
    let not_a_map = || Problems(vec![problem(file, "", "is no module", "write its fields as a map")]);
    let module = document.as_object_mut().ok_or_else(not_a_map)?;
    let families: Vec<Family> = match module.remove("families") {
        None => Vec::new(),
        Some(families) => serde_json::from_value(families).map_err(|error| {
            Problems(vec![problem(file, "families", &error.to_string(), "write template, given and rows")])
        })?,
    };
    let given = match module.remove("given") {
        Some(Value::Object(given)) => given,
        _ => Map::new(),
    };
    let (mut checks, mut tests, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let mut used_in_module = BTreeSet::new();
    for (index, family) in families.into_iter().enumerate() {
        let field = format!("families[{index}]");
        let Family { template, check, tests: own, given: nearer, rows } = family;
        let template = match (template, check) {
            (Some(name), None) if own.is_empty() => match templates.0.get(&name) {
                Some(template) if !template.check.is_null() => template.clone(),
                _ => {
                    problems.push(templates.unknown(file, &field, &name, |template| !template.check.is_null()));
                    continue;
                }
            },
            (None, Some(check)) => Template { check, tests: own, ..Template::default() },
            _ => {
                problems.push(problem(file, &field, "has no single template", "write template, or check and tests"));
                continue;
            }
        };
        let layers = [&nearer, &given, &template.defaults];
        let used = fill(file, Some(&field), &rows, &layers, &mut problems, |places| {
            checks.push(places.fill(&template.check)?);
            for test in &template.tests {
                tests.push(places.fill(test)?);
            }
            Ok(())
        });
        report_unused(file, &format!("{field}.given"), &nearer, &used, &mut problems);
        used_in_module.extend(used);
    }
    report_unused(file, "given", &given, &used_in_module, &mut problems);
    for (field, more) in [("checks", checks), ("tests", tests)] {
        let written = module.entry(field).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(written) = written.as_array_mut() {
            written.extend(more);
        }
    }
    if canonical(document).len() > MAX_MODULE_BYTES {
        problems.push(problem(file, "families", "make a module of more than 1 MiB", "split it"));
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// The bytes that stand for an expanded module: JSON with sorted keys, whatever the order in the files.
pub(crate) fn canonical(document: &Value) -> Vec<u8> {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let ordered: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
                Value::Object(ordered.into_iter().map(|(key, value)| (key.clone(), value)).collect())
            }
            Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    sorted(document).to_string().into_bytes()
}

/// Does something with the places of each row, of a family in a module (at `field`) or of a family of modules. Gives the
/// names that were used; a row's own must be.
fn fill(
    file: &str,
    field: Option<&str>,
    rows: &[Map<String, Value>],
    shared: &[&Map<String, Value>],
    problems: &mut Vec<Problem>,
    mut each: impl FnMut(&mut Places<'_>) -> Result<(), places::Wrong>,
) -> BTreeSet<String> {
    let holds_families = field.is_none();
    let field = |rest: &str| field.map_or_else(|| rest.to_owned(), |field| format!("{field}.{rest}"));
    let mut used_anywhere = BTreeSet::new();
    if rows.is_empty() || rows.len() > MAX_ROWS {
        let wrong = format!("has {} rows", rows.len());
        problems.push(problem(file, &field("rows"), &wrong, &format!("write 1 to {MAX_ROWS}")));
    }
    for (index, row) in rows.iter().enumerate().take(MAX_ROWS) {
        let mut places = Places::new(std::iter::once(row).chain(shared.iter().copied()).collect(), holds_families);
        let outcome = each(&mut places);
        let used = places.into_used();
        let name = ["id", "slug"].iter().find_map(|key| row.get(*key)?.as_str());
        let place = field(&format!("rows[{index}]{}", name.map(|name| format!(" ({name})")).unwrap_or_default()));
        match outcome {
            Err(wrong) => problems.push(problem(file, &place, &wrong.to_string(), wrong.advice())),
            Ok(()) => report_unused(file, &place, row, &used, problems),
        }
        used_anywhere.extend(used);
    }
    used_anywhere
}

fn report_unused(
    file: &str,
    field: &str,
    values: &Map<String, Value>,
    used: &BTreeSet<String>,
    problems: &mut Vec<Problem>,
) {
    let unused = values.keys().filter(|key| !used.contains(*key));
    problems.extend(unused.map(|key| {
        problem(file, field, &format!("`{key}` has no place in the template"), "remove it, or correct its name")
    }));
}

fn is_file_of(file: &str, name: &str) -> bool {
    file.rsplit('/').next().and_then(|file| file.strip_suffix(".yaml")) == Some(name)
}

fn problem(file: &str, field: &str, wrong: &str, advice: &str) -> Problem {
    Problem { file: file.to_owned(), field: field.to_owned(), wrong: wrong.to_owned(), advice: advice.to_owned() }
}
