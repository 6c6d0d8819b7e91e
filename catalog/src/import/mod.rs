//! Modules made of other engines' files: osquery packs, Fleet policies, Wazuh SCA policies, SCAP content. Pure: bytes in,
//! modules and notes out. Whether a query compiles is asked of the caller, who has an engine.
//!
//! What comes out is a draft: nobody has recorded what it has to find, and fixtures cannot be invented. What could not be
//! brought over is named in the notes, never dropped in silence.

mod draft;
mod fleet;
mod osquery;
mod scap;
mod sql_text;
mod wazuh;

use std::collections::BTreeMap;

pub use scap::{ScapContent, is_scap, scap};
use semver::Version;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::catalog::Entry;
use crate::load::{self, Controls};
use crate::module::{Category, Engine, Module};
use crate::problem::{Problem, Problems};

/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most queries, policies or checks of one file.
pub const MAX_ITEMS: usize = 2_000;
/// Longest query, in bytes.
const MAX_QUERY_BYTES: usize = 64 * 1024;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// JSON with `queries`, or a configuration of osquery with `packs` or `schedule`.
    OsqueryPack,
    /// YAML with Fleet's policies and queries.
    Fleet,
    /// YAML of Wazuh's Security Configuration Assessment.
    WazuhSca,
}

impl Format {
    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OsqueryPack => "osquery pack",
            Self::Fleet => "Fleet policies",
            Self::WazuhSca => "Wazuh SCA policy",
        }
    }

    /// What the file looks like: JSON is a pack, YAML with `policy:` and `checks:` is Wazuh's, other YAML is Fleet's.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(without_mark(bytes)).ok()?;
        let is_key = |key: &str| text.lines().any(|line| line.starts_with(key));
        let first = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !is_comment(line))?;
        if first.starts_with('{') {
            return Some(Self::OsqueryPack);
        }
        if is_key("checks:") && is_key("policy:") {
            return Some(Self::WazuhSca);
        }
        let has_kind = text.lines().any(|line| line.trim_start().starts_with("kind:"));
        (has_kind || is_key("policies:") || is_key("queries:") || is_key("- ")).then_some(Self::Fleet)
    }
}

fn is_comment(line: &str) -> bool {
    line.starts_with('#') || line.starts_with("//")
}

/// What the rows of a pack's queries are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rows {
    /// Facts to keep, whose changes are drift: what osquery's scheduler does with them.
    #[default]
    Facts,
    /// Findings: each row is something that should not be there, as in packs for intrusion detection.
    Findings,
}

/// How the module is to be.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// Its slug; left out, made of the source's name.
    pub slug: Option<&'a str>,
    /// Its version.
    pub version: Version,
    /// What it belongs to.
    pub category: Category,
    /// What rows of a pack are.
    pub rows: Rows,
    /// The controls that checks may map to.
    pub controls: &'a Controls,
}

/// Knows the tables and functions of the engine.
pub trait Compiler {
    /// The columns that a query answers with, or why it does not compile.
    fn columns(&self, sql: &str) -> Result<Vec<String>, String>;
    /// Whether the engine takes a regular expression, or why not.
    fn pattern(&self, pattern: &str) -> Result<(), String>;
}

/// Something of the source that the module does not have, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The query, policy or check; the field of the file where it is about none.
    pub subject: String,
    /// What became of it, and why.
    pub text: String,
}

/// A module that was made of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// A draft.
    pub module: Module,
    /// What is not in it.
    pub notes: Vec<Note>,
}

impl Imported {
    /// Where its file goes, below `modules/`.
    pub fn path(&self) -> String {
        path_of(&self.module)
    }

    /// The text of its file.
    pub fn yaml(&self) -> Result<String, Problems> {
        let text = serde_saphyr::to_string(&self.module).map_err(|error| {
            Problems(vec![Problem {
                file: self.path(),
                field: String::new(),
                wrong: format!("cannot be written as YAML: {error}"),
                advice: "report it with the source".to_owned(),
            }])
        })?;
        let task = match self.module.engine {
            Engine::Tables => "give every check a test that passes and one that fails",
            Engine::Oscap => "look at each check",
        };
        Ok(format!("# A draft: {task}, then run `tenantra module promote {}`.\n{text}", self.module.reference()))
    }
}

