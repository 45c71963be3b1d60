//! The fabric: rumqttd's router, embedded, carrying messages between the threads of the gateway. It decides nothing.
//!
//! A message for a client of the same worker is delivered there and then; what is for the clients of another worker, and
//! what the gateway's own services publish, crosses the fabric. This is the only module that names rumqttd. Each worker
//! has one link and one subscription; a publish goes to the lane of every worker that has subscribers. So the router sees
//! a fixed handful of ASCII topics however many topics and filters the devices use: none of its tables can grow, no topic
//! from outside reaches its matcher, and messages between two threads keep their order.
//!
//! The router keeps messages for a link in a log of bounded size and skips what a slow reader has not fetched in time.
//! [`Flow`] keeps the bytes on their way to each worker below that bound, so nothing is ever skipped.
//!
//! A router can die. Every sender keeps what it has handed over until the receiver has taken it, so a fresh router can
//! take over: the receivers let go of the old one, then each sender is plugged into the new one and sends again what was
//! on its way. Nothing is lost, nothing comes twice, and no client notices.

mod flow;
mod pending;

use crate::envelope::Envelope;
use bytes::Bytes;
use flume::TrySendError;
use pending::Pending;
use rumqttd::local::{LinkBuilder, LinkError, LinkRx, LinkTx};
use rumqttd::protocol::{Packet, Publish};
use rumqttd::{Notification, Router, RouterConfig};
use std::sync::Arc;

pub(crate) use flow::Flow;

/// One log segment; the router keeps two per worker.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;

/// The router is gone: its thread ended or never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message router ended unexpectedly")]
pub(crate) struct FabricLost;

/// The end for sending: one per worker, and one for the gateway's services.
pub(crate) struct FabricTx {
    source: usize,
    flow: Arc<Flow>,
    link: Option<Link>,
    /// What every lane has not taken yet.
    pending: Vec<Pending>,
    batch: Vec<Packet>,
}

/// A worker's end for receiving.
pub(crate) struct FabricRx {
    link: LinkRx,
    lane: usize,
    flow: Arc<Flow>,
}

/// A connection of a sender to one router.
pub(crate) struct Link {
    link: LinkTx,
    /// The topic of each lane, as this sender's messages carry it.
    topics: Vec<Bytes>,
    /// Messages lie in the link's buffer of which the router, too busy then, could not be told.
    untold: bool,
}

/// What a running router offers: a link per worker for both directions, and one for the gateway's services.
pub(crate) struct Links {
    pub(crate) workers: Vec<(Link, FabricRx)>,
    pub(crate) services: Link,
}

/// Starts a router. Blocks until it answered.
pub(crate) fn start(flow: &Arc<Flow>) -> Result<Links, FabricLost> {
    let lanes = flow.lanes();
    let config = RouterConfig {
        max_connections: lanes + 2,
        max_outgoing_packet_count: 2000,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: 2,
        ..RouterConfig::default()
    };
    let router = Router::new(0, config).spawn();
    let link = |source: usize| {
        let builder = LinkBuilder::new(&format!("source-{source}"), router.clone()).build();
        let (tx, rx, _) = builder.map_err(|_| FabricLost)?;
        let topics = (0..lanes).map(|lane| Bytes::from(format!("lane/{lane}/{source}"))).collect();
        Ok((Link { link: tx, topics, untold: false }, rx))
    };
    let mut workers = Vec::with_capacity(lanes);
    for lane in 0..lanes {
        let (mut tx, rx) = link(lane)?;
        tx.link.subscribe(format!("lane/{lane}/+")).map_err(|_| FabricLost)?;
        workers.push((tx, FabricRx { link: rx, lane, flow: flow.clone() }));
    }
    Ok(Links { workers, services: link(lanes)?.0 })
}

// === impl FabricTx ===

impl FabricTx {
    /// A sender that is not plugged in yet. `source` is its worker's number, or the number of workers for the services.
    pub(crate) fn new(source: usize, flow: Arc<Flow>) -> Self {
        let pending = (0..flow.lanes()).map(|_| Pending::default()).collect();
        Self { source, flow, link: None, pending, batch: Vec::new() }
    }

