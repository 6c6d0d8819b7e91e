//! A draft under construction: names made fit, one id for each check, and the description that names where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Imported, MAX_ITEMS, Note, Options, Source};
use crate::Severity;
use crate::module::{
    Change, Check, Collect, Engine, Mark, Module, Os, Platforms, Profile, Remediation, Requires, SameAs,
};
use crate::problem::Problems;
use crate::sql;

const MAX_TITLE_CHARS: usize = 200;
const MAX_TEXT_CHARS: usize = 4_000;
const MAX_ID_CHARS: usize = 80;

/// A check as a source gives it.
pub(super) struct NewCheck {
    /// What the source calls it.
    pub name: String,
    pub title: String,
    pub severity: Severity,
    pub answer: Answer,
    pub rationale: String,
    pub remediation: String,
    pub controls: BTreeMap<String, Vec<String>>,
}

/// What decides it.
pub(super) enum Answer {
    /// Failing rows, where there is a row of the second.
    Query(String, Option<String>),
    /// A rule of XCCDF, with its short name.
    Rule { id: String, short: String },
}

/// A module that grows.
pub(super) struct Draft {
    name: String,
    title: String,
    description: String,
    limits: String,
    checks: Vec<Check>,
    collect: Vec<Collect>,
    taken: BTreeSet<String>,
    notes: Vec<Note>,
}

impl Draft {
    pub fn new(name: &str, title: &str, description: &str, limits: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: one_line(title, MAX_TITLE_CHARS),
            description: one_line(description, MAX_TEXT_CHARS),
            limits: limits.to_owned(),
            checks: Vec::new(),
            collect: Vec::new(),
            taken: BTreeSet::new(),
            notes: Vec::new(),
        }
    }

    pub fn note(&mut self, subject: &str, text: impl Into<String>) {
        self.notes.push(Note { subject: one_line(subject, MAX_TITLE_CHARS), text: text.into() });
    }

    pub fn check(&mut self, new: NewCheck) {
        let NewCheck { name, title, severity, answer, rationale, remediation, controls } = new;
        let (query, applies, rule, same_as) = match answer {
            Answer::Query(query, applies) => (query, applies, None, SameAs::default()),
            Answer::Rule { id, short } => (String::new(), None, Some(id), SameAs { oscap: Some(short) }),
        };
        let or = |text: &str, other: &str| {
            let text = one_line(text, MAX_TEXT_CHARS);
            if text.is_empty() { other.to_owned() } else { text }
        };
        let title = or(&one_line(&title, MAX_TITLE_CHARS), "A check without a title");
        let id = self.id_of(&name, "check");
        self.checks.push(Check {
            id,
            severity,
            query,
            rule,
            applies,
            rationale: or(&rationale, &title),
            remediation: Remediation {
                text: or(&remediation, "The source gives no advice; see its description."),
                action: None,
                parameters: BTreeMap::new(),
            },
            same_as,
            controls,
            title,
        });
    }

    pub fn collect(&mut self, name: &str, query: String, key: Vec<String>) {
        let table = self.id_of(name, "rows").replace('-', "_");
        self.collect.push(Collect { table, query, key });
    }

    /// A kebab-case name that nothing else of the module has.
    fn id_of(&mut self, name: &str, otherwise: &str) -> String {
        let base = kebab_case(name).unwrap_or_else(|| otherwise.to_owned());
        let mut id = base.clone();
        let mut number = 2;
        while !self.taken.insert(id.clone()) {
            id = format!("{base}-{number}");
            number += 1;
        }
        id
    }

    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.collect.is_empty()
    }

    /// The draft; a source of which nothing could be brought over is a problem that says why.
    pub fn finish(self, source: &Source<'_>, options: &Options<'_>, document: &Value) -> Result<Imported, Problems> {
        if self.is_empty() {
            let reasons: Vec<String> =
                self.notes.iter().take(5).map(|note| format!("{}: {}", note.subject, note.text)).collect();
            let reasons = if reasons.is_empty() { "it is empty".to_owned() } else { reasons.join("; ") };
            return source.refuse(
                "",
                format!("nothing of it can run here ({reasons})"),
                "import a file with queries, policies or checks for Linux",
            );
        }
        let Some(slug) = options.slug.map(str::to_owned).or_else(|| kebab_case(&self.name)) else {
            return source.refuse("name", format!("`{}` makes no slug", self.name), "give one with --slug my-pack");
        };
        let by_query = self.checks.iter().filter(|check| check.rule.is_none());
        let queries = by_query.flat_map(|check| [Some(&check.query), check.applies.as_ref()]).flatten();
        let queries = queries.chain(self.collect.iter().map(|collect| &collect.query));
        let tables: BTreeSet<String> = queries.flat_map(|query| sql::references(query).tables).collect();
        let origin = origin(source, document);
        let first_change = format!("Imported from the {} {}.", source.title, source.stem());
        let description = match (self.description.as_str(), origin.as_str()) {
            ("", origin) => origin.to_owned(),
            (text, origin) => format!("{} {origin}", ended(text)),
        };
        let module = Module {
            slug,
            version: options.version.clone(),
            state: Some(Mark::Draft),
            title: if self.title.is_empty() { one_line(&self.name, MAX_TITLE_CHARS) } else { self.title },
            category: options.category,
            description,
            platforms: Platforms { os: vec![Os::Linux], ..Platforms::default() },
            requires: Requires { admin: true, network: connections(&tables), tables: tables.into_iter().collect() },
            profile: Profile::BaselineFull,
            engine: Engine::Tables,
            scap: None,
            prerequisites: "What the source was written for; it was not recorded here.".to_owned(),
            limits: self.limits,
            privileges: "Reads the tables that its queries name, as root.".to_owned(),
            data_sensitivity: "What its queries select; look at each of them before it is released.".to_owned(),
            parameters: json!({ "type": "object", "additionalProperties": false, "properties": {} }),
            checks: self.checks,
            collect: self.collect,
            tests: Vec::new(),
            changelog: vec![Change { version: options.version.clone(), text: first_change }],
        };
        Ok(Imported { module, notes: self.notes })
    }
}

