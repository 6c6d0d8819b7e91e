//! `tenantra db verify`: whether the database is what the migrations made of it.

use clap::Args;
use store::verify::{self, Report};

use super::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, cell, counted, grid, or_none, rendered};

/// `tenantra db verify`.
#[derive(Debug, Args)]
pub struct Verify {}

/// Runs it.
pub async fn run(_: Verify, format: Format) -> Result<Outcome, Error> {
    let address = Address::owner()?;
    let db = address.connect(6).await?;
    let found = verify::verify(&db).await.map_err(|error| address.explain(error));
    db.close().await;
    let report = found?;
    format.print(&report, || text(&report))?;
    Ok(Outcome::differs_if(!report.faults.is_empty()))
}

fn text(report: &Report) -> String {
    if report.faults.is_empty() {
        return format!("nothing is wrong with the installation and {}", counted(report.tenants, "tenant"));
    }
    let mut table = grid(&["SCHEMA", "PROBLEM"]);
    for fault in &report.faults {
        table.add_row(vec![or_none(fault.schema.as_ref()), cell(&fault.problem)]);
    }
    rendered(&table)
}
