//! Addresses that come too often, fail too often, or have too many clients.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use super::*;
use std::net::Ipv4Addr;

fn table(limits: SourceLimits) -> Table {
    let mut table = Table::default();
    table.configure(&limits);
    table
}

fn address(last: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + last))
}

fn enter(table: &mut Table, last: u32, millis: u64) -> Result<(), Closed> {
    table.enter(address(last), SocketAddr::new(address(last), 1), Mono(millis))
}

/// A connection that ends before it is a client.
fn fail(table: &mut Table, last: u32, millis: u64) -> Result<(), Closed> {
    enter(table, last, millis)?;
    table.leave(address(last), false, true, Mono(millis));
    Ok(())
}

#[test]
fn who_has_failed_too_often_is_closed_until_it_recovers_and_others_are_not() {
    let mut table = table(SourceLimits { max_failures_per_second: 10, failure_burst: 20, ..SourceLimits::default() });
    for _ in 0..20 {
        assert_eq!(fail(&mut table, 1, 0), Ok(()));
    }
    let rule = "sources.max_failures_per_second";
    assert_eq!(enter(&mut table, 1, 0), Err(Closed { rule, begins: true }));
    assert_eq!(enter(&mut table, 1, 99), Err(Closed { rule, begins: false }));
    assert_eq!(enter(&mut table, 2, 99), Ok(()));
    assert_eq!(enter(&mut table, 1, 100), Ok(()));
}

#[test]
fn who_comes_too_often_is_closed_and_refused_attempts_do_not_count() {
    let mut table = table(SourceLimits { max_connections_per_second: 2, ..SourceLimits::default() });
    let rule = "sources.max_connections_per_second";
    assert_eq!((enter(&mut table, 1, 0), enter(&mut table, 1, 0)), (Ok(()), Ok(())));
    for millis in 0..500 {
        assert_eq!(enter(&mut table, 1, millis), Err(Closed { rule, begins: millis == 0 }));
    }
    assert_eq!(enter(&mut table, 1, 500), Ok(()));
}

#[test]
fn refusals_are_told_at_once_and_then_with_their_number() {
    let mut table = table(SourceLimits { max_connections_per_second: 1, ..SourceLimits::default() });
    enter(&mut table, 1, 0).unwrap();
    for _ in 0..100 {
        enter(&mut table, 1, 1).unwrap_err();
    }
    assert_eq!(table.repeats(Mono(5000)), []);
    let rule = "sources.max_connections_per_second";
    let peer = SocketAddr::new(address(1), 1);
    assert_eq!(table.repeats(Mono(10_001)), [Repeats { peer, rule, count: 99 }]);
    assert_eq!(table.repeats(Mono(70_001)), []);
}

#[test]
fn clients_from_one_address_are_limited_but_one_may_take_the_place_of_another() {
    let mut table = table(SourceLimits { max_connections: 2, ..SourceLimits::default() });
    let mut join = |replaces| {
        enter(&mut table, 1, 0).unwrap();
        table.seat(address(1), replaces)
    };
    assert!(join(false) && join(false));
    assert!(!join(false), "a third one");
    assert!(join(true), "in place of the first");
    table.leave(address(1), true, false, Mono(0));
    enter(&mut table, 1, 0).unwrap();
    assert!(!table.seat(address(1), false));
    table.leave(address(1), true, false, Mono(0));
    assert!(table.seat(address(1), false));
    enter(&mut table, 2, 0).unwrap();
    assert!(table.seat(address(2), false), "another address");
}

#[test]
fn an_address_that_did_nothing_wrong_is_not_held_when_it_is_gone() {
    let mut table = table(SourceLimits::default());
    for last in 0..1000 {
        enter(&mut table, last, 0).unwrap();
        assert!(table.seat(address(last), false));
    }
    assert_eq!(table.len(), 1000);
    for last in 0..1000 {
        table.leave(address(last), true, false, Mono(5));
    }
    assert_eq!(table.len(), 0);
}

#[test]
fn ever_new_addresses_take_bounded_memory_and_those_with_clients_are_never_forgotten() {
    let mut table = table(SourceLimits::default());
    enter(&mut table, 0, 0).unwrap();
    table.seat(address(0), false);
    let many = u32::try_from(IDLE).unwrap() + 1000;
    let mut forgotten = 0;
    for last in 1..=many {
        fail(&mut table, last, 0).unwrap();
        forgotten += table.forget();
    }
    assert_eq!((forgotten, table.len()), (1000, IDLE + 1));
    assert_eq!(table.idle.len(), IDLE);
    assert_eq!(table.entries[&address(0)].clients, 1);
    assert!(!table.entries.contains_key(&address(1000)) && table.entries.contains_key(&address(1001)));
}

#[test]
fn addresses_that_had_clients_are_remembered_apart_from_those_that_fail() {
    let mut table = table(SourceLimits::default());
    let join = |table: &mut Table, last: u32| {
        enter(table, last, 0).unwrap();
        table.seat(address(last), false);
        table.leave(address(last), true, false, Mono(0));
    };
    join(&mut table, 1);
    assert!(table.is_known(address(1)) && !table.is_known(address(2)));
    for last in 2..200_000 {
        fail(&mut table, last, 0).unwrap();
        table.forget();
    }
    assert!(table.is_known(address(1)), "not pushed out by failures");
    for last in 2..100_000 {
        join(&mut table, last);
        join(&mut table, 1);
    }
    assert!(table.is_known(address(1)), "not pushed out while it comes");
    assert_eq!((table.known.len(), table.known_by_use.len()), (KNOWN, KNOWN));
}

#[test]
fn violations_are_counted_for_each_address() {
    let mut table = table(SourceLimits::default());
    for round in 1..=3 {
        enter(&mut table, 1, 0).unwrap();
        assert_eq!(table.violated(address(1)), round);
        table.leave(address(1), true, false, Mono(0));
    }
    enter(&mut table, 2, 0).unwrap();
    assert_eq!(table.violated(address(2)), 1);
}
