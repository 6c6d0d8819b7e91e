//! `tenantra db`: what Postgres needs before anything else runs, and at each upgrade.

mod bootstrap;
mod migrate;
pub mod postgres;
mod status;
mod verify;

use clap::Subcommand;

use crate::outcome::{Error, Outcome};
use crate::output::Format;

/// Where every command but `bootstrap` finds the database.
const OWNER_HELP: &str = "\
Environment:
  TENA_DB_OWNER_URL       postgres://tenantra_owner:password@host:5432/tenantra
  TENA_DB_OWNER_URL_FILE  a file that holds it
  TENA_DB_URL, DATABASE_URL are read where neither is set";

/// `tenantra db`.
#[derive(Debug, Subcommand)]
pub enum Db {
    /// Make the roles and the database, once, as a superuser
    ///
    /// Makes the roles `tenantra_owner`, `tenantra_api` and `tenantra_tenant` and the database, and takes from everybody else
    /// what a tenant could misuse. It can be run again: it repairs what was changed and sets the passwords given.
    #[command(after_help = bootstrap::HELP)]
    Bootstrap(bootstrap::Bootstrap),
    /// Bring the schema `shared`, the catalog and every tenant's schema to this program's version
    ///
    /// Goes on past a tenant that fails, and can be run again. Migrations only go forward.
    #[command(after_help = OWNER_HELP)]
    Migrate(migrate::Migrate),
    /// Show the version of every schema
    #[command(after_help = OWNER_HELP)]
    Status(status::Status),
    /// Look for what isolates tenants and is not as it should be; ends with status 1 if something is
    ///
    /// Checks roles, grants, row-level security, owners and marks of schemas, versions, indexes that are not valid, and the
    /// counts of tables and indexes, of the installation and of every tenant. Changes nothing; each line says what to do.
    #[command(after_help = OWNER_HELP)]
    Verify(verify::Verify),
}

/// Runs it.
pub async fn run(command: Db, format: Format) -> Result<Outcome, Error> {
    match command {
        Db::Bootstrap(arguments) => bootstrap::run(arguments, format).await,
        Db::Migrate(arguments) => migrate::run(arguments, format).await,
        Db::Status(arguments) => status::run(arguments, format).await,
        Db::Verify(arguments) => verify::run(arguments, format).await,
    }
}
