//! `cordon`: the gateway's daemon and the command that manages it.

mod backend;
mod check;
mod cli;
mod clock;
mod config;
mod dev;
mod engine;
mod feed;
mod logging;
mod metrics;
mod outbox;
mod record;
mod serve;
mod sessions;
mod stores;
mod systemd;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::FAILURE;
    }
    let cli::Cli { global, command } = cli::Cli::parse();
    match command {
        cli::Command::Serve(arguments) => serve::main(&global, &arguments),
        cli::Command::Check(arguments) => {
            check::run(&arguments.config.unwrap_or_else(|| global.dev_dir().join("cordon.toml")))
        }
        cli::Command::Client(command) => manage(global, command),
    }
}

/// Runs a client command on a small runtime of its own.
fn manage(global: cli::Global, command: cli::ClientCommand) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run_client(global, command)),
        Err(_) => ExitCode::FAILURE,
    }
}
