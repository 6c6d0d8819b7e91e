//! `tenantra-operator`: configuration, log, run.

use std::process::ExitCode;

use clap::Parser;
use operator::Config;

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    // The error says that there is a provider already: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    operator::runtime::log::init(&config);
    match operator::run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}
