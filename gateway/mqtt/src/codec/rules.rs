//! The rules a client can break, each with the statement of the standard and the reason code of the answer.
//!
//! A decoder fails with a reference to its rule; the version decides which standard is cited, because 3.1.1 and 5.0
//! number some statements differently. MQTT 3.1 has no numbered statements and is cited like 3.1.1. `MQTT-` begins a
//! numbered statement; `MQTT3` and `MQTT5` begin a section, where the standard states a rule without a number.

use super::{ReasonCode, Version};

/// What a client did that the standard forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{detail} ({rule})")]
pub struct Violation {
    /// What to answer an MQTT 5 client with; in MQTT 3 the connection is closed without an answer.
    pub reason: ReasonCode,
    /// The statement or section of the standard, such as `MQTT-3.3.1-4` or `MQTT5 2.2.2.2`.
    pub rule: &'static str,
    /// What is wrong with the packet. Never holds anything the client sent.
    pub detail: &'static str,
}

/// A rule of the standards.
#[derive(Debug)]
pub(super) struct Rule {
    reason: ReasonCode,
    v3: &'static str,
    v5: &'static str,
    detail: &'static str,
}

/// The rule that a packet broke.
pub(super) type Broken = &'static Rule;

// === impl Rule ===

impl Rule {
    /// The violation of this rule in the words of `version`.
    #[cold]
    pub(super) const fn cite(&self, version: Version) -> Violation {
        let rule = if version.is_v5() { self.v5 } else { self.v3 };
        Violation { reason: self.reason, rule, detail: self.detail }
    }
}

macro_rules! rules {
    ($($name:ident $reason:ident $v3:literal $v5:literal $detail:literal;)*) => {
        $(pub(super) static $name: Rule =
            Rule { reason: ReasonCode::$reason, v3: $v3, v5: $v5, detail: $detail };)*

        #[cfg(test)]
        pub(super) static ALL: &[Broken] = &[$(&$name),*];
    };
}

