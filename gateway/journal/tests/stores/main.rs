//! The journal, the state and the outbox as the gateway uses them: real databases on a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

mod damage;
mod journal;
mod kill;
mod outbox;
mod rotation;
mod state;

use cordon_core::event::{Code, Event, Severity};
use cordon_core::time::Now;
use cordon_journal::{Host, Journal, JournalOptions, OpenReport, Trouble};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Ends a test that hangs; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn host() -> Host {
    Host::new(Arc::new(|| Now::for_test(0)), "boot-1")
}

/// A host whose troubles can be awaited.
fn listening_host() -> (Host, mpsc::UnboundedReceiver<Trouble>) {
    let (tell, heard) = mpsc::unbounded_channel();
    (host().on_trouble(Arc::new(move |trouble| drop(tell.send(trouble)))), heard)
}

fn open(directory: &Path) -> (Journal, OpenReport) {
    Journal::open(JournalOptions::new(directory, host())).unwrap()
}

async fn close(journal: Journal) {
    journal.shutdown(PATIENCE).await.unwrap();
}

fn event(at: u64) -> Event {
    Event::new(Code::AuthzPublishDenied, Now::for_test(at)).thing("press-01").resource(format!("plant/{at}"))
}

fn notice(at: u64) -> Event {
    event(at).severity(Severity::Notice)
}
