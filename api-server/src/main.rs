//! `tenantra-api`: reads its configuration, serves until it is told to end.

use std::process::ExitCode;

use api_server::{Config, StartError, config, config::Command, http::openapi, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The status for what a restart cannot mend; clap ends with the same.
const WRONG_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    api_server::memory::share();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not have started yet; a sentence on a terminal is what a person needs.
            eprintln!("tenantra-api: {error:#}");
            ExitCode::from(if is_configuration(&error) { WRONG_CONFIGURATION } else { 1 })
        }
    }
}

/// Whether somebody has to change the configuration before another start can succeed.
fn is_configuration(error: &anyhow::Error) -> bool {
    error.is::<config::Error>()
        || error.is::<telemetry::Error>()
        || error.downcast_ref::<StartError>().is_some_and(StartError::is_configuration)
}

fn run() -> anyhow::Result<()> {
    let (config, notes) = Config::load()?;
    if config.command == Some(Command::Openapi) {
        println!("{}", openapi::document().to_pretty_json()?);
        return Ok(());
    }
    api_server::telemetry::init(&config)?;
    for note in notes {
        tracing::info!("{note}");
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shutdown = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            tracing::info!("told to end");
            told.cancel();
        });
        api_server::serve(config, shutdown).await?;
        Ok(())
    })
}
