//! The small packets: the acknowledgements (MQTT 5, 3.4 to 3.7), DISCONNECT (3.14) and AUTH (3.15).

use super::properties::{PropertyBlock, Seen, id};
use super::reader::Reader;
use super::rules::{self, Broken, Rule};
use super::{ReasonCode, UserProperties, Version};
use std::fmt;
use std::num::NonZeroU16;

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone)]
pub struct Ack<'a> {
    /// The message this is about.
    pub packet_id: NonZeroU16,
    /// How it went; always success in MQTT 3.
    pub reason: ReasonCode,
    /// The client's words for it.
    pub reason_string: Option<&'a str>,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
}

/// The client's goodbye.
#[derive(Debug, Clone)]
pub struct Disconnect<'a> {
    /// Why it goes. `Success` drops the will, everything else has it published (MQTT 5, 3.14.4).
    pub reason: ReasonCode,
    /// How long the session stays from here on, in seconds. The session checks that it was not 0 in CONNECT
    /// (3.14.2.2.2).
    pub session_expiry: Option<u32>,
    /// The client's words for it.
    pub reason_string: Option<&'a str>,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
}

/// A step of an extended authentication. Its `Debug` form does not show the data.
#[derive(Clone)]
pub struct Auth<'a> {
    /// `ContinueAuthentication` or `ReAuthenticate`.
    pub reason: ReasonCode,
    /// The method.
    pub method: &'a str,
    /// Data for the method. A secret: never log it.
    pub data: Option<&'a [u8]>,
    /// The client's words for it.
    pub reason_string: Option<&'a str>,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
}

// === impl Auth ===

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("reason", &self.reason)
            .field("method", &self.method)
            .field("data", &self.data.map(|_| "hidden"))
            .field("reason_string", &self.reason_string)
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

// === reason codes a client may send ===

/// The reason codes of one packet type and the rule that lists them.
pub(super) struct Codes {
    allowed: &'static [ReasonCode],
    rule: &'static Rule,
}

/// What a receiver of a PUBLISH may answer. "No matching subscribers" is for servers only (3.4.2.1).
const RECEIVED: &[ReasonCode] = &[
    ReasonCode::Success,
    ReasonCode::UnspecifiedError,
    ReasonCode::ImplementationSpecificError,
    ReasonCode::NotAuthorized,
    ReasonCode::TopicNameInvalid,
    ReasonCode::PacketIdentifierInUse,
    ReasonCode::QuotaExceeded,
    ReasonCode::PayloadFormatInvalid,
];
const RELEASED: &[ReasonCode] = &[ReasonCode::Success, ReasonCode::PacketIdentifierNotFound];

pub(super) static PUBACK: Codes = Codes { allowed: RECEIVED, rule: &rules::PUBACK_REASON };
pub(super) static PUBREC: Codes = Codes { allowed: RECEIVED, rule: &rules::PUBREC_REASON };
pub(super) static PUBREL: Codes = Codes { allowed: RELEASED, rule: &rules::PUBREL_REASON };
pub(super) static PUBCOMP: Codes = Codes { allowed: RELEASED, rule: &rules::PUBCOMP_REASON };
static DISCONNECT: Codes = Codes {
    allowed: &[
        ReasonCode::Success,
        ReasonCode::DisconnectWithWillMessage,
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::ProtocolError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::TopicNameInvalid,
        ReasonCode::ReceiveMaximumExceeded,
        ReasonCode::TopicAliasInvalid,
        ReasonCode::PacketTooLarge,
        ReasonCode::MessageRateTooHigh,
        ReasonCode::QuotaExceeded,
        ReasonCode::AdministrativeAction,
        ReasonCode::PayloadFormatInvalid,
    ],
    rule: &rules::DISCONNECT_REASON,
};
static AUTH: Codes =
    Codes { allowed: &[ReasonCode::ContinueAuthentication, ReasonCode::ReAuthenticate], rule: &rules::AUTH_REASON };

// === impl Codes ===

