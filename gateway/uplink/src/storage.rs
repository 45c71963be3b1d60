//! The task that talks to the outbox: one call at a time, in order, repeated until it succeeds.
//!
//! Because answers come in the order of the calls, an entry whose removal has been reported cannot appear in a later
//! look at the outbox. Because it is a task of its own, a slow disk never delays keep-alive or acknowledgements.

use crate::backoff::ceiling;
use crate::config::MAX_WINDOW;
use crate::delivery::Look;
use crate::entry::Entry;
use crate::outbox::{Outbox, OutboxError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Room for one removal per entry in flight and one look at the outbox.
const ROOM: usize = MAX_WINDOW + 8;

/// What the outbox is asked.
#[derive(Debug)]
pub(crate) enum Call {
    Peek(Look),
    Ack(u64),
    Discard { id: u64, reason: String },
}

/// What the outbox answered.
#[derive(Debug)]
pub(crate) enum Reply {
    Peeked {
        look: Look,
        entries: Vec<Entry>,
    },
    /// The entry is out of the outbox.
    Gone(u64),
    /// A call fails and is being repeated; said once per series of failures.
    Trouble(OutboxError),
}

/// The way to the task; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Storage {
    calls: mpsc::Sender<Call>,
    pub(crate) replies: mpsc::Receiver<Reply>,
    _task: JoinSet<()>,
}

// === impl Storage ===

impl Storage {
    pub(crate) fn spawn(outbox: Arc<dyn Outbox>) -> Self {
        let (calls, mut called) = mpsc::channel(ROOM);
        let (answer, replies) = mpsc::channel(2 * ROOM);
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(call) = called.recv().await {
                let reply = persist(&*outbox, call, &answer).await;
                if answer.send(reply).await.is_err() {
                    return;
                }
            }
        });
        Self { calls, replies, _task: task }
    }

    /// Whether the call was taken. The window bounds what is outstanding, so that it is, unless the task is gone.
    pub(crate) fn call(&self, call: Call) -> bool {
        self.calls.try_send(call).is_ok()
    }
}

async fn persist(outbox: &dyn Outbox, call: Call, answer: &mpsc::Sender<Reply>) -> Reply {
    let mut failures = 0;
    loop {
        let error = match once(outbox, &call).await {
            Ok(reply) => return reply,
            Err(error) => error,
        };
        if failures == 0 {
            // Nobody listening means that the uplink is ending.
            let _ = answer.send(Reply::Trouble(error)).await;
        }
        tokio::time::sleep(ceiling(Duration::from_secs(1), Duration::from_secs(30), failures)).await;
        failures = failures.saturating_add(1);
    }
}

async fn once(outbox: &dyn Outbox, call: &Call) -> Result<Reply, OutboxError> {
    Ok(match call {
        Call::Peek(look) => Reply::Peeked { look: *look, entries: outbox.peek(look.after, look.most).await? },
        Call::Ack(id) => {
            outbox.ack(*id).await?;
            Reply::Gone(*id)
        }
        Call::Discard { id, reason } => {
            outbox.discard(*id, reason).await?;
            Reply::Gone(*id)
        }
    })
}
