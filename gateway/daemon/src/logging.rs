//! The log: what the daemon says on standard error. Security events go to the journal, and here as one stable line each.

use crate::config::{LogConfig, LogFormat};
use std::io::{IsTerminal as _, stderr};
use tracing_subscriber::EnvFilter;

/// Starts the log. `CORDON_LOG` overrides the configured level with a filter of its own. The router is kept quiet: it
/// opens spans for every packet.
pub(crate) fn start(config: &LogConfig) {
    let given = std::env::var("CORDON_LOG").unwrap_or_else(|_| config.level.to_owned());
    let filter =
        EnvFilter::try_new(format!("{given},rumqttd=off,rumqttc=error,sled=warn,h2=warn,hyper=warn,rustls=error"))
            .unwrap_or_else(|_| EnvFilter::new(config.level));
    let ansi = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(ansi);
    // Fails only if a log was started before.
    let _ = match config.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