// The fixed header and the data types.
rules! {
    RESERVED_TYPE MalformedPacket "MQTT3 2.2.1" "MQTT5 2.1.2" "packet type 0 is reserved";
    AUTH_NEEDS_V5 MalformedPacket "MQTT3 2.2.1" "MQTT5 2.1.2" "packet type 15 is reserved in MQTT 3";
    SERVER_ONLY_TYPE ProtocolError "MQTT3 2.2.1" "MQTT5 2.1.2" "only a server may send this packet type";
    RESERVED_FLAGS MalformedPacket "MQTT-2.2.2-1" "MQTT-2.1.3-1" "a reserved flag of the fixed header is set";
    PUBREL_FLAGS MalformedPacket "MQTT-3.6.1-1" "MQTT-3.6.1-1" "the flags of PUBREL are not 0010";
    SUBSCRIBE_FLAGS MalformedPacket "MQTT-3.8.1-1" "MQTT-3.8.1-1" "the flags of SUBSCRIBE are not 0010";
    UNSUBSCRIBE_FLAGS MalformedPacket "MQTT-3.10.1-1" "MQTT-3.10.1-1" "the flags of UNSUBSCRIBE are not 0010";
    DISCONNECT_FLAGS MalformedPacket "MQTT-3.14.1-1" "MQTT-3.14.1-1" "a reserved flag of DISCONNECT is set";
    AUTH_FLAGS MalformedPacket "MQTT3 2.2.1" "MQTT-3.15.1-1" "a reserved flag of AUTH is set";
    VARINT_TOO_LONG MalformedPacket "MQTT3 2.2.3" "MQTT5 1.5.5" "a variable byte integer has more than four bytes";
    VARINT_NOT_MINIMAL MalformedPacket "MQTT3 2.2.3" "MQTT-1.5.5-1" "a variable byte integer is longer than needed";
    PACKET_TOO_LARGE PacketTooLarge "MQTT3 2.2.3" "MQTT-3.2.2-15" "the packet is larger than the server takes";
    TRUNCATED MalformedPacket "MQTT3 2.2.3" "MQTT5 2.1.4" "the packet ends before its last field";
    TRAILING MalformedPacket "MQTT3 2.2.3" "MQTT5 2.1.4" "bytes are left over after the last field";
    UTF8 MalformedPacket "MQTT-1.5.3-1" "MQTT-1.5.4-1" "a string is not well-formed UTF-8";
    UTF8_NUL MalformedPacket "MQTT-1.5.3-2" "MQTT-1.5.4-2" "a string holds U+0000";
    PACKET_ID_ZERO ProtocolError "MQTT-2.3.1-1" "MQTT-2.2.1-3" "the packet identifier is 0";
    PROPERTY_LENGTH MalformedPacket "MQTT3 2.2.3" "MQTT5 2.2.2.1" "the properties reach past the end of the packet";
    PROPERTY_UNKNOWN MalformedPacket "MQTT3 2.2.3" "MQTT5 2.2.2.2" "a property is unknown or not valid in this packet";
    PROPERTY_TWICE ProtocolError "MQTT3 2.2.3" "MQTT5 2.2.2.2" "a property is given more than once";
    FIRST_NOT_CONNECT ProtocolError "MQTT-3.1.0-1" "MQTT-3.1.0-1" "the first packet is not CONNECT";
    PROTOCOL_NAME UnsupportedProtocolVersion "MQTT-3.1.2-1" "MQTT-3.1.2-1" "the protocol name is not MQTT or MQIsdp";
    PROTOCOL_LEVEL UnsupportedProtocolVersion "MQTT-3.1.2-2" "MQTT-3.1.2-2"
        "the protocol level is not 3 (MQIsdp), 4 or 5 (MQTT)";
    CONNECT_RESERVED_FLAG MalformedPacket "MQTT-3.1.2-3" "MQTT-3.1.2-3" "the reserved flag of CONNECT is set";
    WILL_QOS_WITHOUT_WILL MalformedPacket "MQTT-3.1.2-13" "MQTT-3.1.2-11" "a will QoS is given without a will";
    WILL_QOS_3 MalformedPacket "MQTT-3.1.2-14" "MQTT-3.1.2-12" "the will QoS is 3";
    WILL_RETAIN_WITHOUT_WILL MalformedPacket "MQTT-3.1.2-15" "MQTT-3.1.2-13" "will retain is set without a will";
    PASSWORD_WITHOUT_USERNAME MalformedPacket "MQTT-3.1.2-22" "MQTT5 3.1.2.9" "a password is given without a user name";
    CLIENT_ID_EMPTY ClientIdentifierNotValid "MQTT-3.1.3-8" "MQTT5 3.1.3.1"
        "the client identifier is empty but the session is not clean";
    RECEIVE_MAXIMUM_ZERO ProtocolError "MQTT3 3.1.2" "MQTT5 3.1.2.11.3" "the receive maximum is 0";
    MAXIMUM_PACKET_SIZE_ZERO ProtocolError "MQTT3 3.1.2" "MQTT5 3.1.2.11.4" "the maximum packet size is 0";
    REQUEST_RESPONSE_VALUE ProtocolError "MQTT3 3.1.2" "MQTT5 3.1.2.11.6"
        "request response information is neither 0 nor 1";
    REQUEST_PROBLEM_VALUE ProtocolError "MQTT3 3.1.2" "MQTT5 3.1.2.11.7"
        "request problem information is neither 0 nor 1";
    AUTHENTICATION_DATA_ALONE ProtocolError "MQTT3 3.1.2" "MQTT5 3.1.2.11.10"
        "authentication data is given without a method";
    WILL_PAYLOAD_NOT_UTF8 PayloadFormatInvalid "MQTT3 3.1.3" "MQTT5 3.1.3.2.3"
        "the will's payload is declared as UTF-8 but is not";
    TOPIC_EMPTY MalformedPacket "MQTT-4.7.3-1" "MQTT-4.7.3-1" "a topic name is empty";
    TOPIC_HAS_WILDCARD MalformedPacket "MQTT-4.7.1-1" "MQTT-4.7.0-1" "a topic name holds a wildcard";
    PUBLISH_QOS_3 MalformedPacket "MQTT-3.3.1-4" "MQTT-3.3.1-4" "the QoS of PUBLISH is 3";
    DUP_WITH_QOS_0 MalformedPacket "MQTT-3.3.1-2" "MQTT-3.3.1-2" "DUP is set on a QoS 0 PUBLISH";
    PUBLISH_TOPIC_HAS_WILDCARD MalformedPacket "MQTT-3.3.2-2" "MQTT-3.3.2-2" "the topic name holds a wildcard";
    TOPIC_AND_ALIAS_MISSING ProtocolError "MQTT-4.7.3-1" "MQTT5 3.3.2.1"
        "the topic name is empty and there is no topic alias";
    TOPIC_ALIAS_ZERO TopicAliasInvalid "MQTT3 3.3.2" "MQTT-3.3.2-8" "the topic alias is 0";
    SUBSCRIPTION_IDENTIFIER_FROM_CLIENT ProtocolError "MQTT3 3.3.2" "MQTT-3.3.4-6"
        "a client's PUBLISH holds a subscription identifier";
    PAYLOAD_FORMAT_VALUE ProtocolError "MQTT3 3.3.2" "MQTT5 3.3.2.3.2" "the payload format is neither 0 nor 1";
    PAYLOAD_NOT_UTF8 PayloadFormatInvalid "MQTT3 3.3.2" "MQTT5 3.3.2.3.2"
        "the payload is declared as UTF-8 but is not";
    RESPONSE_TOPIC_HAS_WILDCARD ProtocolError "MQTT3 3.3.2" "MQTT-3.3.2-14" "the response topic holds a wildcard";
    PUBACK_REASON ProtocolError "MQTT3 3.4.2" "MQTT-3.4.2-1" "a client may not send this reason code in PUBACK";
    PUBREC_REASON ProtocolError "MQTT3 3.5.2" "MQTT-3.5.2-1" "a client may not send this reason code in PUBREC";
    PUBREL_REASON ProtocolError "MQTT3 3.6.2" "MQTT-3.6.2-1" "a client may not send this reason code in PUBREL";
    PUBCOMP_REASON ProtocolError "MQTT3 3.7.2" "MQTT-3.7.2-1" "a client may not send this reason code in PUBCOMP";
    SUBSCRIBE_WITHOUT_FILTER ProtocolError "MQTT-3.8.3-3" "MQTT-3.8.3-2" "SUBSCRIBE holds no topic filter";
    SUBSCRIBE_OPTIONS_RESERVED MalformedPacket "MQTT-3.8.3-4" "MQTT-3.8.3-5" "a reserved subscription option is set";
    SUBSCRIBE_QOS_3 ProtocolError "MQTT-3.8.3-4" "MQTT5 3.8.3.1" "the QoS of a subscription is 3";
    RETAIN_HANDLING_3 ProtocolError "MQTT-3.8.3-4" "MQTT5 3.8.3.1" "the retain handling of a subscription is 3";
    NO_LOCAL_ON_SHARED ProtocolError "MQTT-3.8.3-4" "MQTT-3.8.3-4" "no local is set on a shared subscription";
    SUBSCRIPTION_IDENTIFIER_ZERO ProtocolError "MQTT3 3.8.2" "MQTT5 3.8.2.1.2" "the subscription identifier is 0";
    UNSUBSCRIBE_WITHOUT_FILTER ProtocolError "MQTT-3.10.3-2" "MQTT-3.10.3-2" "UNSUBSCRIBE holds no topic filter";
    FILTER_EMPTY MalformedPacket "MQTT-4.7.3-1" "MQTT-4.7.3-1" "the topic filter is empty";
    MULTI_LEVEL_WILDCARD MalformedPacket "MQTT-4.7.1-2" "MQTT-4.7.1-1"
        "# is not alone in the last level of the topic filter";
    SINGLE_LEVEL_WILDCARD MalformedPacket "MQTT-4.7.1-3" "MQTT-4.7.1-2"
        "+ is not alone in its level of the topic filter";
    SHARE_NAME_EMPTY MalformedPacket "MQTT-4.7.3-1" "MQTT-4.8.2-1" "the share name is empty";
    SHARE_MALFORMED MalformedPacket "MQTT-4.7.3-1" "MQTT-4.8.2-2"
        "the share name holds a wildcard or no topic filter follows it";
    DISCONNECT_REASON ProtocolError "MQTT3 3.14" "MQTT-3.14.2-1" "a client may not send this reason code in DISCONNECT";
    SERVER_REFERENCE_FROM_CLIENT ProtocolError "MQTT3 3.14" "MQTT5 3.14.2.2.5"
        "only a server may send a server reference";
    AUTH_REASON ProtocolError "MQTT3 2.2.1" "MQTT-3.15.2-1" "a client may not send this reason code in AUTH";
    AUTH_WITHOUT_METHOD ProtocolError "MQTT3 2.2.1" "MQTT5 3.15.2.2.2" "AUTH holds no authentication method";
}
