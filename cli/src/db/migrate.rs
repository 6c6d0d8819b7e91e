//! `tenantra db migrate`: `shared`, then the catalog, then every tenant, past those that fail.

use catalog::Catalog;
use clap::Args;
use serde::Serialize;
use store::migrate::{self, TenantOutcome};
use store::modules::{self, Succession};
use store::{OwnerDb, frameworks};

use super::postgres::Address;
use crate::module::{database, source};
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, cell, counted, good, grid, rendered};
use crate::progress::Progress;

/// Connections beside the tenants' own: index builds of a tenant take a second one.
const CONNECTIONS: u32 = 2;

/// `tenantra db migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Tenants that are migrated side by side
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Changed,
    Unchanged,
    Failed,
}

impl Step {
    fn changed_if(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Unchanged }
    }
}

/// What became of one thing: `shared`, `catalog` or a tenant's schema.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    tenant: Option<String>,
    outcome: Step,
    /// What was done, or why nothing could be.
    message: String,
}

/// Runs it.
pub async fn run(arguments: Migrate, format: Format) -> Result<Outcome, Error> {
    let catalog = source::embedded()?;
    let succession = database::succession()?;
    let address = Address::owner()?;
    let mut progress = Progress::start();
    progress.whisper(format!("connecting to {}", address.place()));
    let db = address.connect(u32::from(arguments.concurrency) * 2 + CONNECTIONS).await?;
    let lines = all(&db, &address, (&catalog, succession), arguments.concurrency.into(), &mut progress).await;
    drop(progress);
    db.close().await;
    let lines = lines?;
    let failed = lines.iter().filter(|line| line.outcome == Step::Failed).count();
    format.print(&lines, || text(&lines))?;
    if failed > 0 && format == Format::Table {
        eprintln!(
            "tenantra: {failed} of {} failed; correct what the table says and run it again",
            counted(lines.len(), "step")
        );
    }
    Ok(Outcome::differs_if(failed > 0))
}

async fn all(
    db: &OwnerDb,
    address: &Address,
    (catalog, succession): (&Catalog, Succession),
    concurrency: usize,
    progress: &mut Progress,
) -> Result<Vec<Line>, Error> {
    progress.whisper("migrating shared");
    let applied = migrate::platform(db).await.map_err(|error| address.explain(error))?;
    let message = if applied == 0 { String::new() } else { format!("applied {}", counted(applied, "migration")) };
    let mut lines =
        vec![Line { name: "shared".to_owned(), tenant: None, outcome: Step::changed_if(applied > 0), message }];

    progress.whisper("bringing the catalog");
    lines.push(match bring(db, catalog, succession).await {
        Ok(written) => Line {
            name: "catalog".to_owned(),
            tenant: None,
            outcome: Step::changed_if(!written.is_empty()),
            message: written,
        },
        Err(error) => failed("catalog", None, &error),
    });

    let mut done = 0;
    let outcomes = migrate::all_tenants(db, concurrency, |outcome| {
        done += 1;
        progress.whisper(format!("{} done, last {}", counted(done, "tenant"), outcome.tenant.slug));
    })
    .await
    .map_err(|error| address.explain(error))?;
    lines.extend(outcomes.iter().map(line));
    Ok(lines)
}

/// Brings frameworks and modules in one transaction; gives in words what was new.
async fn bring(db: &OwnerDb, catalog: &Catalog, succession: Succession) -> Result<String, store::Error> {
    let mut tx = db.begin().await?;
    let mut new_frameworks = 0;
    for framework in catalog.frameworks() {
        new_frameworks += usize::from(frameworks::upsert(&mut tx, framework).await?);
    }
    let modules = modules::upsert_under(&mut tx, catalog.entries(), succession).await?;
    tx.commit().await?;
    let parts = [
        ("brought", modules.added, "module version"),
        ("changed", modules.changed, "draft"),
        ("deprecated or retired", modules.superseded, "older version"),
        ("brought", new_frameworks, "framework"),
    ];
    let parts = parts.iter().filter(|(_, number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(verb, number, noun)| format!("{verb} {}", counted(*number, noun))).collect();
    Ok(parts.join(", "))
}

fn line(outcome: &TenantOutcome) -> Line {
    let TenantOutcome { tenant, result } = outcome;
    let schema = tenant.schema();
    match result {
        Ok(has_changed) => Line {
            name: schema.to_string(),
            tenant: Some(tenant.slug.to_string()),
            outcome: Step::changed_if(*has_changed),
            message: String::new(),
        },
        Err(error) => failed(schema.as_str(), Some(tenant.slug.as_str()), error),
    }
}

fn failed(name: &str, tenant: Option<&str>, error: &store::Error) -> Line {
    Line { name: name.to_owned(), tenant: tenant.map(str::to_owned), outcome: Step::Failed, message: error.to_string() }
}

fn text(lines: &[Line]) -> String {
    let mut table = grid(&["SCHEMA", "OUTCOME", "MESSAGE"]);
    for Line { name, tenant: _, outcome, message } in lines {
        let outcome = match outcome {
            Step::Changed => good("changed"),
            Step::Unchanged => cell("unchanged"),
            Step::Failed => bad("failed"),
        };
        table.add_row(vec![cell(name), outcome, cell(message)]);
    }
    rendered(&table)
}
