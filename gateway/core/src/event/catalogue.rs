//! The codes, their severities and what they mean.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How urgent an event is, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Normal operation, kept for the trail.
    Info,
    /// An operator's or the gateway's changing act; never dropped from a full queue.
    Notice,
    /// Something was refused or is out of line; the gateway handled it.
    Warning,
    /// Something needs an operator: work is failing or data is at risk.
    Error,
    /// A security alarm that acts on devices.
    Critical,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The code this row describes.
    pub code: Code,
    /// The code's stable spelling.
    pub name: &'static str,
    /// The severity an event of this code has unless it says otherwise.
    pub severity: Severity,
    /// What happened, in one sentence.
    pub meaning: &'static str,
    /// What to look at or do next, in one sentence.
    pub advice: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident $name:literal $severity:ident $meaning:literal $advice:literal;)*) => {
        /// What kind of event this is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each variant is described by its row in CATALOGUE")]
        pub enum Code { $($variant),* }

        /// Every code with its severity, meaning and advice, in the order of the enum.
        pub const CATALOGUE: &[Entry] = &[
            $(Entry {
                code: Code::$variant,
                name: $name,
                severity: Severity::$severity,
                meaning: $meaning,
                advice: $advice,
            }),*
        ];
    };
}

catalogue! {
    AuthnBadPassword "AUTHN_BAD_PASSWORD" Warning
        "A client gave a known user name with a wrong password." "Correct the device's password, or watch for guessing from this address.";
    AuthnUnknownUser "AUTHN_UNKNOWN_USER" Warning
        "A client gave a user name that no thing has." "Register the thing, or watch for guessing from this address.";
    AuthnNoCredentials "AUTHN_NO_CREDENTIALS" Warning
        "A client gave no credentials on a listener that asks for them." "Configure the device with its user name and password or its certificate.";
    AuthnCertificateRefused "AUTHN_CERTIFICATE_REFUSED" Warning
        "A client's TLS certificate was missing, expired, foreign or otherwise not acceptable." "Renew the certificate or check which authority signed it; `reason` says what was wrong.";
    AuthnCertificateUnknown "AUTHN_CERTIFICATE_UNKNOWN" Warning
        "A client's certificate is valid but belongs to no registered thing." "Register the thing that the certificate's common name gives.";
    AuthnTlsFailed "AUTHN_TLS_FAILED" Warning
        "A TLS handshake failed before the client could be identified." "Check that the client speaks TLS 1.2 or later and trusts the gateway's authority.";
    AuthnClientIdForeign "AUTHN_CLIENT_ID_FOREIGN" Warning
        "A client asked for a client id that belongs to another principal." "Check for a misconfigured or cloned device.";
    AuthnRefusedTemporarily "AUTHN_REFUSED_TEMPORARILY" Warning
        "A client was refused because of earlier failed logins from its address or for its name." "Wait for the refusal to end, or look at the failures before it.";
    AuthnOriginRefused "AUTHN_ORIGIN_REFUSED" Warning
        "A web page of an origin that the listener does not admit tried to connect over WebSocket." "Add the origin to the listener's `origins` if the page is yours; otherwise look where the browser at this address has been.";
    AuthzConnectDenied "AUTHZ_CONNECT_DENIED" Warning
        "A policy does not let this principal connect with this client id." "`cordon explain` shows the rule that decided.";
    AuthzPublishDenied "AUTHZ_PUBLISH_DENIED" Warning
        "A policy does not let this principal publish to this topic." "`cordon explain` shows the rule that decided.";
    AuthzSubscribeDenied "AUTHZ_SUBSCRIBE_DENIED" Warning
        "A policy does not let this principal subscribe to this filter." "`cordon explain` shows the rule that decided.";
    AuthzReceiveDenied "AUTHZ_RECEIVE_DENIED" Warning
        "A policy does not let this principal receive from this topic." "`cordon explain` shows the rule that decided.";
    IsolationCut "ISOLATION_CUT" Warning
        "An isolation order stopped an act of a device." "`cordon orders` shows the order that `rule` names.";
    IsolationWouldCut "ISOLATION_WOULD_CUT" Info
        "An isolation order at level audit would have stopped an act of a device." "Raise the order's level when what it would cut is what you mean.";
    IsolationOrdered "ISOLATION_ORDERED" Notice
        "An isolation order was given and is in force." "`cordon release` ends it early.";
    IsolationReleased "ISOLATION_RELEASED" Notice
        "An isolation order was ended before its time." "Nothing to do.";
    IsolationExpired "ISOLATION_EXPIRED" Notice
        "An isolation order ended because its time was over." "Nothing to do.";
    IsolationRefused "ISOLATION_REFUSED" Error
        "An automatic isolation order was not given because it would pass the fleet-wide limit." "Look at the rule that asked for it; give the order yourself if it is right.";
    ProtocolViolation "PROTOCOL_VIOLATION" Warning
        "A client sent a packet that the MQTT standard does not allow and was disconnected." "Update the device's MQTT client; `rule` names the statement of the standard.";
    ProtocolTimeout "PROTOCOL_TIMEOUT" Warning
        "A client opened a connection and did not finish its handshake or CONNECT in time." "Check the network, or watch for a slow-connection attack from this address.";
    LimitReached "LIMIT_REACHED" Warning
        "A client or the gateway reached a configured limit; what went over it was refused." "Raise the limit named in `rule` if the use is legitimate.";
    SessionConnected "SESSION_CONNECTED" Info
        "A client connected." "Nothing to do.";
    SessionDisconnected "SESSION_DISCONNECTED" Info
        "A client's connection ended; `reason` says how, in the words of AWS IoT lifecycle events." "Nothing to do.";
    SessionTakenOver "SESSION_TAKEN_OVER" Info
        "A newer connection of the same principal took the client id over." "If it repeats, two devices share one identity.";
    MessageDropped "MESSAGE_DROPPED" Warning
        "Messages for a client were dropped because its queue was full or it read too slowly." "Check the client; raise the queue limit if its absence is planned.";
    AlarmRaised "ALARM_RAISED" Critical
        "A device or an address behaves outside what its security profile calls normal." "`cordon alarms` shows what was seen and what is normal.";
    AlarmCleared "ALARM_CLEARED" Notice
        "A behaviour is back to normal." "Nothing to do.";
    ComplianceDeviation "COMPLIANCE_DEVIATION" Warning
        "A device reported a configuration that its baseline does not allow." "Remediation has begun; `cordon findings` shows how far it is.";
    ComplianceCorrected "COMPLIANCE_CORRECTED" Notice
        "A device's configuration is in line with its baseline again." "Nothing to do.";
    ComplianceEscalated "COMPLIANCE_ESCALATED" Error
        "A device did not correct its configuration before the deadline." "The measure that the baseline names was taken; repair the device.";
    ComplianceDeltaSent "COMPLIANCE_DELTA_SENT" Info
        "The gateway sent a device the shadow delta that would bring it in line." "Nothing to do.";
    ShadowRejected "SHADOW_REJECTED" Warning
        "A device sent a shadow request that the gateway could not accept." "`reason` is the answer that the device got.";
    FirmwareChanged "FIRMWARE_CHANGED" Notice
        "A device reported another firmware version than before." "Nothing to do if the update was planned.";
    UplinkConnected "UPLINK_CONNECTED" Info
        "The uplink to the cloud is connected." "Nothing to do.";
    UplinkDisconnected "UPLINK_DISCONNECTED" Warning
        "The uplink to the cloud was lost; the outbox keeps what is to be sent." "Check the network if it lasts.";
    UplinkRefused "UPLINK_REFUSED" Error
        "The cloud side refused a connection, a subscription, a publish or a request of the gateway." "Check the gateway's certificate and policy on the cloud side; `reason` is what it answered.";
    UplinkDropped "UPLINK_DROPPED" Error
        "Entries were dropped from the outbox, because it was full or because they can never be delivered." "Restore the uplink or raise the outbox limit.";
    OperatorRefused "OPERATOR_REFUSED" Warning
        "A call to the management interface was refused: no valid operator certificate, or its role does not allow it." "Give the operator the role it needs in `[[operator]]`.";
    OperatorActed "OPERATOR_ACTED" Notice
        "An operator changed something through the management interface." "Nothing to do.";
    GatewayStarted "GATEWAY_STARTED" Info
        "The gateway is up and accepts clients." "Nothing to do.";
    GatewayStopping "GATEWAY_STOPPING" Info
        "The gateway is shutting down in order." "Nothing to do.";
    GatewayDegraded "GATEWAY_DEGRADED" Error
        "A part of the gateway works with less than it should; devices are still served." "`reason` names the part and what to do.";
    GatewayRouterReplaced "GATEWAY_ROUTER_REPLACED" Error
        "The message router failed and a fresh one took over; clients stayed connected and no message was lost." "If it repeats, report it with the log around it.";
    GatewayReloaded "GATEWAY_RELOADED" Notice
        "A changed configuration was taken over." "Nothing to do.";
    GatewayReloadRefused "GATEWAY_RELOAD_REFUSED" Error
        "A changed configuration was not taken over; the one before it stays in force." "Correct what `reason` names; `cordon check` tells the same without touching the gateway.";
    JournalSetAside "JOURNAL_SET_ASIDE" Error
        "A damaged database was set aside and a fresh one begun." "Keep the set-aside directory for analysis; check the disk.";
    JournalDropped "JOURNAL_DROPPED" Error
        "Events were dropped before they reached the journal because its queue was full." "Check the disk's speed.";
}

