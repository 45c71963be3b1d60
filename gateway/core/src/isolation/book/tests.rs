#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn fleet(size: usize) -> Registry {
    let thing = |i: usize| Thing {
        groups: [format!("line-{}", i % 2)].into(),
        reported_firmware: Some(format!("1.{}", i % 4)),
        ..Thing::named(&format!("press-{i}"))
    };
    Registry { things: (0..size).map(thing).map(|t| (t.name.clone(), t)).collect(), ..Registry::default() }
}

fn request(selector: &str, level: Level) -> Request {
    Request {
        selector: selector.parse().unwrap(),
        level,
        block: if level == Level::Restrict { vec!["a/#".into()] } else { vec![] },
        reason: "odd traffic".into(),
        author: "operator:ada".into(),
        origin: Origin::Operator,
        duration: Some(Duration::from_secs(600)),
    }
}

fn automatic(selector: &str, level: Level) -> Request {
    Request { origin: Origin::Automatic { rule: "flood".into() }, ..request(selector, level) }
}

fn at(seconds: u64) -> Now {
    Now::for_test(seconds * 1000)
}

#[test]
fn an_order_stands_until_its_time_is_over_and_not_longer() {
    let mut book = OrderBook::new();
    let order = book.issue(request("thing:press-1", Level::Quarantine), &fleet(4), at(0)).unwrap();
    assert_eq!(order.id, "iso-1");
    assert_eq!(book.poll_timeout(), Some(at(600).mono));
    assert_eq!(book.expire(at(599)), []);
    assert_eq!(order.time_left(at(599)), Some(Duration::from_secs(1)));
    let ended = book.expire(at(600));
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].ended, Some(Ended { at: at(600), how: How::Expired }));
    assert_eq!((book.active().count(), book.all().count(), book.poll_timeout()), (0, 1, None));
}

#[test]
fn a_released_order_says_who_and_why_and_cannot_be_released_again() {
    let mut book = OrderBook::new();
    let id = book.issue(request("group:line-1", Level::Disconnect), &fleet(4), at(0)).unwrap().id;
    let released = book.release(&id, "operator:ada", "repaired", at(1)).unwrap();
    assert_eq!(released.ended.unwrap().how, How::Released { by: "operator:ada".into(), reason: "repaired".into() });
    assert_eq!(book.release(&id, "x", "", at(2)), Err(ReleaseError::AlreadyEnded { id }));
    for id in ["iso-9", "iso-01", "1", "", "iso-", "iso-+1"] {
        assert!(matches!(book.release(id, "x", "", at(2)), Err(ReleaseError::Unknown { .. })), "{id}");
    }
}

#[test]
fn an_unsound_request_is_refused_and_leaves_the_book_alone() {
    let base = || request("thing:press-1", Level::Restrict);
    let mut book = OrderBook::new();
    for (request, error) in [
        (Request { reason: " ".into(), ..base() }, IssueError::Text { what: "reason" }),
        (Request { reason: "x".repeat(513), ..base() }, IssueError::Text { what: "reason" }),
        (Request { author: String::new(), ..base() }, IssueError::Text { what: "author" }),
        (Request { block: vec![], ..base() }, IssueError::NothingBlocked),
        (Request { level: Level::Quarantine, ..base() }, IssueError::NeedlessBlock { level: Level::Quarantine }),
        (Request { block: vec!["a".into(); 65], ..base() }, IssueError::TooManyBlocks),
        (Request { block: vec!["a/#/b".into()], ..base() }, IssueError::Filter { filter: "a/#/b".into() }),
        (Request { block: vec!["$share/g/a".into()], ..base() }, IssueError::Filter { filter: "$share/g/a".into() }),
        (Request { duration: Some(Duration::ZERO), ..base() }, IssueError::Duration),
        (Request { duration: Some(Duration::MAX), ..base() }, IssueError::Duration),
    ] {
        assert_eq!(book.issue(request, &fleet(4), at(0)), Err(error));
    }
    assert_eq!(book.all().count(), 0);
}

