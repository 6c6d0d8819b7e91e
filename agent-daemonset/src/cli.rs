//! The command line of `tenantra-agent`.

use std::process::ExitCode;

use catalog::printable::printable;
use clap::{Parser, Subcommand};

use crate::commands::{enroll, integrity, query, run, scan, tables};
use crate::config::{RunArgs, ServerArgs};
use crate::{client, logging, oscap, worker};

/// What a command ended with, and so the program's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked to.
    Done,
    /// `scan --fail-on`: a finding is that bad. `integrity check`: something changed.
    Findings,
    /// `scan`: a module could not run to its end. `integrity check`: what was compared is as it was, but not all was.
    Incomplete,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::Findings => 1,
            Outcome::Incomplete => 3,
        })
    }
}

/// Wrong usage or configuration; clap ends with the same.
pub const REFUSED: u8 = 2;
/// The server did not answer; the same command may work later.
const NO_ANSWER: u8 = 3;

const EXIT_CODES: &str = "\
Exit status:
  0  done
  1  scan --fail-on: there is a finding of that severity or worse
     integrity check: something changed
  2  wrong usage or configuration, or the query is wrong; the message says what to change
  3  scan: a module could not run to its end, or with --fail-on a check of that severity was not decided
     integrity check: part of it could not be compared, and nothing else differs
     enroll: the server did not answer";

/// Scans this host: once with a report on the terminal, or as a daemon for a Tenantra server. Writes nothing on the host but its own state and the baselines that it is asked for.
#[derive(Debug, Parser)]
#[command(name = "tenantra-agent", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What is logged: error, warn, info, debug, or a filter by module of the program
    #[arg(long, env = "TENA_LOG_LEVEL", value_name = "LEVEL", default_value = "info", global = true, value_parser = logging::level)]
    log_level: String,
    /// How log lines look
    #[arg(long, env = "TENA_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    log_format: logging::Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Scan this host once and report; needs no server
    #[command(after_help = EXIT_CODES)]
    Scan(scan::ScanArgs),
    /// Ask with SQL; a shell on a terminal if no SQL is given
    Query(query::QueryArgs),
    /// Write down what folders hold, and tell later what changed
    #[command(subcommand, after_help = EXIT_CODES)]
    Integrity(integrity::IntegrityCommand),
    /// List the tables, or the columns of one
    Tables(tables::TablesArgs),
    /// Enrol with a server, without starting to work
    Enroll(ServerArgs),
    /// Work for a server until told to stop; enrols first if needed
    Run(RunArgs),
    #[command(name = worker::SUBCOMMAND, hide = true)]
    Worker,
    #[command(name = oscap::launch::SUBCOMMAND, hide = true)]
    ScapLaunch,
    #[command(name = oscap::read::SUBCOMMAND, hide = true)]
    ScapRead,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before anything does TLS. It fails only if it was done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match &cli.command {
        Command::Worker => return worker::child_main(),
        Command::ScapLaunch => return oscap::launch::main(),
        Command::ScapRead => return oscap::read::main(),
        Command::Scan(args) => scan::scan(args),
        Command::Query(args) => query::query(args),
        Command::Integrity(command) => integrity::integrity(command),
        Command::Tables(args) => tables::tables(args),
        Command::Enroll(args) => {
            logging::start(cli.log_format, &cli.log_level);
            enroll::enroll(args)
        }
        Command::Run(args) => {
            logging::start(cli.log_format, &cli.log_level);
            run::run(args)
        }
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenantra-agent: {}", printable(&said_once(&error)));
            ExitCode::from(status_of(&error))
        }
    }
}

/// An error with its causes. Most errors say their cause themselves; that one is not said again.
pub fn said_once(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn status_of(error: &anyhow::Error) -> u8 {
    let by_server = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
    if by_server.is_some_and(client::Error::is_without_answer) { NO_ANSWER } else { REFUSED }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_an_error_is_said_once() {
        let refused = std::io::Error::other("connection refused");
        let error = anyhow::Error::new(crate::state::Error::Folder { path: "/x".into(), source: refused });
        assert_eq!(
            said_once(&error.context("cannot enrol")),
            "cannot enrol: cannot use /x as the agent's state folder: connection refused"
        );
    }
}
