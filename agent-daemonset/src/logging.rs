//! Logs go to standard error: readable on a terminal, one JSON object a line with `TENA_LOG_FORMAT=json`.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What is logged, as a flag or variable says it. A bare word that is no level would be taken for the name of a module, and
/// nothing would be logged.
pub fn level(text: &str) -> Result<String, String> {
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    let unknown = text.split(',').map(str::trim).find(|part| !part.contains(['=', '[']) && !is_level(part));
    if let Some(word) = unknown {
        return Err(format!("\"{word}\" is no level; write one of {}, or module=level", LEVELS.join(", ")));
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; write one of {}, or module=level", LEVELS.join(", "))),
    }
}

/// Starts logging at a level that [`level`] accepted.
pub fn start(format: Format, level: &str) {
    let filter = EnvFilter::new(level);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Json => subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        Format::Text => subscriber.with_target(false).try_init(),
    };
    if let Err(error) = started {
        eprintln!("logging is not available: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for fine in ["info", "DEBUG", "warn,tenantra_agent=debug", "off"] {
            assert_eq!(level(fine).as_deref(), Ok(fine));
        }
        for wrong in ["loud", "", "info,loud", "tenantra_agent=loud"] {
            let message = level(wrong).unwrap_err();
            assert!(message.contains("off, error, warn, info, debug, trace"), "{message}");
        }
    }
}
