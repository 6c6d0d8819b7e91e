//! Runs a module's tests without a host: the same engine, its tables replaced by the recorded rows. A table that a test does
//! not record is empty, a column that a row leaves out is NULL.

use std::collections::BTreeMap;

use catalog::envelope::{Finding, Verdict};
use catalog::module::{Fixture, Module};

use crate::budget::Limits;
use crate::engine::Engine;
use crate::registry;
use crate::scan::decide;
use crate::schema::{ColumnType, Table};
use crate::value::{Parameters, Row, Value};

/// How a test of a module ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The name of the test.
    pub name: String,
    /// What differs from what it expects, a sentence each; empty if it passed.
    pub differences: Vec<String>,
}

impl TestOutcome {
    /// Whether every verdict is as expected.
    pub fn has_passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Runs all tests of a module.
pub fn run(module: &Module) -> Vec<TestOutcome> {
    module
        .tests
        .iter()
        .map(|test| TestOutcome { name: test.name.clone(), differences: run_test(module, test) })
        .collect()
}

/// What is wrong with the SQL of a module, seen without any rows: each query must compile, name only parameters and read
/// only tables that the module declares, and answer with the columns that are needed.
pub fn lint(module: &Module) -> Vec<String> {
    let engine = match Engine::recorded(BTreeMap::new(), Limits::default()) {
        Ok(engine) => engine,
        Err(error) => return vec![error.to_string()],
    };
    let known: Vec<&str> = module
        .parameters
        .get("properties")
        .and_then(serde_json::Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let mut problems = Vec::new();
    let mut look = |place: String, sql: &str, needed: &[String]| match engine.check(sql) {
        Err(error) => problems.push(format!("{place}: {error}")),
        Ok(statement) => {
            let unknown = statement.parameters.iter().filter(|name| !known.contains(&name.as_str()));
            problems.extend(unknown.map(|name| format!("{place}: the module has no parameter {name}")));
            let missing = needed.iter().filter(|column| !statement.columns.contains(column));
            problems.extend(missing.map(|column| format!("{place}: the query has no column {column}")));
            // What a module declares decides what its worker may see.
            let declares = |table: &str| module.requires.tables.iter().any(|declared| declared == table);
            let undeclared = statement.tables.iter().filter(|table| !declares(table));
            problems.extend(
                undeclared
                    .map(|table| format!("{place}: reads the table {table}, which requires.tables does not name")),
            );
        }
    };
    for check in module.checks.iter().filter(|check| check.rule.is_none()) {
        look(format!("{} query", check.id), &check.query, &["resource".to_owned()]);
        if let Some(applies) = &check.applies {
            look(format!("{} applies", check.id), applies, &[]);
        }
    }
    for collect in &module.collect {
        look(format!("collect {}", collect.table), &collect.query, &collect.key);
    }
    problems
}

/// Whether the tests give the same twice: once more with the same rows, when every finding has to be the same, and once
/// with the rows the other way round, when verdicts and what fails have to be. A difference is a query that depends on
/// chance, or on an order that no table promises.
pub fn repeat(module: &Module) -> Vec<TestOutcome> {
    module
        .tests
        .iter()
        .map(|test| TestOutcome { name: test.name.clone(), differences: differences_of_runs(module, test) })
        .collect()
}

fn differences_of_runs(module: &Module, test: &Fixture) -> Vec<String> {
    let reversed = Fixture {
        tables: test.tables.iter().map(|(name, rows)| (name.clone(), rows.iter().rev().cloned().collect())).collect(),
        ..test.clone()
    };
    let runs =
        decisions(module, test).and_then(|first| Ok((first, decisions(module, test)?, decisions(module, &reversed)?)));
    let (first, again, turned) = match runs {
        Ok(runs) => runs,
        Err(problems) => return problems,
    };
    let mut differences = Vec::new();
    for ((id, verdict, findings), ((_, verdict_again, findings_again), (_, verdict_turned, findings_turned))) in
        first.iter().zip(again.iter().zip(&turned))
    {
        if (verdict, findings) != (verdict_again, findings_again) {
            differences.push(format!("{id}: the same rows gave something else the second time"));
        } else if verdict != verdict_turned || resources(findings) != resources(findings_turned) {
            differences.push(format!("{id}: the same rows in another order gave something else"));
        }
    }
    differences
}

fn resources(findings: &[Finding]) -> Vec<&str> {
    let mut resources: Vec<&str> = findings.iter().map(|finding| finding.resource.as_str()).collect();
    resources.sort_unstable();
    resources
}

/// A check's id, its verdict and what fails.
type Decision = (String, Verdict, Vec<Finding>);

/// What a test's checks decide, by the order of their ids.
fn decisions(module: &Module, test: &Fixture) -> Result<Vec<Decision>, Vec<String>> {
    let engine = Engine::recorded(recordings(test)?, Limits::default()).map_err(|error| vec![error.to_string()])?;
    let parameters = module.resolve_parameters(&test.parameters).map_err(|error| vec![error.to_string()])?;
    let parameters: Parameters =
        parameters.iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect();
    let checks = test.expect.keys().filter_map(|id| module.check(id));
    Ok(checks
        .map(|check| {
            let (decided, findings) = decide(check, |sql| engine.query(sql, &parameters));
            (check.id.clone(), decided.verdict, findings)
        })
        .collect())
}

fn run_test(module: &Module, test: &Fixture) -> Vec<String> {
    let engine = match recordings(test) {
        Ok(recordings) => match Engine::recorded(recordings, Limits::default()) {
            Ok(engine) => engine,
            Err(error) => return vec![error.to_string()],
        },
        Err(problems) => return problems,
    };
    let parameters: Parameters = match module.resolve_parameters(&test.parameters) {
        Ok(parameters) => parameters.iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect(),
        Err(error) => return vec![error.to_string()],
    };
    let mut differences = Vec::new();
    for (id, expected) in &test.expect {
        let Some(check) = module.check(id) else {
            differences.push(format!("{id}: the module has no such check"));
            continue;
        };
        let (decided, findings) = decide(check, |sql| engine.query(sql, &parameters));
        if decided.verdict != *expected {
            let resources: Vec<&str> = findings.iter().map(|finding| finding.resource.as_str()).take(5).collect();
            let because = match decided.message {
                Some(message) => format!(": {message}"),
                None if resources.is_empty() => String::new(),
                None => format!(", because of {}", resources.join(", ")),
            };
            differences.push(format!(
                "{id}: {} expected, {} found{because}",
                expected.as_str(),
                decided.verdict.as_str()
            ));
        }
    }
    differences
}

fn recordings(test: &Fixture) -> Result<BTreeMap<&'static str, Vec<Row>>, Vec<String>> {
    let mut problems = Vec::new();
    let mut recordings = BTreeMap::new();
    for (name, records) in &test.tables {
        let Some(table) = registry::TABLES.iter().find(|table| table.name == name) else {
            problems.push(format!("there is no table {name}"));
            continue;
        };
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            match recorded_row(table, record) {
                Ok(row) => rows.push(row),
                Err(problem) if problems.contains(&problem) => {}
                Err(problem) => problems.push(problem),
            }
        }
        recordings.insert(table.name, rows);
    }
    if problems.is_empty() { Ok(recordings) } else { Err(problems) }
}

fn recorded_row(table: &Table, record: &catalog::facts::Row) -> Result<Row, String> {
    let mut row = vec![Value::Null; table.columns.len()];
    for (column, value) in record {
        let position = table.position(column).ok_or_else(|| format!("table {} has no column {column}", table.name))?;
        row[position] = typed(table.columns[position].kind, Value::from_json(value));
    }
    Ok(Row(row))
}

/// A number written where the table has text, and the reverse, as the table itself would give it.
fn typed(kind: ColumnType, value: Value) -> Value {
    match (kind, value) {
        (ColumnType::Text, number @ (Value::Integer(_) | Value::Real(_))) => Value::Text(number.to_string()),
        (
            ColumnType::Integer | ColumnType::BigInt | ColumnType::UnsignedBigInt | ColumnType::DateTime,
            Value::Text(text),
        ) => text.trim().parse().map_or(Value::Text(text), Value::Integer),
        (_, other) => other,
    }
}
