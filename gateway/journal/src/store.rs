//! A database that gives its space back: live records move to a fresh generation, the old one is deleted whole.
//!
//! sled does not return the space of what was overwritten or removed. When the directory has grown to several times
//! what lives in it, the live records are copied into `<generation + 1>`; a generation counts from the moment that its
//! file `ready` is durable, so a crash at any point leaves exactly one that does. Every commit raises a counter inside
//! the database and then the mark beside it, which shows on opening whether commits were lost.

use crate::database::{Database, Direction, Write};
use crate::error::StoreError;
use crate::files;
use crate::host::{Host, Trouble};
use crate::mark::{Mark, Reached};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Below this no generation is worth replacing, in bytes.
const SMALL_BYTES: u64 = 16 * 1024 * 1024;
/// How many times the size after the last replacement a directory may grow to.
const GROWTH: u64 = 3;
/// How many commits pass between two looks at the directory.
const COMMITS_BETWEEN_LOOKS: u64 = 256;
/// How many bytes are written between two looks at the directory.
const BYTES_BETWEEN_LOOKS: u64 = 4 * 1024 * 1024;
/// What is copied between two applications of a batch, in bytes.
const COPY_BYTES: usize = 1024 * 1024;
/// Keys that begin with this byte belong to this module.
const OWN: u8 = 0;
const COMMITS: &[u8] = &[OWN, b'c'];
const READY: &str = "ready";

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    name: &'static str,
    root: PathBuf,
    host: Host,
    generation: u64,
    db: Option<Database>,
    mark: Mark,
    commits: u64,
    /// The directory may grow to this many bytes before the generation is replaced.
    ceiling: u64,
    looked_at: u64,
    /// Bytes written since the last look.
    written: u64,
    /// Whether writing fails; told once.
    failing: bool,
    /// A write failed after the last flush: what was applied before it may be gone.
    unsure: Option<StoreError>,
}

// === impl Store ===

impl Store {
    /// Opens or begins the store in `root`, and says what was wrong with it.
    pub(crate) fn open(name: &'static str, root: &Path, host: &Host) -> Result<(Self, Vec<Trouble>), StoreError> {
        files::create_private_dir(root)?;
        files::tidy(root);
        let mut troubles = Vec::new();
        let (generation, db) = newest(name, root, host, &mut troubles)?;
        let (mark, reached) = Mark::open(&root.join("mark"))?;
        let mut commits = commits_in(&db)?;
        let marked = reached.map_or(0, |reached| reached.number);
        if marked > commits {
            let what = format!("the last {} of {marked} acknowledged commits are gone", marked - commits);
            troubles.push(Trouble::Lost { store: name, what });
            commits = marked;
        }
        let (root, host) = (root.to_owned(), host.clone());
        let store = Self {
            name,
            root,
            host,
            generation,
            db: Some(db),
            mark,
            commits,
            ceiling: SMALL_BYTES,
            looked_at: 0,
            written: 0,
            failing: false,
            unsure: None,
        };
        Ok((store, troubles))
    }

    /// The open database; opened again first if the last write failed.
    pub(crate) fn db(&mut self) -> Result<&Database, StoreError> {
        if self.db.is_none() {
            self.reopen()?;
        }
        self.db.as_ref().ok_or(StoreError::Closed)
    }

    /// Makes all of the changes or none; durable after the next [`Store::flush`]. No key begins with a zero byte.
    pub(crate) fn apply(&mut self, mut writes: Vec<Write>) -> Result<(), StoreError> {
        let commits = self.commits + 1;
        self.written += writes.iter().map(size).sum::<u64>();
        writes.push(Write::Put(COMMITS.to_vec(), commits.to_be_bytes().to_vec()));
        match self.db()?.apply(&writes) {
            Ok(()) => self.commits = commits,
            Err(error @ StoreError::TooLarge { .. }) => return Err(error),
            Err(error) => return Err(self.failed(error)),
        }
        Ok(())
    }

