//! The driver against far sides that exist in the test only, on paused time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use crate::config::Config;
use crate::link::{Dial, Heard, Link, Loss, LossKind, NotTaken, Requests};
use crate::outbox::{MemoryOutbox, Outbox, OutboxError, OutboxFuture};
use crate::status::{LinkState, Protocol};
use crate::{Entry, Handle, Sink, Uplink};
use bytes::Bytes;
use cordon_core::event::{Code, Event};
use cordon_core::time::Now;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Publish(String),
    Subscribe(Vec<String>),
    Disconnect,
}

/// The far side's end of one link.
struct Line {
    protocol: Protocol,
    at: Instant,
    requests: mpsc::UnboundedReceiver<Request>,
    tell: mpsc::Sender<Heard>,
}

struct FakeDial(mpsc::UnboundedSender<Line>);

struct FakeRequests(mpsc::UnboundedSender<Request>);

#[derive(Default)]
struct Journal(Mutex<Vec<Event>>);

struct World {
    outbox: Arc<MemoryOutbox>,
    journal: Arc<Journal>,
    lines: mpsc::UnboundedReceiver<Line>,
    handle: Handle,
}

impl Dial for FakeDial {
    fn dial(&self, _config: &Arc<Config>, protocol: Protocol) -> Link {
        let (ask, requests) = mpsc::unbounded_channel();
        let (tell, heard) = mpsc::channel(16);
        self.0.send(Line { protocol, at: Instant::now(), requests, tell }).unwrap();
        Link { requests: Box::new(FakeRequests(ask)), heard, _task: JoinSet::new() }
    }
}

impl FakeRequests {
    fn send(&self, request: Request) -> Result<(), NotTaken> {
        self.0.send(request).map_err(|_| NotTaken)
    }
}

impl Requests for FakeRequests {
    fn publish(&self, _topic: &str, payload: Bytes) -> Result<(), NotTaken> {
        self.send(Request::Publish(String::from_utf8_lossy(&payload).into_owned()))
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), NotTaken> {
        self.send(Request::Subscribe(filters.to_vec()))
    }

    fn disconnect(&self) -> Result<(), NotTaken> {
        self.send(Request::Disconnect)
    }
}

impl Sink for Journal {
    fn now(&self) -> Now {
        Now::for_test(0)
    }

    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Journal {
    fn codes(&self) -> Vec<Code> {
        self.0.lock().unwrap().iter().map(|event| event.code).collect()
    }

    fn count(&self, code: Code) -> usize {
        self.codes().into_iter().filter(|one| *one == code).count()
    }
}

impl World {
    fn new(messages: usize, subscriptions: &[&str]) -> Self {
        let outbox = Arc::new(MemoryOutbox::new(1 << 20));
        for at in 0..messages {
            outbox.push("cordon/gw-1/summary", at.to_string()).unwrap();
        }
        let (handle, journal, lines) = start(Arc::clone(&outbox) as Arc<dyn Outbox>, subscriptions);
        Self { outbox, journal, lines, handle }
    }

    async fn line(&mut self) -> Line {
        self.lines.recv().await.unwrap()
    }

    /// The next line, accepted.
    async fn accepted(&mut self) -> Line {
        let line = self.line().await;
        line.tell(Heard::Connected { session_present: false, receive_max: None, max_packet: None }).await;
        line
    }
}

impl Line {
    async fn tell(&self, heard: Heard) {
        self.tell.send(heard).await.unwrap();
    }

    async fn lose(self, kind: LossKind) {
        self.tell(Heard::Lost(Loss::new(kind, "lost by the test"))).await;
    }

