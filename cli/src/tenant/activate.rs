//! `tenantra tenant suspend` and `activate`: the product's switch in the spec, so that the manifest says what is so.

use clap::Args;
use crds::names::ANNOTATION_SUSPENDED_BY;
use crds::tenant::Tenant;
use serde_json::json;

use super::cluster::Cluster;
use super::manager;
use super::view::View;
use crate::outcome::{Error, Outcome};
use crate::output::Format;

/// `tenantra tenant suspend NAME`.
#[derive(Debug, Args)]
pub struct Suspend {
    /// The tenant's slug
    name: String,
}

/// `tenantra tenant activate NAME`.
#[derive(Debug, Args)]
pub struct Activate {
    /// The tenant's slug
    name: String,
}

/// Suspends.
pub async fn suspend(cluster: &Cluster, arguments: &Suspend, format: Format) -> Result<Outcome, Error> {
    let name = &arguments.name;
    let before = cluster.get(name).await?;
    warn(&before);
    let after = if before.spec.suspend {
        before.clone()
    } else {
        cluster.patch(name, &json!({ "spec": { "suspend": true } })).await?
    };
    let text = if View::of(&before).suspended { "was suspended already" } else { "is suspended" };
    format.print(&View::of(&after), || {
        format!("tenant {name} {text}: sign-ins, keys and agents are refused, data stays")
    })?;
    Ok(Outcome::Done)
}

/// Takes a suspension back, by whichever way it came.
pub async fn activate(cluster: &Cluster, arguments: &Activate, format: Format) -> Result<Outcome, Error> {
    let name = &arguments.name;
    let before = cluster.get(name).await?;
    warn(&before);
    if before.metadata.deletion_timestamp.is_some() {
        return Err(Error::NotDone(format!("{name} is being deleted and cannot be activated")));
    }
    let is_suspended = View::of(&before).suspended;
    let change =
        json!({ "metadata": { "annotations": { ANNOTATION_SUSPENDED_BY: null } }, "spec": { "suspend": false } });
    let after = if is_suspended { cluster.patch(name, &change).await? } else { before };
    let text = if is_suspended { "is active" } else { "was active already" };
    format.print(&View::of(&after), || format!("tenant {name} {text}"))?;
    Ok(Outcome::Done)
}

fn warn(tenant: &Tenant) {
    if let Some(manager) = manager::of(tenant) {
        eprintln!("tenantra: {manager} manages this tenant and may undo the change: make it in Git, too");
    }
}
