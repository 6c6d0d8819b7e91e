//! osquery packs: JSON with comments. Their queries become facts to keep, or findings where the caller says so.
//!
//! What osquery's scheduler does with a query (interval, shard, snapshot, removed) is a schedule's business here and is noted.

use serde_json::Value;

use super::draft::{Answer, Draft, NewCheck, bound, text, text_of};
use super::{Compiler, Imported, Options, Rows, Source, sql_text};
use crate::Severity;
use crate::problem::{Problem, Problems};

const LIMITS: &str = "Sees what osquery's tables of the same names show on Linux, at the moment of the run; events are not kept between runs.";
/// Fields that say when and how often osquery runs a query.
const SCHEDULE: [&str; 6] = ["interval", "shard", "snapshot", "removed", "denylist", "splay"];

pub(super) fn read(
    source: &Source<'_>,
    options: &Options<'_>,
    compiler: &dyn Compiler,
) -> Result<Vec<Imported>, Problems> {
    let document: Value = serde_json::from_str(&without_comments(source.text)).map_err(|error| {
        let wrong = format!("is not JSON: {error}");
        Problems(vec![source.problem("", wrong, r#"write {"queries": {"name": {"query": "SELECT …"}}}"#)])
    })?;
    let packs = packs(source, &document)?;
    if packs.len() > 1 && options.slug.is_some() {
        return source.refuse(
            "packs",
            format!("has {} packs", packs.len()),
            "leave --slug out: each gets its own name",
        );
    }
    packs.into_iter().map(|(name, pack)| one(source, options, compiler, &name, &pack)).collect()
}

/// Lines that are comments go, and so does a backslash at the end of a line, which osquery allows within texts.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !super::is_comment(line.trim_start()));
    let mut joined = String::with_capacity(text.len());
    for line in lines {
        if let Some(line) = line.trim_end().strip_suffix('\\') {
            joined.push_str(line);
        } else {
            joined.push_str(line);
            joined.push('\n');
        }
    }
    joined
}

fn packs(source: &Source<'_>, document: &Value) -> Result<Vec<(String, Value)>, Problems> {
    let mut packs = Vec::new();
    if document.get("queries").is_some() {
        packs.push((source.stem().to_owned(), document.clone()));
    }
    if let Some(schedule) =
        document.get("schedule").filter(|schedule| schedule.as_object().is_some_and(|all| !all.is_empty()))
    {
        packs.push((format!("{} schedule", source.stem()), serde_json::json!({ "queries": schedule })));
    }
    for (name, pack) in document.get("packs").and_then(Value::as_object).into_iter().flatten() {
        if !pack.is_object() {
            return source.refuse(
                &format!("packs.{name}"),
                "names another file",
                "import that file itself, or write the pack here",
            );
        }
        packs.push((name.clone(), pack.clone()));
    }
    bound(source, "packs", packs.len())?;
    if packs.is_empty() {
        return source.refuse("queries", "is missing", r#"write "queries": {"name": {"query": "SELECT …"}}"#);
    }
    Ok(packs)
}

fn one(
    source: &Source<'_>,
    options: &Options<'_>,
    compiler: &dyn Compiler,
    name: &str,
    pack: &Value,
) -> Result<Imported, Problems> {
    let mut draft = Draft::new(name, &format!("osquery pack {name}"), &text_of(pack, "description"), LIMITS);
    let Some(queries) = pack.get("queries").and_then(Value::as_object) else {
        return source.refuse(
            &format!("{name}.queries"),
            "is not an object",
            r#"write "queries": {"name": {"query": "SELECT …"}}"#,
        );
    };
    bound(source, &format!("{name}.queries"), queries.len())?;
    for field in ["version", "shard"] {
        if let Some(value) = pack.get(field).and_then(text) {
            draft.note(
                field,
                format!(
                    "ignored ({value}): the queries are compiled against the tables of this program, on every host"
                ),
            );
        }
    }
    let platform = text_of(pack, "platform");
    let discovery = discovery(source, name, pack)?;
    // osquery leaves out a pack whose discovery fails; a module must not ask what it cannot.
    let unasked = discovery.iter().find_map(|query| compiler.columns(query).err());
    let mut problems = Vec::new();
    let mut is_scheduled = false;
    for (query_name, query) in queries {
        let field = format!("{name}.queries.{query_name}");
        is_scheduled |= SCHEDULE.iter().any(|field| query.get(field).is_some());
        let own = text_of(query, "platform");
        if let Some(platform) = [&platform, &own].into_iter().find(|platform| !is_for_linux(platform)) {
            draft.note(query_name, format!("left out: it is for {platform}"));
            continue;
        }
        if let Some(reason) = &unasked {
            draft.note(query_name, format!("left out: the pack's discovery query does not compile: {reason}"));
            continue;
        }
        if let Err(problem) = add(source, options, compiler, &mut draft, (&field, query_name, query), &discovery) {
            problems.push(problem);
        }
    }
    if is_scheduled {
        draft.note(
            "interval",
            "ignored, with shard, snapshot, removed and denylist: when a module runs is said by a ScanSchedule",
        );
    }
    if problems.is_empty() { draft.finish(source, options, pack) } else { Err(Problems(problems)) }
}

fn add(
    source: &Source<'_>,
    options: &Options<'_>,
    compiler: &dyn Compiler,
    draft: &mut Draft,
    (field, name, query): (&str, &str, &Value),
    discovery: &[String],
) -> Result<(), Problem> {
    let Some(sql) = query.get("query").and_then(Value::as_str) else {
        return Err(source.problem(format!("{field}.query"), "is missing or no text", r#"write "query": "SELECT …""#));
    };
    if let Some(version) = query.get("version").and_then(text) {
        draft.note(
            name,
            format!("its version {version} is ignored: it was compiled against the tables of this program"),
        );
    }
    let checked = sql_text::one_select(sql).and_then(|sql| Ok((compiler.columns(&sql)?, sql)));
    let (columns, sql) = match checked {
        Ok(checked) => checked,
        Err(reason) => {
            draft.note(name, format!("left out: {reason}"));
            return Ok(());
        }
    };
    match options.rows {
        Rows::Facts => {
            let query = if discovery.is_empty() {
                sql
            } else {
                format!("SELECT * FROM (\n{sql}\n) WHERE {}", sql_text::discovered(discovery))
            };
            draft.collect(name, query, columns);
        }
        Rows::Findings => {
            let Some(first) = columns.first() else { return Ok(()) };
            let first = first.replace('"', "\"\"");
            let description = [text_of(query, "description"), text_of(query, "value")].join(" ");
            draft.check(NewCheck {
                name: name.to_owned(),
                title: format!("No row of {name}"),
                severity: Severity::Medium,
                answer: Answer::Query(
                    format!("SELECT CAST(\"{first}\" AS TEXT) AS resource, * FROM (\n{sql}\n)"),
                    (!discovery.is_empty()).then(|| format!("SELECT 1 WHERE {}", sql_text::discovered(discovery))),
                ),
                rationale: description.trim().to_owned(),
                remediation: text_of(query, "value"),
                controls: std::collections::BTreeMap::new(),
            });
        }
    }
    Ok(())
}

/// The pack runs where each of these has a row.
fn discovery(source: &Source<'_>, name: &str, pack: &Value) -> Result<Vec<String>, Problems> {
    let field = format!("{name}.discovery");
    let queries = match pack.get("discovery") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(queries)) => queries.clone(),
        Some(_) => return source.refuse(&field, "is no list", r#"write "discovery": ["SELECT …"]"#),
    };
    bound(source, &field, queries.len())?;
    let read = |(index, query): (usize, &Value)| {
        let wrong = |wrong: String| source.problem(format!("{field}[{index}]"), wrong, "write one SELECT");
        let text = query.as_str().ok_or_else(|| wrong("is no text".to_owned()))?;
        sql_text::one_select(text).map_err(wrong)
    };
    queries.iter().enumerate().map(read).collect::<Result<_, _>>().map_err(|problem| Problems(vec![problem]))
}

/// osquery's platforms: a list with commas; empty, `all`, `any` and `posix` include Linux.
pub(super) fn is_for_linux(platform: &str) -> bool {
    const OTHERS: [&str; 6] = ["darwin", "macos", "windows", "freebsd", "chrome", "chromeos"];
    let mut names = platform.split(',').map(str::trim).filter(|name| !name.is_empty()).peekable();
    names.peek().is_none() || names.any(|name| !OTHERS.contains(&name.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_osquery_reads_them() {
        for (platform, expected) in [
            ("", true),
            ("all", true),
            ("posix", true),
            ("darwin,linux", true),
            ("ubuntu", true),
            ("darwin", false),
            ("windows, darwin", false),
        ] {
            assert_eq!(is_for_linux(platform), expected, "{platform}");
        }
    }

    #[test]
    fn comments_and_continued_lines_are_read_as_osquery_reads_them() {
        let text = "// a\n{ \"a\": \"SELECT 1 \\\n  FROM x\",\n  # b\n \"b\": \"http://x\" }";
        let read: Value = serde_json::from_str(&without_comments(text)).unwrap();
        assert_eq!((&read["a"], &read["b"]), (&"SELECT 1   FROM x".into(), &"http://x".into()));
    }
}
