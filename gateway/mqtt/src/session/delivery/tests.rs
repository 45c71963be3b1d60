//! The window, the queue and the identifiers; and what a lasting session puts on record.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]
use super::*;
use crate::envelope::Letter;
use cordon_core::judge;
use cordon_core::policy::Action;

fn queued(payload: &str, qos: QoS) -> Queued {
    let letter = Letter {
        qos,
        retain: false,
        publisher: 1,
        thing: "",
        epoch: 0,
        expires: None,
        topic: "t",
        properties: &[],
        payload: payload.as_bytes(),
    };
    let message = Envelope::seal(&letter, 0, &[], judge::judge_gateway(Action::Publish, "t"));
    Queued { message, qos, retain: false, ids: None, slot: Slot::default() }
}

#[test]
fn the_window_bounds_what_is_unacknowledged_and_order_is_kept() {
    let mut delivery = Delivery::default();
    for name in ["a", "b", "c"] {
        assert_eq!(delivery.enqueue(queued(name, QoS::AtLeastOnce), 10, 1000), Accepted::Queued);
    }
    let mut sent = Vec::new();
    while let Some(next) = delivery.next(2) {
        sent.push(String::from_utf8(next.message.payload().to_vec()).unwrap());
        delivery.take_off(next);
    }
    assert_eq!(sent, ["a", "b"]);
    assert!(delivery.done(NonZeroU16::new(2).unwrap()), "acknowledgements may come out of order");
    assert_eq!(delivery.next(2).unwrap().message.payload(), b"c");
}

#[test]
fn a_full_queue_drops_the_newest() {
    let mut delivery = Delivery::default();
    assert_eq!(delivery.enqueue(queued("a", QoS::AtLeastOnce), 1, 1000), Accepted::Queued);
    assert_eq!(delivery.enqueue(queued("b", QoS::AtLeastOnce), 1, 1000), Accepted::Dropped);
    assert_eq!(delivery.enqueue(queued("b", QoS::AtLeastOnce), 10, 1), Accepted::Dropped);
    assert_eq!(delivery.next(1).unwrap().message.payload(), b"a");
}

#[test]
fn identifiers_in_use_are_not_given_twice() {
    let mut delivery = Delivery::default();
    let first = delivery.take_off(queued("a", QoS::AtLeastOnce));
    for _ in 0..65_534 {
        let id = delivery.take_off(queued("b", QoS::AtLeastOnce));
        assert!(delivery.done(id));
    }
    assert_ne!(delivery.take_off(queued("c", QoS::AtLeastOnce)), first);
}

#[test]
fn a_repeated_qos_2_message_is_recognised_until_it_is_released() {
    let (mut delivery, id) = (Delivery::default(), NonZeroU16::new(7).unwrap());
    assert_eq!(delivery.arrive(id, 1), Some(true));
    assert_eq!(delivery.arrive(id, 1), Some(false));
    assert_eq!(delivery.arrive(NonZeroU16::new(8).unwrap(), 1), None);
    assert!(delivery.released(id));
    assert!(!delivery.released(id));
    assert_eq!(delivery.arrive(id, 1), Some(true));
}

#[test]
fn a_resumed_client_has_its_whole_quota_again_but_not_without_end() {
    let mut delivery = Delivery::default();
    let arrive = |delivery: &mut Delivery, id| delivery.arrive(NonZeroU16::new(id).unwrap(), 2);
    for (resumed, ids) in [(false, 1..=2), (true, 3..=4)] {
        if resumed {
            delivery.resume();
        }
        assert!(ids.clone().all(|id| arrive(&mut delivery, id) == Some(true)));
        assert_eq!(arrive(&mut delivery, ids.end() + 1), None);
    }
    delivery.resume();
    assert_eq!(arrive(&mut delivery, 5), None, "who never releases gets no further quota");
}

