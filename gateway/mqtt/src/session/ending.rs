//! How a connection ends: what the client is told, what the journal is told, and whether the will is published.

use crate::codec::{ReasonCode, Violation};

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client said goodbye.
    Client,
    /// The client said goodbye and asked for its will to be published (MQTT 5, reason 0x04).
    ClientWithWill,
    /// The network connection was lost.
    Lost,
    /// Nothing came for one and a half times the keep-alive.
    KeepAlive,
    /// What waited for the client was not taken by its socket for too long.
    WriteTimeout,
    /// The client broke the standard.
    Violation(Violation),
    /// A newer connection took the client id over.
    TakenOver,
    /// An isolation order does not let the client in.
    Isolated { order: String },
    /// An isolation order ended; the client shall come back and subscribe anew.
    Restored,
    /// Messages were withdrawn that later ones for the client refer to by a topic alias.
    Withdrawn,
    /// An operator ended the session.
    Kicked { reason: String },
    /// The client's identity is not accepted any more.
    Revoked,
    /// The gateway stops.
    ShuttingDown,
    /// The gateway failed.
    ServerError,
}

// === impl Ending ===

impl Ending {
    /// The reason code of the DISCONNECT that an MQTT 5 client gets; `None` when there is nobody to tell.
    pub(crate) fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Client | Self::ClientWithWill | Self::Lost | Self::WriteTimeout => None,
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            Self::Violation(violation) => Some(violation.reason),
            Self::TakenOver => Some(ReasonCode::SessionTakenOver),
            Self::Isolated { .. } | Self::Revoked => Some(ReasonCode::NotAuthorized),
            Self::Restored | Self::Withdrawn | Self::Kicked { .. } => Some(ReasonCode::AdministrativeAction),
            Self::ShuttingDown => Some(ReasonCode::ServerShuttingDown),
            Self::ServerError => Some(ReasonCode::UnspecifiedError),
        }
    }

    /// The reason string that an MQTT 5 client gets.
    pub(crate) fn explanation(&self) -> Option<String> {
        match self {
            Self::Violation(violation) => Some(violation.to_string()),
            Self::Isolated { order } => Some(format!("isolated by order {order}")),
            Self::Restored => Some("an isolation order has ended; connect and subscribe again".to_owned()),
            Self::Withdrawn => {
                Some("an isolation order withdrew messages that were on their way; connect again".to_owned())
            }
            Self::Kicked { reason } => Some(reason.clone()),
            Self::Revoked => Some("the identity is no longer accepted".to_owned()),
            _ => None,
        }
    }

    /// The reason in the words of AWS IoT lifecycle events (`disconnectReason`).
    pub(crate) fn lifecycle(&self) -> &'static str {
        match self {
            Self::Client | Self::ClientWithWill => "CLIENT_INITIATED_DISCONNECT",
            Self::Lost => "CONNECTION_LOST",
            Self::KeepAlive => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::Violation(_) => "CLIENT_ERROR",
            Self::TakenOver => "DUPLICATE_CLIENTID",
            Self::Isolated { .. } => "FORBIDDEN_ACCESS",
            Self::Revoked => "AUTH_ERROR",
            Self::Kicked { .. } => "API_INITIATED_DISCONNECT",
            Self::Restored | Self::Withdrawn | Self::ShuttingDown | Self::WriteTimeout => "SERVER_INITIATED_DISCONNECT",
            Self::ServerError => "SERVER_ERROR",
        }
    }

    /// Whether the will is discarded (MQTT-3.14.4-3).
    pub(crate) fn discards_will(&self) -> bool {
        matches!(self, Self::Client)
    }

    /// Whether the gateway, not the client, the network or the standard, ended the session.
    pub(crate) fn is_termination(&self) -> bool {
        matches!(self, Self::Isolated { .. } | Self::Revoked | Self::Kicked { .. })
    }
}
