//! The front door's store, on the sessions database.
//!
//! The gateway serves without it: when the database cannot be opened at start, it is tried again with every commit. What
//! it held is dropped then, because the front door has begun anew without it.

use cordon_journal::{Host, OpenReport, Sessions};
use cordon_mqtt::{Change, Store, StoreFailed, StoredRecord};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Sessions and retained messages on disk.
pub(crate) struct SessionStore {
    directory: PathBuf,
    host: Host,
    open: Mutex<State>,
}

enum State {
    Open(Box<Sessions>),
    /// It could not be read; what it holds is outdated.
    Outdated,
    Closed,
}

// === impl SessionStore ===

impl SessionStore {
    /// Opens the database in `directory`, if that is possible.
    pub(crate) fn open(directory: PathBuf, host: Host) -> (Self, OpenReport) {
        let (state, report) = match Sessions::open(&directory, &host) {
            Ok((sessions, report)) => (State::Open(Box::new(sessions)), report),
            Err(error) => {
                tracing::error!(%error, "The sessions cannot be opened; it is tried again while the gateway serves.");
                (State::Outdated, OpenReport::default())
            }
        };
        (Self { directory, host, open: Mutex::new(state) }, report)
    }

    /// Closes the database.
    pub(crate) fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(sessions) = std::mem::replace(&mut *open, State::Closed) {
            sessions.close();
        }
    }
}

impl Store for SessionStore {
    fn load(&self) -> Result<Vec<StoredRecord>, StoreFailed> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = match &*open {
            State::Open(sessions) => sessions.load().map_err(failed),
            State::Outdated => Err(StoreFailed(format!("{} cannot be opened", self.directory.display()))),
            State::Closed => Err(StoreFailed("the store is shut down".to_owned())),
        };
        if loaded.is_err() {
            *open = State::Outdated;
        }
        loaded
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreFailed> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*open, State::Outdated) {
            let (sessions, _) = Sessions::open(&self.directory, &self.host).map_err(failed)?;
            sessions.clear().map_err(failed)?;
            *open = State::Open(Box::new(sessions));
        }
        let State::Open(sessions) = &*open else { return Err(StoreFailed("the store is shut down".to_owned())) };
        let change = |change| match change {
            Change::Put { key, value } => (key, Some(value)),
            Change::Remove { key } => (key, None),
        };
        sessions.commit(changes.into_iter().map(change).collect()).map_err(failed)
    }
}

fn failed(error: cordon_journal::StoreError) -> StoreFailed {
    StoreFailed(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use crate::clock;
    use std::sync::Arc;

    fn open(directory: PathBuf) -> SessionStore {
        SessionStore::open(directory, Host::new(Arc::new(clock::now), "boot")).0
    }

    fn put(key: &str) -> Change {
        Change::Put { key: key.into(), value: vec![1] }
    }

    #[test]
    fn a_store_that_could_not_be_opened_begins_anew_as_soon_as_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let before = open(dir.path().join("sessions"));
        before.commit(vec![put("old")]).unwrap();
        before.close();
        let aside = dir.path().join("aside");
        std::fs::rename(dir.path().join("sessions"), &aside).unwrap();
        std::fs::write(dir.path().join("sessions"), "in the way").unwrap();

        let store = open(dir.path().join("sessions"));
        assert!(store.load().is_err() && store.commit(vec![put("new")]).is_err());
        std::fs::remove_file(dir.path().join("sessions")).unwrap();
        std::fs::rename(&aside, dir.path().join("sessions")).unwrap();
        store.commit(vec![put("new")]).unwrap();
        store.close();
        assert_eq!(open(dir.path().join("sessions")).load().unwrap(), [(b"new".to_vec(), vec![1])]);
    }
}
