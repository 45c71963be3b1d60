//! Delivery against a model of the far side, in no time at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use super::*;
use bytes::Bytes;

const NOT_AUTHORIZED: u8 = 135;
const QUOTA: u8 = 151;

/// An outbox, a connection and a clock around the state under test.
struct World {
    delivery: Delivery,
    outbox: BTreeMap<u64, Entry>,
    now: Instant,
    next_pkid: u16,
    /// Packet identifier and entry of what is on the wire, in order.
    wire: VecDeque<(u16, u64)>,
    sent: Vec<u64>,
    given_up: Vec<u64>,
}

impl World {
    fn new(topics: &[&str]) -> Self {
        let config = Config { window: 4, ..Config::new("localhost", 8883, "gw-1", Default::default()) };
        let entry = |(at, topic): (usize, &&str)| {
            let id = at as u64 + 1;
            (id, Entry { id, topic: (*topic).to_owned(), payload: Bytes::from_static(b"x") })
        };
        let mut delivery = Delivery::new(&config);
        delivery.connected(None, None);
        Self {
            delivery,
            outbox: topics.iter().enumerate().map(entry).collect(),
            now: Instant::now(),
            next_pkid: 0,
            wire: VecDeque::new(),
            sent: Vec::new(),
            given_up: Vec::new(),
        }
    }

    /// Sends all that may be sent.
    fn send(&mut self) {
        loop {
            match self.delivery.next(self.now) {
                Next::Send(entry) => {
                    self.next_pkid += 1;
                    assert!(self.delivery.sent(self.next_pkid, self.now));
                    self.wire.push_back((self.next_pkid, entry.id));
                    self.sent.push(entry.id);
                }
                Next::Undeliverable(entry, _) => self.remove(entry.id, true),
                Next::Nothing => {
                    let Some(look) = self.delivery.look(self.now) else { return };
                    let found = self.outbox.range(look.after + 1..).take(look.most).map(|(_, e)| e.clone()).collect();
                    self.delivery.found(look, found);
                }
            }
        }
    }

    fn answer(&mut self, code: u8) {
        let (pkid, _) = self.wire.pop_front().unwrap();
        match self.delivery.answered(pkid, code, self.now) {
            Outcome::Accepted { id } => self.remove(id, false),
            Outcome::GivenUp { id, .. } => self.remove(id, true),
            Outcome::SentAgain { .. } => {}
            Outcome::Unknown => panic!("an answer to nothing"),
        }
        self.send();
    }

    fn remove(&mut self, id: u64, given_up: bool) {
        self.outbox.remove(&id);
        self.delivery.gone(id);
        if given_up {
            self.given_up.push(id);
        }
    }

    fn lose(&mut self, blamed: bool) {
        self.wire.clear();
        if let Some((id, _)) = self.delivery.lost(blamed, self.now) {
            self.remove(id, true);
        }
        self.delivery.connected(None, None);
        self.send();
    }

    fn pass(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
        self.send();
    }
}

#[test]
fn no_more_than_the_window_is_out_and_order_is_kept() {
    let mut world = World::new(&["t"; 10]);
    world.send();
    assert_eq!(world.sent, [1, 2, 3, 4]);
    for _ in 0..10 {
        world.answer(0);
    }
    assert_eq!(world.sent, (1..=10).collect::<Vec<_>>());
    assert!(world.outbox.is_empty() && world.delivery.is_idle());
}

#[test]
fn the_far_side_may_narrow_the_window_but_not_widen_it() {
    let mut world = World::new(&["t"; 10]);
    world.delivery.connected(Some(2), None);
    world.send();
    assert_eq!(world.sent, [1, 2]);
    let mut world = World::new(&["t"; 10]);
    world.delivery.connected(Some(1000), None);
    world.send();
    assert_eq!(world.sent.len(), 4);
}

#[test]
fn after_a_dead_link_everything_unanswered_is_sent_again_in_order() {
    let mut world = World::new(&["t"; 6]);
    world.send();
    world.answer(0);
    for _ in 0..20 {
        world.lose(false);
    }
    world.sent.clear();
    world.lose(false);
    assert_eq!(world.sent, [2, 3, 4, 5]);
    while !world.wire.is_empty() {
        world.answer(0);
    }
    assert!(world.outbox.is_empty() && world.given_up.is_empty());
}

#[test]
fn an_entry_being_removed_is_not_sent_again_after_a_reconnect() {
    let mut world = World::new(&["t"; 2]);
    world.send();
    let (pkid, _) = world.wire.pop_front().unwrap();
    assert_eq!(world.delivery.answered(pkid, 0, world.now), Outcome::Accepted { id: 1 });
    world.sent.clear();
    world.lose(false);
    assert_eq!(world.sent, [2]);
}

#[test]
fn an_entry_that_kills_the_connection_twice_on_its_own_is_given_up_and_the_rest_arrive() {
    let mut world = World::new(&["a", "a", "poison", "a", "a"]);
    world.send();
    // All four are suspects once; from here they go one by one.
    world.lose(true);
    assert_eq!(world.sent, [1, 2, 3, 4, 1]);
    world.answer(0);
    world.answer(0);
    assert_eq!(world.wire.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [3]);
    world.lose(true);
    assert!(world.given_up.is_empty());
    world.lose(true);
    assert_eq!(world.given_up, [3]);
    while !world.wire.is_empty() {
        world.answer(0);
    }
    assert!(world.outbox.is_empty());
}

