//! `tenantra`: databases, tenants and modules from a terminal; linked as `kubectl-tenantra` it is `kubectl tenantra`.
//!
//! One file a subcommand. Each gives an [`outcome::Outcome`] or an [`outcome::Error`]; only this file turns them into an
//! exit status and a line on standard error.

#![forbid(unsafe_code)]

mod audit;
mod command;
mod completion;
mod db;
mod module;
mod outcome;
mod output;
mod progress;
mod settings;
mod tenant;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = command::parse();
    // Before anything does TLS. It fails only if it was done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = tokio::select! {
        outcome = command::run(cli) => outcome,
        _ = tokio::signal::ctrl_c() => Err(outcome::Error::Interrupted),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        // Whoever read the output has seen enough.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenantra: {}", catalog::printable::printable(&error.to_string()));
            ExitCode::from(error.exit_status())
        }
    }
}