    /// Adds a sealed message to the batch, for every lane but the sender's own. [`Envelope::seal`] took the publisher's
    /// permit.
    pub(crate) fn push(&mut self, message: &Envelope) {
        for lane in 0..self.pending.len() {
            if lane != self.source && self.flow.is_wanted(lane) {
                self.flow.hand(lane, message.size());
                self.pending[lane].push(message.bytes().clone());
                if let Some(link) = &self.link {
                    self.batch.push(link.packet(lane, message.bytes().clone()));
                }
            }
        }
    }

    /// The lanes that may hold what was pushed last for clients that are away, each with how many messages of this sender
    /// it must have settled before that is safe.
    pub(crate) fn awaited(&self) -> Vec<(usize, u64)> {
        let lanes = self.pending.iter().enumerate();
        let others = lanes.filter(|(lane, _)| *lane != self.source && self.flow.has_absent(*lane));
        others.map(|(lane, pending)| (lane, pending.count())).collect()
    }

    /// Hands the batch to the router, waking it once. It never blocks: a router that is too busy to be woken is woken by
    /// a later call. What a dead router does not take waits for the next one.
    pub(crate) fn hand(&mut self) {
        if self.batch.is_empty() && !self.link.as_ref().is_some_and(|link| link.untold) {
            return;
        }
        for (lane, pending) in self.pending.iter_mut().enumerate() {
            pending.forget(self.flow.taken(lane, self.source));
        }
        let sent = self.link.as_mut().map(|link| link.send(&mut self.batch));
        if sent.is_some_and(|sent| sent.is_err()) {
            self.unplug();
            self.flow.report_lost();
        }
    }

    /// Kills the router, with the trap that a topic whose first character is not ASCII is for it.
    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        let sent = self.link.as_mut().is_some_and(|link| link.link.try_publish("ü", "").is_ok());
        assert!(sent, "the router is alive until now");
    }

    /// Lets go of the router.
    pub(crate) fn unplug(&mut self) {
        self.link = None;
        self.batch.clear();
    }

    /// Goes on with a fresh router: what no lane has taken yet is sent again. All receivers must have let go of the old one.
    pub(crate) fn plug(&mut self, link: Link) {
        self.batch.clear();
        for (lane, pending) in self.pending.iter_mut().enumerate() {
            pending.forget(self.flow.taken(lane, self.source));
            self.batch.extend(pending.iter().map(|message| link.packet(lane, message.clone())));
        }
        self.link = Some(link);
        self.hand();
    }
}

// === impl Link ===

impl Link {
    fn packet(&self, lane: usize, message: Bytes) -> Packet {
        Packet::Publish(Publish::new(self.topics[lane].clone(), message, false), None)
    }

    fn send(&mut self, batch: &mut Vec<Packet>) -> Result<(), FabricLost> {
        let (topic, payload) = match batch.pop() {
            Some(Packet::Publish(last, _)) => (last.topic, last.payload),
            // Nobody subscribes to this one; it only wakes the router.
            _ => (Bytes::from_static(b"wake"), Bytes::new()),
        };
        if !batch.is_empty() {
            self.link.buffer().extend(batch.drain(..));
        }
        match self.link.try_publish(topic, payload) {
            Ok(_) => self.untold = false,
            Err(LinkError::TrySend(TrySendError::Full(_))) => self.untold = true,
            Err(_) => return Err(FabricLost),
        }
        Ok(())
    }
}

// === impl FabricRx ===

impl FabricRx {
    /// The next message for this worker. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Envelope, FabricLost> {
        loop {
            match self.link.next().await {
                Ok(Some(Notification::Forward(forward))) => {
                    let source = source_of(&forward.publish.topic).ok_or(FabricLost)?;
                    self.flow.take(self.lane, source, forward.publish.payload.len());
                    if let Some(message) = Envelope::open(forward.publish.payload) {
                        return Ok(message);
                    }
                }
                Ok(Some(Notification::Unschedule)) => self.link.ready().map_err(|_| FabricLost)?,
                Ok(Some(Notification::Disconnect(..))) | Err(_) => return Err(FabricLost),
                Ok(_) => {}
            }
        }
    }

    /// Lets senders that wait for room go on. Call after each batch.
    pub(crate) fn drained(&self) {
        self.flow.drained(self.lane);
    }
}

/// Who sent a message, by its topic `lane/<lane>/<source>`.
fn source_of(topic: &[u8]) -> Option<usize> {
    std::str::from_utf8(topic).ok()?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests;
