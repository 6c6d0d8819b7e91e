//! `tenantra module`: what is in the catalog, and whether its tests hold. Needs no server and no database.

mod check_files;
mod list;
mod show;
pub mod source;
mod test;

use clap::Subcommand;

use crate::outcome::{Error, Outcome};
use crate::output::Format;

/// `tenantra module`.
#[derive(Debug, Subcommand)]
pub enum Module {
    /// List modules
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show a module and its checks, or one check with its query
    Show(show::Show),
    /// Run the tests that modules bring, without a host
    Test(test::Test),
    /// Compare a folder of modules with the catalog in this program, and say what is wrong with its files
    CheckFiles(check_files::CheckFiles),
}

/// Runs it.
pub fn run(command: Module, format: Format) -> Result<Outcome, Error> {
    match command {
        Module::List(arguments) => list::run(&arguments, format),
        Module::Show(arguments) => show::run(&arguments, format),
        Module::Test(arguments) => test::run(&arguments, format),
        Module::CheckFiles(arguments) => check_files::run(&arguments, format),
    }
}
