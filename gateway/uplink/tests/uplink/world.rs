//! A gateway's uplink, its outbox and journal, and a cloud.

use cordon_core::event::{Code, Event};
use cordon_core::time::{Mono, Now, Unix};
use cordon_tests::cloud::Cloud;
use cordon_tests::pki::{Identity, Pki};
use cordon_uplink::{Config, Handle, MemoryOutbox, Outbox, Sink, Uplink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;

/// Long enough for the slowest machine; reached only by a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const TOPIC: &str = "cordon/gw-1/summary";

pub(crate) struct World {
    pub(crate) pki: Pki,
    pub(crate) cloud: Cloud,
    pub(crate) outbox: Arc<MemoryOutbox>,
    pub(crate) journal: Arc<Journal>,
    dir: TempDir,
    pushed: usize,
}

/// Events, and a clock that runs.
pub(crate) struct Journal {
    begun: Instant,
    events: watch::Sender<Vec<Event>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::create(dir.path(), "test authority").unwrap();
        let cloud = Cloud::start(&pki).await.unwrap();
        let journal = Journal { begun: Instant::now(), events: watch::channel(Vec::new()).0 };
        Self { pki, cloud, outbox: Arc::new(MemoryOutbox::new(8 << 20)), journal: Arc::new(journal), dir, pushed: 0 }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A configuration for the cloud, with the shortest pauses there can be.
    pub(crate) fn config(&self) -> Config {
        self.config_as(&self.pki.client("gw-1").unwrap())
    }

    pub(crate) fn config_as(&self, identity: &Identity) -> Config {
        let files = [self.pki.ca(), identity.certificate.clone(), identity.key.clone()];
        Config {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(1),
            publishes_per_second: 100,
            ..Config::new("localhost", self.cloud.address().port(), "gw-1", files)
        }
    }

    pub(crate) fn start(&self) -> Handle {
        self.start_with(self.config())
    }

    pub(crate) fn start_with(&self, config: Config) -> Handle {
        let outbox = Arc::clone(&self.outbox) as Arc<dyn Outbox>;
        Uplink::spawn(config, outbox, Arc::clone(&self.journal) as Arc<dyn Sink>).unwrap()
    }

    /// Puts `count` more messages into the outbox; each carries its number.
    pub(crate) fn push(&mut self, count: usize) {
        for _ in 0..count {
            self.outbox.push(TOPIC, self.pushed.to_string()).unwrap();
            self.pushed += 1;
        }
    }

    /// Waits until all that was pushed has been acknowledged, ends the uplink, and checks that it came in order (repeats are
    /// allowed, gaps are not) and that nothing is left.
    pub(crate) async fn everything_arrived_in_order(&self, handle: Handle) {
        let mut status = handle.status();
        let all = u64::try_from(self.pushed).unwrap();
        let acked = status.wait_for(|status| status.counters.acked >= all);
        let Ok(acked) = tokio::time::timeout(DEADLINE, acked).await else {
            panic!("{:?} after {:?}", handle.status().borrow(), self.cloud.seen());
        };
        drop(acked.unwrap());
        handle.shutdown(DEADLINE).await;
        let mut next = 0;
        for publish in self.cloud.seen().publishes {
            assert_eq!(publish.topic, TOPIC);
            let number: usize = std::str::from_utf8(&publish.payload).unwrap().parse().unwrap();
            assert!(number <= next, "{number} came before {next}");
            next = next.max(number + 1);
        }
        assert_eq!(next, self.pushed);
        assert_eq!((self.outbox.len(), self.outbox.discarded()), (0, 0));
    }
}

impl Journal {
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let mut events = self.events.subscribe();
        let found = events.wait_for(|events| events.iter().any(&wanted));
        let events = match tokio::time::timeout(DEADLINE, found).await {
            Ok(events) => events.unwrap().clone(),
            Err(_) => panic!("no event: {what}; there are {:#?}", self.events.borrow()),
        };
        events.into_iter().find(wanted).unwrap()
    }

    /// Waits for a refusal of this action whose reason contains `reason`.
    pub(crate) async fn refusal(&self, action: &str, reason: &str) -> Event {
        let says = |event: &Event| event.reason.as_deref().is_some_and(|text| text.contains(reason));
        self.wait_for(reason, |event| {
            event.code == Code::UplinkRefused && event.action.as_deref() == Some(action) && says(event)
        })
        .await
    }

    pub(crate) fn count(&self, code: Code) -> usize {
        self.events.borrow().iter().filter(|event| event.code == code).count()
    }
}

impl Sink for Journal {
    fn now(&self) -> Now {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap();
        Now { mono: Mono(passed), unix: Unix(1_767_225_600_000 + passed), trusted: true }
    }

    fn record(&self, event: Event) {
        self.events.send_modify(|events| events.push(event));
    }
}
