//! `cordon reload`.

use super::connect::{Client, call};
use super::failure::Failure;
use super::orders::NO_REASON;
use super::output::Output;
use super::table::harmless;
use clap::Args;
use cordon_proto::v1::ReloadRequest;
use serde::Serialize;

/// Let the gateway take a changed configuration over, without dropping sessions. If a part is faulty nothing changes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  cordon check && cordon reload --reason \"policy for line 3\"")]
pub(crate) struct ReloadArgs {
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
}

#[derive(Serialize)]
struct View {
    changes: Vec<String>,
}

pub(crate) async fn run(args: ReloadArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let changes = gateway.reload(call(ReloadRequest { reason: args.reason })).await?.into_inner().changes;
    if out.is_json() {
        return out.json(&View { changes });
    }
    if changes.is_empty() {
        return out.line("Nothing had changed.");
    }
    changes.iter().try_for_each(|change| out.line(&harmless(change)))
}
