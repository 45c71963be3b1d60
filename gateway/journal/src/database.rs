//! One sled database, bounded and guarded. Nothing else in Cordon names sled.
//!
//! - A panic inside sled is caught and becomes [`StoreError::Damaged`]. After any error the database must be dropped and
//!   opened again, because sled keeps its first I/O error for good.
//! - sled writes a leaf with up to 19 records at once, and moves one that is larger than 128 KiB to a file that it never
//!   syncs. Values are therefore stored in pieces of at most 4 KiB, which keeps every leaf in the log.
//! - On Linux sled's flush is `sync_file_range`: no metadata, no device cache. [`Database::flush`] adds `fdatasync`.

use crate::error::StoreError;
use crate::files;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The largest value, in bytes.
pub(crate) const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;
/// The longest key, in bytes; see the module on leaves.
pub(crate) const MAX_KEY_BYTES: usize = 300;
const PIECE_BYTES: usize = 4096;
/// sled's default is 1 GiB, and what it takes is a multiple of this.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// A database that was closed a moment ago in this process may still hold its lock in one of sled's own threads.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
const HEAD: u8 = 0;
const CONTINUED: u8 = 1;

/// One change to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

/// Which end a scan begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Backward,
}

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Is shown one record after the other and may break off.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], Vec<u8>) -> ControlFlow<()>;

/// An open database.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// Taken only by `drop`.
    db: Option<sled::Db>,
    /// The data file again, for `fdatasync`.
    file: File,
}

// === impl Database ===

impl Database {
    /// Opens or begins the database in the directory `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        files::create_private_dir(path)?;
        let patience = Instant::now() + LOCK_PATIENCE;
        let db = loop {
            let open = || {
                let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
                config.open()
            };
            match guarded(path, open) {
                Err(StoreError::InUse { .. }) if Instant::now() < patience => thread::sleep(Duration::from_millis(20)),
                other => break other?,
            }
        };
        let data = path.join("db");
        let file = File::open(&data).map_err(|e| StoreError::io(&data, &e))?;
        let database = Self { path: path.to_owned(), db: Some(db), file };
        files::sync_dir(path)?;
        Ok(database)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.guarded(|db| {
            let Some(head) = db.get(row(key, 0))? else {
                return Ok(None);
            };
            whole(db, key, &head).map(Some)
        })
    }

    /// Makes all of the changes or none of them, the last one where several concern one key; durable after the next
    /// [`Database::flush`].
    pub(crate) fn apply(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut last = BTreeMap::new();
        for write in writes {
            let (key, value) = match write {
                Write::Put(key, value) => (key, Some(value)),
                Write::Remove(key) => (key, None),
            };
            for (bytes, limit) in [(key.len(), MAX_KEY_BYTES), (value.map_or(0, Vec::len), MAX_VALUE_BYTES)] {
                if bytes > limit {
                    return Err(StoreError::TooLarge { bytes, limit });
                }
            }
            last.insert(key, value);
        }
        self.guarded(|db| {
            let mut batch = sled::Batch::default();
            for (key, value) in last {
                stage(db, &mut batch, key, value.map(Vec::as_slice))?;
            }
            db.apply_batch(batch)
        })
    }

    /// Makes everything applied so far durable, against power loss too.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.guarded(|db| db.flush())?;
        self.file.sync_data().map_err(|e| StoreError::io(&self.path, &e))
    }

    /// Shows the records with keys from `from` up to, not including, `to`, until `visit` breaks off.
    ///
    /// No key may be a proper prefix of `from` or `to`.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        self.guarded(|db| {
            let mut rows = db.range(from..to);
            let mut next = || match direction {
                Direction::Forward => rows.next(),
                Direction::Backward => rows.next_back(),
            };
            while let Some(found) = next() {
                let (name, head) = found?;
                if head.first() != Some(&HEAD) {
                    continue;
                }
                let key = &name[..name.len().saturating_sub(2)];
                if visit(key, whole(db, key, &head)?).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The last record with a key from `from` up to, not including, `to`.
    pub(crate) fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Record>, StoreError> {
        let mut found = None;
        self.scan(from, to, Direction::Backward, &mut |key, value| {
            found = Some((key.to_vec(), value));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn guarded<T>(&self, act: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let Some(db) = &self.db else {
            return Err(StoreError::Closed);
        };
        guarded(&self.path, || act(db))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // sled flushes when dropped and panics if that fails.
        if let Some(db) = self.db.take()
            && catch_unwind(AssertUnwindSafe(|| drop(db))).is_err()
        {
            tracing::error!(path = %self.path.display(), "A database could not be closed in order.");
        }
    }
}

fn guarded<T>(path: &Path, act: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => result.map_err(|error| classify(path, &error)),
        Err(panic) => {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            let what = what.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
            Err(StoreError::Damaged { path: path.to_owned(), what: format!("the database library gave up: {what}") })
        }
    }
}

fn classify(path: &Path, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::InUse { path: path.to_owned() }
        }
        sled::Error::Io(error) => StoreError::io(path, error),
        other => StoreError::Damaged { path: path.to_owned(), what: other.to_string() },
    }
}

