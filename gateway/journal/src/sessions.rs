//! What MQTT sessions must not forget: a database of its own, because its records come and go like those of a queue.
//!
//! Keys and values are the caller's. A commit is durable when the call returns. The directory is replaced by a fresh
//! one that holds what lives when it has grown to several times that, at start and while running, so churn never fills
//! the disk and never slows the state store down. A damaged database is set aside and a fresh one begun.

use crate::database::{Record, Write};
use crate::error::StoreError;
use crate::host::{Host, OpenReport};
use crate::store::Store;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

const NAME: &str = "sessions";

/// The store of sessions and retained messages. Its calls block on the disk.
#[derive(Debug)]
pub struct Sessions {
    store: Mutex<Option<Store>>,
}

// === impl Sessions ===

impl Sessions {
    /// Opens or begins the store in `directory`.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, the disk is full, or another process has it open. Damage is no error: it is set
    /// aside and reported.
    pub fn open(directory: &Path, host: &Host) -> Result<(Self, OpenReport), StoreError> {
        let (store, troubles) = Store::open(NAME, directory, host)?;
        Ok((Self { store: Mutex::new(Some(store)) }, OpenReport { troubles }))
    }

    /// Every record, in the order of keys. The directory is compacted first if it has grown out of proportion.
    ///
    /// # Errors
    ///
    /// The disk failed or the database is damaged.
    pub fn load(&self) -> Result<Vec<Record>, StoreError> {
        let mut held = self.held();
        let store = held.as_mut().ok_or(StoreError::Closed)?;
        let (mut records, mut live) = (Vec::new(), 0);
        store.each(&mut |key, value| {
            live += (key.len() + value.len()) as u64;
            records.push((key.to_vec(), value));
        })?;
        store.fit(live);
        Ok(records)
    }

    /// Makes all of the changes or none of them, in order; durable on return. `None` removes. No key may be longer than
    /// 300 bytes or begin with a zero byte.
    ///
    /// # Errors
    ///
    /// The changes may or may not be on disk; repeat them.
    pub fn commit(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let mut held = self.held();
        let store = held.as_mut().ok_or(StoreError::Closed)?;
        let write = |(key, value)| match value {
            Some(value) => Write::Put(key, value),
            None => Write::Remove(key),
        };
        store.apply(changes.into_iter().map(write).collect())?;
        store.flush()
    }

    /// Removes every record: what is there is older than what the caller knows.
    ///
    /// # Errors
    ///
    /// As [`Sessions::commit`].
    pub fn clear(&self) -> Result<(), StoreError> {
        let all = self.load()?;
        self.commit(all.into_iter().map(|(key, _)| (key, None)).collect())
    }

    /// Closes the database; calls after this get [`StoreError::Closed`].
    pub fn close(&self) {
        self.held().take();
    }

    fn held(&self) -> MutexGuard<'_, Option<Store>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use cordon_core::time::Now;
    use std::sync::Arc;

    fn open(root: &Path) -> Sessions {
        let (sessions, report) = Sessions::open(root, &Host::new(Arc::new(|| Now::for_test(0)), "boot")).unwrap();
        assert_eq!(report.troubles, []);
        sessions
    }

    fn put(key: u32, size: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        ([&b"m"[..], &key.to_be_bytes()].concat(), Some(vec![7; size]))
    }

    #[test]
    fn what_was_committed_is_there_after_the_store_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open(dir.path());
        sessions.commit(vec![put(1, 10), put(2, 70_000), put(3, 0)]).unwrap();
        sessions.commit(vec![(put(1, 0).0, None)]).unwrap();
        sessions.close();
        assert_eq!(sessions.commit(vec![put(4, 1)]), Err(StoreError::Closed));

        let sessions = open(dir.path());
        let kept: Vec<_> = sessions.load().unwrap().into_iter().map(|(key, value)| (key, Some(value))).collect();
        assert_eq!(kept, [put(2, 70_000), put(3, 0)]);
        sessions.clear().unwrap();
        assert_eq!(sessions.load().unwrap(), []);
    }

    #[test]
    fn a_queue_that_fills_and_drains_for_long_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open(dir.path());
        for round in 0..60_u32 {
            let filled = (0..500).map(|key| put(round * 500 + key, 4000)).collect();
            sessions.commit(filled).unwrap();
            let drained = (0..500).map(|key| (put(round * 500 + key, 0).0, None)).collect();
            sessions.commit(drained).unwrap();
        }
        // 120 MB went through; what lives is nothing.
        let taken = crate::files::bytes_on_disk(dir.path());
        assert!(taken < 64 * 1024 * 1024, "{taken} bytes are left on disk");
        assert_eq!(sessions.load().unwrap(), []);
    }

    #[test]
    fn a_directory_out_of_proportion_is_compacted_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = open(dir.path());
        let filled: Vec<_> = (0..7000).map(|key| put(key, 4000)).collect();
        let drained = filled.iter().skip(1).map(|(key, _)| (key.clone(), None)).collect();
        {
            let mut held = sessions.held();
            held.as_mut().unwrap().never_compact();
        }
        sessions.commit(filled).unwrap();
        sessions.commit(drained).unwrap();
        sessions.close();
        let before = crate::files::bytes_on_disk(dir.path());
        let sessions = open(dir.path());
        assert_eq!(sessions.load().unwrap().len(), 1);
        let after = crate::files::bytes_on_disk(dir.path());
        assert!(after < before / 4, "{before} bytes became {after}");
    }
}