#[test]
fn only_a_qos_2_message_can_be_released() {
    let mut delivery = Delivery::default();
    let once = delivery.take_off(queued("a", QoS::AtLeastOnce));
    let exactly = delivery.take_off(queued("b", QoS::ExactlyOnce));
    assert_eq!(delivery.release(once), None);
    assert_eq!(delivery.release(exactly), Some(false));
    assert!(delivery.flight(exactly).unwrap().released);
}

#[test]
fn a_resumed_session_sends_again_in_order_within_the_window_and_before_anything_new() {
    let mut delivery = Delivery::default();
    let ids = ["a", "b", "c"].map(|name| delivery.take_off(queued(name, QoS::AtLeastOnce)));
    delivery.enqueue(queued("d", QoS::AtLeastOnce), 10, 1000);
    delivery.resume();
    assert_eq!(delivery.again(2).unwrap().packet_id, ids[0]);
    assert_eq!(delivery.again(2).unwrap().packet_id, ids[1]);
    assert!(delivery.again(2).is_none() && delivery.next(2).is_none() && !delivery.is_free(2));
    assert!(delivery.done(ids[1]));
    assert_eq!(delivery.again(2).unwrap().packet_id, ids[2]);
    assert!(delivery.done(ids[0]));
    assert_eq!(delivery.next(2).unwrap().message.payload(), b"d");
}

/// What the log says, with the payloads of the messages to be kept.
fn log(delivery: &mut Delivery) -> Vec<String> {
    let changes = delivery.take_log();
    let tell = |change: Change| match change {
        Change::Keep { place, .. } => {
            let (queued, id, released) = delivery.at(place)?;
            let text = String::from_utf8_lossy(queued.message.payload()).into_owned();
            Some(format!(
                "{place} {text} as {}{}",
                id.map_or(0, NonZeroU16::get),
                if released { " released" } else { "" }
            ))
        }
        Change::Forget(place) => Some(format!("no {place}")),
        Change::Arrived(id) => Some(format!("arrived {id}")),
        Change::Released(id) => Some(format!("no arrived {id}")),
        Change::Progress => None,
    };
    changes.into_iter().filter_map(tell).collect()
}

fn lasting() -> Delivery {
    let mut delivery = Delivery::default();
    delivery.begin_record();
    delivery
}

#[test]
fn what_waits_for_an_absent_client_is_on_record_with_its_identifier_and_goes_when_it_is_done() {
    let mut delivery = lasting();
    let first = delivery.take_off(queued("a", QoS::ExactlyOnce));
    assert_eq!(log(&mut delivery), [""; 0], "what may be acknowledged at once is not written");
    for name in ["b", "c"] {
        delivery.enqueue(queued(name, QoS::ExactlyOnce), 10, 1000);
    }
    delivery.keep_all();
    assert_eq!(log(&mut delivery), ["1 a as 1", "2 b as 2", "3 c as 3"]);
    assert_eq!(delivery.progress().1, 1, "the first was sent");

    delivery.resume();
    assert_eq!(delivery.again(10).unwrap().packet_id, first);
    let next = delivery.next(10).unwrap();
    assert_eq!(delivery.take_off(next).get(), 2, "under the identifier that is on record");
    let cut = delivery.next(10).unwrap();
    delivery.discard(&cut);
    assert_eq!(delivery.release(first), Some(true));
    assert!(delivery.done(NonZeroU16::new(2).unwrap()));
    assert_eq!(log(&mut delivery), ["no 3", "1 a as 1 released", "no 2"]);
    assert!(delivery.done(first));
    assert_eq!(log(&mut delivery), ["no 1"]);
    assert_eq!(delivery.take_off(queued("d", QoS::AtLeastOnce)).get(), 4);
}

#[test]
fn what_stays_unacknowledged_is_written_after_a_while_and_what_does_not_never_is() {
    let mut delivery = lasting();
    let quick = delivery.take_off(queued("quick", QoS::AtLeastOnce));
    delivery.age();
    let slow = delivery.take_off(queued("slow", QoS::AtLeastOnce));
    delivery.enqueue(queued("waits", QoS::AtLeastOnce), 10, 1000);
    assert!(delivery.done(quick));
    delivery.age();
    assert_eq!(log(&mut delivery), [""; 0]);
    delivery.age();
    assert_eq!(log(&mut delivery), ["2 slow as 2", "3 waits as 3"]);
    assert!(delivery.done(slow));
    delivery.age();
    assert_eq!(log(&mut delivery), ["no 2"]);
}

