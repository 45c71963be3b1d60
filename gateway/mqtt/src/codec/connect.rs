//! CONNECT (MQTT 5, 3.1).
//!
//! MQTT 3.1 is read with the freedoms its text leaves: unused flag bits are ignored, and a user name or password that
//! a flag announces may be missing at the end of the packet.

use super::properties::{PropertyBlock, Seen, id};
use super::reader::Reader;
use super::rules::{self, Broken};
use super::{PacketType, PublishProperties, QoS, UserProperties, Version, Violation, fixed, message};
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

/// The first packet of a connection. Its `Debug` form shows neither the password nor the will's payload.
#[derive(Clone)]
pub struct Connect<'a> {
    /// The version the client speaks from here on.
    pub version: Version,
    /// Whether an existing session is thrown away (Clean Session in MQTT 3).
    pub clean_start: bool,
    /// The longest silence between two packets, in seconds; 0 turns the check off.
    pub keep_alive: u16,
    /// The client identifier. Empty when the client leaves the choice to the server; in MQTT 3.1.1 only together with
    /// a clean session, in MQTT 3.1 never.
    pub client_id: &'a str,
    /// What to publish when the client goes without a DISCONNECT.
    pub will: Option<Will<'a>>,
    /// The user name, unchecked.
    pub username: Option<&'a str>,
    /// The password, unchecked. A secret: never log it.
    pub password: Option<&'a [u8]>,
    /// The properties; their defaults for MQTT 3.
    pub properties: ConnectProperties<'a>,
}

/// The will of a client (MQTT 5, 3.1.2.5).
#[derive(Clone)]
pub struct Will<'a> {
    /// The level it is published with.
    pub qos: QoS,
    /// Whether it is published as a retained message.
    pub retain: bool,
    /// A valid topic name.
    pub topic: &'a str,
    /// The message.
    pub payload: &'a [u8],
    /// How long the server waits before it publishes, in seconds; 0 in MQTT 3.
    pub delay: u32,
    /// The properties of the message to publish. There is never a topic alias.
    pub properties: PublishProperties<'a>,
}

/// The properties of CONNECT with their defaults filled in (MQTT 5, 3.1.2.11).
#[derive(Clone)]
pub struct ConnectProperties<'a> {
    /// How long the session outlives the connection, in seconds; `u32::MAX` is for ever. In MQTT 3 it follows from the
    /// clean session flag: 0 with it, for ever without.
    pub session_expiry: u32,
    /// How many QoS 1 and 2 messages the client takes unacknowledged.
    pub receive_maximum: NonZeroU16,
    /// The largest packet the client takes, in bytes; none is no limit.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest topic alias the client takes; 0 is none.
    pub topic_alias_maximum: u16,
    /// Whether the client wants response information in CONNACK.
    pub request_response_information: bool,
    /// Whether reason strings and user properties may be sent on packets other than PUBLISH, CONNACK and DISCONNECT.
    pub request_problem_information: bool,
    /// The method of an extended authentication.
    pub authentication_method: Option<&'a str>,
    /// Data for that method. A secret: never log it.
    pub authentication_data: Option<&'a [u8]>,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
}

/// A CONNECT that cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{violation}")]
pub struct ConnectRefused {
    /// What is wrong. An unknown protocol has the reason `UnsupportedProtocolVersion`, an empty client identifier that
    /// MQTT 3 does not allow has `ClientIdentifierNotValid`.
    pub violation: Violation,
    /// The version of the CONNACK that may carry the reason; none when the connection is to be closed without one.
    pub answer: Option<Version>,
    /// The largest packet the client takes, in bytes, if it said so before the fault (MQTT-3.1.2-24).
    pub maximum_packet_size: Option<NonZeroU32>,
}

// === impl Connect ===

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("username", &self.username)
            .field("password", &self.password.map(|_| "hidden"))
            .field("properties", &self.properties)
            .finish()
    }
}

// === impl Will ===

impl fmt::Debug for Will<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Will")
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("delay", &self.delay)
            .field("properties", &self.properties)
            .finish()
    }
}

// === impl ConnectProperties ===

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry: 0,
            receive_maximum: NonZeroU16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user_properties: UserProperties::default(),
        }
    }
}

