//! `tenantra audit`: whether the audit logs are what they were.

use clap::{Args, Subcommand};
use comfy_table::Cell;
use serde::Serialize;
use store::audit_chain::{self, Verified};
use store::{OwnerDb, Slug, TenantRef, tenants};

use crate::db::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, good, grid, or_none, rendered};

const HELP: &str = "\
Every row holds the hash of the row before it; checkpoints outside of the tenant's schema say what the chain was at a time.
A row that was changed, taken out, put in or moved, a log cut at its front or its end, and a chain that was made anew are
found, and the first such row is named. Rows of the last second or two wait for their place and are counted.

Environment:
  TENA_DB_OWNER_URL       postgres://tenantra_owner:password@host:5432/tenantra
  TENA_DB_OWNER_URL_FILE  a file that holds it";

/// `tenantra audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check the chain of audit logs; ends with status 1 if one is broken
    #[command(after_help = HELP)]
    Verify(Verify),
}

/// `tenantra audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Tenants by slug; every tenant if none is given
    #[arg(value_name = "TENANT", value_parser = slug)]
    tenants: Vec<Slug>,
}

fn slug(value: &str) -> Result<Slug, String> {
    Slug::parse(value).map_err(|error| error.to_string())
}

#[derive(Debug, Serialize)]
struct Line {
    tenant: Slug,
    #[serde(flatten)]
    verified: Verified,
}

/// Runs it.
pub async fn run(command: Audit, format: Format) -> Result<Outcome, Error> {
    let Audit::Verify(arguments) = command;
    let address = Address::owner()?;
    let db = address.connect(2).await?;
    let verified = all(&db, &arguments.tenants).await;
    db.close().await;
    let lines = verified.map_err(|error| address.explain(error))?;
    format.print(&lines, || text(&lines))?;
    let missing: Vec<&Slug> =
        arguments.tenants.iter().filter(|wanted| lines.iter().all(|line| line.tenant != **wanted)).collect();
    for slug in &missing {
        eprintln!("tenantra: there is no tenant {slug} with a schema; `tenantra db status` lists them");
    }
    Ok(Outcome::differs_if(!missing.is_empty() || lines.iter().any(|line| line.verified.broken.is_some())))
}

async fn all(db: &OwnerDb, wanted: &[Slug]) -> store::Result<Vec<Line>> {
    let mut tx = db.begin().await?;
    let rows = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    let is_wanted = |tenant: &TenantRef| wanted.is_empty() || wanted.contains(&tenant.slug);
    let mut lines = Vec::new();
    for row in rows.into_iter().filter(|row| row.state.has_data() && is_wanted(&row.tenant)) {
        let verified = audit_chain::verify(db, &row.tenant).await?;
        lines.push(Line { tenant: row.tenant.slug, verified });
    }
    Ok(lines)
}

fn text(lines: &[Line]) -> String {
    let mut table = grid(&["TENANT", "CHAIN", "ROWS", "CUT", "LAST", "CHECKPOINTS", "WAITING", "PROBLEM"]);
    for Line { tenant, verified } in lines {
        let problem = verified.broken.as_ref().map(|broken| broken.problem.clone()).unwrap_or_default();
        table.add_row(vec![
            Cell::new(tenant),
            if verified.broken.is_none() { good("whole") } else { bad("broken") },
            Cell::new(verified.rows),
            or_none(verified.cut.as_ref()),
            or_none(verified.last.as_ref()),
            Cell::new(verified.checkpoints),
            Cell::new(verified.waiting),
            Cell::new(problem),
        ]);
    }
    rendered(&table)
}
