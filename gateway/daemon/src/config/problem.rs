//! What is wrong in a file that a person wrote.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong: where it is, what it is, and what to write. Ordered by file and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The file.
    pub(crate) file: PathBuf,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub(crate) line: usize,
    /// The column in characters, from 1; 0 when only the line is known.
    pub(crate) column: usize,
    /// The path to the key, for example `listener plain: tls.key`; empty when the file as a whole is meant.
    pub(crate) key: String,
    /// What is wrong with it.
    pub(crate) problem: String,
    /// What to write or do.
    pub(crate) help: String,
}

/// A configuration that cannot be used, with everything that is wrong with it, sorted by file and line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The problems, at least one.
    pub(crate) problems: Vec<Problem>,
}

// === impl Problem ===

impl Problem {
    /// A problem with a file as a whole.
    pub(crate) fn of_file(file: &Path, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self::at_line(file, 0, "", problem, help)
    }

    /// A problem with the key on a line.
    pub(crate) fn at_line(
        file: &Path,
        line: usize,
        key: &str,
        problem: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (problem, help) = (problem.into(), help.into());
        Self { file: file.to_owned(), line, column: 0, key: key.to_owned(), problem, help }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", shown(&self.file).display())?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if self.column > 0 {
            write!(f, "{}:", self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}; {}", self.problem, self.help)
    }
}

// === impl ConfigError ===

impl ConfigError {
    /// The error that `problems` amount to, if there are any.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

/// The path as a person in the current folder would write it.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn a_problem_reads_as_file_line_key_what_and_help() {
        let file = Path::new("/etc/cordon/cordon.toml");
        let problem = Problem::at_line(file, 7, "log.level", "\"loud\" is no level", "write info");
        assert_eq!(problem.to_string(), "/etc/cordon/cordon.toml:7: log.level: \"loud\" is no level; write info");
        let whole = Problem::of_file(file, "cannot be read", "make it readable");
        assert_eq!(whole.to_string(), "/etc/cordon/cordon.toml: cannot be read; make it readable");
    }

    #[test]
    fn a_file_below_the_current_folder_is_shown_without_it() {
        let file = std::env::current_dir().unwrap().join("cordon-dev/cordon.toml");
        assert_eq!(Problem::of_file(&file, "a", "b").to_string(), "cordon-dev/cordon.toml: a; b");
    }

    #[test]
    fn problems_are_sorted_by_file_and_line_and_told_once() {
        let at = |file: &str, line| Problem::at_line(Path::new(file), line, "k", "p", "h");
        let error = ConfigError::of(vec![at("/b", 1), at("/a", 9), at("/a", 2), at("/b", 1)]).unwrap_err();
        let order: Vec<_> = error.problems.iter().map(|p| (p.file.to_str().unwrap(), p.line)).collect();
        assert_eq!(order, [("/a", 2), ("/a", 9), ("/b", 1)]);
        assert_eq!(error.to_string().lines().count(), 3);
    }
}
