//! The end of the journal that grows: numbering, chaining, rotation. Owned by the writer's thread.
//!
//! A commit is one or more blocks in one database batch, one flush, then the mark `head`. After a failed commit the
//! database cannot be trusted any more, so the same events go into a new segment that begins at the same number; what the
//! failed commit may have left in the old one lies beyond that segment's end and does not count.

use super::archive::Archive;
use super::block::{self, Context, Hash, Header};
use super::catalog::{Catalog, path_of, segments_in};
use super::{JournalOptions, NAME};
use crate::database::{Database, Direction, Write};
use crate::error::StoreError;
use crate::files;
use crate::host::Trouble;
use crate::mark::{Mark, Reached};
use cordon_core::event::Event;
use cordon_core::time::Now;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many numbers are left out when nothing tells how far a damaged segment had come.
const UNKNOWN_GAP: u64 = 10_000_000;
/// A segment is closed after this many events, which keeps [`UNKNOWN_GAP`] safe.
const MAX_SEGMENT_EVENTS: u64 = 4_000_000;
/// How much is written between two looks at what the segment takes on disk, in bytes.
const LOOK_BYTES: u64 = 1024 * 1024;
const HEAD: &str = "head";

/// The growing end.
#[derive(Debug)]
pub(super) struct Log {
    archive: Arc<Archive>,
    options: JournalOptions,
    head: Mark,
    next_seq: u64,
    previous: Hash,
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    first_seq: u64,
    db: Arc<Database>,
    begun: Now,
    boot_id: Arc<str>,
    unseen: u64,
    bytes: u64,
}

/// Where the next block goes.
struct Tail {
    next_seq: u64,
    previous: Hash,
    /// The newest segment, if it can be continued.
    open: Option<Newest>,
}

struct Newest {
    first_seq: u64,
    db: Arc<Database>,
    first: Option<Header>,
    last: Option<Header>,
}

// === impl Log ===

impl Log {
    /// Opens or begins the journal. Only the newest segment is opened, whatever the journal's size.
    pub(super) fn open(archive: Arc<Archive>, options: JournalOptions) -> Result<(Self, Vec<Trouble>), StoreError> {
        let root = &archive.root;
        files::create_private_dir(root)?;
        files::tidy(root);
        let (head, reached) = Mark::open(&root.join(HEAD))?;
        let mut troubles = Vec::new();
        let (mut catalog, found) = (Catalog::load(root)?.unwrap_or_default(), segments_in(root)?);
        for missing in catalog.segments.keys().filter(|seq| !found.contains(seq)) {
            let what = format!("the segment that begins at {missing} is gone");
            troubles.push(Trouble::Lost { store: NAME, what });
        }
        let newest = found.last().copied();
        let known = std::mem::take(&mut catalog.segments);
        catalog.segments = found.into_iter().map(|seq| (seq, known.get(&seq).cloned().flatten())).collect();
        if let Some(newest) = newest {
            catalog.segments.remove(&newest);
        }
        let before = catalog.segments.values().next_back().cloned().flatten();
        let before = before.map(|summary| Reached { number: summary.last_seq, hash: summary.last_hash.0 });
        archive.load(catalog);

        let tail = tail(&archive, newest, reached, before, &options, &mut troubles)?;
        let mut log = Self {
            archive: Arc::clone(&archive),
            options,
            head,
            next_seq: tail.next_seq,
            previous: tail.previous,
            active: None,
        };
        if log.next_seq > 1 {
            archive.set_head(Some((log.next_seq - 1, log.previous)));
        }
        match tail.open {
            Some(newest) => log.resume(newest),
            None => log.begin()?,
        }
        archive.shrink(log.options.total_bytes)?;
        Ok((log, troubles))
    }

    /// Writes `events` and makes them durable. The number of the first; the others follow.
    ///
    /// After an error nothing of it counts, and the same call may be repeated.
    pub(super) fn append(&mut self, events: &[Arc<Event>]) -> Result<u64, StoreError> {
        self.rotate_if_due()?;
        if self.active.is_none() {
            self.begin()?;
        }
        let first = self.next_seq;
        match self.commit(events) {
            Ok(()) => Ok(first),
            Err(error) => {
                self.active = None;
                Err(error)
            }
        }
    }

    fn commit(&mut self, events: &[Arc<Event>]) -> Result<(), StoreError> {
        let Some(active) = &mut self.active else {
            return Err(StoreError::Closed);
        };
        let mut context = Context {
            first_seq: self.next_seq,
            previous: self.previous,
            written: self.options.host.now(),
            boot_id: Arc::clone(&self.options.host.boot_id),
        };
        let (mut rest, mut writes, mut headers, mut bytes) = (events, Vec::new(), Vec::new(), 0);
        while !rest.is_empty() {
            let Some((taken, header, stored)) = block::build(&context, rest) else {
                let what = "an event could not be encoded".to_owned();
                return Err(StoreError::Format { key: context.first_seq.to_string(), what });
            };
            rest = rest.get(taken..).unwrap_or_default();
            context.first_seq = header.end();
            context.previous = header.hash;
            bytes += stored.len() as u64;
            writes.push(Write::Put(header.first_seq.to_be_bytes().to_vec(), stored));
            headers.push(header);
        }
        active.db.apply(&writes)?;
        active.db.flush()?;
        (self.next_seq, self.previous) = (context.first_seq, context.previous);
        active.unseen += bytes;
        self.archive.committed(&headers);
        if let Err(error) = self.head.write(Reached { number: self.next_seq - 1, hash: self.previous }) {
            tracing::warn!(%error, "The journal's mark could not be written.");
        }
        Ok(())
    }

