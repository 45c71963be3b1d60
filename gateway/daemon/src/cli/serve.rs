//! Arguments of `cordon serve`.

use clap::Args;
use std::path::PathBuf;

/// Run the gateway until SIGTERM or Ctrl-C.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cordon serve --dev                 makes what it needs in ./cordon-dev
  cordon serve --dev --dev-dir ./second --mqtt-port 1884 --mqtts-port 8884 \\
      --control-port 7444 --metrics-port 9465
  cordon serve --config /etc/cordon/cordon.toml")]
pub(crate) struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", required_unless_present = "dev", conflicts_with = "dev")]
    pub(crate) config: Option<PathBuf>,
    /// Make what is missing (certificates, things, policies, configuration) under the folder of --dev-dir, and serve it
    /// on loopback. Not for production.
    #[arg(long)]
    pub(crate) dev: bool,
    /// With --dev: the port for MQTT with user name and password [default: 1883].
    #[arg(long, value_name = "PORT", requires = "dev")]
    pub(crate) mqtt_port: Option<u16>,
    /// With --dev: the port for MQTT over mutual TLS [default: 8883].
    #[arg(long, value_name = "PORT", requires = "dev")]
    pub(crate) mqtts_port: Option<u16>,
    /// With --dev: the port for operators, gRPC over mutual TLS [default: 7443].
    #[arg(long, value_name = "PORT", requires = "dev")]
    pub(crate) control_port: Option<u16>,
    /// With --dev: the port for Prometheus metrics [default: 9464].
    #[arg(long, value_name = "PORT", requires = "dev")]
    pub(crate) metrics_port: Option<u16>,
}
