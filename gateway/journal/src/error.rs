//! What can go wrong with a store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the database open.
    #[error("{} is in use by another process; stop the other gateway, or give this one its own data directory", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The directory cannot be written.
    #[error("{} cannot be written ({what}); make it writable for the user that runs cordon", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        what: String,
    },
    /// The disk, or the user's share of it, is full.
    #[error("there is no space left for {}; free some, or lower the limits of the data directory", path.display())]
    Full {
        /// The file or directory.
        path: PathBuf,
    },
    /// The contents are damaged.
    #[error("{} is damaged ({what}); it is set aside when the gateway opens it next, check the disk", path.display())]
    Damaged {
        /// The database or file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Another failure of the disk or the file system.
    #[error("the disk failed at {} ({what}); check it", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        what: String,
    },
    /// A key or value is larger than the store takes.
    #[error("{bytes} bytes are more than the {limit} that one record may have")]
    TooLarge {
        /// The size asked for.
        bytes: usize,
        /// The most a record may have.
        limit: usize,
    },
    /// The store holds its limit of more important records.
    #[error("the store is full with its limit of {limit} bytes; wait until it drains, or raise the limit")]
    OverLimit {
        /// The limit in bytes.
        limit: u64,
    },
    /// A record is not the JSON that the caller expects.
    #[error("the record `{key}` is not what this version writes: {what}")]
    Format {
        /// The record's key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// The store has been shut down.
    #[error("the store is shut down")]
    Closed,
    /// The store did not finish before the deadline.
    #[error("the store did not finish before its deadline; what it had acknowledged is safe")]
    Deadline,
}

// === impl StoreError ===

impl StoreError {
    /// The error that a failed system call on `path` is.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        let (path, what) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
                Self::NotWritable { path, what }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Damaged { path, what },
            _ => Self::Io { path, what },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_file_system_says_what_to_do() {
        for (kind, said) in [
            (io::ErrorKind::ReadOnlyFilesystem, "make it writable"),
            (io::ErrorKind::PermissionDenied, "make it writable"),
            (io::ErrorKind::StorageFull, "free some"),
            (io::ErrorKind::TimedOut, "check it"),
        ] {
            let message = StoreError::io(Path::new("data/journal"), &kind.into()).to_string();
            assert!(message.contains("data/journal") && message.contains(said), "{message}");
        }
    }
}
