//! `tenantra module`: what is in the catalog, whether its tests hold, and the way of a version from draft to deprecated.
//! Only promote and deprecate need the database; check compares with it where one is named.

mod check;
pub mod database;
mod deprecate;
mod engine;
mod gates;
mod import;
mod list;
mod parallel;
mod promote;
mod run_gates;
mod show;
pub mod source;
mod stored;
mod summary;
mod test;

use clap::Subcommand;

use crate::outcome::{Error, Outcome};
use crate::output::Format;

/// `tenantra module`.
#[derive(Debug, Subcommand)]
pub enum Module {
    /// List modules, or count what the catalog covers
    #[command(visible_alias = "ls", after_help = database::HELP)]
    List(list::List),
    /// Show a module and its checks, or one check with its query
    Show(show::Show),
    /// Run the tests that modules bring, without a host
    Test(test::Test),
    /// Compare a folder of modules with the catalog in this program and with the database
    #[command(alias = "check-files", after_help = database::HELP)]
    Check(check::Check),
    /// Make a draft of an osquery pack, Fleet policies, a Wazuh SCA policy or SCAP content
    #[command(after_help = import::HELP)]
    Import(import::Import),
    /// Run the quality gates on a version and take it to qa, and to released
    #[command(after_help = database::HELP)]
    Promote(promote::Promote),
    /// Deprecate a released version: it stays schedulable until its sunset
    #[command(after_help = database::HELP)]
    Deprecate(deprecate::Deprecate),
    #[command(hide = true)]
    RunGates,
}

/// Runs it.
pub async fn run(command: Module, format: Format) -> Result<Outcome, Error> {
    match command {
        Module::List(arguments) => list::run(&arguments, format).await,
        Module::Show(arguments) => show::run(&arguments, format),
        Module::Test(arguments) => test::run(&arguments, format),
        Module::Check(arguments) => check::run(&arguments, format).await,
        Module::Import(arguments) => import::run(&arguments, format),
        Module::Promote(arguments) => promote::run(&arguments, format).await,
        Module::Deprecate(arguments) => deprecate::run(&arguments, format).await,
        Module::RunGates => run_gates::run(),
    }
}
