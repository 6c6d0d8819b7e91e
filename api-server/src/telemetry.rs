//! Log lines: JSON or text, to standard error, with the service and installation in each.

use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is none.
    #[error(
        "TENA_LOG_LEVEL is not understood ({0}); write a level such as info, or directives such as info,store=debug"
    )]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// A word that is no level.
    #[error(
        "TENA_LOG_LEVEL is not understood: '{0}' is no level; write error, warn, info, debug, trace or off, or directives such as info,store=debug"
    )]
    Word(String),
    /// Something else logs already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// A bare word that is no level is refused: tracing would take it for the name of a target and let nothing else through.
fn filter(value: &str) -> Result<EnvFilter, Error> {
    let is_bare =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    match value.split(',').map(str::trim).find(|part| is_bare(part) && part.parse::<LevelFilter>().is_err()) {
        Some(word) => Err(Error::Word(word.to_owned())),
        None => Ok(EnvFilter::try_new(value)?),
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// The level cannot be parsed, or logging has been started before.
pub fn init(config: &Config) -> Result<(), Error> {
    let filter = filter(&config.log_level)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in ["info", "WARN", "off", "info,store=debug", "store::ingest=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["loud", "info,loud", "store=loud"] {
            assert!(filter(bad).unwrap_err().to_string().starts_with("TENA_LOG_LEVEL"), "{bad}");
        }
    }
}
