//! The small precious state: isolation orders, shadows, registry changes, alarms, findings.
//!
//! A record belongs to a [`Bucket`] and has a text key. A change is durable when the call returns; changes that arrive
//! together share one flush. After a failed write the database is opened again, so a disk that was full works again as
//! soon as there is room. A damaged database is set aside and the state begins empty, which [`OpenReport`] tells.

use crate::database::{Direction, MAX_KEY_BYTES, Write};
use crate::error::StoreError;
use crate::host::{Host, OpenReport};
use crate::store::Store;
use crate::worker::{Service, Worker};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "state";
/// Keys longer than this are stored under their hash; sled keeps keys in its pages.
const INLINE_KEY_BYTES: usize = MAX_KEY_BYTES - 2;
const INLINE: u8 = 0;
const HASHED: u8 = 1;

/// What a record is about. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Bucket {
    /// Isolation orders, by id.
    Orders = 1,
    /// Shadow documents, by thing and shadow name.
    Shadows = 2,
    /// Changes to things and groups, by name.
    Registry = 3,
    /// Alarms, by id.
    Alarms = 4,
    /// Compliance findings, by id.
    Findings = 5,
    /// Anything else that is kept once.
    Meta = 8,
}

/// One change of an atomic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes a record, whether or not it exists.
    Put(Bucket, String, Vec<u8>),
    /// Removes a record; one that does not exist is as good as removed.
    Remove(Bucket, String),
}

/// The state store. Clones share one thread and one database.
#[derive(Debug, Clone)]
pub struct State {
    worker: Worker<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    store: Store,
}

// === impl State ===

impl State {
    /// Opens or begins the store in `directory`. Blocks for as long as the disk takes.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, the disk is full, or another process has it open. Damage is no error: it is set
    /// aside and reported.
    pub fn open(directory: &Path, host: &Host) -> Result<(Self, OpenReport), StoreError> {
        let (store, troubles) = Store::open(NAME, directory, host)?;
        let worker = Worker::spawn(NAME, Keeper { store })?;
        Ok((Self { worker }, OpenReport { troubles }))
    }

    /// Makes all of `changes` or none; durable on return.
    ///
    /// # Errors
    ///
    /// The changes may or may not be on disk; repeat them, or say what is not durable.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.worker.write(move |keeper| keeper.apply(changes)).await
    }

    /// [`State::apply`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`State::apply`].
    pub fn apply_blocking(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.worker.write_blocking(move |keeper| keeper.apply(changes))
    }

    /// Writes one record; durable on return.
    ///
    /// # Errors
    ///
    /// As [`State::apply`].
    pub async fn put(&self, bucket: Bucket, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        self.apply(vec![Change::Put(bucket, key.to_owned(), value)]).await
    }

    /// Writes one record as JSON; durable on return.
    ///
    /// # Errors
    ///
    /// As [`State::apply`]; or the value has no JSON form.
    pub async fn put_json<T: Serialize + Sync>(&self, bucket: Bucket, key: &str, value: &T) -> Result<(), StoreError> {
        self.put(bucket, key, to_json(key, value)?).await
    }

    /// [`State::put_json`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`State::put_json`].
    pub fn put_json_blocking<T: Serialize>(&self, bucket: Bucket, key: &str, value: &T) -> Result<(), StoreError> {
        self.apply_blocking(vec![Change::Put(bucket, key.to_owned(), to_json(key, value)?)])
    }

    /// Removes one record; durable on return.
    ///
    /// # Errors
    ///
    /// As [`State::apply`].
    pub async fn remove(&self, bucket: Bucket, key: &str) -> Result<(), StoreError> {
        self.apply(vec![Change::Remove(bucket, key.to_owned())]).await
    }

    /// Reads one record.
    ///
    /// # Errors
    ///
    /// The disk failed or the database is damaged.
    pub async fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.worker.read(move |keeper| keeper.get(bucket, &key)).await
    }

    /// [`State::get`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`State::get`].
    pub fn get_blocking(&self, bucket: Bucket, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.worker.read_blocking(move |keeper| keeper.get(bucket, &key))
    }

    /// Reads one JSON record.
    ///
    /// # Errors
    ///
    /// As [`State::get`]; or the record is not what this version writes.
    pub async fn get_json<T: DeserializeOwned>(&self, bucket: Bucket, key: &str) -> Result<Option<T>, StoreError> {
        self.get(bucket, key).await?.map(|value| from_json(key, &value)).transpose()
    }

    /// Reads a whole bucket, in the order of keys.
    ///
    /// # Errors
    ///
    /// As [`State::get`].
    pub async fn list(&self, bucket: Bucket) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.worker.read(move |keeper| keeper.list(bucket)).await
    }

    /// [`State::list`] for a thread that may block.
    ///
    /// # Errors
    ///
    /// As [`State::list`].
    pub fn list_blocking(&self, bucket: Bucket) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.worker.read_blocking(move |keeper| keeper.list(bucket))
    }

    /// Reads a whole bucket of JSON records, in the order of keys. For a thread that may block.
    ///
    /// A record that is not what this version writes is returned as the error that names it, so that one bad record does
    /// not hide the others.
    ///
    /// # Errors
    ///
    /// As [`State::get`].
    #[expect(clippy::type_complexity, reason = "a record and what is wrong with it, nothing more")]
    pub fn list_json_blocking<T: DeserializeOwned>(
        &self,
        bucket: Bucket,
    ) -> Result<Vec<(String, Result<T, StoreError>)>, StoreError> {
        let records = self.list_blocking(bucket)?;
        let parse = |(key, value): (String, Vec<u8>)| {
            let parsed = from_json(&key, &value);
            (key, parsed)
        };
        Ok(records.into_iter().map(parse).collect())
    }

    /// Finishes what is queued, closes the database and ends the thread; calls after this get [`StoreError::Closed`].
    ///
    /// # Errors
    ///
    /// It took longer than `deadline`.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), StoreError> {
        self.worker.shutdown(deadline).await
    }
}