#[test]
fn received_identifiers_are_on_record_until_they_are_released() {
    let (mut delivery, id) = (lasting(), NonZeroU16::new(7).unwrap());
    assert_eq!(delivery.arrive(id, 10), Some(true));
    delivery.note_arrival(id);
    assert!(delivery.released(id) && !delivery.released(id));
    delivery.note_arrival(id);
    assert_eq!(log(&mut delivery), ["arrived 7", "no arrived 7"]);
}

#[test]
fn a_session_that_ends_tells_everything_that_is_on_record_of_it() {
    let mut delivery = lasting();
    delivery.take_off(queued("a", QoS::AtLeastOnce));
    delivery.enqueue(queued("b", QoS::AtLeastOnce), 10, 1000);
    delivery.keep_all();
    delivery.arrive(NonZeroU16::new(9).unwrap(), 10);
    delivery.take_log();
    delivery.enqueue(queued("never written", QoS::AtLeastOnce), 10, 1000);
    let all = [Change::Forget(1), Change::Forget(2), Change::Released(9)];
    assert_eq!(delivery.end_record(), all);
    assert_eq!(delivery.end_record(), []);
}

#[test]
fn a_restored_session_sends_again_what_was_sent_and_then_the_rest_under_the_same_identifiers() {
    let pool = Arc::new(Pool::new(1_000_000));
    let restored = |place: u64, id: u16, sent: bool, released: bool| Restored {
        place,
        packet_id: NonZeroU16::new(id),
        sent,
        released,
        queued: queued(&place.to_string(), QoS::ExactlyOnce),
    };
    let messages = vec![
        restored(5, 50, true, true),
        restored(6, 60, true, false),
        restored(8, 80, false, false),
        restored(9, 0, false, false),
    ];
    let mut delivery = Delivery::restore(pool, messages, (100, 6), [3]);
    delivery.resume();
    let again = delivery.again(10).unwrap();
    assert_eq!((again.packet_id.get(), again.released), (50, true));
    assert_eq!(delivery.again(10).unwrap().packet_id.get(), 60);
    let sent: Vec<u16> = std::iter::from_fn(|| {
        let next = delivery.next(10)?;
        Some(delivery.take_off(next).get())
    })
    .collect();
    assert_eq!(sent, [80, 101]);
    assert_eq!(delivery.arrive(NonZeroU16::new(3).unwrap(), 10), Some(false), "it was received before");
    assert!(delivery.done(NonZeroU16::new(80).unwrap()));
    assert_eq!(log(&mut delivery), ["no 8"]);
}

#[test]
fn what_waits_for_all_sessions_together_is_bounded_and_room_comes_back() {
    let size = queued("a", QoS::AtLeastOnce).message.size();
    let pool = Arc::new(Pool::new(2 * size));
    let (mut one, mut other) = (Delivery::within(pool.clone()), Delivery::within(pool));
    assert_eq!(one.enqueue(queued("a", QoS::AtLeastOnce), 10, 10_000), Accepted::Queued);
    assert_eq!(other.enqueue(queued("a", QoS::AtLeastOnce), 10, 10_000), Accepted::Queued);
    assert_eq!(other.enqueue(queued("b", QoS::AtLeastOnce), 10, 10_000), Accepted::Dropped);
    let sent = one.next(1).unwrap();
    one.take_off(sent);
    assert_eq!(other.enqueue(queued("b", QoS::AtLeastOnce), 10, 10_000), Accepted::Queued);
    one.park();
    drop(other);
    assert_eq!(one.enqueue(queued("c", QoS::AtLeastOnce), 10, 10_000), Accepted::Queued, "one parked, one queued");
    assert_eq!(one.enqueue(queued("d", QoS::AtLeastOnce), 10, 10_000), Accepted::Dropped);
}
