//! `tenantra db status`: the version of every schema, and which ones are behind or were changed.

use clap::Args;
use serde::Serialize;
use store::migrate::{self, SchemaStatus};

use super::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, cell, counted, doubtful, good, grid, or_none, rendered};

/// `tenantra db status`.
#[derive(Debug, Args)]
pub struct Status {
    /// End with status 1 if a schema is not current
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It has every migration.
    Current,
    /// It lacks some.
    Behind,
    /// It is not there yet.
    Missing,
    /// A migration was changed after it was applied, or is newer than this program, or the schema is not ours.
    Wrong,
}

#[derive(Debug, Serialize)]
struct Line {
    state: State,
    #[serde(flatten)]
    schema: SchemaStatus,
}

impl From<SchemaStatus> for Line {
    fn from(schema: SchemaStatus) -> Self {
        let state = match &schema {
            SchemaStatus { problem: Some(_), .. } => State::Wrong,
            SchemaStatus { version: None, .. } => State::Missing,
            SchemaStatus { pending: 0, .. } => State::Current,
            SchemaStatus { .. } => State::Behind,
        };
        Self { state, schema }
    }
}

/// Runs it.
pub async fn run(arguments: Status, format: Format) -> Result<Outcome, Error> {
    let address = Address::owner()?;
    let db = address.connect(6).await?;
    let found = migrate::status(&db).await.map_err(|error| address.explain(error));
    db.close().await;
    let lines: Vec<Line> = found?.into_iter().map(Line::from).collect();
    format.print(&lines, || text(&lines))?;
    let is_current = lines.iter().all(|line| line.state == State::Current);
    if !is_current && format == Format::Table {
        eprintln!("tenantra: not everything is current; `tenantra db migrate` brings forward what can be");
    }
    Ok(Outcome::differs_if(arguments.check && !is_current))
}

fn text(lines: &[Line]) -> String {
    let mut table = grid(&["SCHEMA", "TENANT", "VERSION", "STATE", "PROBLEM"]);
    for Line { state, schema } in lines {
        let state = match state {
            State::Current => good("current"),
            State::Behind => doubtful(format!("behind by {}", counted(schema.pending, "migration"))),
            State::Missing => doubtful("not there yet"),
            State::Wrong => bad("wrong"),
        };
        table.add_row(vec![
            cell(&schema.schema),
            or_none(schema.tenant.as_ref()),
            or_none(schema.version.as_ref()),
            state,
            cell(schema.problem.as_deref().unwrap_or_default()),
        ]);
    }
    rendered(&table)
}
