//! `tenantra-operator`: configuration, log, run.

use std::process::ExitCode;

use clap::Parser;
use operator::Config;

/// The status for what a restart cannot mend; clap ends with the same.
const WRONG_CONFIGURATION: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    // The error says that there is a provider already: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    operator::runtime::log::init(&config);
    match Box::pin(operator::run(config)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            // A filter may let no line through; what ends the program is said whatever it is.
            eprintln!("tenantra-operator: {error}");
            ExitCode::from(if error.is_configuration() { WRONG_CONFIGURATION } else { 1 })
        }
    }
}