    /// Makes what was applied durable, and replaces the generation when it has grown too large.
    ///
    /// An error concerns everything applied since the last flush.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.db()?.flush() {
            self.failed(error);
        }
        if let Some(error) = self.unsure.take() {
            return Err(error);
        }
        if std::mem::take(&mut self.failing) {
            self.host.tell(Trouble::Recovered { store: self.name });
        }
        if let Err(error) = self.mark.write(Reached { number: self.commits, hash: [0; 32] }) {
            tracing::warn!(%error, "The mark beside a database could not be written.");
        }
        if self.commits - self.looked_at >= COMMITS_BETWEEN_LOOKS || self.written >= BYTES_BETWEEN_LOOKS {
            self.give_back();
        }
        Ok(())
    }

    /// Replaces the generation if it is out of proportion to the bytes that live in it, and goes by them from now on.
    pub(crate) fn fit(&mut self, live: u64) {
        self.ceiling = SMALL_BYTES.saturating_add(live.saturating_mul(GROWTH + 1));
        self.give_back();
    }

    /// Lets the directory grow.
    #[cfg(test)]
    pub(crate) fn never_compact(&mut self) {
        self.ceiling = u64::MAX;
    }

    /// Shows every record, in the order of keys.
    pub(crate) fn each(&mut self, visit: &mut dyn FnMut(&[u8], Vec<u8>)) -> Result<(), StoreError> {
        self.db()?.scan(&[OWN + 1], &[u8::MAX; 2], Direction::Forward, &mut |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        })
    }

    /// sled keeps its first error, so the database is closed here and opened again at the next call.
    fn failed(&mut self, error: StoreError) -> StoreError {
        self.db = None;
        self.unsure = Some(error.clone());
        if !std::mem::replace(&mut self.failing, true) {
            self.host.tell(Trouble::Failing { store: self.name, error: error.clone() });
        }
        error
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let mut troubles = Vec::new();
        let (generation, db) = newest(self.name, &self.root, &self.host, &mut troubles)?;
        // A change that failed must not be mistaken for one that was acknowledged and lost.
        self.commits = self.commits.max(commits_in(&db)?);
        self.generation = generation;
        self.db = Some(db);
        for trouble in troubles {
            self.host.tell(trouble);
        }
        Ok(())
    }

    fn give_back(&mut self) {
        self.looked_at = self.commits;
        self.written = 0;
        let size = files::bytes_on_disk(&path_of(&self.root, self.generation));
        if size <= self.ceiling {
            return;
        }
        match self.replace() {
            Ok(left) => self.ceiling = SMALL_BYTES.max(left.saturating_mul(GROWTH)),
            Err(error) => {
                tracing::warn!(store = self.name, %error, "The store could not be compacted; it is tried again later.");
                self.ceiling = size.saturating_mul(2);
            }
        }
    }

    /// Copies what lives into the next generation and deletes this one. What the new one takes, in bytes.
    fn replace(&mut self) -> Result<u64, StoreError> {
        let Some(old) = &self.db else {
            return Err(StoreError::Closed);
        };
        let path = path_of(&self.root, self.generation + 1);
        let fresh = copy(old, &path).inspect_err(|_| {
            let _ = files::delete_dir(&path);
        })?;
        self.generation += 1;
        self.db = Some(fresh);
        files::delete_dir(&path_of(&self.root, self.generation - 1))?;
        Ok(files::bytes_on_disk(&path))
    }
}

fn size(write: &Write) -> u64 {
    match write {
        Write::Put(key, value) => (key.len() + value.len()) as u64,
        Write::Remove(key) => key.len() as u64,
    }
}

fn copy(old: &Database, path: &Path) -> Result<Database, StoreError> {
    if path.exists() {
        files::delete_dir(path)?;
    }
    let fresh = Database::open(path)?;
    let (mut writes, mut bytes, mut result) = (Vec::new(), 0, Ok(()));
    old.scan(&[OWN], &[u8::MAX; 2], Direction::Forward, &mut |key, value| {
        bytes += key.len() + value.len();
        writes.push(Write::Put(key.to_vec(), value));
        if bytes >= COPY_BYTES {
            result = fresh.apply(&writes);
            writes.clear();
            bytes = 0;
        }
        if result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    result?;
    fresh.apply(&writes)?;
    fresh.flush()?;
    files::write_atomically(&path.join(READY), b"")?;
    Ok(fresh)
}

/// Opens the newest generation that is whole, sets damaged ones aside and deletes the rest.
fn newest(
    name: &'static str,
    root: &Path,
    host: &Host,
    troubles: &mut Vec<Trouble>,
) -> Result<(u64, Database), StoreError> {
    let mut opened = None;
    let all = generations(root)?;
    let highest = all.last().copied().unwrap_or(0);
    for generation in all.into_iter().rev() {
        let path = path_of(root, generation);
        if opened.is_some() || !path.join(READY).exists() {
            files::delete_dir(&path)?;
            continue;
        }
        match Database::open(&path).and_then(checked) {
            Ok(db) => opened = Some((generation, db)),
            Err(StoreError::Damaged { what, .. }) => {
                let path = files::set_aside(&path, host.now().unix)?;
                troubles.push(Trouble::SetAside { store: name, path, why: what });
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(opened) = opened {
        return Ok(opened);
    }
    let generation = highest + 1;
    let path = path_of(root, generation);
    let db = Database::open(&path)?;
    db.apply(&[Write::Put(COMMITS.to_vec(), 0_u64.to_be_bytes().to_vec())])?;
    db.flush()?;
    files::write_atomically(&path.join(READY), b"")?;
    Ok((generation, db))
}

/// A generation that was ready always has its counter: sled opens overwritten files as if they were empty.
fn checked(db: Database) -> Result<Database, StoreError> {
    if db.get(COMMITS)?.is_none() {
        return Err(StoreError::Damaged { path: db.path().to_owned(), what: "its records are gone".to_owned() });
    }
    Ok(db)
}

fn commits_in(db: &Database) -> Result<u64, StoreError> {
    let stored = db.get(COMMITS)?.and_then(|bytes| bytes.try_into().ok());
    Ok(stored.map_or(0, u64::from_be_bytes))
}

fn generations(root: &Path) -> Result<Vec<u64>, StoreError> {
    let entries = fs::read_dir(root).map_err(|e| StoreError::io(root, &e))?;
    let mut found: Vec<u64> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect();
    found.sort_unstable();
    Ok(found)
}

fn path_of(root: &Path, generation: u64) -> PathBuf {
    root.join(format!("{generation:08}"))
}

#[cfg(test)]
mod tests;
