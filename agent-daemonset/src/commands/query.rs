//! `query`: SQL over the host's tables, from the command line, a pipe, or a small shell on a terminal. A statement that its
//! own clock cannot end, such as one that waits for a dead mount, ends the program.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use catalog::printable::{printable, printable_json, printable_line};
use clap::{Args, ValueEnum};
use comfy_table::ContentArrangement;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use tables::{Engine, Limits, Parameters, QueryOutput, Value};

use super::cluster::ClusterArgs;
use super::{statements, tables as table_list};
use crate::cli::{Outcome, REFUSED, said_once};
use crate::sandbox::{self, Network, Sight};
use crate::worker::Target;

const MAX_INPUT_BYTES: u64 = 1 << 20;
/// Rows in a table for people; the other forms have all.
const MAX_TABLE_ROWS: usize = 2_000;
/// Letters of a statement that an error names.
const NAMED_LETTERS: usize = 80;

/// What to ask, of which host, in which form.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// One or more SELECT statements; without it a shell, or statements from standard input
    sql: Option<String>,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
    /// Ask about a mounted image or disk instead of this host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Root of the running host, where this program sees it in a container
    #[arg(long, env = "TENA_HOST_ROOT", value_name = "DIR", default_value = "/", hide = true)]
    host_root: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Seconds that one statement may take
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
    Csv,
}

/// Answers SQL.
pub fn query(args: &QueryArgs) -> anyhow::Result<Outcome> {
    let target = match (&args.root, args.cluster.access()?) {
        (_, Some(access)) => Target::Cluster(access),
        (Some(root), None) => Target::Image(root.clone()),
        (None, None) => Target::Running(args.host_root.clone()),
    };
    // Before the first statement is seen; nothing here writes, or connects to anything but the cluster.
    match &target {
        Target::Cluster(access) => {
            sandbox::confine_worker(Sight::Files, Network::Port(access.port()), sandbox::has_landlock())?;
        }
        Target::Running(_) | Target::Image(_) => {
            sandbox::confine_worker(Sight::Processes, Network::Denied, false)?;
        }
    }
    let time = Duration::from_secs(args.timeout);
    let engine = Engine::open(target.host(), Limits { time, ..Limits::default() })?;
    let engine = Asked { engine, patience: time + time / 2 };
    match &args.sql {
        Some(sql) => answer_all(&engine, sql, args.output)?,
        None if io::stdin().is_terminal() => shell(&engine, args.output)?,
        None => {
            let mut sql = String::new();
            io::stdin()
                .take(MAX_INPUT_BYTES)
                .read_to_string(&mut sql)
                .context("standard input is not readable text")?;
            answer_all(&engine, &sql, args.output)?;
        }
    }
    Ok(Outcome::Done)
}

/// An engine, and how long is waited for a statement that does not end by itself.
struct Asked {
    engine: Engine,
    patience: Duration,
}

/// Ends the program when its time is up; dropped before that, it does nothing.
struct Watch {
    _is_over: Sender<()>,
}

impl Watch {
    fn over(statement: &str, patience: Duration) -> Self {
        let (is_over, waits) = channel::<()>();
        let named: String = printable(statement).chars().take(NAMED_LETTERS).collect();
        thread::spawn(move || {
            if waits.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                eprintln!(
                    "tenantra-agent: stopped after {} s, half again what it may take: {named}",
                    patience.as_secs()
                );
                std::process::exit(REFUSED.into());
            }
        });
        Watch { _is_over: is_over }
    }
}

fn answer_all(engine: &Asked, sql: &str, form: Form) -> anyhow::Result<()> {
    let (mut statements, rest) = statements::split(sql);
    statements.extend((!rest.is_empty()).then_some(rest));
    if statements.is_empty() {
        bail!("there is nothing to answer; write a SELECT, such as \"SELECT name, version FROM os_version\"");
    }
    if form == Form::Json && statements.len() > 1 {
        return answer_as_one_document(engine, &statements);
    }
    statements.into_iter().try_for_each(|statement| answer(engine, statement, form))
}

/// A list with the answer of each statement: a reader of JSON expects one document. Nothing is written if one fails.
fn answer_as_one_document(engine: &Asked, statements: &[&str]) -> anyhow::Result<()> {
    let mut answers: Vec<QueryOutput> = Vec::with_capacity(statements.len());
    let mut left = Limits::default().answer_bytes;
    for statement in statements {
        let answer = ask(engine, statement)?;
        left = left
            .checked_sub(answer.size_bytes())
            .context("the answers together are too long for one document; ask one statement at a time")?;
        answers.push(answer);
    }
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut separator = "[";
    for answer in &answers {
        writeln!(output, "{separator}")?;
        as_json(&mut output, answer)?;
        separator = ",";
    }
    writeln!(output, "]")?;
    output.flush()?;
    Ok(())
}

fn ask(engine: &Asked, statement: &str) -> Result<QueryOutput, tables::Error> {
    let watch = Watch::over(statement, engine.patience);
    let answer = engine.engine.query(statement, &Parameters::new());
    drop(watch);
    let answer = answer?;
    for warning in &answer.warnings {
        eprintln!("warning: {}: {}", printable_line(warning.table), printable_line(&warning.message));
    }
    Ok(answer)
}

fn answer(engine: &Asked, statement: &str, form: Form) -> anyhow::Result<()> {
    let answer = ask(engine, statement)?;
    let mut output = io::BufWriter::new(io::stdout().lock());
    match form {
        Form::Table => as_table(&mut output, &answer)?,
        Form::Json => as_json(&mut output, &answer)?,
        Form::Csv => as_csv(&mut output, &answer)?,
    }
    output.flush()?;
    Ok(())
}

