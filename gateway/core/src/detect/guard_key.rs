//! From where, or as whom, somebody tries to log in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest name that is kept, in characters; longer ones that begin alike count as one.
const MAX_NAME_CHARS: usize = 128;

/// What failed logins are counted for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginKey {
    /// An IPv4 address, or an IPv6 /64 by its first address: a host has a whole /64 to choose from.
    Address(IpAddr),
    /// The user name that was given, known or not, without control characters.
    Name(String),
}

// === impl LoginKey ===

impl LoginKey {
    /// The key of an address. An IPv4 address in IPv6 clothes is the IPv4 address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 => v4,
        })
    }

    /// The key of a user name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        Self::Name(name.chars().take(MAX_NAME_CHARS).map(shown).collect())
    }

    /// The address, if it is one.
    #[must_use]
    pub fn as_address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }

    /// The name, if it is one.
    #[must_use]
    pub fn as_name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(v6)) => write!(f, "address {v6}/64"),
            Self::Address(v4) => write!(f, "address {v4}"),
            Self::Name(name) => write!(f, "name {name}"),
        }
    }
}