impl fmt::Debug for ConnectProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectProperties")
            .field("session_expiry", &self.session_expiry)
            .field("receive_maximum", &self.receive_maximum)
            .field("maximum_packet_size", &self.maximum_packet_size)
            .field("topic_alias_maximum", &self.topic_alias_maximum)
            .field("request_response_information", &self.request_response_information)
            .field("request_problem_information", &self.request_problem_information)
            .field("authentication_method", &self.authentication_method)
            .field("authentication_data", &self.authentication_data.map(|_| "hidden"))
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

// === decoding ===

const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

pub(super) fn decode(packet: &[u8]) -> Result<Connect<'_>, ConnectRefused> {
    if packet.first().is_some_and(|first| first >> 4 != PacketType::Connect as u8) {
        return Err(before_version(&rules::FIRST_NOT_CONNECT));
    }
    let (_, body) = fixed::split(packet, Version::V31).map_err(before_version)?;
    let mut reader = Reader::new(body);
    let version = decode_version(&mut reader)?;
    let refused = |rule: Broken| {
        let violation = rule.cite(version);
        let told = version.is_v5() || violation.reason.connack_v3().is_some();
        let maximum_packet_size = if version.is_v5() { size_told(reader.clone()) } else { None };
        ConnectRefused { violation, answer: told.then_some(version), maximum_packet_size }
    };
    fixed::split(packet, version).and_then(|_| decode_after_version(version, reader.clone())).map_err(refused)
}

/// The version that the start of a CONNECT names, as far as it has arrived; none if it is not known.
#[must_use]
pub fn version_told(start: &[u8]) -> Option<Version> {
    let (_, rest) = start.split_first().filter(|(first, _)| **first >> 4 == PacketType::Connect as u8)?;
    let length = fixed::Varint::read(rest).ok().flatten()?;
    decode_version(&mut Reader::new(rest.get(length.len..)?)).ok()
}

/// The largest packet that a client takes whose CONNECT is faulty behind its properties. `reader` is behind the version.
fn size_told(mut reader: Reader<'_>) -> Option<NonZeroU32> {
    reader.skip(3).ok()?;
    decode_properties(reader.property_block().ok()?).ok()?.maximum_packet_size
}

/// Until the level is known there is no CONNACK the client could read.
fn before_version(rule: Broken) -> ConnectRefused {
    ConnectRefused { violation: rule.cite(Version::V5), answer: None, maximum_packet_size: None }
}

fn decode_version(reader: &mut Reader<'_>) -> Result<Version, ConnectRefused> {
    let name = reader.binary().map_err(before_version)?;
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        return Err(before_version(&rules::PROTOCOL_NAME));
    }
    let level = reader.u8().map_err(before_version)?;
    match (name, level) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        _ => {
            // The client reads the CONNACK of the closest version. Bridges set the highest bit of the level at first and
            // try again without it when they read the refusal.
            let answer = if level & 0x7F >= 5 { Version::V5 } else { Version::V311 };
            let violation = rules::PROTOCOL_LEVEL.cite(answer);
            Err(ConnectRefused { violation, answer: Some(answer), maximum_packet_size: None })
        }
    }
}

