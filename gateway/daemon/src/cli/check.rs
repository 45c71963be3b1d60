//! Arguments of `cordon check`.

use clap::Args;
use std::path::PathBuf;

/// Check a configuration and everything it names: things, policies, profiles, baselines, certificates.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon check                       the configuration in ./cordon-dev
  cordon check --config /etc/cordon/cordon.toml && systemctl reload cordon")]
pub(crate) struct CheckArgs {
    /// The configuration file [default: cordon.toml in the folder of --dev-dir].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
