//! Logs go to standard error: readable on a terminal, one JSON object a line with `TENA_LOG_FORMAT=json`.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Starts logging. A level that is not understood counts as `info`.
pub fn start(format: Format, level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Json => subscriber.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        Format::Text => subscriber.with_target(false).try_init(),
    };
    if let Err(error) = started {
        eprintln!("logging is not available: {error}");
    }
}
