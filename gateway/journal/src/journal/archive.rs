//! The segments of the journal, as the writer and the reader share them.
//!
//! The writer's segment is open always. Closed ones are opened when a query needs them, two at a time. A block whose
//! number lies in the next segment's range is the rest of a commit that failed and was repeated there; it does not count.
//!
//! Three locks, taken in this order: `open` for as long as a closed segment is being opened or deleted, `saving` while the
//! catalogue is written, `inner` for moments only, so that a slow disk on one side never holds the other up.

use super::block::{Hash, Header};
use super::catalog::{Anchor, Catalog, Hex, Summary, path_of};
use crate::database::{Database, Direction};
use crate::error::StoreError;
use crate::files;
use crate::host::{Host, Trouble};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many closed segments are open at the same time; each takes tens of MiB at its worst.
const OPEN: usize = 2;

/// The segments of one journal.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) root: PathBuf,
    host: Host,
    open: Mutex<Vec<(u64, Arc<Database>)>>,
    saving: Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    catalog: Catalog,
    /// What each closed segment takes on disk.
    bytes: BTreeMap<u64, u64>,
    active: Option<Active>,
    /// The last durable block.
    head: Option<(u64, Hash)>,
}

#[derive(Debug, Clone)]
struct Active {
    first_seq: u64,
    db: Arc<Database>,
    summary: Option<Summary>,
    /// Whether the summary covers the segment from its beginning; one continued after a restart was not read whole.
    whole: bool,
    bytes: u64,
}

/// A segment as a reader sees it.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) first_seq: u64,
    /// Where the next segment begins.
    pub(super) end: u64,
    pub(super) summary: Option<Summary>,
}

/// What the whole journal holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Extent {
    pub(super) segments: usize,
    pub(super) bytes: u64,
    pub(super) first_seq: Option<u64>,
    pub(super) head: Option<(u64, Hash)>,
}

// === impl Archive ===

impl Archive {
    pub(super) fn new(root: PathBuf, host: Host) -> Self {
        Self { root, host, open: Mutex::default(), saving: Mutex::default(), inner: Mutex::default() }
    }

    /// Takes over what was found on disk.
    pub(super) fn load(&self, catalog: Catalog) {
        let sizes = catalog.segments.keys().map(|seq| (*seq, files::bytes_on_disk(&path_of(&self.root, *seq))));
        let bytes = sizes.collect();
        *lock(&self.inner) = Inner { catalog, bytes, ..Inner::default() };
    }

    /// Makes `db` the segment that is written. `last` is its last block, if it has one already.
    pub(super) fn begin(&self, first_seq: u64, db: Arc<Database>, last: Option<&Header>) {
        let bytes = files::bytes_on_disk(db.path());
        let (summary, whole) = (last.map(Summary::of), last.is_none());
        lock(&self.inner).active = Some(Active { first_seq, db, summary, whole, bytes });
    }

    /// Notes the blocks that a commit has made durable.
    pub(super) fn committed(&self, headers: &[Header]) {
        let mut inner = lock(&self.inner);
        for header in headers {
            inner.head = Some((header.end() - 1, header.hash));
            if let Some(active) = &mut inner.active {
                let before = active.summary.take();
                active.summary = Some(before.map_or_else(|| Summary::of(header), |summary| summary.and(header)));
            }
        }
    }

    pub(super) fn set_head(&self, head: Option<(u64, Hash)>) {
        lock(&self.inner).head = head;
    }

    /// Looks again at what the written segment takes on disk, in bytes.
    pub(super) fn measure(&self) -> u64 {
        let Some(path) = lock(&self.inner).active.as_ref().map(|active| active.db.path().to_owned()) else {
            return 0;
        };
        let bytes = files::bytes_on_disk(&path);
        if let Some(active) = &mut lock(&self.inner).active {
            active.bytes = bytes;
        }
        bytes
    }

    /// Closes the written segment and notes what is in it. One that holds nothing is deleted.
    pub(super) fn close_active(&self) -> Result<(), StoreError> {
        let Some(active) = lock(&self.inner).active.clone() else {
            return Ok(());
        };
        let summary = match &active.summary {
            None => {
                lock(&self.inner).active = None;
                drop(active.db);
                return files::delete_dir(&path_of(&self.root, active.first_seq));
            }
            Some(_) if active.whole => active.summary,
            // What a failed commit left beyond the last durable block does not count.
            Some(known) => summarize(&active.db, known.last_seq + 1).unwrap_or(None),
        };
        let mut inner = lock(&self.inner);
        inner.bytes.insert(active.first_seq, active.bytes);
        inner.catalog.segments.insert(active.first_seq, summary);
        inner.active = None;
        drop(inner);
        self.save()
    }

    /// Deletes the oldest closed segments until all of them take at most `limit` bytes.
    pub(super) fn shrink(&self, limit: u64) -> Result<(), StoreError> {
        let mut open = lock(&self.open);
        loop {
            let inner = lock(&self.inner);
            let oldest = inner.catalog.segments.iter().next().map(|(seq, summary)| (*seq, summary.clone()));
            let Some((oldest, summary)) = oldest.filter(|_| inner.total() > limit) else {
                return Ok(());
            };
            let end = inner.end_of(oldest);
            drop(inner);
            let summary = match summary {
                Some(summary) => Some(summary),
                // Without the catalogue only the segment knows where the cut will be.
                None => self.opened(&mut open, oldest).and_then(|db| summarize(&db, end)).unwrap_or(None),
            };
            open.retain(|(seq, _)| *seq != oldest);
            let mut inner = lock(&self.inner);
            inner.catalog.segments.remove(&oldest);
            inner.bytes.remove(&oldest);
            inner.catalog.anchor = summary.map(|summary| Anchor { seq: summary.last_seq, hash: summary.last_hash });
            drop(inner);
            self.save()?;
            files::delete_dir(&path_of(&self.root, oldest))?;
            tracing::info!(first_seq = oldest, "The oldest journal segment was deleted to stay within the limit.");
        }
    }