// === impl Code ===

impl Code {
    /// The code's row in the catalogue.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        &CATALOGUE[self as usize]
    }

    /// The code's stable spelling, for example `AUTHN_BAD_PASSWORD`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whether the code is `pattern` or begins with it, upper or lower case: `auth` selects `AUTHN_*` and `AUTHZ_*`.
    #[must_use]
    pub fn matches(self, pattern: &str) -> bool {
        self.name().get(..pattern.len()).is_some_and(|start| start.eq_ignore_ascii_case(pattern))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        CATALOGUE
            .iter()
            .find(|entry| entry.name.eq_ignore_ascii_case(text))
            .map(|entry| entry.code)
            .ok_or_else(|| UnknownCode(text.chars().take(64).collect()))
    }
}

/// The text is no code of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no event code; `docs/events.md` lists them")]
pub struct UnknownCode(String);

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

// === impl Severity ===

impl Severity {
    /// The lower-case word for the severity.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(text: &str) -> Result<Self, UnknownSeverity> {
        [Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical]
            .into_iter()
            .find(|severity| severity.name().eq_ignore_ascii_case(text))
            .ok_or(UnknownSeverity)
    }
}

/// The text is no severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a severity is one of info, notice, warning, error, critical")]
pub struct UnknownSeverity;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_own_row_and_parses_from_its_name() {
        for entry in CATALOGUE {
            assert_eq!(entry.code.entry().name, entry.name);
            assert_eq!(entry.name.parse(), Ok(entry.code));
        }
    }

    #[test]
    fn a_family_prefix_selects_its_codes_and_no_others() {
        assert!(Code::AuthnBadPassword.matches("AUTH"));
        assert!(Code::AuthzPublishDenied.matches("auth"));
        assert!(!Code::AuthzPublishDenied.matches("AUTHN"));
        assert!(!Code::GatewayStarted.matches("AUTH"));
        assert!(!Code::GatewayStarted.matches("ü"));
    }
}
