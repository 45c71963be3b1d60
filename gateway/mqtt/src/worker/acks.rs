//! A client's acknowledgements (MQTT 5, 3.4 to 3.7 and 4.3).
//!
//! They may come in any order and more than once. One for an identifier that is not in use is answered with "Packet
//! Identifier not found" where the standard has an answer; one of the wrong kind for the message that has the identifier
//! is a protocol error.

use super::inbound::broken;
use crate::codec::{Ack, QoS, ReasonCode, Version, encode};
use crate::session::{Connection, Ending, Hold, Session};

/// PUBACK: the answer to a QoS 1 message. A failure acknowledges too (MQTT-4.4.0-2).
pub(super) fn acknowledged(session: &Session, version: Version, ack: &Ack<'_>) -> Result<(), Ending> {
    let mut delivery = session.delivery.borrow_mut();
    if delivery.flight(ack.packet_id).is_some_and(|flight| flight.queued.qos != QoS::AtLeastOnce) {
        return Err(unfitting(version, ["MQTT3 3.4", "MQTT5 3.4"], "PUBACK for a QoS 2 message"));
    }
    delivery.done(ack.packet_id);
    Ok(())
}

/// PUBREC: the client has the QoS 2 message, or with a failure does not take it and is done with it (MQTT-4.3.3-4). After
/// PUBREL the client forgets the identifier, so for a message on record it waits, as `promise` says, until the record knows.
pub(super) fn received(session: &Session, connection: &Connection, ack: &Ack<'_>, promise: Hold) -> Result<(), Ending> {
    let mut delivery = session.delivery.borrow_mut();
    let known = delivery.flight(ack.packet_id).map(|flight| flight.queued.qos);
    if known == Some(QoS::AtLeastOnce) {
        return Err(unfitting(connection.version, ["MQTT3 3.5", "MQTT5 3.5"], "PUBREC for a QoS 1 message"));
    }
    if ack.reason.is_error() {
        delivery.done(ack.packet_id);
        return Ok(());
    }
    let known = delivery.release(ack.packet_id);
    let reason = known_or_not(known.is_some());
    let hold = if known == Some(true) { promise } else { Hold::No };
    connection.answer(hold, |out| {
        encode::pubrel(out, connection.version, ack.packet_id, reason, None);
    });
    Ok(())
}

/// PUBCOMP: the end of a QoS 2 delivery.
pub(super) fn completed(session: &Session, version: Version, ack: &Ack<'_>) -> Result<(), Ending> {
    let mut delivery = session.delivery.borrow_mut();
    if delivery.flight(ack.packet_id).is_some_and(|flight| !flight.released) {
        return Err(unfitting(version, ["MQTT3 3.7", "MQTT5 3.7"], "PUBCOMP for a message that was not released"));
    }
    delivery.done(ack.packet_id);
    Ok(())
}

/// PUBREL: the client releases a QoS 2 message of its own (MQTT-4.3.3-11). After PUBCOMP it may use the identifier for
/// another message, so PUBCOMP waits, as `promise` says, until the record knows.
pub(super) fn released(session: &Session, connection: &Connection, ack: &Ack<'_>, promise: Hold) {
    let reason = known_or_not(session.delivery.borrow_mut().released(ack.packet_id));
    connection.answer(promise, |out| {
        encode::pubcomp(out, connection.version, ack.packet_id, reason, None);
    });
}

fn known_or_not(known: bool) -> ReasonCode {
    if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound }
}

fn unfitting(version: Version, [v3, v5]: [&'static str; 2], detail: &'static str) -> Ending {
    broken(ReasonCode::ProtocolError, if version.is_v5() { v5 } else { v3 }, detail)
}
