//! How far a store had come, beside its database.
//!
//! sled recovers a log up to the first damage and can lose what follows without a word. The mark tells: it is written
//! after each durable commit, so a database that ends before its mark has lost something. It is overwritten in place and
//! never synced, which costs one system call; after a power cut it may lag or be torn. Both are harmless: a lagging mark
//! claims less than is there, a torn one fails its checksum and claims nothing.

use crate::error::StoreError;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const BODY: usize = 40;
const LEN: usize = BODY + 32;

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The last sequence or commit number.
    pub(crate) number: u64,
    /// The hash of what stands there; zero where nothing is hashed.
    pub(crate) hash: [u8; 32],
}

/// The open mark file.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    file: File,
}

// === impl Mark ===

impl Mark {
    /// Opens or begins the mark, and reads what it says.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<Reached>), StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| StoreError::io(path, &e))?;
        let mut bytes = [0; LEN];
        let reached = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| decode(&bytes));
        Ok((Self { path: path.to_owned(), file }, reached))
    }

    pub(crate) fn write(&self, reached: Reached) -> Result<(), StoreError> {
        self.file.write_all_at(&encode(reached), 0).map_err(|e| StoreError::io(&self.path, &e))
    }
}

fn encode(reached: Reached) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&reached.number.to_be_bytes());
    bytes[8..BODY].copy_from_slice(&reached.hash);
    let sum = blake3::hash(&bytes[..BODY]);
    bytes[BODY..].copy_from_slice(sum.as_bytes());
    bytes
}

fn decode(bytes: &[u8; LEN]) -> Option<Reached> {
    let (body, sum) = bytes.split_at(BODY);
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let (number, hash) = body.split_first_chunk::<8>()?;
    Some(Reached { number: u64::from_be_bytes(*number), hash: hash.try_into().ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    #[test]
    fn a_torn_mark_claims_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head");
        let reached = Reached { number: 77, hash: [9; 32] };
        Mark::open(&path).unwrap().0.write(reached).unwrap();
        let (mark, read) = Mark::open(&path).unwrap();
        assert_eq!(read, Some(reached));

        mark.file.write_all_at(&[1], 3).unwrap();
        assert_eq!(Mark::open(&path).unwrap().1, None);
        mark.file.set_len(11).unwrap();
        assert_eq!(Mark::open(&path).unwrap().1, None);
    }
}
