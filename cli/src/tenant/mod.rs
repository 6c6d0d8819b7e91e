//! `tenantra tenant`: what `kubectl` can do with a Tenant, with what a person wants to know beside it.

mod activate;
pub mod cluster;
mod create;
mod delete;
pub mod diff;
mod get;
mod list;
mod manager;
pub mod manifest;
mod tree;
mod view;
mod wait;

use clap::{Args, Subcommand};

use crate::outcome::{Error, Outcome};
use crate::output::Format;
use cluster::{Access, Cluster};

/// `tenantra tenant`.
#[derive(Debug, Args)]
pub struct Tenant {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all tenants
    #[command(visible_alias = "ls")]
    List,
    /// Show one tenant with all its conditions
    #[command(visible_alias = "show")]
    Get(get::Get),
    /// Make a tenant, by options or from a manifest
    Create(Box<create::Create>),
    /// Delete a tenant; what happens to its data is its deletionPolicy
    Delete(delete::Delete),
    /// Refuse sign-ins, keys and agents of a tenant; data stays
    Suspend(activate::Suspend),
    /// Take a suspension back
    Activate(activate::Activate),
    /// Show providers with their customers below them
    Tree,
    /// Show what the operator would do for a tenant now
    #[command(after_help = diff::HELP)]
    Diff(diff::Diff),
}

/// Runs it.
pub async fn run(arguments: Tenant, format: Format) -> Result<Outcome, Error> {
    let Tenant { access, command } = arguments;
    let cluster = Cluster::connect(&access).await?;
    match command {
        Command::List => list::run(&cluster, format).await,
        Command::Get(arguments) => get::run(&cluster, &arguments, format).await,
        Command::Create(arguments) => create::run(&cluster, *arguments, format).await,
        Command::Delete(arguments) => delete::run(&cluster, &arguments, format).await,
        Command::Suspend(arguments) => activate::suspend(&cluster, &arguments, format).await,
        Command::Activate(arguments) => activate::activate(&cluster, &arguments, format).await,
        Command::Tree => tree::run(&cluster, format).await,
        Command::Diff(arguments) => diff::run(&cluster, &arguments, format).await,
    }
}