/// The name of a record's piece.
fn row(key: &[u8], piece: u16) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 2);
    row.extend_from_slice(key);
    row.extend_from_slice(&piece.to_be_bytes());
    row
}

fn stage(db: &sled::Db, batch: &mut sled::Batch, key: &[u8], value: Option<&[u8]>) -> sled::Result<()> {
    let pieces = value.map_or(0, |value| pieces_of(value.len()));
    let before = db.get(row(key, 0))?.and_then(|head| total(&head)).map_or(0, pieces_of);
    for piece in pieces..before {
        batch.remove(row(key, piece));
    }
    let Some(value) = value else {
        return Ok(());
    };
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    for piece in 0..pieces {
        let start = usize::from(piece) * PIECE_BYTES;
        let body = &value[start..value.len().min(start + PIECE_BYTES)];
        let mut stored = Vec::with_capacity(body.len() + 5);
        if piece == 0 {
            stored.push(HEAD);
            stored.extend_from_slice(&len.to_be_bytes());
        } else {
            stored.push(CONTINUED);
        }
        stored.extend_from_slice(body);
        batch.insert(row(key, piece), stored);
    }
    Ok(())
}

fn pieces_of(len: usize) -> u16 {
    u16::try_from(len.div_ceil(PIECE_BYTES)).unwrap_or(u16::MAX).max(1)
}

fn total(head: &[u8]) -> Option<usize> {
    let (len, _) = head.get(1..)?.split_first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*len)).ok().filter(|len| *len <= MAX_VALUE_BYTES)
}

/// The value whose first piece is `head`.
fn whole(db: &sled::Db, key: &[u8], head: &[u8]) -> sled::Result<Vec<u8>> {
    let torn = || sled::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, "a record is incomplete"));
    let len = total(head).ok_or_else(torn)?;
    let mut value = Vec::with_capacity(len);
    value.extend_from_slice(head.get(5..).unwrap_or_default());
    for piece in 1..pieces_of(len) {
        let stored = db.get(row(key, piece))?.ok_or_else(torn)?;
        value.extend_from_slice(stored.get(1..).unwrap_or_default());
    }
    if value.len() == len { Ok(value) } else { Err(torn()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn all(db: &Database, direction: Direction) -> Vec<Record> {
        let mut found = Vec::new();
        db.scan(&[0], &[255], direction, &mut |key, value| {
            found.push((key.to_vec(), value));
            ControlFlow::Continue(())
        })
        .unwrap();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn values_of_any_size_replace_each_other_and_survive_reopening(
            steps in prop::collection::vec((0..4u8, prop::option::of(prop_oneof![0..10usize, 4090..4100usize, 0..30_000usize])), 1..24)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut model = BTreeMap::new();
            let mut db = Database::open(dir.path()).unwrap();
            for (at, (name, len)) in steps.iter().enumerate() {
                let key = vec![1, *name];
                match len {
                    Some(len) => {
                        let value = vec![u8::try_from(at % 251).unwrap(); *len];
                        db.apply(&[Write::Put(key.clone(), value.clone())]).unwrap();
                        model.insert(key, value);
                    }
                    None => {
                        db.apply(&[Write::Remove(key.clone())]).unwrap();
                        model.remove(&key);
                    }
                }
            }
            db.flush().unwrap();
            drop(db);
            db = Database::open(dir.path()).unwrap();
            let mut wanted: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(&all(&db, Direction::Forward), &wanted);
            wanted.reverse();
            prop_assert_eq!(all(&db, Direction::Backward), wanted);
            for name in 0..4 {
                prop_assert_eq!(db.get(&[1, name]).unwrap(), model.get(&vec![1, name]).cloned());
            }
        }
    }

    #[test]
    fn large_values_never_leave_the_log_for_a_file_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open(dir.path()).unwrap();
        for key in 0..40u8 {
            db.apply(&[Write::Put(vec![7, key], vec![key; 150_000])]).unwrap();
        }
        db.flush().unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);
    }

    #[test]
    fn a_second_opener_is_told_that_the_database_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Database::open(dir.path()).unwrap();
        assert!(matches!(Database::open(dir.path()), Err(StoreError::InUse { .. })));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_said_to_be_not_writable() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let error = Database::open(&dir.path().join("file/data")).unwrap_err();
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    }
}
