//! Events as they come: through reconnects without a gap and without doubles, until Ctrl-C.

use super::show;
use crate::cli::connect::{Client, connect};
use crate::cli::failure::Failure;
use crate::cli::global::Global;
use crate::cli::output::{Output, note};
use cordon_proto::v1::{EventFilter, FollowEventsRequest};
use std::time::Duration;
use tokio::time::sleep;
use tonic::{Code, Status};

/// The pause before the first new try, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Writes the events after `last` that `filter` selects.
pub(super) async fn run(
    filter: EventFilter,
    last: u64,
    gateway: Client,
    global: &Global,
    out: &mut Output,
) -> Result<(), Failure> {
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|error| Failure::Failed(format!("cannot wait for Ctrl-C: {error}")))
        }
        result = follow(filter, last, gateway, global, out) => result,
    }
}

async fn follow(
    filter: EventFilter,
    mut last: u64,
    gateway: Client,
    global: &Global,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut connected = Some(gateway);
    let mut pause = PAUSES.0;
    loop {
        let gateway = match connected.take() {
            Some(gateway) => Ok(gateway),
            None => connect(global).await,
        };
        match gateway {
            Ok(mut gateway) => {
                let before = last;
                let status = until_broken(&filter, &mut last, &mut gateway, out).await?;
                if last > before {
                    pause = PAUSES.0;
                }
                // The reader was too slow, not the gateway: go on at once, over the same connection.
                if status.code() == Code::Aborted && last > before {
                    connected = Some(gateway);
                    continue;
                }
                note(&format!("{}; trying again, Ctrl-C ends", broken(&status)));
            }
            Err(Failure::Unreachable(_)) => {}
            Err(other) => return Err(other),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Writes events until the stream ends in a way that a new try can mend; `last` is the last one written.
async fn until_broken(
    filter: &EventFilter,
    last: &mut u64,
    gateway: &mut Client,
    out: &mut Output,
) -> Result<Status, Failure> {
    let request = FollowEventsRequest { filter: Some(filter.clone()), after_seq: Some(*last) };
    let mut events = match gateway.follow_events(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return mendable(status),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                *last = event.seq;
                show(event, out)?;
            }
            Ok(None) => return Ok(Status::unavailable("the gateway ended the stream")),
            Err(status) => return mendable(status),
        }
    }
}

fn mendable(status: Status) -> Result<Status, Failure> {
    match status.code() {
        Code::Aborted
        | Code::Unavailable
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::ResourceExhausted
        | Code::DeadlineExceeded => Ok(status),
        _ => Err(status.into()),
    }
}

fn broken(status: &Status) -> String {
    if std::error::Error::source(status).is_some() || status.message().is_empty() {
        "the connection to the gateway was lost".to_owned()
    } else {
        crate::cli::table::harmless(status.message())
    }
}
