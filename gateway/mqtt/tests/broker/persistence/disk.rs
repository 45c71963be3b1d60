//! A store in memory that can be slow, fail, and be looked at.

use crate::support::{Bench, Client, Hello, LASTING, listener, order, packet};
use cordon_core::isolation::Level;
use cordon_mqtt::{Acknowledge, Change, Limits, ListenerConfig, Store, StoreFailed, StoredRecord};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The disk.
#[derive(Default)]
pub(super) struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: Records,
    stuck: bool,
    failing: bool,
    commits: usize,
}

impl Disk {
    pub(super) fn holding(records: Records) -> Arc<Self> {
        let state = State { records, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The state, once no commit has to stay.
    fn unstuck(&self) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.state(), |state| state.stuck).unwrap()
    }

    /// What a crash at this moment would leave.
    pub(super) fn crash(&self) -> Records {
        self.state().records.clone()
    }

    /// Lets no commit return, or all.
    pub(super) fn stick(&self, stuck: bool) {
        self.state().stuck = stuck;
        self.changed.notify_all();
    }

    pub(super) fn fail(&self, failing: bool) {
        self.state().failing = failing;
        self.changed.notify_all();
    }

    /// Waits until what is on disk is as wanted.
    pub(super) fn until(&self, wanted: impl Fn(&Records) -> bool) {
        let state = self.state();
        let patience = std::time::Duration::from_secs(10);
        let (_state, late) = self.changed.wait_timeout_while(state, patience, |state| !wanted(&state.records)).unwrap();
        assert!(!late.timed_out(), "the disk never held what it should");
    }

    /// How many records of a kind are on disk: `s`essions, `m`essages, `w`ills, `u`nreleased identifiers, `r`etained ones.
    pub(super) fn count(&self, kind: u8) -> usize {
        count(&self.crash(), kind)
    }
}

pub(super) fn count(records: &Records, kind: u8) -> usize {
    records.keys().filter(|key| key[0] == kind).count()
}

impl Store for Disk {
    fn load(&self) -> Result<Vec<StoredRecord>, StoreFailed> {
        let state = self.state();
        if state.failing {
            return Err(StoreFailed("the disk is broken".into()));
        }
        Ok(state.records.clone().into_iter().collect())
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreFailed> {
        let mut state = self.unstuck();
        if state.failing {
            return Err(StoreFailed("the disk is full".into()));
        }
        for change in changes {
            match change {
                Change::Put { key, value } => state.records.insert(key, value),
                Change::Remove { key } => state.records.remove(&key),
            };
        }
        state.commits += 1;
        self.changed.notify_all();
        Ok(())
    }
}

/// A broker over a disk.
pub(super) async fn over(disk: &Arc<Disk>) -> Bench {
    with(disk, Limits::default(), Acknowledge::Disk).await
}

pub(super) async fn with(disk: &Arc<Disk>, limits: Limits, acknowledge: Acknowledge) -> Bench {
    let listener = ListenerConfig { acknowledge, ..listener(None) };
    Bench::over(limits, listener, Some(disk.clone()), Vec::new()).await
}

/// A new broker over what a disk holds now, while the old one may still run; with an order in force from the beginning.
pub(super) async fn restarted(disk: &Disk, cut: Option<&str>) -> (Bench, Arc<Disk>) {
    let disk = Disk::holding(disk.crash());
    let orders = cut.map(|thing| order(thing, Level::Quarantine, &[])).into_iter().collect();
    let bench = Bench::over(Limits::default(), listener(None), Some(disk.clone()), orders).await;
    (bench, disk)
}

/// A client whose session lasts.
pub(super) fn lasting(id: &str) -> Hello<'_> {
    Hello { id, properties: LASTING, clean: false, ..Hello::default() }
}

/// Has a lasting client subscribe to `t/#` at QoS 2 and go.
pub(super) fn subscribe_and_go(bench: &Bench, id: &str) {
    let mut client = bench.client_with(&lasting(id));
    client.subscribe("t/#", 2);
    go(client);
}

/// Says goodbye and waits until the session is without a client.
pub(super) fn go(mut client: Client) {
    client.send(&[0xE0, 0]);
    assert_eq!(client.try_next(), None);
}

pub(super) fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &[&id.to_be_bytes()])
}

/// The messages that come next, acknowledged as they come: whether marked as a repeat, and the payload.
pub(super) fn receive(client: &mut Client, count: usize) -> Vec<(bool, String)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let packet = client.next();
        if packet.kind() == 6 {
            client.send(&ack(0x70, u16::from_be_bytes([packet.body[0], packet.body[1]])));
            continue;
        }
        let (_, id, payload) = packet.message(true);
        seen.push((packet.first & 8 != 0, String::from_utf8(payload).unwrap()));
        match packet.first >> 1 & 3 {
            1 => client.send(&ack(0x40, id.unwrap())),
            2 => client.send(&ack(0x50, id.unwrap())),
            _ => {}
        }
    }
    seen
}
