//! How far an order cuts.

use crate::fleet::did_you_mean;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How far an order cuts, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is cut; what would be is recorded.
    Audit,
    /// Named topic filters are cut.
    Restrict,
    /// Everything but the connection and the remediation topics is cut.
    Quarantine,
    /// Everything is cut; the thing is not let in.
    Disconnect,
}

/// The text is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no isolation level; {help}")]
pub struct UnknownLevel {
    /// What was given, cut to 64 characters.
    pub text: String,
    /// What to write.
    pub help: String,
}

// === impl Level ===

impl Level {
    /// The level's lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Restrict => "restrict",
            Self::Quarantine => "quarantine",
            Self::Disconnect => "disconnect",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let all = [Self::Audit, Self::Restrict, Self::Quarantine, Self::Disconnect];
        all.into_iter().find(|level| level.name() == text).ok_or_else(|| UnknownLevel {
            text: text.chars().take(64).collect(),
            help: did_you_mean(text, &all.map(Self::name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_and_read_back() {
        assert!(Level::Audit < Level::Restrict && Level::Restrict < Level::Quarantine);
        assert!(Level::Quarantine < Level::Disconnect);
        assert_eq!("quarantine".parse(), Ok(Level::Quarantine));
        let error = "quarantin".parse::<Level>().map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("did you mean \"quarantine\"?")));
    }
}