fn path_of(module: &Module) -> String {
    format!("{}/{}.yaml", module.category.as_str(), module.reference())
}

/// A file to be imported, within its bounds.
pub(crate) struct Source<'a> {
    /// As it is named in messages.
    file: &'a str,
    text: &'a str,
    /// What it is, for people.
    title: &'static str,
}

impl Source<'_> {
    fn problem(&self, field: impl Into<String>, wrong: impl Into<String>, advice: impl Into<String>) -> Problem {
        let (field, wrong, advice) = (field.into(), wrong.into(), advice.into());
        Problem { file: self.file.to_owned(), field, wrong, advice }
    }

    fn refuse<T>(&self, field: &str, wrong: impl Into<String>, advice: impl Into<String>) -> Result<T, Problems> {
        Err(Problems(vec![self.problem(field, wrong, advice)]))
    }

    /// The file's name without folders and ending.
    fn stem(&self) -> &str {
        let name = self.file.rsplit(['/', '\\']).next().unwrap_or(self.file);
        name.split('.').find(|part| !part.is_empty()).unwrap_or(name)
    }
}

/// Makes modules of a file. Every mistake of the file is reported with the field and what to write.
pub fn import(
    file: &str,
    bytes: &[u8],
    format: Format,
    options: &Options<'_>,
    compiler: &dyn Compiler,
) -> Result<Vec<Imported>, Problems> {
    let source = Source { file, text: text_of(file, without_mark(bytes), MAX_BYTES)?, title: format.title() };
    let modules = match format {
        Format::OsqueryPack => osquery::read(&source, options, compiler)?,
        Format::Fleet => vec![fleet::read(&source, options, compiler)?],
        Format::WazuhSca => vec![wazuh::read(&source, options, compiler)?],
    };
    let mut taken = BTreeMap::new();
    for imported in &modules {
        let Module { title, .. } = &imported.module;
        if let Some(other) = taken.insert(imported.path(), title) {
            let wrong = format!("`{other}` and `{title}` would both be {}", imported.module.reference());
            return source.refuse("packs", wrong, "give one of them another name");
        }
        // What is written has to be readable again, by the same rules as every file of the catalog.
        load::module(&imported.path(), imported.yaml()?.as_bytes(), options.controls)?;
    }
    Ok(modules)
}

/// A module that somebody sends: its YAML, checked by the same rules as a file whose name fits.
pub fn submitted(label: &str, bytes: &[u8], controls: &Controls) -> Result<Entry, Problems> {
    text_of(label, bytes, MAX_BYTES)?;
    let module: Module = load::parse(label, bytes)?;
    let path = path_of(&module);
    let module = load::module(&path, bytes, controls)?;
    Ok(Entry { module, checksum: hex::encode(Sha256::digest(bytes)), path })
}

