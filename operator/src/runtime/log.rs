//! Log lines: JSON for machines, text for people.

use tracing_subscriber::EnvFilter;

use crate::runtime::config::{Config, LogFormat};

/// Starts logging; a filter that cannot be read is replaced by `info` and said so.
pub fn init(config: &Config) {
    let (filter, complaint) = match EnvFilter::try_new(&config.log_level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only the first start in a process counts; tests share one.
    let _ = match config.log_format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
    if let Some(error) = complaint {
        tracing::warn!(%error, "TENA_LOG_LEVEL is not a filter; write info, or operator=debug,info; using info");
    }
}
