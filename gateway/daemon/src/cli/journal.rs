//! `cordon journal`.

use super::connect::{Client, call_within};
use super::failure::Failure;
use super::output::Output;
use super::table::harmless;
use clap::{Args, Subcommand};
use cordon_proto::v1::{VerifyJournalRequest, VerifyJournalResponse};
use serde::Serialize;
use std::time::Duration;

/// How long a check may take; a full journal on a slow card takes minutes.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Work with the journal of security events.
#[derive(Debug, Clone, Args)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum JournalCommand {
    /// Check that nothing in the journal was changed or removed. Ends with 1 if something was.
    #[command(after_help = "Example:\n  cordon journal verify && echo intact")]
    Verify,
}

#[derive(Serialize)]
struct View {
    intact: bool,
    blocks: u64,
    events: u64,
    first_seq: u64,
    last_seq: u64,
    problems: Vec<String>,
}

pub(crate) async fn run(args: JournalArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let JournalCommand::Verify = args.command;
    let found = gateway.verify_journal(call_within(VerifyJournalRequest {}, VERIFY_TIMEOUT)).await?.into_inner();
    let view = View::from(found);
    if out.is_json() {
        out.json(&view)?;
    } else {
        let state = if view.intact { "intact" } else { "NOT INTACT" };
        out.line(&format!(
            "The journal is {state}: {} events in {} blocks, from {} to {}.",
            view.events, view.blocks, view.first_seq, view.last_seq
        ))?;
        for problem in &view.problems {
            out.line(&format!("  {}", harmless(problem)))?;
        }
    }
    if view.intact {
        return Ok(());
    }
    Err(Failure::Failed(
        "the journal was changed, or its disk is failing; keep a copy of the data directory before anything else"
            .into(),
    ))
}

// === impl View ===

impl From<VerifyJournalResponse> for View {
    fn from(found: VerifyJournalResponse) -> Self {
        Self {
            intact: found.intact,
            blocks: found.blocks,
            events: found.events,
            first_seq: found.first_seq,
            last_seq: found.last_seq,
            problems: found.problems,
        }
    }
}
