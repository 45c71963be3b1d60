//! Making files that are missing, and nothing else.

use anyhow::{Context as _, Result};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The mode of files that anyone may read.
pub(super) const PUBLIC: u32 = 0o644;
/// The mode of private keys, passwords and their hashes.
pub(super) const SECRET: u32 = 0o600;

/// The folder, and what was made in it.
pub(super) struct Folder {
    dir: PathBuf,
    made: Vec<PathBuf>,
}

// === impl Folder ===

impl Folder {
    /// Opens a folder, which is made with mode 0700 if it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let folder = Self { dir: dir.to_owned(), made: Vec::new() };
        folder.make_dir("")?;
        Ok(folder)
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.dir.join(file).exists()
    }

    pub(super) fn read(&self, file: &str) -> Result<String> {
        let path = self.dir.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Makes a folder in the folder.
    pub(super) fn make_dir(&self, name: &str) -> Result<()> {
        let path = self.dir.join(name);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| format!("cannot make the folder {}; choose another place with --dev-dir", path.display()))
    }

    /// Makes a file if it is not there.
    pub(super) fn make(&mut self, file: &str, mode: u32, content: impl FnOnce() -> Result<String>) -> Result<()> {
        if self.has(file) { Ok(()) } else { self.replace(file, mode, &content()?) }
    }

    /// Writes a file whole or not at all, also if there is one.
    pub(super) fn replace(&mut self, file: &str, mode: u32, content: &str) -> Result<()> {
        let path = self.dir.join(file);
        if let Some(parent) = Path::new(file).parent().and_then(Path::to_str) {
            self.make_dir(parent)?;
        }
        // A name of this process's own: what a start that was cut off left behind does not get in the way.
        let draft = self.dir.join(format!("{file}.{}.new", std::process::id()));
        let written = (|| {
            // Removing first, because the mode of an old draft would stay.
            fs::remove_file(&draft).ok();
            let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
            to.write_all(content.as_bytes())?;
            to.sync_all()?;
            fs::rename(&draft, &path)
        })();
        written.with_context(|| format!("cannot write {}", path.display()))?;
        self.made.push(PathBuf::from(file));
        Ok(())
    }

    pub(super) fn into_made(self) -> Vec<PathBuf> {
        self.made
    }
}
