//! Who is judged.

use super::Policy;
use crate::fleet::Thing;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The identity that a client proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A client certificate that a trusted authority signed.
    Certificate {
        /// The common name of its subject.
        common_name: String,
        /// The SHA-256 fingerprint of the certificate, in hexadecimal.
        fingerprint: String,
    },
    /// A user name with its password.
    User(String),
    /// Nothing: a client of a listener that asks for no credentials.
    Anonymous {
        /// The listener's name.
        listener: String,
    },
    /// The gateway itself.
    Gateway,
}

/// Everything about a session that its permissions depend on; fixed at CONNECT.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The MQTT client id.
    pub client_id: String,
    /// The thing that the principal stands for, if there is one.
    pub thing: Option<Arc<Thing>>,
    /// The proven identity.
    pub principal: Principal,
    /// The address the client comes from.
    pub source_ip: Option<IpAddr>,
    /// Whether the client asks for a session that outlives its connection.
    pub persistent: bool,
    /// Whether the client left a will.
    pub last_will: bool,
    /// The policies attached to the thing and its groups.
    pub policies: Vec<Arc<Policy>>,
}

// === impl Principal ===

impl Principal {
    /// Whether an identity was proven: a certificate or a password.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::Certificate { .. } | Self::User(_))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { common_name, .. } => write!(f, "cert:{common_name}"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Anonymous { listener } => write!(f, "anonymous:{listener}"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}