// === impl Keeper ===

impl Service for Keeper {
    fn flush(&mut self) -> Result<(), StoreError> {
        self.store.flush()
    }
}

impl Keeper {
    fn apply(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let write = |change| match change {
            Change::Put(bucket, key, value) => Write::Put(place(bucket, &key), record(&key, &value)),
            Change::Remove(bucket, key) => Write::Remove(place(bucket, &key)),
        };
        self.store.apply(changes.into_iter().map(write).collect())
    }

    fn get(&mut self, bucket: Bucket, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.store.db()?.get(&place(bucket, key))?;
        Ok(stored.and_then(parse).map(|(_, value)| value))
    }

    fn list(&mut self, bucket: Bucket) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut found = Vec::new();
        let (from, to) = ([bucket as u8], [bucket as u8 + 1]);
        self.store.db()?.scan(&from, &to, Direction::Forward, &mut |_, stored| {
            found.extend(parse(stored));
            ControlFlow::Continue(())
        })?;
        found.sort();
        Ok(found)
    }
}

/// Where a record is in the database.
fn place(bucket: Bucket, key: &str) -> Vec<u8> {
    let (kind, name) = if key.len() <= INLINE_KEY_BYTES {
        (INLINE, key.as_bytes().to_vec())
    } else {
        (HASHED, blake3::hash(key.as_bytes()).as_bytes().to_vec())
    };
    let mut place = vec![bucket as u8, kind];
    place.extend(name);
    place
}

/// The stored form: the length of the key, the key, the value.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(4 + key.len() + value.len());
    stored.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    stored.extend_from_slice(key.as_bytes());
    stored.extend_from_slice(value);
    stored
}

fn parse(mut stored: Vec<u8>) -> Option<(String, Vec<u8>)> {
    let (len, _) = stored.split_first_chunk::<4>()?;
    let end = usize::try_from(u32::from_be_bytes(*len)).ok()?.checked_add(4)?;
    let key = String::from_utf8(stored.get(4..end)?.to_vec()).ok()?;
    let value = stored.split_off(end);
    Some((key, value))
}

fn to_json<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| format_error(key, &error))
}

fn from_json<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value).map_err(|error| format_error(key, &error))
}

fn format_error(key: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Format { key: key.chars().take(128).collect(), what: error.to_string() }
}
