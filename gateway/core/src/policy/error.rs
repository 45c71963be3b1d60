//! What is wrong with a policy document.

/// What is wrong in a policy document, where, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy {policy}: line {line}, column {column}: {key}: {problem}; {help}")]
pub struct PolicyError {
    /// The policy's name.
    pub policy: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The path to the key, for example `Statement[2].Action`.
    pub key: String,
    /// What is wrong there.
    pub problem: String,
    /// What to write.
    pub help: String,
}

/// What is wrong at a byte of the document.
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) problem: String,
    pub(super) help: String,
}

// === impl Fault ===

impl Fault {
    pub(super) fn new(at: usize, key: &str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, key: key.to_owned(), problem: problem.into(), help: help.into() }
    }

    pub(super) fn locate(self, policy: &str, document: &str) -> PolicyError {
        let before: String = document.char_indices().take_while(|(at, _)| *at < self.at).map(|(_, c)| c).collect();
        PolicyError {
            policy: policy.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
            key: self.key,
            problem: self.problem,
            help: self.help,
        }
    }
}

/// Text from a document, short enough for a message.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
