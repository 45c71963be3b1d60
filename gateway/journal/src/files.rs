//! Directories and small files around the databases.
//!
//! A directory that goes is renamed before it is emptied, so that a crash half-way never leaves a database that looks
//! damaged; [`tidy`] removes what such a crash leaves.

use crate::error::StoreError;
use cordon_core::time::Unix;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How many damaged databases a store keeps for analysis; the disk is bounded too.
const DAMAGED_KEPT: usize = 2;
const DELETED: &str = ".deleted";
const DAMAGED: &str = ".damaged-";

/// Makes `path` and what leads to it, for the gateway's user alone, and makes its name durable.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), StoreError> {
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| StoreError::io(path, &e))?;
        sync_dir(parent(path))?;
    }
    Ok(())
}

/// Makes the names in `path` durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| StoreError::io(path, &e))
}

/// Replaces the file `path` by `contents`, whole or not at all.
pub(crate) fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let draft = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|e| StoreError::io(path, &e))?;
    sync_dir(parent(path))
}

/// What `path` takes on the disk, with everything in it. What vanishes meanwhile counts nothing.
pub(crate) fn bytes_on_disk(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_on_disk(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Deletes a directory whole.
pub(crate) fn delete_dir(path: &Path) -> Result<(), StoreError> {
    let doomed = suffixed(path, DELETED);
    let delete = || {
        if doomed.exists() {
            fs::remove_dir_all(&doomed)?;
        }
        fs::rename(path, &doomed)?;
        fs::remove_dir_all(&doomed)
    };
    delete().map_err(|e| StoreError::io(path, &e))
}

/// Gives a damaged database another name, `<name>.damaged-<unix ms>`, and returns it.
pub(crate) fn set_aside(path: &Path, at: Unix) -> Result<PathBuf, StoreError> {
    let aside = (at.0..)
        .map(|stamp| suffixed(path, &format!("{DAMAGED}{stamp}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| suffixed(path, DAMAGED));
    fs::rename(path, &aside).map_err(|e| StoreError::io(path, &e))?;
    sync_dir(parent(path))?;
    Ok(aside)
}

/// Removes what a crash in [`delete_dir`] left, and all but the newest damaged databases.
pub(crate) fn tidy(root: &Path) {
    let mut damaged = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(DELETED) {
            remove(&entry.path());
        } else if let Some((_, stamp)) = name.rsplit_once(DAMAGED) {
            damaged.push((stamp.parse::<u64>().unwrap_or(0), entry.path()));
        }
    }
    damaged.sort();
    let surplus = damaged.len().saturating_sub(DAMAGED_KEPT);
    for (_, path) in damaged.iter().take(surplus) {
        remove(path);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "A leftover directory could not be removed.");
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    #[test]
    fn only_the_newest_damaged_databases_are_kept() {
        let root = tempfile::tempdir().unwrap();
        for stamp in [10, 9, 30, 200] {
            let path = root.path().join("db");
            fs::create_dir(&path).unwrap();
            set_aside(&path, Unix(stamp)).unwrap();
        }
        fs::create_dir(root.path().join("00001.deleted")).unwrap();
        tidy(root.path());
        let mut left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["db.damaged-200", "db.damaged-30"]);
    }

    #[test]
    fn two_databases_damaged_in_one_millisecond_are_both_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("db");
        fs::create_dir(&path).unwrap();
        let one = set_aside(&path, Unix(7)).unwrap();
        fs::create_dir(&path).unwrap();
        let two = set_aside(&path, Unix(7)).unwrap();
        assert_ne!(one, two);
        assert!(one.exists() && two.exists());
    }
}