#[test]
fn automatic_orders_never_cut_more_than_their_share_of_the_fleet() {
    let fleet = fleet(20);
    let mut book = OrderBook::new();
    book.issue(automatic("thing:press-1", Level::Quarantine), &fleet, at(0)).unwrap();
    book.issue(automatic("thing:press-2", Level::Restrict), &fleet, at(0)).unwrap();
    assert_eq!(
        book.issue(automatic("thing:press-3", Level::Restrict), &fleet, at(0)),
        Err(IssueError::FleetLimit { would_cut: 3, limit: 2, things: 20 })
    );
    assert!(book.issue(automatic("group:line-1", Level::Quarantine), &fleet, at(0)).is_err());
    book.issue(automatic("thing:press-1", Level::Disconnect), &fleet, at(0)).unwrap();
    book.issue(automatic("all", Level::Audit), &fleet, at(0)).unwrap();
    book.issue(request("all", Level::Quarantine), &fleet, at(0)).unwrap();
    book.release("iso-2", "x", "", at(1)).unwrap();
    book.issue(automatic("thing:press-3", Level::Restrict), &fleet, at(1)).unwrap();
}

#[test]
fn in_a_small_fleet_one_thing_may_always_be_cut() {
    let mut book = OrderBook::new();
    book.issue(automatic("thing:press-1", Level::Quarantine), &fleet(3), at(0)).unwrap();
    assert!(book.issue(automatic("thing:press-2", Level::Quarantine), &fleet(3), at(0)).is_err());
    for (fraction, things, allowed) in
        [(0.1, 10, 1), (0.1, 30, 3), (0.0, 100, 1), (1.0, 7, 7), (f64::NAN, 9, 1), (7.0, 9, 9), (0.29, 100, 29)]
    {
        assert_eq!(Limits { max_automatic_fraction: fraction }.allowed(things), allowed, "{fraction} {things}");
    }
}

#[test]
fn protected_things_are_never_reached() {
    let mut book = OrderBook::new();
    book.configure(Limits::default(), ["press-1".to_owned()].into());
    assert!(matches!(
        book.issue(request("thing:press-1", Level::Disconnect), &fleet(4), at(0)),
        Err(IssueError::Protected { .. })
    ));
    book.issue(request("group:line-1", Level::Disconnect), &fleet(4), at(0)).unwrap();
    assert_eq!(book.preview(&"group:line-1".parse().unwrap(), &fleet(4)), ["press-3"]);
    assert_eq!(book.isolation(&fleet(4).things["press-1"]).level(), None);
    assert_eq!(book.isolation(&fleet(4).things["press-3"]).level(), Some(Level::Disconnect));
}

#[test]
fn orders_survive_a_restart_of_the_process_unchanged() {
    let mut book = OrderBook::new();
    book.issue(request("thing:press-1", Level::Quarantine), &fleet(4), at(0)).unwrap();
    book.issue(request("version:<1.2", Level::Restrict), &fleet(4), at(0)).unwrap();
    book.release("iso-1", "x", "", at(1)).unwrap();
    let stored: Vec<String> = book.all().map(|order| serde_json::to_string(order).unwrap()).collect();
    let read = stored.iter().map(|json| serde_json::from_str(json).unwrap());
    let mut restored = OrderBook::restore(read, at(100), true);
    assert!(restored.all().eq(book.all()));
    assert_eq!(restored.issue(request("all", Level::Audit), &fleet(4), at(101)).unwrap().id, "iso-3");
}

#[test]
fn after_a_reboot_the_wall_clock_tells_the_time_left_if_it_can_be_trusted() {
    let mut book = OrderBook::new();
    let order = book.issue(request("thing:press-1", Level::Quarantine), &fleet(4), at(0)).unwrap();
    let boot = |unix_seconds: u64, trusted| Now { mono: Mono(5_000), unix: at(unix_seconds).unix, trusted };
    let left = |order: Order, now| {
        OrderBook::restore([order], now, false).poll_timeout().map(|end| end.since(now.mono).as_secs())
    };
    assert_eq!(left(order.clone(), boot(400, true)), Some(200));
    assert_eq!(left(order.clone(), boot(4000, true)), Some(0));
    assert_eq!(left(order.clone(), boot(400, false)), Some(600), "an unsure clock never shortens an order");
    let behind = Now { unix: crate::time::Unix(0), ..boot(0, true) };
    assert_eq!(left(order.clone(), behind), Some(600), "a clock set back never lengthens an order");
    let unsure = Order { created: Now { trusted: false, ..order.created }, ..order.clone() };
    assert_eq!(left(unsure, boot(4000, true)), Some(600));

    let mut restored = OrderBook::restore([order], boot(400, false), false);
    assert_eq!(restored.expire(boot(590, false)), []);
    assert_eq!(restored.expire(boot(600, true)).len(), 1, "the first trusted reading corrects the end");
}