    /// Closes what was opened for reading.
    pub(super) fn close_readers(&self) {
        lock(&self.open).clear();
    }

    /// Closes every database.
    pub(super) fn close(&self) {
        self.close_readers();
        let active = lock(&self.inner).active.take();
        drop(active);
    }

    /// All segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let inner = lock(&self.inner);
        let closed = inner.catalog.segments.iter().map(|(seq, summary)| (*seq, summary.clone()));
        let active = inner.active.as_ref();
        let active = active.map(|active| (active.first_seq, active.summary.clone().filter(|_| active.whole)));
        let all: Vec<_> = closed.chain(active).collect();
        all.into_iter()
            .map(|(first_seq, summary)| Segment { first_seq, end: inner.end_of(first_seq), summary })
            .collect()
    }

    /// The database of a segment; `None` if it has been deleted or set aside meanwhile.
    pub(super) fn database(&self, first_seq: u64) -> Result<Option<Arc<Database>>, StoreError> {
        let mut open = lock(&self.open);
        let inner = lock(&self.inner);
        if let Some(active) = inner.active.as_ref().filter(|active| active.first_seq == first_seq) {
            return Ok(Some(Arc::clone(&active.db)));
        }
        if !inner.catalog.segments.contains_key(&first_seq) {
            return Ok(None);
        }
        drop(inner);
        match self.opened(&mut open, first_seq) {
            Ok(db) => Ok(Some(db)),
            Err(StoreError::Damaged { what, .. }) => {
                self.give_up(first_seq, what)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn anchor(&self) -> Option<Anchor> {
        lock(&self.inner).catalog.anchor.clone()
    }

    pub(super) fn extent(&self) -> Extent {
        let inner = lock(&self.inner);
        let active = inner.active.as_ref();
        let with_events = active.filter(|active| active.summary.is_some()).map(|active| active.first_seq);
        Extent {
            segments: inner.catalog.segments.len() + usize::from(active.is_some()),
            bytes: inner.total(),
            first_seq: inner.catalog.segments.keys().next().copied().or(with_events),
            head: inner.head,
        }
    }

    fn opened(&self, open: &mut Vec<(u64, Arc<Database>)>, first_seq: u64) -> Result<Arc<Database>, StoreError> {
        if let Some(at) = open.iter().position(|(seq, _)| *seq == first_seq) {
            let found = open.remove(at);
            open.push(found);
        } else {
            let surplus = (open.len() + 1).saturating_sub(OPEN);
            open.drain(..surplus);
            let path = path_of(&self.root, first_seq);
            if !path.is_dir() {
                return Err(StoreError::Damaged { path, what: "the segment is gone".to_owned() });
            }
            open.push((first_seq, Arc::new(Database::open(&path)?)));
            // sled writes to a database that it opens.
            let bytes = files::bytes_on_disk(&path);
            lock(&self.inner).bytes.entry(first_seq).and_modify(|known| *known = bytes);
        }
        open.last().map(|(_, db)| Arc::clone(db)).ok_or(StoreError::Closed)
    }

    /// Sets a damaged closed segment aside. The catalogue leaves it out, so that `verify` finds the gap.
    fn give_up(&self, first_seq: u64, why: String) -> Result<(), StoreError> {
        let mut inner = lock(&self.inner);
        inner.catalog.segments.remove(&first_seq);
        inner.bytes.remove(&first_seq);
        drop(inner);
        let path = path_of(&self.root, first_seq);
        let path = if path.exists() { files::set_aside(&path, self.host.now().unix)? } else { path };
        self.save()?;
        self.host.tell(Trouble::SetAside { store: super::NAME, path, why });
        Ok(())
    }

    fn save(&self) -> Result<(), StoreError> {
        let _saving = lock(&self.saving);
        let catalog = lock(&self.inner).catalog.clone();
        catalog.save(&self.root)
    }
}

// === impl Inner ===

impl Inner {
    fn total(&self) -> u64 {
        self.bytes.values().sum::<u64>() + self.active.as_ref().map_or(0, |active| active.bytes)
    }

    fn end_of(&self, first_seq: u64) -> u64 {
        let later = first_seq.saturating_add(1);
        let closed = self.catalog.segments.range(later..).next().map(|(seq, _)| *seq);
        let active = self.active.as_ref().map(|active| active.first_seq).filter(|seq| *seq > first_seq);
        closed.into_iter().chain(active).min().unwrap_or(u64::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the headers of a whole segment up to `end`; `None` if it holds no block. An unreadable block is left out.
pub(super) fn summarize(db: &Database, end: u64) -> Result<Option<Summary>, StoreError> {
    let mut summary: Option<Summary> = None;
    db.scan(&[0; 8], &end.to_be_bytes(), Direction::Forward, &mut |_, stored| {
        if let Ok(header) = Header::read(&stored) {
            let before = summary.take();
            summary = Some(before.map_or_else(|| Summary::of(&header), |summary| summary.and(&header)));
        }
        ControlFlow::Continue(())
    })?;
    Ok(summary)
}

/// A hash for people.
pub(super) fn hex(hash: Hash) -> String {
    Hex(hash).into()
}