fn as_table(output: &mut impl Write, answer: &QueryOutput) -> io::Result<()> {
    if answer.rows.is_empty() {
        return writeln!(output, "no rows ({} ms)", answer.elapsed.as_millis());
    }
    let mut table = comfy_table::Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(answer.columns.iter().map(|column| printable_line(column)));
    for row in answer.rows.iter().take(MAX_TABLE_ROWS) {
        table.add_row(row.iter().map(|value| printable(&value.to_string()).into_owned()));
    }
    let rows = if answer.rows.len() == 1 { "row" } else { "rows" };
    writeln!(output, "{table}")?;
    if answer.rows.len() > MAX_TABLE_ROWS {
        writeln!(output, "the first {MAX_TABLE_ROWS} of them; -o json or -o csv shows all")?;
    }
    writeln!(output, "{} {rows} ({} ms)", answer.rows.len(), answer.elapsed.as_millis())
}

/// A list of objects, one a line.
fn as_json(output: &mut impl Write, answer: &QueryOutput) -> io::Result<()> {
    let mut separator = "[";
    for object in answer.objects() {
        write!(output, "{separator}\n  ")?;
        output.write_all(printable_json(&serde_json::to_string(&object)?).as_bytes())?;
        separator = ",";
    }
    if answer.rows.is_empty() { writeln!(output, "[]") } else { writeln!(output, "\n]") }
}

fn as_csv(output: &mut impl Write, answer: &QueryOutput) -> io::Result<()> {
    let line = |cells: Vec<String>| cells.join(",");
    writeln!(output, "{}\r", line(answer.columns.iter().map(|column| quoted(column)).collect()))?;
    for row in &answer.rows {
        writeln!(output, "{}\r", line(row.iter().map(|value| quoted(&csv_text(value))).collect()))?;
    }
    Ok(())
}

/// A spreadsheet must not take a host's text for a formula.
fn csv_text(value: &Value) -> String {
    match value {
        Value::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        other => other.to_string(),
    }
}

/// RFC 4180 §2. What steers a terminal is replaced: these files are looked at on one; JSON has it all.
fn quoted(text: &str) -> String {
    let text = printable(text);
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into_owned() }
}

const HELP: &str = "\
Write a SELECT and end it with a semicolon. Tables have osquery's names.
  .tables          list the tables
  .schema NAME     columns of a table
  .mode FORM       table, json or csv
  .help            this text
  .quit            leave (also Ctrl-D)";

fn shell(engine: &Asked, mut form: Form) -> anyhow::Result<()> {
    eprintln!("tenantra-agent {}: SQL over this host. .help says how, .quit leaves.", env!("CARGO_PKG_VERSION"));
    let mut waiting = String::new();
    let mut lines = io::stdin().lock().lines();
    loop {
        eprint!("{}", if waiting.is_empty() { "sql> " } else { "...> " });
        let Some(line) = lines.next().transpose()? else {
            eprintln!();
            return Ok(());
        };
        if waiting.is_empty() && line.trim_start().starts_with('.') {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some(".quit" | ".exit"), _) => return Ok(()),
                (Some(".tables"), _) => table_list::list(&mut io::stdout())?,
                (Some(".schema"), Some(name)) => {
                    if let Err(error) = table_list::describe(&mut io::stdout(), name) {
                        eprintln!("{}", printable(&error.to_string()));
                    }
                }
                (Some(".mode"), Some(name)) => match Form::from_str(name, true) {
                    Ok(chosen) => form = chosen,
                    Err(_) => eprintln!("the forms are table, json and csv"),
                },
                _ => eprintln!("{HELP}"),
            }
            continue;
        }
        waiting.push_str(&line);
        waiting.push('\n');
        let (complete, rest) = statements::split(&waiting);
        for statement in complete {
            // A mistake does not end the shell.
            if let Err(error) = answer(engine, statement, form) {
                eprintln!("{}", printable(&said_once(&error)));
            }
        }
        waiting = if rest.is_empty() { String::new() } else { format!("{rest}\n") };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_of(rows: Vec<Vec<Value>>) -> QueryOutput {
        QueryOutput { columns: vec!["a".into(), "b".into()], rows, ..QueryOutput::default() }
    }

    #[test]
    fn csv_quotes_what_needs_it_and_disarms_formulas() {
        let mut csv = Vec::new();
        as_csv(&mut csv, &answer_of(vec![vec![Value::from("x, \"y\""), Value::from("=1+1")]])).unwrap();
        assert_eq!(String::from_utf8(csv).unwrap(), "a,b\r\n\"x, \"\"y\"\"\",'=1+1\r\n");
    }

    #[test]
    fn json_is_a_list_also_of_nothing() {
        for rows in [vec![], vec![vec![Value::Integer(1), Value::Null]]] {
            let mut json = Vec::new();
            as_json(&mut json, &answer_of(rows.clone())).unwrap();
            let parsed: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
            assert_eq!(parsed.len(), rows.len());
        }
    }

    #[test]
    fn a_file_name_or_a_heading_cannot_steer_the_terminal() {
        let hostile = "a\u{1b}[2Jb\u{202e}\u{9b}c";
        let answer = QueryOutput {
            columns: vec![hostile.into()],
            rows: vec![vec![Value::from(hostile)]],
            ..QueryOutput::default()
        };
        let (mut table, mut csv, mut json) = (Vec::new(), Vec::new(), Vec::new());
        as_table(&mut table, &answer).unwrap();
        as_csv(&mut csv, &answer).unwrap();
        as_json(&mut json, &answer).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap()[0][hostile], hostile);
        for shown in [table, csv, json] {
            let shown = String::from_utf8(shown).unwrap();
            assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown:?}");
        }
    }
}
