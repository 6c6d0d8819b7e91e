//! Log lines: JSON for machines, text for people.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::runtime::config::{Config, LogFormat};

/// A filter as `TENA_LOG_LEVEL` writes it. A bare word that is no level is refused: tracing would take it for the name of a
/// target and let nothing else through.
pub fn filter(value: &str) -> Result<String, String> {
    let hint = "write error, warn, info, debug, trace or off, or a filter such as operator=debug,info";
    let is_bare =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if let Some(word) =
        value.split(',').map(str::trim).find(|part| is_bare(part) && part.parse::<LevelFilter>().is_err())
    {
        return Err(format!("'{word}' is no level; {hint}"));
    }
    match EnvFilter::try_new(value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => Err(format!("it is no filter ({error}); {hint}")),
    }
}

/// Starts logging; the filter was checked when the configuration was read.
pub fn init(config: &Config) {
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&config.log_level)).with_writer(std::io::stderr);
    // Only the first start in a process counts; tests share one.
    let _ = match config.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in ["info", "WARN", "off", "info,operator=debug", "operator=debug", "operator::run=trace,warn"] {
            assert_eq!(filter(good).as_deref(), Ok(good));
        }
        for bad in ["loud", "info,loud", "operator=loud"] {
            let said = filter(bad).unwrap_err();
            assert!(said.contains("write error, warn, info"), "{bad}: {said}");
        }
    }
}