/// Editors of Windows begin UTF-8 with a mark of the order of its bytes.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn text_of<'a>(file: &str, bytes: &'a [u8], limit: usize) -> Result<&'a str, Problems> {
    let problem = |wrong: String, advice: &str| {
        Problems(vec![Problem { file: file.to_owned(), field: String::new(), wrong, advice: advice.to_owned() }])
    };
    if bytes.len() > limit {
        return Err(problem(format!("has {} bytes, more than {limit}", bytes.len()), "split it into several files"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| problem(format!("is not UTF-8: {error}"), "save the file as UTF-8"))?;
    if text.contains('\0') {
        return Err(problem("holds the character U+0000".to_owned(), "save the file as text"));
    }
    Ok(text)
}

/// The documents of a YAML file of strangers. Aliases are bounded tightly: nobody writes a policy with thousands of them.
fn yaml_documents(source: &Source<'_>) -> Result<Vec<serde_json::Value>, Problems> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_aliases: 1_000, max_anchors: 1_000, max_documents: MAX_ITEMS },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 50_000, max_replay_stack_depth: 8, max_alias_expansions_per_anchor: 1_000,
        },
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(source.text, options).map_err(|error| {
        let wrong = format!("is not YAML that can be read: {error}");
        Problems(vec![source.problem("", wrong, "correct the line; no deep nesting and few aliases")])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes everything: what has to hold does not depend on what an engine refuses.
    struct Anything;

    impl Compiler for Anything {
        fn columns(&self, _: &str) -> Result<Vec<String>, String> {
            Ok(vec!["a \"column".to_owned()])
        }

        fn pattern(&self, _: &str) -> Result<(), String> {
            Ok(())
        }
    }

    /// Imports, and looks at every statement that came out: one SELECT that closes what it opens.
    fn statements_of(text: &str, format: Format) -> usize {
        let controls = Controls::new();
        let options = Options {
            slug: None,
            version: Version::new(1, 0, 0),
            category: Category::Compliance,
            rows: Rows::Findings,
            controls: &controls,
        };
        let Ok(modules) = import("file", text.as_bytes(), format, &options, &Anything) else { return 0 };
        let mut statements = 0;
        for Imported { module, .. } in modules {
            assert!(module.is_draft());
            let checks = module.checks.iter().flat_map(|check| [Some(&check.query), check.applies.as_ref()]).flatten();
            for query in checks.chain(module.collect.iter().map(|collect| &collect.query)) {
                assert!(crate::sql::without_comments(query).is_some(), "{query}");
                assert!(crate::sql::references(query).is_one_select, "{query}");
                statements += 1;
            }
        }
        statements
    }

    #[test]
    fn what_a_stranger_writes_stays_within_its_statement() {
        let injected = r"x' OR 1=1) -- ";
        for (format, text) in [
            (
                Format::WazuhSca,
                format!(
                    "policy: {{ id: x }}\nchecks: [{{ id: 1, title: t, condition: all, rules: [\"f:/a{injected} -> r:{injected} && {injected}\"] }}]"
                ),
            ),
            (
                Format::WazuhSca,
                format!(
                    "policy: {{ id: x }}\nchecks: [{{ id: 1, title: t, condition: any, rules: [\"p:{injected}\", \"d:/{injected} -> {injected} -> {injected}\"] }}]"
                ),
            ),
            (Format::Fleet, format!("- {{ name: \"{injected}\", query: \"SELECT 1 FROM users -- ) \" }}")),
            (Format::OsqueryPack, "{\"queries\": {\"a\": {\"query\": \"SELECT 1 /* ) */ FROM users;\"}}}".to_owned()),
        ] {
            assert!(statements_of(&text, format) > 0, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_rule_ends_the_program_or_its_statement(kind in "[fdpcr]", target in "\\PC{0,40}", content in "(not |!)?(r:|n:)?\\PC{0,40}") {
            let rule = serde_json::Value::String(format!("{kind}:{target} -> {content}"));
            let document = format!("policy: {{ id: x }}\nchecks: [{{ id: 1, title: t, condition: none, rules: [{rule}] }}]");
            statements_of(&document, Format::WazuhSca);
        }

        #[test]
        fn no_query_ends_the_program_or_its_statement(query in "SELECT [a-z0-9'\"`()/*;\\[\\]\n -]{0,40}", name in "\\PC{0,20}") {
            let (query, name) = (serde_json::Value::String(query), serde_json::Value::String(name));
            statements_of(&format!("{{\"queries\": {{{name}: {{\"query\": {query}}}}}}}"), Format::OsqueryPack);
            statements_of(&format!("- {{ name: {name}, query: {query} }}"), Format::Fleet);
        }

        #[test]
        fn no_text_ends_the_program(text in "\\PC{0,200}") {
            for format in [Format::OsqueryPack, Format::Fleet, Format::WazuhSca] {
                statements_of(&text, format);
            }
            let _ = Format::of(text.as_bytes());
            let _ = submitted("text", text.as_bytes(), &Controls::new());
        }
    }
}
