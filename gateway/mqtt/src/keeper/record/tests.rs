#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use super::*;
use crate::codec::{RetainHandling, SubscribeOptions, Version};
use crate::envelope::Letter;
use crate::keeper::Stamp;
use cordon_core::judge;
use cordon_core::policy::{Action, Principal};
use cordon_core::time::Now;
use std::time::Duration;

fn message(expires: Option<Mono>) -> Envelope {
    let letter = Letter {
        qos: QoS::ExactlyOnce,
        retain: true,
        publisher: 7,
        thing: "press-01",
        epoch: 3,
        expires,
        topic: "a/b",
        properties: &[1, 2],
        payload: b"body",
    };
    Envelope::seal(&letter, 8, &[], judge::judge_gateway(Action::Publish, "a/b"))
}

fn session() -> SessionRecord {
    let options = SubscribeOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: RetainHandling::DoNotSend,
    };
    SessionRecord {
        client_id: "präss".to_owned(),
        thing: Some("press-01".to_owned()),
        principal: Principal::Certificate { common_name: "press-01".to_owned(), fingerprint: "ab".to_owned() },
        listener: "tls".to_owned(),
        policies: vec!["open".to_owned()],
        peer: "[::1]:1883".parse().unwrap(),
        version: Version::V311,
        since: Now::for_test(1),
        will: true,
        expiry: u32::MAX,
        left: Some(Stamp { boot: 9, at: Now::for_test(2) }),
        filters: vec![("a/+".to_owned(), options, Some(5)), ("#".to_owned(), options, None)],
    }
}

/// Reads what was written, and nothing when it is cut anywhere or of another format.
fn whole<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> T {
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_none(), "cut at {end} of {}", bytes.len());
    }
    assert!(read(&[bytes, &[0]].concat()).is_none());
    let mut other = bytes.to_vec();
    other[0] += 1;
    assert!(read(&other).is_none());
    read(bytes).unwrap()
}

#[test]
fn a_session_reads_as_it_was_written() {
    let bytes = Value::Session(Box::new(session())).encode();
    assert_eq!(whole(&bytes, SessionRecord::read), session());
    for principal in
        [Principal::User("u".to_owned()), Principal::Anonymous { listener: "l".to_owned() }, Principal::Gateway]
    {
        let record = SessionRecord { principal, thing: None, left: None, ..session() };
        assert_eq!(SessionRecord::read(&Value::Session(Box::new(record.clone())).encode()), Some(record));
    }
}

#[test]
fn a_message_reads_as_it_was_written_but_for_its_epoch_and_its_expiry_on_this_boot() {
    let now = Now::for_test(0);
    let expires = now.mono.plus(Duration::from_secs(60));
    let record = MessageRecord {
        packet_id: NonZeroU16::new(300),
        qos: QoS::AtLeastOnce,
        retain: true,
        ids: vec![1, 268_435_455],
        message: Some(RetainedRecord {
            message: message(Some(expires)),
            expires: Some(Deadline::new(expires, 1, now)),
        }),
    };
    let booted = Now { mono: Mono(10), ..now.plus(Duration::from_secs(20)) };
    let read =
        whole(&Value::Message(record).encode(), |bytes| MessageRecord::read(bytes, |deadline| deadline.end(2, booted)));
    assert_eq!((read.packet_id, read.qos, read.retain), (NonZeroU16::new(300), QoS::AtLeastOnce, true));
    assert_eq!(read.ids, [1, 268_435_455]);
    let restored = read.message.unwrap().message;
    assert_eq!((restored.topic(), restored.thing(), restored.payload()), ("a/b", "press-01", &b"body"[..]));
    assert_eq!((restored.publisher(), restored.number(), restored.qos()), (7, 8, QoS::ExactlyOnce));
    assert_eq!(restored.epoch(), 0, "it is judged under the rules in force");
    assert_eq!(restored.expires(), Some(booted.mono.plus(Duration::from_secs(40))));
}

#[test]
fn what_the_client_already_has_is_kept_without_its_body() {
    let record = MessageRecord {
        packet_id: NonZeroU16::new(1),
        qos: QoS::ExactlyOnce,
        retain: false,
        ids: vec![],
        message: None,
    };
    let bytes = Value::Message(record).encode();
    assert!(bytes.len() < 16);
    assert!(whole(&bytes, |bytes| MessageRecord::read(bytes, |_| Mono(0))).message.is_none());
}

#[test]
fn wills_retained_messages_and_progress_read_as_they_were_written() {
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "gone".to_owned(),
        payload: vec![0, 255],
        properties: vec![1],
        message_expiry: Some(0),
        delay: 30,
    };
    let due = Deadline::new(Mono(50), 1, Now::for_test(0));
    let bytes = Value::Will(Box::new(WillRecord { will: will.clone(), due: Some(due) })).encode();
    let read = whole(&bytes, WillRecord::read);
    assert_eq!((read.due, read.will.delay, read.will.message_expiry), (Some(due), 30, Some(0)));
    assert_eq!((read.will.topic, read.will.payload, read.will.properties), (will.topic, will.payload, will.properties));

    let retained = RetainedRecord { message: message(None), expires: None };
    let read = whole(&Value::Retained(retained).encode(), |bytes| RetainedRecord::read(bytes, |_| Mono(0)));
    assert_eq!((read.message.payload(), read.message.expires()), (&b"body"[..], None));

    let progress = ProgressRecord { last_id: 9, sent: 10 };
    assert_eq!(whole(&Value::Progress(progress).encode(), ProgressRecord::read), progress);
    assert!(is_unreleased(&Value::Unreleased.encode()));
}
