//! The fabric: rumqttd's router, embedded, fanning messages out between workers. It decides nothing.
//!
//! This is the only module that names rumqttd. Each worker holds one link and one subscription, on a topic of its own;
//! a publish goes to the topic of every worker that has subscribers. So the router sees a handful of fixed ASCII topics
//! however many topics and filters the devices use: none of its tables can grow, no topic from outside reaches its
//! matcher, and messages between two workers keep their order.
//!
//! The router keeps messages for a link in a log of bounded size and skips what a slow reader has not fetched in time.
//! [`Flow`] keeps the bytes on their way to each worker below that bound, so nothing is ever skipped: a publisher whose
//! messages would pass it waits.

use crate::envelope::Envelope;
use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Packet, Publish};
use rumqttd::{Notification, Router, RouterConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// One log segment; the router keeps two per worker.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes on their way to one worker at most. Less than a segment, so that the reader's place is never overwritten.
const FLOW_BYTES: u64 = 2 * 1024 * 1024;
/// What the router counts for a message besides its payload is less than this.
const OVERHEAD: u64 = 256;

/// The router is gone: its thread ended or never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message router ended unexpectedly")]
pub(crate) struct FabricLost;

/// Bytes on their way to each worker, and which workers have subscribers.
#[derive(Debug)]
pub(crate) struct Flow {
    lanes: Vec<Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    handed: AtomicU64,
    drained: AtomicU64,
    filters: AtomicUsize,
    room: Notify,
}

/// A worker's end for sending.
pub(crate) struct FabricTx {
    link: LinkTx,
    topics: Vec<Bytes>,
    flow: Arc<Flow>,
    batch: Vec<Packet>,
}

/// A worker's end for receiving.
pub(crate) struct FabricRx {
    link: LinkRx,
    lane: usize,
    flow: Arc<Flow>,
}

/// A worker's two ends.
pub(crate) type Ends = (FabricTx, FabricRx);

/// Starts a router with one link per worker. Blocks until the router answered.
pub(crate) fn start(workers: usize) -> Result<(Arc<Flow>, Vec<Ends>), FabricLost> {
    let config = RouterConfig {
        max_connections: workers + 1,
        max_outgoing_packet_count: 2000,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: 2,
        ..RouterConfig::default()
    };
    let router = Router::new(0, config).spawn();
    let flow = Arc::new(Flow { lanes: (0..workers).map(|_| Lane::default()).collect() });
    let topics: Vec<String> = (0..workers).map(|lane| format!("lane/{lane}")).collect();
    let mut ends = Vec::with_capacity(workers);
    for (lane, topic) in topics.iter().enumerate() {
        let (mut tx, rx, _) =
            LinkBuilder::new(&format!("worker-{lane}"), router.clone()).build().map_err(|_| FabricLost)?;
        tx.subscribe(topic.clone()).map_err(|_| FabricLost)?;
        let topics = topics.iter().map(|topic| Bytes::from(topic.clone().into_bytes())).collect();
        ends.push((
            FabricTx { link: tx, topics, flow: flow.clone(), batch: Vec::new() },
            FabricRx { link: rx, lane, flow: flow.clone() },
        ));
    }
    Ok((flow, ends))
}

// === impl Flow ===

impl Flow {
    /// Notes how many distinct filters the worker's sessions hold; with none, nothing is sent to it.
    pub(crate) fn set_filters(&self, lane: usize, filters: usize) {
        self.lanes[lane].filters.store(filters, Ordering::Release);
    }

    /// Waits until every worker has room for another batch.
    pub(crate) async fn room(&self) {
        for lane in &self.lanes {
            loop {
                let waiting = lane.room.notified();
                if lane.in_flight() < FLOW_BYTES {
                    break;
                }
                waiting.await;
            }
        }
    }
}

// === impl Lane ===

impl Lane {
    fn in_flight(&self) -> u64 {
        self.handed.load(Ordering::Acquire).saturating_sub(self.drained.load(Ordering::Acquire))
    }
}

// === impl FabricTx ===

impl FabricTx {
    /// Adds a sealed message to the batch. [`Envelope::seal`] took the publisher's permit.
    pub(crate) fn push(&mut self, message: &Envelope) {
        for (lane, topic) in self.flow.lanes.iter().zip(&self.topics) {
            if lane.filters.load(Ordering::Acquire) > 0 {
                lane.handed.fetch_add(message.size() as u64 + OVERHEAD, Ordering::AcqRel);
                let publish = Publish::new(topic.clone(), message.bytes().clone(), false);
                self.batch.push(Packet::Publish(publish, None));
            }
        }
    }

    /// Hands the batch to the router, waking it once.
    pub(crate) fn hand(&mut self) -> Result<(), FabricLost> {
        let Some(Packet::Publish(last, _)) = self.batch.pop() else { return Ok(()) };
        if !self.batch.is_empty() {
            self.link.buffer().extend(self.batch.drain(..));
        }
        self.link.publish(last.topic, last.payload).map(drop).map_err(|_| FabricLost)
    }
}

// === impl FabricRx ===

impl FabricRx {
    /// The next message for this worker. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Envelope, FabricLost> {
        loop {
            match self.link.next().await {
                Ok(Some(Notification::Forward(forward))) => {
                    let lane = &self.flow.lanes[self.lane];
                    lane.drained.fetch_add(forward.publish.payload.len() as u64 + OVERHEAD, Ordering::AcqRel);
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

    /// Lets publishers that wait for room go on. Call after each batch.
    pub(crate) fn drained(&self) {
        let lane = &self.flow.lanes[self.lane];
        if lane.in_flight() < FLOW_BYTES {
            lane.room.notify_waiters();
        }
    }
}
