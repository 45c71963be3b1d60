//! Who gives way to whom.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use super::*;
use futures::FutureExt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};

const BOUNDS: Bounds = Bounds { places: 4, share: 2, hearing: Duration::from_secs(5) };

/// Whether the peer has said something that is not read.
type Socket = Arc<AtomicBool>;

struct Hall {
    line: Arc<Line<Socket>>,
    in_line: Vec<(Pending<Socket>, Socket)>,
}

impl Hall {
    fn new() -> Self {
        Self { line: Arc::new(Line::new(|socket: &Socket| socket.load(Ordering::Relaxed))), in_line: Vec::new() }
    }

    /// Whether one more from this address finds a place.
    fn come(&mut self, address: u8, millis: u64) -> bool {
        self.enter(address, false, millis)
    }

    fn enter(&mut self, address: u8, known: bool, millis: u64) -> bool {
        let socket = Socket::default();
        let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, address));
        let who = Newcomer { source, known, now: Mono(millis) };
        let pending = self.line.queue_up(&BOUNDS, who, socket.clone());
        let found = pending.is_some();
        self.in_line.extend(pending.map(|pending| (pending, socket)));
        found
    }

    /// Those that gave way, by the order in which they came.
    fn displaced(&self) -> Vec<usize> {
        let gone = |(pending, _): &(Pending<Socket>, Socket)| pending.displaced().now_or_never().is_some();
        // Asking takes the news away, so a place that was asked for is not asked for again.
        self.in_line.iter().enumerate().filter(|(_, place)| gone(place)).map(|(index, _)| index).collect()
    }
}

#[test]
fn ten_thousand_that_say_nothing_keep_nobody_out() {
    let mut hall = Hall::new();
    for number in 0..10_000_u32 {
        assert!(hall.come(u8::try_from(number % 200).unwrap(), 0));
    }
    assert_eq!(lock(&hall.line.inner).waiting.len(), 4);
    assert_eq!(hall.displaced(), (0..9996).collect::<Vec<_>>(), "the oldest");
}

#[test]
fn the_share_of_one_address_is_kept_by_its_own() {
    let mut hall = Hall::new();
    assert!(hall.come(1, 0) && hall.come(2, 0) && hall.come(2, 0));
    assert!(hall.come(2, 0), "in place of the oldest from there");
    assert_eq!(hall.displaced(), [1]);
    hall.in_line[2].0.served();
    hall.in_line[3].0.served();
    assert!(!hall.come(2, 0), "those from there are being served");
    assert!(hall.come(3, 0));
    assert!(hall.displaced().is_empty());
}

#[test]
fn who_waits_for_the_gateway_does_not_give_way() {
    let mut hall = Hall::new();
    (1..=4).for_each(|address| assert!(hall.come(address, 0)));
    hall.in_line[0].1.store(true, Ordering::Relaxed);
    hall.in_line[1].0.served();
    assert!(hall.come(5, 0));
    assert_eq!(hall.displaced(), [2]);
    assert!(hall.come(6, 100_000));
    assert_eq!(hall.displaced(), [3]);
    hall.in_line[4].0.served();
    hall.in_line[5].0.served();
    assert!(!hall.come(7, 100_000), "what the first one said is still not read");
    hall.in_line[0].1.store(false, Ordering::Relaxed);
    assert!(hall.come(7, 100_000), "it was, and nothing came after it");
    assert_eq!(hall.displaced(), [0]);
}

#[test]
fn who_has_begun_to_speak_is_heard_for_a_while() {
    let mut hall = Hall::new();
    (1..=4).for_each(|address| assert!(hall.come(address, u64::from(address))));
    hall.in_line.iter().for_each(|(pending, _)| pending.heard());
    assert!(!hall.come(5, 5000));
    assert!(hall.come(5, 5001));
    assert_eq!(hall.displaced(), [0]);
}

#[test]
fn one_that_begins_to_speak_gives_way_to_an_address_that_had_clients_unless_its_own_had() {
    let mut hall = Hall::new();
    assert!(hall.enter(1, true, 0));
    (2..=4).for_each(|address| assert!(hall.come(address, 0)));
    hall.in_line.iter().for_each(|(pending, _)| pending.heard());
    assert!(!hall.come(5, 1));
    for address in 5..=7 {
        assert!(hall.enter(address, true, 1));
        hall.in_line.last().unwrap().0.heard();
    }
    assert_eq!(hall.displaced(), [1, 2, 3]);
    assert!(!hall.enter(8, true, 1), "devices that all come back do not push each other out");
}

#[test]
fn the_address_that_holds_the_most_places_gives_one_to_another() {
    let mut hall = Hall::new();
    for address in [1, 1, 2, 2] {
        assert!(hall.come(address, 0));
    }
    hall.in_line.iter().for_each(|(pending, _)| pending.heard());
    assert!(hall.come(3, 1));
    hall.in_line[4].0.heard();
    assert!(hall.come(4, 1));
    hall.in_line[5].0.heard();
    let mut gone = hall.displaced();
    gone.sort_unstable();
    assert_eq!(gone, [1, 3], "the younger one of each");
    assert!(!hall.come(5, 1), "all hold one place now");
}

#[test]
fn who_is_refused_gives_way_first() {
    let mut hall = Hall::new();
    (1..=4).for_each(|address| assert!(hall.come(address, 0)));
    hall.in_line[3].0.refused();
    assert!(hall.come(5, 0));
    assert_eq!(hall.displaced(), [3]);
}

#[test]
fn a_place_is_free_when_it_is_left() {
    let mut hall = Hall::new();
    (1..=4).for_each(|address| assert!(hall.come(address, 0)));
    hall.in_line.iter().for_each(|(pending, _)| pending.served());
    assert!(!hall.come(5, 0));
    hall.in_line.remove(2);
    assert!(hall.come(5, 0));
    hall.in_line.clear();
    let inner = lock(&hall.line.inner);
    assert!(inner.waiting.is_empty() && inner.all.is_empty() && inner.sources.is_empty());
}