    async fn request(&mut self) -> Request {
        self.requests.recv().await.unwrap()
    }
}

fn start(outbox: Arc<dyn Outbox>, subscriptions: &[&str]) -> (Handle, Arc<Journal>, mpsc::UnboundedReceiver<Line>) {
    let (dialled, lines) = mpsc::unbounded_channel();
    let journal = Arc::new(Journal::default());
    let config = Config {
        subscriptions: subscriptions.iter().map(|filter| (*filter).to_owned()).collect(),
        ..Config::new("localhost", 8883, "gw-1", Default::default())
    };
    let sink = Arc::clone(&journal) as Arc<dyn Sink>;
    (Uplink::start(config, outbox, sink, Arc::new(FakeDial(dialled))), journal, lines)
}

#[tokio::test(start_paused = true)]
async fn attempts_are_a_second_apart_at_least_and_at_most_the_growing_ceiling() {
    let mut world = World::new(0, &[]);
    let mut last: Option<Instant> = None;
    for failures in 0..12_u32 {
        let line = world.line().await;
        if let Some(last) = last {
            let pause = line.at - last;
            let ceiling = Duration::from_secs((1_u64 << failures).min(120)) + Duration::from_millis(5);
            assert!(pause >= Duration::from_secs(1), "attempt {failures} came after {pause:?}");
            assert!(pause <= ceiling, "attempt {failures} came after {pause:?}");
        }
        last = Some(line.at);
        line.lose(LossKind::Network).await;
    }
    assert_eq!(world.journal.codes(), [Code::UplinkDisconnected], "one outage is one event");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_did_not_last_does_not_make_the_next_pause_short() {
    let mut world = World::new(0, &[]);
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    for _ in 0..30 {
        let line = world.accepted().await;
        longest = longest.max(line.at - last);
        tokio::time::sleep(Duration::from_secs(5)).await;
        last = Instant::now();
        line.lose(LossKind::Network).await;
    }
    // Were it reset by every connect, no pause would be longer than 2 s.
    assert!(longest > Duration::from_secs(10), "{longest:?}");
    let line = world.accepted().await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let lost = Instant::now();
    line.lose(LossKind::Network).await;
    assert!(world.line().await.at - lost <= Duration::from_millis(2005));
}

#[tokio::test(start_paused = true)]
async fn another_connection_with_the_same_client_id_is_reported_and_not_fought() {
    let mut world = World::new(0, &[]);
    let line = world.accepted().await;
    let lost = Instant::now();
    line.lose(LossKind::Disconnected(142)).await;
    assert!(world.line().await.at - lost >= Duration::from_secs(300));
    assert_eq!(world.journal.count(Code::UplinkRefused), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_closed_soon_time_and_again_raise_the_suspicion_of_a_rival() {
    let mut world = World::new(0, &[]);
    for _ in 0..3 {
        assert_eq!(world.journal.count(Code::UplinkRefused), 0);
        world.accepted().await.lose(LossKind::Closed).await;
    }
    world.line().await;
    let events = world.journal.0.lock().unwrap().clone();
    let refusal = events.iter().find(|event| event.code == Code::UplinkRefused).unwrap();
    assert!(refusal.reason.as_deref().unwrap().contains("another client"));
}

#[tokio::test(start_paused = true)]
async fn an_entry_leaves_the_outbox_only_after_its_acknowledgement() {
    let mut world = World::new(3, &[]);
    let mut line = world.accepted().await;
    for pkid in 1..=3 {
        assert_eq!(line.request().await, Request::Publish((pkid - 1).to_string()));
        line.tell(Heard::Sent { pkid }).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.outbox.len(), 3);
    for pkid in 1..=3_usize {
        line.tell(Heard::Answered { pkid: u16::try_from(pkid).unwrap(), code: 0 }).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(world.outbox.len(), 3 - pkid);
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_without_answers_is_given_up_and_everything_is_sent_again() {
    let mut world = World::new(2, &[]);
    let mut line = world.accepted().await;
    let sent = Instant::now();
    for pkid in 1..=2 {
        line.request().await;
        line.tell(Heard::Sent { pkid }).await;
    }
    let mut next = world.accepted().await;
    assert!(next.at - sent >= Duration::from_secs(30));
    assert_eq!(next.request().await, Request::Publish("0".to_owned()));
    assert_eq!(next.request().await, Request::Publish("1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn publishes_are_spread_to_fifty_a_second() {
    let mut world = World::new(500, &[]);
    let mut line = world.accepted().await;
    let begun = Instant::now();
    for pkid in 1..=500 {
        line.request().await;
        line.tell(Heard::Sent { pkid }).await;
        line.tell(Heard::Answered { pkid, code: 0 }).await;
    }
    let took = begun.elapsed();
    assert!((9_300..=10_500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_connection_task_is_reported_and_replaced() {
    let mut world = World::new(1, &[]);
    drop(world.accepted().await);
    let mut line = world.accepted().await;
    assert_eq!(line.request().await, Request::Publish("0".to_owned()));
    assert_eq!(world.journal.count(Code::GatewayDegraded), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_mqtt_5_is_spoken_to_in_3_1_1() {
    let mut world = World::new(0, &[]);
    let line = world.line().await;
    assert_eq!(line.protocol, Protocol::V5);
    line.lose(LossKind::VersionRefused).await;
    let line = world.accepted().await;
    assert_eq!(line.protocol, Protocol::V311);
    line.lose(LossKind::Network).await;
    assert_eq!(world.line().await.protocol, Protocol::V311);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_end_the_connection_do_not_keep_publishes_from_arriving() {
    let mut world = World::new(1, &["$aws/things/gw-1/jobs/notify-next"]);
    for _ in 0..2 {
        let mut line = world.accepted().await;
        assert!(matches!(line.request().await, Request::Subscribe(_)));
        line.lose(LossKind::Closed).await;
    }
    let mut line = world.accepted().await;
    assert_eq!(line.request().await, Request::Publish("0".to_owned()));
    let events = world.journal.0.lock().unwrap().clone();
    let refusal = events.iter().find(|event| event.code == Code::UplinkRefused).unwrap();
    assert_eq!(refusal.action.as_deref(), Some("iot:Subscribe"));
}

#[tokio::test(start_paused = true)]
async fn ending_waits_for_the_answers_in_flight_and_says_goodbye() {
    let mut world = World::new(1, &[]);
    let mut line = world.accepted().await;
    line.request().await;
    line.tell(Heard::Sent { pkid: 1 }).await;
    let status = world.handle.status();
    let ending = tokio::spawn(world.handle.shutdown(Duration::from_secs(10)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!ending.is_finished());
    line.tell(Heard::Answered { pkid: 1, code: 0 }).await;
    assert_eq!(line.request().await, Request::Disconnect);
    line.tell(Heard::Goodbye).await;
    ending.await.unwrap();
    assert!(world.outbox.is_empty());
    assert_eq!(status.borrow().link, LinkState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn ending_does_not_wait_longer_than_the_deadline() {
    for accept in [false, true] {
        let mut world = World::new(1, &[]);
        let line = if accept { world.accepted().await } else { world.line().await };
        tokio::time::sleep(Duration::from_millis(10)).await;
        let begun = Instant::now();
        world.handle.shutdown(Duration::from_secs(3)).await;
        assert!(begun.elapsed() <= Duration::from_secs(5));
        assert_eq!(world.outbox.len(), 1, "what was not acknowledged stays");
        drop(line);
    }
}

/// An outbox whose first call panics.
struct Explosive {
    inner: MemoryOutbox,
    armed: AtomicBool,
}

impl Outbox for Explosive {
    fn peek(&self, after: u64, most: usize) -> OutboxFuture<'_, Result<Vec<Entry>, OutboxError>> {
        assert!(!self.armed.swap(false, Ordering::Relaxed), "the test's outbox panics");
        self.inner.peek(after, most)
    }

    fn ack(&self, id: u64) -> OutboxFuture<'_, Result<(), OutboxError>> {
        self.inner.ack(id)
    }

    fn discard<'a>(&'a self, id: u64, reason: &'a str) -> OutboxFuture<'a, Result<(), OutboxError>> {
        self.inner.discard(id, reason)
    }

    fn wait_beyond(&self, after: u64) -> OutboxFuture<'_, ()> {
        self.inner.wait_beyond(after)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_and_the_uplink_starts_anew() {
    let outbox = Explosive { inner: MemoryOutbox::new(1000), armed: AtomicBool::new(true) };
    outbox.inner.push("t", "0").unwrap();
    let (handle, journal, lines) = start(Arc::new(outbox), &[]);
    let mut world = World { outbox: Arc::new(MemoryOutbox::new(0)), journal, lines, handle };
    let first = world.accepted().await;
    let mut second = world.accepted().await;
    assert_eq!(second.request().await, Request::Publish("0".to_owned()));
    assert_eq!(world.journal.count(Code::GatewayDegraded), 1);
    drop(first);
}
