//! Options of every command.

use super::output::Format;
use clap::Args;
use std::path::{Path, PathBuf};

const DEV_DIR: &str = "./cordon-dev";

/// Options of every command.
#[derive(Debug, Clone, Args, Default)]
pub(crate) struct Global {
    /// The gateway's control port, `HOST:PORT`.
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Gateway")]
    pub(crate) endpoint: Option<String>,
    /// The authority that signed the gateway's certificate (PEM).
    #[arg(long, global = true, value_name = "FILE", help_heading = "Gateway")]
    pub(crate) ca: Option<PathBuf>,
    /// Your operator certificate (PEM).
    #[arg(long, global = true, value_name = "FILE", help_heading = "Gateway")]
    pub(crate) cert: Option<PathBuf>,
    /// The private key of your operator certificate (PEM).
    #[arg(long, global = true, value_name = "FILE", help_heading = "Gateway")]
    pub(crate) key: Option<PathBuf>,
    /// A TOML file with endpoint, ca, cert and key.
    #[arg(long, global = true, value_name = "FILE", env = "CORDON_CONTEXT", help_heading = "Gateway")]
    pub(crate) context: Option<PathBuf>,
    /// The folder that `cordon serve --dev` uses [default: ./cordon-dev].
    #[arg(long, global = true, value_name = "DIR", help_heading = "Gateway")]
    pub(crate) dev_dir: Option<PathBuf>,
    /// How to answer: tables for people, or one JSON object a line.
    #[arg(long, short, global = true, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) output: Format,
}

// === impl Global ===

impl Global {
    /// The folder of the development gateway.
    pub(crate) fn dev_dir(&self) -> &Path {
        self.dev_dir.as_deref().unwrap_or(Path::new(DEV_DIR))
    }
}