impl Codes {
    fn read(&self, reader: &mut Reader<'_>) -> Result<ReasonCode, Broken> {
        ReasonCode::from_u8(reader.u8()?).filter(|code| self.allowed.contains(code)).ok_or(self.rule)
    }
}

// === decoding ===

#[inline]
pub(super) fn decode<'a>(version: Version, codes: &'static Codes, body: &'a [u8]) -> Result<Ack<'a>, Broken> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    if version.is_v5() && !reader.is_empty() {
        return decode_tail(packet_id, codes, reader);
    }
    reader.end()?;
    Ok(Ack { packet_id, reason: ReasonCode::Success, reason_string: None, user_properties: UserProperties::default() })
}

/// The rest of the long form. Apart from the short form, because that one is on the hot path.
fn decode_tail<'a>(packet_id: NonZeroU16, codes: &Codes, mut reader: Reader<'a>) -> Result<Ack<'a>, Broken> {
    let reason = codes.read(&mut reader)?;
    let block = optional_block(&mut reader)?;
    reader.end()?;
    let mut reason_string = None;
    let mut seen = Seen::default();
    let mut properties = block.reader();
    while let Some(id) = seen.next(&mut properties)? {
        match id {
            id::REASON_STRING => reason_string = Some(properties.string()?),
            id::USER_PROPERTY => properties.string_pair()?,
            _ => return Err(&rules::PROPERTY_UNKNOWN),
        }
    }
    Ok(Ack { packet_id, reason, reason_string, user_properties: block.user_properties() })
}

pub(super) fn decode_disconnect(version: Version, body: &[u8]) -> Result<Disconnect<'_>, Broken> {
    let mut reader = Reader::new(body);
    let mut found = Disconnect {
        reason: ReasonCode::Success,
        session_expiry: None,
        reason_string: None,
        user_properties: UserProperties::default(),
    };
    if version.is_v5() && !reader.is_empty() {
        found.reason = DISCONNECT.read(&mut reader)?;
        let block = optional_block(&mut reader)?;
        found.user_properties = block.user_properties();
        let mut seen = Seen::default();
        let mut properties = block.reader();
        while let Some(id) = seen.next(&mut properties)? {
            match id {
                id::SESSION_EXPIRY => found.session_expiry = Some(properties.u32()?),
                id::REASON_STRING => found.reason_string = Some(properties.string()?),
                id::USER_PROPERTY => properties.string_pair()?,
                id::SERVER_REFERENCE => return Err(&rules::SERVER_REFERENCE_FROM_CLIENT),
                _ => return Err(&rules::PROPERTY_UNKNOWN),
            }
        }
    }
    reader.end()?;
    Ok(found)
}

pub(super) fn decode_auth(body: &[u8]) -> Result<Auth<'_>, Broken> {
    let mut reader = Reader::new(body);
    if reader.is_empty() {
        // An empty AUTH means success, which only a server may say.
        return Err(&rules::AUTH_REASON);
    }
    let reason = AUTH.read(&mut reader)?;
    let block = reader.property_block()?;
    reader.end()?;
    let (mut method, mut data, mut reason_string) = (None, None, None);
    let mut seen = Seen::default();
    let mut properties = block.reader();
    while let Some(id) = seen.next(&mut properties)? {
        match id {
            id::AUTHENTICATION_METHOD => method = Some(properties.string()?),
            id::AUTHENTICATION_DATA => data = Some(properties.binary()?),
            id::REASON_STRING => reason_string = Some(properties.string()?),
            id::USER_PROPERTY => properties.string_pair()?,
            _ => return Err(&rules::PROPERTY_UNKNOWN),
        }
    }
    let method = method.ok_or(&rules::AUTH_WITHOUT_METHOD)?;
    Ok(Auth { reason, method, data, reason_string, user_properties: block.user_properties() })
}

/// The properties after a reason code, which may be left out together with their length.
fn optional_block<'a>(reader: &mut Reader<'a>) -> Result<PropertyBlock<'a>, Broken> {
    if reader.is_empty() { Ok(PropertyBlock::default()) } else { reader.property_block() }
}