fn decode_after_version(version: Version, mut reader: Reader<'_>) -> Result<Connect<'_>, Broken> {
    let flags = reader.u8()?;
    check_flags(version, flags)?;
    let clean_start = flags & CLEAN_START != 0;
    let keep_alive = reader.u16()?;
    let properties = if version.is_v5() {
        decode_properties(reader.property_block()?)?
    } else {
        ConnectProperties { session_expiry: if clean_start { 0 } else { u32::MAX }, ..ConnectProperties::default() }
    };
    let client_id = reader.string()?;
    let id_missing = client_id.is_empty()
        && match version {
            Version::V31 => true,
            Version::V311 => !clean_start,
            Version::V5 => false,
        };
    if id_missing {
        return Err(&rules::CLIENT_ID_EMPTY);
    }
    let will = if flags & WILL != 0 { Some(decode_will(version, flags, &mut reader)?) } else { None };
    let username = if announced(version, flags & USERNAME, &reader) { Some(reader.string()?) } else { None };
    let password = if announced(version, flags & PASSWORD, &reader) { Some(reader.binary()?) } else { None };
    reader.end()?;
    Ok(Connect { version, clean_start, keep_alive, client_id, will, username, password, properties })
}

/// In MQTT 3.1 the length of the packet takes precedence over the user name and password flags (its section 3.1).
fn announced(version: Version, flag: u8, reader: &Reader<'_>) -> bool {
    flag != 0 && !(version == Version::V31 && reader.is_empty())
}

fn check_flags(version: Version, flags: u8) -> Result<(), Broken> {
    let will_qos = (flags >> 3) & 3;
    if flags & WILL != 0 && will_qos == 3 {
        return Err(&rules::WILL_QOS_3);
    }
    if !version.is_v5() && flags & PASSWORD != 0 && flags & USERNAME == 0 {
        return Err(&rules::PASSWORD_WITHOUT_USERNAME);
    }
    if version == Version::V31 {
        return Ok(());
    }
    if flags & 1 != 0 {
        return Err(&rules::CONNECT_RESERVED_FLAG);
    }
    if flags & WILL == 0 && will_qos != 0 {
        return Err(&rules::WILL_QOS_WITHOUT_WILL);
    }
    if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
        return Err(&rules::WILL_RETAIN_WITHOUT_WILL);
    }
    Ok(())
}

fn decode_will<'a>(version: Version, flags: u8, reader: &mut Reader<'a>) -> Result<Will<'a>, Broken> {
    let (delay, properties) =
        if version.is_v5() { message::decode_will(reader.property_block()?)? } else { Default::default() };
    let topic = reader.topic_name(&rules::TOPIC_HAS_WILDCARD)?;
    if topic.is_empty() {
        return Err(&rules::TOPIC_EMPTY);
    }
    let payload = reader.binary()?;
    if properties.payload_is_utf8 && std::str::from_utf8(payload).is_err() {
        return Err(&rules::WILL_PAYLOAD_NOT_UTF8);
    }
    let qos = QoS::from_u8((flags >> 3) & 3).ok_or(&rules::WILL_QOS_3)?;
    Ok(Will { qos, retain: flags & WILL_RETAIN != 0, topic, payload, delay, properties })
}

fn decode_properties(block: PropertyBlock<'_>) -> Result<ConnectProperties<'_>, Broken> {
    let mut found = ConnectProperties { user_properties: block.user_properties(), ..ConnectProperties::default() };
    let mut seen = Seen::default();
    let mut reader = block.reader();
    while let Some(id) = seen.next(&mut reader)? {
        match id {
            id::SESSION_EXPIRY => found.session_expiry = reader.u32()?,
            id::RECEIVE_MAXIMUM => {
                found.receive_maximum = NonZeroU16::new(reader.u16()?).ok_or(&rules::RECEIVE_MAXIMUM_ZERO)?;
            }
            id::MAXIMUM_PACKET_SIZE => {
                let size = NonZeroU32::new(reader.u32()?).ok_or(&rules::MAXIMUM_PACKET_SIZE_ZERO)?;
                found.maximum_packet_size = Some(size);
            }
            id::TOPIC_ALIAS_MAXIMUM => found.topic_alias_maximum = reader.u16()?,
            id::REQUEST_RESPONSE_INFORMATION => {
                found.request_response_information = reader.flag(&rules::REQUEST_RESPONSE_VALUE)?;
            }
            id::REQUEST_PROBLEM_INFORMATION => {
                found.request_problem_information = reader.flag(&rules::REQUEST_PROBLEM_VALUE)?;
            }
            id::AUTHENTICATION_METHOD => found.authentication_method = Some(reader.string()?),
            id::AUTHENTICATION_DATA => found.authentication_data = Some(reader.binary()?),
            id::USER_PROPERTY => reader.string_pair()?,
            _ => return Err(&rules::PROPERTY_UNKNOWN),
        }
    }
    if found.authentication_data.is_some() && found.authentication_method.is_none() {
        return Err(&rules::AUTHENTICATION_DATA_ALONE);
    }
    Ok(found)
}
