//! What is known of the closed segments without opening them, and where the journal was cut off.
//!
//! The catalogue is a small JSON file, replaced whole. Without it everything still works: segments are found by their
//! names and opened to learn what is in them, only their skipping and the proof of the oldest cut are lost.

use super::block::{Hash, Header};
use crate::error::StoreError;
use crate::files;
use cordon_core::event::Severity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "catalog.json";

/// What is in one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) last_seq: u64,
    pub(super) last_hash: Hex,
    pub(super) blocks: u64,
    pub(super) events: u64,
    pub(super) unix_min: u64,
    pub(super) unix_max: u64,
    pub(super) severity_max: Severity,
}

/// A point in the chain of blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    /// The last sequence number of the block.
    pub(super) seq: u64,
    /// The block's hash.
    pub(super) hash: Hex,
}

/// The closed segments by their first sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalog {
    /// The last block that was deleted to keep the journal within its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor: Option<Anchor>,
    /// A segment without a summary must be opened to be known.
    pub(super) segments: BTreeMap<u64, Option<Summary>>,
}

/// A hash, as hexadecimal text in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Hex(pub(super) Hash);

// === impl Hex ===

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        blake3::Hash::from_bytes(hex.0).to_hex().to_string()
    }
}

impl TryFrom<String> for Hex {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, blake3::HexError> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes()))
    }
}

// === impl Summary ===

impl Summary {
    /// The summary of a segment that holds one block.
    pub(super) fn of(header: &Header) -> Self {
        Self {
            last_seq: header.end() - 1,
            last_hash: Hex(header.hash),
            blocks: 1,
            events: u64::from(header.count),
            unix_min: header.unix_min,
            unix_max: header.unix_max,
            severity_max: header.severity_max,
        }
    }

    /// This summary with another block at the end.
    pub(super) fn and(self, header: &Header) -> Self {
        Self {
            last_seq: header.end() - 1,
            last_hash: Hex(header.hash),
            blocks: self.blocks + 1,
            events: self.events + u64::from(header.count),
            unix_min: self.unix_min.min(header.unix_min),
            unix_max: self.unix_max.max(header.unix_max),
            severity_max: self.severity_max.max(header.severity_max),
        }
    }
}

// === impl Catalog ===

impl Catalog {
    /// Reads the catalogue of the journal in `root`; `None` if there is none that can be read.
    pub(super) fn load(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io(&path, &error)),
        }
    }

    pub(super) fn save(&self, root: &Path) -> Result<(), StoreError> {
        let path = root.join(FILE);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| StoreError::Io { path: path.clone(), what: error.to_string() })?;
        files::write_atomically(&path, &bytes)
    }
}

/// Where the segment that begins at `first_seq` is.
pub(super) fn path_of(root: &Path, first_seq: u64) -> PathBuf {
    root.join(format!("{first_seq:020}"))
}

/// The segments in `root`, found by their names.
pub(super) fn segments_in(root: &Path) -> Result<Vec<u64>, StoreError> {
    let entries = fs::read_dir(root).map_err(|e| StoreError::io(root, &e))?;
    let number = |entry: fs::DirEntry| entry.file_name().to_str().filter(|name| name.len() == 20)?.parse().ok();
    let mut found: Vec<u64> = entries.flatten().filter_map(number).collect();
    found.sort_unstable();
    Ok(found)
}
