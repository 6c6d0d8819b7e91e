//! `tenantra module list --database`: every version that the database has, and where it stands.

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::modules::{self, VersionRow};

use super::database;
use crate::db::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, cell, counted, doubtful, good, grid, or_none, rendered};

#[derive(Debug, Serialize)]
struct Line {
    slug: String,
    version: String,
    title: String,
    category: String,
    state: catalog::lifecycle::State,
    /// Whether a job for it may be queued.
    schedulable: bool,
    sunset_at: Option<DateTime<Utc>>,
    checks: i64,
    checksum: String,
}

impl From<VersionRow> for Line {
    fn from(row: VersionRow) -> Self {
        Self {
            schedulable: row.is_schedulable(Utc::now()),
            slug: row.module,
            version: row.version.to_string(),
            title: row.title,
            category: row.category,
            state: row.state,
            sunset_at: row.sunset_at,
            checks: row.checks,
            checksum: row.checksum,
        }
    }
}

/// Lists them, those of one category if it is given.
pub async fn run(category: Option<&str>, format: Format) -> Result<Outcome, Error> {
    let address = Address::owner()?;
    let db = database::connect(&address).await?;
    let read = async {
        let mut tx = db.begin().await?;
        let rows = modules::versions(&mut tx, None).await?;
        tx.rollback().await?;
        Ok::<_, store::Error>(rows)
    };
    let rows = read.await.map_err(|error| database::explain(&address, error));
    db.close().await;
    let rows = rows?.into_iter().filter(|row| category.is_none_or(|category| row.category == category));
    let lines: Vec<Line> = rows.map(Line::from).collect();
    format.print(&lines, || text(&lines))?;
    Ok(Outcome::Done)
}

fn text(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "The database has no such module.".to_owned();
    }
    let mut table = grid(&["MODULE", "VERSION", "STATE", "SUNSET", "CHECKS", "TITLE"]);
    for line in lines {
        let state = if line.schedulable { good(line.state.as_str()) } else { doubtful(line.state.as_str()) };
        table.add_row(vec![
            cell(&line.slug),
            cell(&line.version),
            state,
            or_none(line.sunset_at.map(|sunset| sunset.date_naive())),
            cell(line.checks),
            cell(&line.title),
        ]);
    }
    format!("{}\n\n{}", rendered(&table), counted(lines.len(), "module version"))
}
