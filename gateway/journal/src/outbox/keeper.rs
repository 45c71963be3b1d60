//! What the outbox's thread owns: the database, and the index that says what is in it.

use super::index::{Held, Index};
use super::{Entry, OutboxLimits, OutboxStatus, Pushed};
use crate::database::Write;
use crate::error::StoreError;
use crate::host::{Host, Trouble};
use crate::store::Store;
use crate::worker::Service;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Entries and the last id used, by the first byte of their keys.
const ENTRY: u8 = 1;
const LAST: &[u8] = &[2, 0];
/// The most that one look returns, in bytes.
const PEEK_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Keeper {
    store: Store,
    limits: OutboxLimits,
    index: Index,
    newest: watch::Sender<u64>,
    last: u64,
    status: Arc<Mutex<OutboxStatus>>,
}

// === impl Keeper ===

impl Service for Keeper {
    fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()?;
        // Only what is durable is shown to whoever waits for entries.
        self.newest.send_if_modified(|newest| std::mem::replace(newest, self.last) != self.last);
        Ok(())
    }
}

impl Keeper {
    pub(super) fn open(
        name: &'static str,
        directory: &Path,
        limits: OutboxLimits,
        host: &Host,
        status: Arc<Mutex<OutboxStatus>>,
    ) -> Result<(Self, watch::Receiver<u64>, Vec<Trouble>), StoreError> {
        let (mut store, troubles) = Store::open(name, directory, host)?;
        let (mut index, mut last) = (Index::default(), 0);
        store.each(&mut |key, value| {
            if key == LAST {
                last = value.try_into().map_or(0, u64::from_be_bytes);
            } else if let Some(entry) = id_of(key).and_then(|id| decode(id, &value)) {
                index.insert(entry.id, held(entry.priority, &entry.topic, &entry.payload));
            }
        })?;
        if !troubles.is_empty() {
            // Ids of entries that were lost may be in flight: their acknowledgements must not hit new entries.
            last = last.max(host.now().unix.0);
        }
        let (newest, newest_seen) = watch::channel(last);
        let keeper = Self { store, limits, index, newest, last, status };
        keeper.tell(|status| status.limit_bytes = limits.bytes);
        Ok((keeper, newest_seen, troubles))
    }

    pub(super) fn push(&mut self, priority: u8, topic: &str, payload: &[u8]) -> Result<Pushed, StoreError> {
        let new = held(priority, topic, payload);
        let Some(go) = self.index.make_room(new, self.limits) else {
            self.tell(|status| *status.dropped.entry(priority).or_default() += 1);
            return Err(StoreError::OverLimit { limit: self.limits.bytes });
        };
        let id = self.last + 1;
        let mut writes: Vec<Write> = go.iter().map(|(id, _)| Write::Remove(key_of(*id))).collect();
        writes.push(Write::Put(key_of(id), encode(priority, topic, payload)));
        writes.push(Write::Put(LAST.to_vec(), id.to_be_bytes().to_vec()));
        self.store.apply(writes)?;
        for (id, _) in &go {
            self.index.remove(*id);
        }
        self.index.insert(id, new);
        self.last = id;
        self.tell(|status| {
            for (_, held) in &go {
                *status.dropped.entry(held.priority).or_default() += 1;
            }
        });
        Ok(Pushed { id, dropped: go.len() })
    }

    pub(super) fn peek(&mut self, after: u64, most: usize) -> Result<Vec<Entry>, StoreError> {
        let mut bytes = 0;
        let fits = |(_, size): &(u64, u64)| {
            let first = bytes == 0;
            bytes += size;
            first || bytes <= PEEK_BYTES
        };
        let ids: Vec<u64> = self.index.beyond(after).take(most).take_while(fits).map(|(id, _)| id).collect();
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let stored = self.store.db()?.get(&key_of(id))?;
            match stored.and_then(|stored| decode(id, &stored)) {
                Some(entry) => entries.push(entry),
                // A failed write took it away after it was indexed.
                None => drop(self.index.remove(id)),
            }
        }
        Ok(entries)
    }

    pub(super) fn ack(&mut self, id: u64) -> Result<(), StoreError> {
        if self.remove(id)? {
            self.tell(|status| status.acked += 1);
        }
        Ok(())
    }

    pub(super) fn discard(&mut self, id: u64) -> Result<(), StoreError> {
        if self.remove(id)? {
            self.tell(|status| status.discarded += 1);
        }
        Ok(())
    }

    fn remove(&mut self, id: u64) -> Result<bool, StoreError> {
        // Applied even if the index does not have it: a remove that failed to become durable is repeated this way.
        self.store.apply(vec![Write::Remove(key_of(id))])?;
        Ok(self.index.remove(id).is_some())
    }

    fn tell(&self, change: impl FnOnce(&mut OutboxStatus)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut status);
        status.entries = self.index.len();
        status.bytes = self.index.bytes();
        status.newest = self.last;
    }
}

fn held(priority: u8, topic: &str, payload: &[u8]) -> Held {
    Held { priority, bytes: u64::try_from(topic.len() + payload.len()).unwrap_or(u64::MAX) }
}

fn key_of(id: u64) -> Vec<u8> {
    let mut key = vec![ENTRY];
    key.extend_from_slice(&id.to_be_bytes());
    key
}

fn id_of(key: &[u8]) -> Option<u64> {
    let (kind, id) = key.split_first()?;
    (*kind == ENTRY).then(|| id.try_into().ok().map(u64::from_be_bytes)).flatten()
}

/// The stored form: priority, length of the topic, topic, payload.
fn encode(priority: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(5 + topic.len() + payload.len());
    stored.push(priority);
    stored.extend_from_slice(&u32::try_from(topic.len()).unwrap_or(u32::MAX).to_be_bytes());
    stored.extend_from_slice(topic.as_bytes());
    stored.extend_from_slice(payload);
    stored
}

fn decode(id: u64, stored: &[u8]) -> Option<Entry> {
    let (priority, rest) = stored.split_first()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (topic, payload) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    let topic = String::from_utf8(topic.to_vec()).ok()?;
    Some(Entry { id, priority: *priority, topic, payload: payload.to_vec() })
}
