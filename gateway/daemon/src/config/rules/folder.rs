//! The documents of a folder, each named by its file.

use super::Notes;
use crate::config::{Config, Problem, read_text, secrets};
use std::fs;
use std::path::{Path, PathBuf};

/// One file of a folder.
pub(super) struct Document {
    /// The file's name without its extension.
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) text: String,
}

// === impl Document ===

impl Document {
    /// A problem with a key of this document, or with all of it.
    pub(super) fn problem(&self, key: &str, problem: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem::at_line(&self.file, 0, key, problem, help)
    }
}

/// Every file of `dir` with this extension, by name. A folder that is not there is empty, unless its key is given.
pub(super) fn read(config: &Config, key: &str, dir: &Path, extension: &str, notes: &mut Notes) -> Vec<Document> {
    let mut files = match list(dir, extension) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !config.gives(key) => Vec::new(),
        Err(error) => {
            let (problem, help) = secrets::unreadable(dir, &error);
            notes.problems.push(config.problem(key, problem, help));
            Vec::new()
        }
    };
    files.sort();
    let mut documents = Vec::with_capacity(files.len());
    for file in files {
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match read_text(&file) {
            Ok(text) => documents.push(Document { name, file, text }),
            Err(problem) => notes.problems.push(problem),
        }
    }
    documents
}

fn list(dir: &Path, extension: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}
