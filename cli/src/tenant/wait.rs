//! Waiting for the operator, with a line that names what it waits for.

use std::time::Duration;

use crds::tenant::Tenant;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::view::View;
use crate::outcome::Error;
use crate::progress::Progress;

const PAUSE: Duration = Duration::from_millis(500);

/// Waits until the tenant is Ready; ends early where a person has to act.
pub async fn until_ready(cluster: &Cluster, tenant: &Tenant, limit: Duration) -> Result<Tenant, Error> {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    let end = Instant::now() + limit;
    let mut progress = Progress::start();
    loop {
        let tenant = cluster.get(name).await?;
        let is_current = tenant.status.as_ref().and_then(|s| s.observed_generation) == tenant.metadata.generation;
        let view = View::of(&tenant);
        if view.ready && is_current {
            return Ok(tenant);
        }
        if let Some(stalled) = view.conditions.iter().find(|c| c.kind == "Stalled" && c.status == "True") {
            return Err(Error::NotDone(format!(
                "{name} cannot become Ready: {} ({})",
                stalled.message, stalled.reason
            )));
        }
        let waits_for = missing(&view);
        if Instant::now() >= end {
            let text = format!(
                "{name} is not Ready after {} s: it waits for {waits_for}. It goes on; `tenantra tenant get {name}` shows how far it is",
                limit.as_secs()
            );
            return Err(Error::NotDone(text));
        }
        progress.say(format!("{name} waits for {waits_for}"));
        sleep(PAUSE).await;
    }
}

/// Waits until the object is gone; the operator holds it through its offboarding.
pub async fn until_gone(cluster: &Cluster, tenant: &Tenant, limit: Duration) -> Result<(), Error> {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    let end = Instant::now() + limit;
    let mut progress = Progress::start();
    loop {
        let found = cluster.find(name).await?.filter(|found| found.metadata.uid == tenant.metadata.uid);
        let Some(found) = found else { return Ok(()) };
        let view = View::of(&found);
        let told = view.conditions.iter().find(|c| c.kind == "Stalled" || c.kind == "Reconciling");
        let told = told.or_else(|| view.conditions.first());
        let told = told.map_or_else(|| "the operator".to_owned(), |c| format!("{} ({})", c.message, c.reason));
        if Instant::now() >= end {
            return Err(Error::NotDone(format!(
                "{name} is still being offboarded after {} s: {told}",
                limit.as_secs()
            )));
        }
        progress.say(format!("{name} is being offboarded: {told}"));
        sleep(PAUSE).await;
    }
}

/// The first condition that does not hold, with its reason, and how many more there are.
fn missing(view: &View) -> String {
    let open: Vec<_> = view
        .conditions
        .iter()
        .filter(|c| c.kind.ends_with("Ready") && c.kind != "Ready" && c.status != "True")
        .collect();
    let Some(first) = open.first() else {
        return match view.conditions.iter().find(|c| c.kind == "Ready") {
            Some(ready) if !ready.message.is_empty() => format!("Ready ({}: {})", ready.reason, ready.message),
            Some(ready) => format!("Ready ({})", ready.reason),
            None => "the operator to take it up".to_owned(),
        };
    };
    let why =
        if first.message.is_empty() { first.reason.clone() } else { format!("{}: {}", first.reason, first.message) };
    let more = if open.len() > 1 { format!(" and {} more", open.len() - 1) } else { String::new() };
    format!("{} ({why}){more}", first.kind)
}
