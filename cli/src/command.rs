//! The command line as a whole; each subcommand's own arguments are in its file.

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::outcome::{EXIT_STATUS, Error, Outcome};
use crate::output::Format;
use crate::{audit, completion, db, module, tenant};

/// The name under which kubectl finds a plugin.
const PLUGIN: &str = "kubectl-tenantra";

/// Tenantra from a terminal: its databases, tenants and modules.
///
/// Linked as `kubectl-tenantra` into a folder of PATH it is `kubectl tenantra`.
#[derive(Debug, Parser)]
#[command(name = "tenantra", version, propagate_version = true, after_help = EXIT_STATUS, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How the answer looks
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        global = true,
        value_name = "FORMAT",
        hide_possible_values = false
    )]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The database: its roles once, its schemas at each upgrade
    #[command(subcommand, after_help = EXIT_STATUS)]
    Db(db::Db),
    /// Tenants, through the Kubernetes API
    #[command(after_help = EXIT_STATUS)]
    Tenant(tenant::Tenant),
    /// Modules: of the catalog in this program, of a folder, and in the database
    #[command(subcommand, after_help = EXIT_STATUS)]
    Module(module::Module),
    /// Audit logs: whether they are what they were
    #[command(subcommand, after_help = EXIT_STATUS)]
    Audit(audit::Audit),
    /// A completion script for a shell
    Completion(completion::Completion),
}

/// The command, with the name that a person typed in its usage texts.
pub fn definition() -> clap::Command {
    let called_as = std::env::args_os().next().unwrap_or_else(|| OsString::from("tenantra"));
    let is_plugin = Path::new(&called_as).file_name().is_some_and(|name| name == PLUGIN);
    Cli::command().bin_name(if is_plugin { "kubectl tenantra" } else { "tenantra" })
}

/// Reads the arguments; ends the program after `--help`, `--version` and wrong usage.
pub fn parse() -> Cli {
    let matches = definition().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs what the arguments name.
pub async fn run(cli: Cli) -> Result<Outcome, Error> {
    let Cli { command, output } = cli;
    match command {
        Command::Db(command) => db::run(command, output).await,
        Command::Tenant(command) => tenant::run(command, output).await,
        Command::Module(command) => module::run(command, output).await,
        Command::Audit(command) => audit::run(command, output).await,
        Command::Completion(command) => completion::run(&command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }
}
