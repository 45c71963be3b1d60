//! Who may manage the gateway, and as what. Both can be replaced while the server runs.

use crate::tls::{Identity, TlsError, server_config};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What an operator may do, in rising order; each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Also isolates, releases and disconnects.
    Operator,
    /// Also changes the configuration in force.
    Admin,
}

/// The operators that the gateway knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators {
    /// The role of each, by the common name of the certificate.
    pub by_name: BTreeMap<String, Role>,
}

/// The operators and the TLS settings in force.
///
/// Replacing the operators acts on open connections too, at their next call or event. Replacing the TLS settings acts
/// on new connections; to lock an operator out at once, take the name out of the operators.
#[derive(Debug)]
pub struct Access {
    operators: ArcSwap<Operators>,
    tls: ArcSwap<ServerConfig>,
}

/// The text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role is one of viewer, operator, admin")]
pub struct UnknownRole;

// === impl Role ===

impl Role {
    /// The lower-case word for the role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

// === impl Access ===

impl Access {
    /// Access for `operators`, with the server's certificate and the operator authority of `identity`.
    ///
    /// # Errors
    /// What of `identity` cannot be used; see [`TlsError`].
    pub fn new(identity: &Identity, operators: Operators) -> Result<Self, TlsError> {
        Ok(Self { operators: ArcSwap::from_pointee(operators), tls: ArcSwap::new(server_config(identity)?) })
    }

    /// Puts `operators` in the place of those in force.
    pub fn replace_operators(&self, operators: Operators) {
        self.operators.store(Arc::new(operators));
    }

    /// Uses `tls`, made by [`server_config`], for connections from here on. Taking the checked settings and not the
    /// files lets a reload find every fault before it changes anything.
    pub fn replace_tls(&self, tls: Arc<ServerConfig>) {
        self.tls.store(tls);
    }

    /// The role of the operator called `name`, if there is one.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Role> {
        self.operators.load().by_name.get(name).copied()
    }

    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.tls.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_ones_before_it_may() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
    }
}