#[test]
fn the_book_and_its_history_are_bounded() {
    let mut book = OrderBook::new();
    let registry = fleet(1);
    for _ in 0..MAX_ACTIVE {
        book.issue(request("all", Level::Audit), &registry, at(0)).unwrap();
    }
    assert!(matches!(book.issue(request("all", Level::Audit), &registry, at(0)), Err(IssueError::TooMany { .. })));
    assert_eq!(book.expire(at(600)).len(), MAX_ACTIVE);
    book.issue(request("all", Level::Audit), &registry, at(601)).unwrap();
    book.release("iso-1001", "x", "", at(602)).unwrap();
    assert_eq!(book.all().count(), MAX_HISTORY);
    assert!(book.get("iso-1").is_none() && book.get("iso-1001").is_some());
}

#[derive(Debug, Clone)]
enum Step {
    Issue { selector: String, level: Level, automatic: bool, seconds: Option<u64> },
    Release(u64),
    Wait(u64),
    Restart { same_boot: bool },
}

fn any_step() -> impl Strategy<Value = Step> {
    let level = prop::sample::select(vec![Level::Audit, Level::Restrict, Level::Quarantine, Level::Disconnect]);
    let selector = "thing:press-[0-9]|group:line-[01]|version:<1\\.[0-3]|all";
    prop_oneof![
        4 => (selector, level, any::<bool>(), prop::option::of(1..50_u64)).prop_map(
            |(selector, level, automatic, seconds)| Step::Issue { selector, level, automatic, seconds }
        ),
        1 => (0..30_u64).prop_map(Step::Release),
        2 => (0..40_u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(|same_boot| Step::Restart { same_boot }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_limits_hold_and_nothing_outlives_its_time(steps in prop::collection::vec(any_step(), 0..40)) {
        let registry = fleet(10);
        let mut book = OrderBook::new();
        book.configure(Limits { max_automatic_fraction: 0.3 }, ["press-0".to_owned()].into());
        let mut now = at(0);
        let mut ids = BTreeSet::new();
        for step in steps {
            match step {
                Step::Issue { selector, level, automatic: auto, seconds } => {
                    let base = if auto { automatic(&selector, level) } else { request(&selector, level) };
                    let request = Request { duration: seconds.map(Duration::from_secs), ..base };
                    if let Ok(order) = book.issue(request, &registry, now) {
                        prop_assert!(ids.insert(order.id), "an id was used twice");
                    }
                }
                Step::Release(number) => {
                    let id = format!("iso-{number}");
                    let was_active = book.get(&id).is_some_and(Order::is_active);
                    prop_assert_eq!(book.release(&id, "x", "y", now).is_ok(), was_active);
                }
                Step::Wait(seconds) => {
                    now = now.plus(Duration::from_secs(seconds));
                    book.expire(now);
                }
                Step::Restart { same_boot } => {
                    let before: Vec<String> = book.active().map(|order| order.id.clone()).collect();
                    if !same_boot {
                        now.mono = Mono(1000);
                    }
                    let mut restored = OrderBook::restore(book.all().cloned(), now, same_boot);
                    restored.configure(book.limits, book.protected.clone());
                    book = restored;
                    prop_assert!(book.active().map(|order| order.id.clone()).eq(before));
                }
            }
            let cut = registry.things.values().filter(|thing| {
                !book.protected.contains(&thing.name)
                    && book.active().any(|order| order.cuts_automatically() && order.selector.matches(thing))
            });
            prop_assert!(cut.count() <= 3);
            prop_assert_eq!(book.isolation(&registry.things["press-0"]).level(), None);
            prop_assert!(book.active().all(|order| order.expires.is_none_or(|end| end.mono > now.mono)));
            prop_assert!(book.active().all(|order| order.expires.is_none_or(|end| end.unix > now.unix)));
        }
    }
}