    fn rotate_if_due(&mut self) -> Result<(), StoreError> {
        let now = self.options.host.now();
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        if active.unseen >= LOOK_BYTES.min(self.options.segment_bytes / 4) {
            active.unseen = 0;
            active.bytes = self.archive.measure();
        }
        let events = self.next_seq - active.first_seq;
        let full = active.bytes >= self.options.segment_bytes || events >= MAX_SEGMENT_EVENTS;
        let old = age(active.begun, &active.boot_id, now, &self.options.host.boot_id) >= self.options.segment_age;
        if events > 0 && (full || old) {
            self.active = None;
            self.begin()?;
            self.archive.shrink(self.options.total_bytes)?;
        }
        Ok(())
    }

    /// Closes the segment before and begins one at the next number.
    fn begin(&mut self) -> Result<(), StoreError> {
        self.archive.close_active()?;
        let path = path_of(&self.archive.root, self.next_seq);
        if path.exists() {
            // Only a commit that failed can have left something at a number that is still free.
            files::delete_dir(&path)?;
        }
        let db = Arc::new(Database::open(&path)?);
        self.archive.begin(self.next_seq, Arc::clone(&db), None);
        let (begun, boot_id) = (self.options.host.now(), Arc::clone(&self.options.host.boot_id));
        self.active = Some(Active { first_seq: self.next_seq, db, begun, boot_id, unseen: 0, bytes: 0 });
        Ok(())
    }

    fn resume(&mut self, newest: Newest) {
        let Newest { first_seq, db, first, last } = newest;
        let host = &self.options.host;
        let begun = first.map(|header| (header.written, header.boot_id));
        let (begun, boot_id) = begun.unwrap_or_else(|| (host.now(), Arc::clone(&host.boot_id)));
        self.archive.begin(first_seq, Arc::clone(&db), last.as_ref());
        let bytes = self.archive.measure();
        self.active = Some(Active { first_seq, db, begun, boot_id, unseen: 0, bytes });
    }
}

/// Finds the end of the journal. What is damaged there is set aside; numbers that may have been used are left out.
fn tail(
    archive: &Archive,
    newest: Option<u64>,
    reached: Option<Reached>,
    before: Option<Reached>,
    options: &JournalOptions,
    troubles: &mut Vec<Trouble>,
) -> Result<Tail, StoreError> {
    let after = |reached: Reached| Tail { next_seq: reached.number + 1, previous: reached.hash, open: None };
    let Some(first_seq) = newest else {
        let Some(reached) = reached.filter(|reached| reached.number > 0) else {
            return Ok(Tail { next_seq: 1, previous: [0; 32], open: None });
        };
        troubles.push(Trouble::Lost { store: NAME, what: format!("the events up to {} are gone", reached.number) });
        return Ok(after(reached));
    };
    let path = path_of(&archive.root, first_seq);
    let newest = match newest_segment(&path, first_seq, reached) {
        Ok(newest) => newest,
        Err(StoreError::Damaged { what, .. }) => {
            let path = files::set_aside(&path, options.host.now().unix)?;
            troubles.push(Trouble::SetAside { store: NAME, path, why: what });
            let unknown = Tail { next_seq: first_seq.saturating_add(UNKNOWN_GAP), previous: [0; 32], open: None };
            return Ok(reached.filter(|reached| reached.number + 1 >= first_seq).map_or(unknown, after));
        }
        Err(error) => return Err(error),
    };
    // An empty segment continues what is before it.
    let end = newest.last.as_ref().map(|last| Reached { number: last.end() - 1, hash: last.hash });
    let end = end.or_else(|| before.filter(|before| before.number + 1 == first_seq));
    let stored = end.map_or(first_seq.saturating_sub(1), |end| end.number);
    if let Some(reached) = reached.filter(|reached| reached.number > stored) {
        let what = format!("the events {} to {} were acknowledged and are gone", stored + 1, reached.number);
        troubles.push(Trouble::Lost { store: NAME, what });
        archive.begin(first_seq, newest.db, newest.last.as_ref());
        return Ok(after(reached));
    }
    let end = end.or_else(|| reached.filter(|reached| reached.number == stored));
    Ok(Tail { next_seq: stored + 1, previous: end.map_or([0; 32], |end| end.hash), open: Some(newest) })
}

fn newest_segment(path: &Path, first_seq: u64, reached: Option<Reached>) -> Result<Newest, StoreError> {
    let db = Database::open(path)?;
    let (first, last) = ends(&db)?;
    // sled opens a file that was overwritten as if it were empty.
    if last.is_none() && reached.is_some_and(|reached| reached.number >= first_seq) {
        return Err(StoreError::Damaged { path: path.to_owned(), what: "its records are gone".to_owned() });
    }
    Ok(Newest { first_seq, db: Arc::new(db), first, last })
}

/// The first and the last block of a segment.
fn ends(db: &Database) -> Result<(Option<Header>, Option<Header>), StoreError> {
    let damaged = |error: block::BlockError| StoreError::Damaged {
        path: db.path().to_owned(),
        what: format!("a block at its end cannot be read: {error}"),
    };
    let mut first = None;
    db.scan(&[0; 8], &[u8::MAX; 8], Direction::Forward, &mut |_, stored| {
        first = Header::read(&stored).ok();
        ControlFlow::Break(())
    })?;
    let Some((_, stored)) = db.last(&[0; 8], &[u8::MAX; 8])? else {
        return Ok((first, None));
    };
    let last = Header::read(&stored).map_err(damaged)?;
    last.check(&stored).map_err(damaged)?;
    Ok((first, Some(last)))
}

/// How long ago `begun` was: by the monotonic clock within one boot, else by the wall clock.
fn age(begun: Now, boot_id: &str, now: Now, this_boot: &str) -> Duration {
    if boot_id == this_boot { now.mono.since(begun.mono) } else { now.unix.since(begun.unix) }
}
