//! From a client command to its handler, and from its outcome to the exit code.

use super::connect::connect;
use super::failure::Failure;
use super::global::Global;
use super::output::{Output, note};
use super::{
    ClientCommand, alarms, completions, events, explain, findings, isolate, journal, orders, passwd, reload, sessions,
    status, things,
};
use std::process::ExitCode;

/// Runs a client command to its end and says how it went.
pub(crate) async fn run_client(global: Global, command: ClientCommand) -> ExitCode {
    let mut out = Output::stdout(global.output);
    match Box::pin(run(&global, command, &mut out)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                note(&format!("cordon: {}", super::table::harmless(&failure.to_string())));
            }
            failure.exit_code()
        }
    }
}

async fn run(global: &Global, command: ClientCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        ClientCommand::Passwd(args) => return passwd::run(args, out),
        ClientCommand::Completions(args) => return completions::run(args, out),
        ClientCommand::Events(args) if args.list_codes => return events::list_codes(out),
        _ => {}
    }
    let mut gateway = connect(global).await?;
    match command {
        ClientCommand::Status(args) => status::run(args, &mut gateway, out).await,
        ClientCommand::Events(args) => events::run(args, gateway, global, out).await,
        ClientCommand::Alarms(args) => alarms::run(args, &mut gateway, out).await,
        ClientCommand::Isolate(args) => isolate::run(args, &mut gateway, out).await,
        ClientCommand::Orders(args) => orders::list(args, &mut gateway, out).await,
        ClientCommand::Release(args) => orders::release(args, &mut gateway, out).await,
        ClientCommand::Findings(args) => findings::run(args, &mut gateway, out).await,
        ClientCommand::Things(args) => things::list(args, &mut gateway, out).await,
        ClientCommand::Shadow(args) => things::shadow(args, &mut gateway, out).await,
        ClientCommand::Sessions(args) => sessions::list(args, &mut gateway, out).await,
        ClientCommand::Disconnect(args) => sessions::disconnect(args, &mut gateway, out).await,
        ClientCommand::Explain(args) => explain::run(args, &mut gateway, out).await,
        ClientCommand::Journal(args) => journal::run(args, &mut gateway, out).await,
        ClientCommand::Reload(args) => reload::run(args, &mut gateway, out).await,
        ClientCommand::Passwd(_) | ClientCommand::Completions(_) => Ok(()),
    }
}
