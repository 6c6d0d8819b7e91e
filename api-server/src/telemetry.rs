//! Log lines: JSON or text, to standard error, with the service and installation in each.

use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is none.
    #[error(
        "TENA_LOG_LEVEL is not understood ({0}); write a level such as info, or directives such as info,store=debug"
    )]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something else logs already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging for the whole process.
///
/// # Errors
/// The level cannot be parsed, or logging has been started before.
pub fn init(config: &Config) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&config.log_level)?;
    let lines = match config.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(())
}
