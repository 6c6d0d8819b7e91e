//! `tenantra tenant delete`: says what the deletionPolicy will do, asks for the slug, deletes exactly what it showed.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use crds::names::{ANNOTATION_PURGE_APPROVED_BY_CISO, ANNOTATION_PURGE_APPROVED_BY_COMPLIANCE, FINALIZER_OFFBOARD};
use crds::tenant::{DeletionPolicy, Tenant};

use super::cluster::Cluster;
use super::view::View;
use super::{manager, wait};
use crate::outcome::{Error, Outcome};
use crate::output::Format;

/// `tenantra tenant delete NAME`.
#[derive(Debug, Args)]
pub struct Delete {
    /// The tenant's slug
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Wait until the offboarding has let the object go
    #[arg(long)]
    wait: bool,
    /// How long --wait waits, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

/// Runs it.
pub async fn run(cluster: &Cluster, arguments: &Delete, format: Format) -> Result<Outcome, Error> {
    let name = &arguments.name;
    let tenants = cluster.list().await?;
    let Some(tenant) = tenants.iter().find(|tenant| tenant.metadata.name.as_ref() == Some(name)) else {
        return Err(super::cluster::Error::NotFound(name.clone()).into());
    };
    let children: Vec<&str> = tenants
        .iter()
        .filter(|other| other.spec.parent.as_ref() == Some(name))
        .filter_map(|other| other.metadata.name.as_deref())
        .collect();
    if !children.is_empty() {
        return Err(Error::NotDone(format!(
            "{name} has tenants below it: delete or move {} first",
            children.join(", ")
        )));
    }
    if let Some(manager) = manager::of(tenant) {
        eprintln!("tenantra: {manager} manages this tenant and may make it again: remove it in Git, too");
    }
    if tenant.metadata.deletion_timestamp.is_none() {
        eprintln!("{}", consequences(tenant));
        if !arguments.yes {
            confirm(name)?;
        }
        cluster.delete(tenant).await?;
    }
    if arguments.wait {
        wait::until_gone(cluster, tenant, Duration::from_secs(arguments.timeout)).await?;
    }
    let left = cluster.find(name).await?.filter(|left| left.metadata.uid == tenant.metadata.uid);
    let answer = serde_json::json!({ "slug": name, "gone": left.is_none(), "tenant": left.as_ref().map(View::of) });
    format.print(&answer, || {
        if left.is_some() {
            format!("tenant {name} is being offboarded; `tenantra tenant get {name}` shows how far it is")
        } else {
            format!("tenant {name} is deleted")
        }
    })?;
    Ok(Outcome::Done)
}

/// What deleting it does, before it is asked for.
fn consequences(tenant: &Tenant) -> String {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    if !tenant.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER_OFFBOARD) {
        return format!("The operator has not taken {name} up: only this object goes, at once.");
    }
    let access = format!("Sign-ins, keys and agents of {name} end, and what runs for it is removed.");
    match tenant.spec.deletion_policy {
        DeletionPolicy::Retain => {
            format!(
                "{access}\ndeletionPolicy Retain: its data stays where it is, and its slug stays taken until a manifest adopts it."
            )
        }
        DeletionPolicy::Archive => format!(
            "{access}\ndeletionPolicy Archive: first its data goes to object storage in full; an operator that cannot archive holds the deletion and says so. The data also stays where it is."
        ),
        DeletionPolicy::Purge => format!(
            "{access}\ndeletionPolicy Purge: {} later, and after the approvals {ANNOTATION_PURGE_APPROVED_BY_CISO} and {ANNOTATION_PURGE_APPROVED_BY_COMPLIANCE}, everything it has is removed for good: namespaces, schema and secrets.",
            tenant.spec.purge_after
        ),
    }
}

fn confirm(name: &str) -> Result<(), Error> {
    if std::io::stdin().is_terminal() {
        eprint!("Type {name} to delete it: ");
        std::io::stderr().flush()?;
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        typed if typed == name => Ok(()),
        "" => Err(Error::NotDone(format!("nothing was deleted: type {name} when asked, or give --yes"))),
        typed => Err(Error::NotDone(format!("nothing was deleted: '{typed}' is not '{name}'"))),
    }
}
