//! `tenantra tenant get`: what a tenant is, and every condition with its reason.

use std::fmt::Write as _;

use clap::Args;
use k8s_openapi::jiff::Timestamp;

use super::cluster::Cluster;
use super::list;
use super::view::View;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, age, bad, cell, doubtful, good, grid, rendered};

/// `tenantra tenant get NAME`.
#[derive(Debug, Args)]
pub struct Get {
    /// The tenant's slug
    name: String,
}

/// Runs it.
pub async fn run(cluster: &Cluster, arguments: &Get, format: Format) -> Result<Outcome, Error> {
    let tenant = View::of(&cluster.get(&arguments.name).await?);
    format.print(&tenant, || text(&tenant))?;
    Ok(Outcome::Done)
}

/// All that `get` tells.
pub fn text(tenant: &View) -> String {
    let now = Timestamp::now();
    let ready = tenant.ready_status().unwrap_or("not taken up yet");
    let ready = match list::reason(tenant) {
        Some(reason) => format!("{ready} ({reason})"),
        None => ready.to_owned(),
    };
    let open = &tenant.open_findings;
    let facts = [
        ("Name", Some(tenant.slug.clone())),
        ("Display name", Some(tenant.display_name.clone())),
        ("Plan", Some(tenant.plan.clone())),
        ("Parent", tenant.parent.clone()),
        ("Ready", Some(ready)),
        ("Suspended", tenant.suspended.then(|| "yes".to_owned())),
        ("Score", tenant.score.map(|score| format!("{score} of 100"))),
        ("Agents", Some(list::agents(tenant))),
        ("Open findings", Some(format!("{} critical, {} high", open.critical, open.high))),
        ("UUID", tenant.id.clone()),
        ("Namespace", tenant.namespace.clone()),
        ("Schema", tenant.schema.clone()),
        ("URL", tenant.url.clone()),
        ("Deletion policy", Some(tenant.deletion_policy.clone())),
        ("Age", tenant.created_at.map(|since| age(since, now))),
    ];
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    let mut text = String::new();
    for (name, value) in facts {
        if let Some(value) = value {
            let _ = writeln!(text, "{:width$}  {value}", format!("{name}:"));
        }
    }
    if tenant.conditions.is_empty() {
        text.push_str("\nNo conditions yet: the operator has not taken it up. Is it running?");
        return text;
    }
    let mut table = grid(&["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"]);
    for condition in &tenant.conditions {
        let is_bad_when_true = matches!(condition.kind.as_str(), "Stalled" | "Paused" | "Reconciling");
        let status = match (condition.status.as_str(), is_bad_when_true) {
            (status @ "True", false) => good(status),
            (status @ "False", false) => bad(status),
            (status, _) => doubtful(status),
        };
        table.add_row(vec![
            cell(&condition.kind),
            status,
            cell(&condition.reason),
            cell(age(condition.last_transition_time, now)),
            cell(&condition.message),
        ]);
    }
    text.push('\n');
    text.push_str(&rendered(&table));
    text
}
