//! `tenantra tenant list`.

use comfy_table::Cell;
use k8s_openapi::jiff::Timestamp;

use super::cluster::Cluster;
use super::view::View;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, NONE, age, bad, cell, doubtful, good, grid, or_none, rendered};

/// Runs it.
pub async fn run(cluster: &Cluster, format: Format) -> Result<Outcome, Error> {
    let tenants: Vec<View> = cluster.list().await?.iter().map(View::of).collect();
    format.print(&tenants, || text(&tenants))?;
    Ok(Outcome::Done)
}

fn text(tenants: &[View]) -> String {
    if tenants.is_empty() {
        return "There are no tenants yet: `tenantra tenant create NAME` makes one.".to_owned();
    }
    let now = Timestamp::now();
    let mut table = grid(&["NAME", "PLAN", "READY", "REASON", "SCORE", "AGENTS", "AGE"]);
    for tenant in tenants {
        table.add_row(vec![
            cell(&tenant.slug),
            cell(&tenant.plan),
            readiness(tenant),
            or_none(reason(tenant)),
            or_none(tenant.score),
            cell(agents(tenant)),
            or_none(tenant.created_at.map(|since| age(since, now))),
        ]);
    }
    rendered(&table)
}

/// The status of `Ready`, coloured.
pub fn readiness(tenant: &View) -> Cell {
    match tenant.ready_status() {
        Some(status @ "True") => good(status),
        Some(status @ "False") => bad(status),
        Some(status) => doubtful(status),
        None => cell(NONE),
    }
}

/// The reason of `Ready`, or that the tenant is going.
pub fn reason(tenant: &View) -> Option<String> {
    match (&tenant.reason, tenant.deleting) {
        (Some(reason), false) => Some(reason.clone()),
        (Some(reason), true) => Some(format!("{reason} (being deleted)")),
        (None, true) => Some("being deleted".to_owned()),
        (None, false) => None,
    }
}

/// Ready agents of those that should be, and the silent ones.
pub fn agents(tenant: &View) -> String {
    let counts = &tenant.agents;
    let silent = if counts.stale > 0 { format!(", {} silent", counts.stale) } else { String::new() };
    format!("{}/{}{silent}", counts.ready, counts.desired.max(counts.ready))
}