/// What tables connect to. Without it the sandbox refuses every connection, and nothing could be decided.
fn connections(tables: &BTreeSet<String>) -> Vec<String> {
    let to = |table: &String| match table.as_str() {
        name if name.starts_with("docker_") => Some("docker"),
        name if name.starts_with("lxd_") => Some("lxd"),
        name if ["ec2_instance_", "azure_instance_", "ycloud_instance_"]
            .iter()
            .any(|start| name.starts_with(*start)) =>
        {
            Some("cloud metadata")
        }
        "prometheus_metrics" => Some("prometheus"),
        name if name.ends_with("_endpoints") => Some("endpoints"),
        _ => None,
    };
    tables.iter().filter_map(to).collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// Refuses more than [`MAX_ITEMS`].
pub(super) fn bound(source: &Source<'_>, field: &str, number: usize) -> Result<(), Problems> {
    if number <= MAX_ITEMS {
        return Ok(());
    }
    source.refuse(field, format!("has {number} entries, more than {MAX_ITEMS}"), "split it into several files")
}

/// Where the file comes from, and what it says of author and licence.
fn origin(source: &Source<'_>, document: &Value) -> String {
    let mut said: Vec<String> = ["author", "authors", "copyright", "license", "licence"]
        .into_iter()
        .filter_map(|field| Some(format!("{field}: {}", one_line(&text(document.get(field)?)?, MAX_TITLE_CHARS))))
        .collect();
    let head = source.text.lines().take_while(|line| line.trim().is_empty() || super::is_comment(line.trim_start()));
    let telling = |line: &str| {
        let line = line.to_lowercase();
        ["copyright", "licen", "author", "(c)"].iter().any(|word| line.contains(word))
    };
    said.extend(head.take(40).filter(|line| telling(line)).take(6).map(|line| {
        one_line(
            line.trim_start_matches(|letter: char| letter == '#' || letter == '/' || letter.is_whitespace()),
            MAX_TITLE_CHARS,
        )
    }));
    let name = one_line(source.stem(), MAX_ID_CHARS);
    let told = if said.is_empty() {
        "The file names neither author nor licence: find out before you pass it on.".to_owned()
    } else {
        format!("The file says: {}", ended(&said.join("; ")))
    };
    format!("Imported from the {} {name}. {told}", source.title)
}

fn ended(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// A value that people write as text, a number or a truth value.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Array(items) => Some(items.iter().filter_map(text).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Object(_) => None,
    }
}

/// The field's text; empty if it has none.
pub(super) fn text_of(object: &Value, field: &str) -> String {
    object.get(field).and_then(text).unwrap_or_default()
}

fn one_line(text: &str, most: usize) -> String {
    let line = text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most { line } else { line.chars().take(most - 1).chain(['…']).collect() }
}

/// Words of letters and digits, in lower case, joined by hyphens; none if there is no word.
pub(super) fn kebab_case(name: &str) -> Option<String> {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut made = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    made.truncate(MAX_ID_CHARS);
    let made = made.trim_end_matches('-');
    (!made.is_empty()).then(|| made.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_become_names_of_files() {
        for (name, expected) in [
            ("../../etc/passwd", Some("etc-passwd")),
            ("Disk Encryption (macOS)", Some("disk-encryption-macos")),
            ("a\u{0}b", Some("a-b")),
            ("---", None),
            ("日本", None),
        ] {
            assert_eq!(kebab_case(name).as_deref(), expected, "{name}");
        }
        assert_eq!(kebab_case(&"x".repeat(500)).map(|name| name.len()), Some(MAX_ID_CHARS));
    }
}
