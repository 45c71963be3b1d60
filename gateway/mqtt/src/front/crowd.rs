//! Connections that are too many: what is recorded about them, and how long they may keep their place.

use super::{event, note};
use crate::line;
use crate::listener::{Listener, Socket};
use crate::shared::Shared;
use crate::sources::Closed;
use cordon_core::event::{Code, Event};
use std::net::SocketAddr;

/// Why an address is closed at accept, in words.
pub(crate) const TOO_MUCH: &str = "connections from this address are closed at once until it has recovered";

/// A place in the line of connections that have not finished CONNECT.
pub(super) type Pending = line::Pending<Socket>;

/// Records that a connection found no place in the line.
pub(crate) fn refuse_crowd(shared: &Shared, listener: &Listener, peer: SocketAddr) {
    let event = event(shared, listener, peer, Code::LimitReached).rule("listener.max_pending");
    note(shared, event.reason("too many connections have not finished CONNECT"));
}

/// Records that an address is closed.
pub(crate) fn refuse_source(shared: &Shared, listener: &Listener, peer: SocketAddr, closed: Closed) {
    if closed.begins {
        let event = event(shared, listener, peer, Code::LimitReached).rule(closed.rule);
        shared.sink.event(event.reason(TOO_MUCH));
    }
}

/// Records that a connection gave way to a newer one.
pub(super) fn tell_displaced(shared: &Shared, listener: &Listener, peer: SocketAddr) {
    shared.meters.pending_displaced.add(1);
    shared.meters.connects_refused.add(1);
    let event = event(shared, listener, peer, Code::LimitReached).rule("listener.max_pending");
    note(shared, event.reason("it had not finished CONNECT and gave way to a newer connection"));
}

/// Lets the last words be said for as long as nobody needs the place in the line.
pub(super) async fn part(words: impl Future<Output = ()>, pending: &Pending) {
    pending.refused();
    tokio::select! {
        biased;
        () = words => {}
        () = pending.displaced() => {}
    }
}

/// Adds how often connections from its address broke the standard to the event about one that did.
pub(crate) fn with_violations(event: Event, violations: Option<u64>) -> Event {
    match violations {
        Some(count) => event.detail("violations_from_address", count.to_string()),
        None => event,
    }
}