#[test]
fn a_connection_closed_long_after_an_entry_was_sent_does_not_blame_it() {
    let mut world = World::new(&["t"]);
    world.send();
    for _ in 0..5 {
        world.now += Duration::from_secs(11);
        world.lose(true);
    }
    assert!(world.given_up.is_empty());
}

#[test]
fn a_refused_entry_is_retried_with_growing_pauses_and_then_given_up() {
    let mut world = World::new(&["t"]);
    world.send();
    for pause in [1, 2, 4, 8, 16] {
        world.answer(NOT_AUTHORIZED);
        assert!(world.wire.is_empty() && world.given_up.is_empty());
        world.pass(pause - 1);
        assert!(world.wire.is_empty(), "sent again before {pause} s");
        world.pass(1);
        assert_eq!(world.wire.len(), 1, "not sent again after {pause} s");
    }
    world.answer(NOT_AUTHORIZED);
    assert_eq!(world.given_up, [1]);
}

#[test]
fn a_refused_topic_does_not_hold_up_another_and_goes_on_in_order_once_accepted() {
    let mut world = World::new(&["no", "yes", "no", "yes", "no", "yes"]);
    world.send();
    world.answer(NOT_AUTHORIZED);
    while !world.wire.is_empty() {
        let code = if world.outbox[&world.wire[0].1].topic == "no" { NOT_AUTHORIZED } else { 0 };
        world.answer(code);
    }
    assert_eq!(world.outbox.keys().copied().collect::<Vec<_>>(), [1, 3, 5]);
    world.sent.clear();
    world.pass(1);
    assert_eq!(world.sent, [1], "one entry goes on trial");
    world.answer(0);
    while !world.wire.is_empty() {
        world.answer(0);
    }
    assert_eq!(world.sent, [1, 3, 5]);
    assert!(world.outbox.is_empty());
}

#[test]
fn entries_of_a_refused_topic_are_given_up_one_at_a_time() {
    let mut world = World::new(&["no"; 4]);
    world.send();
    for _ in 0..4 {
        world.answer(NOT_AUTHORIZED);
    }
    while world.given_up.is_empty() {
        world.pass(60);
        world.answer(NOT_AUTHORIZED);
    }
    assert_eq!(world.given_up, [1]);
    world.sent.clear();
    world.pass(60);
    assert_eq!(world.sent, [2]);
}

#[test]
fn a_quota_pauses_everything_and_never_gives_up() {
    let mut world = World::new(&["a", "b"]);
    world.send();
    for _ in 0..20 {
        world.answer(QUOTA);
        while !world.wire.is_empty() {
            world.answer(QUOTA);
        }
        world.pass(0);
        assert!(world.wire.is_empty());
        world.pass(60);
        assert!(!world.wire.is_empty());
    }
    assert!(world.given_up.is_empty());
    while !world.wire.is_empty() {
        world.answer(0);
    }
    assert!(world.outbox.is_empty());
}

#[test]
fn what_the_far_side_cannot_take_leaves_without_being_sent() {
    let mut world = World::new(&["a", "1/2/3/4/5/6/7/8/9", "a"]);
    world.delivery.connected(None, Some(1000));
    world.outbox.get_mut(&3).unwrap().payload = Bytes::from(vec![0; 1000]);
    world.send();
    assert_eq!((world.sent, world.given_up), (vec![1], vec![2, 3]));
}

#[test]
fn an_answer_that_does_not_come_makes_the_link_count_as_dead() {
    let mut world = World::new(&["t"]);
    world.send();
    let due = world.delivery.poll_timeout().unwrap();
    assert!(!world.delivery.overdue(due - Duration::from_millis(1)));
    assert!(world.delivery.overdue(due));
}

#[test]
fn large_entries_fill_the_flight_before_the_window_does() {
    let mut world = World::new(&["t"; 20]);
    let config = Config { window: 100, ..Config::new("localhost", 8883, "gw-1", Default::default()) };
    world.delivery = Delivery::new(&config);
    for entry in world.outbox.values_mut() {
        entry.payload = Bytes::from(vec![0; 131_072]);
    }
    world.send();
    assert_eq!(world.sent.len(), 7);
}

/// Whatever the far side answers and whenever connections end, every entry is either accepted or given up with a
/// reason, and entries of one topic are first accepted in order while nothing is refused.
#[test]
fn nothing_is_lost_under_any_sequence_of_outages() {
    for seed in 1..200_u64 {
        let mut world = World::new(&["a", "b", "a", "a", "b", "a", "b", "a", "a", "b"]);
        let mut random = seed;
        let mut accepted: Vec<u64> = Vec::new();
        world.send();
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match random >> 61 {
                0..=4 if !world.wire.is_empty() => {
                    accepted.push(world.wire[0].1);
                    world.answer(0);
                }
                5 | 6 => world.lose(false),
                _ => world.pass(11),
            }
            if world.outbox.is_empty() {
                break;
            }
        }
        assert_eq!(accepted, (1..=10).collect::<Vec<_>>(), "seed {seed}");
        assert!(world.given_up.is_empty());
    }
}
