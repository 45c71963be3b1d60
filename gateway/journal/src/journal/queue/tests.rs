//! The queue under overload.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use super::*;
use cordon_core::event::Code;
use cordon_core::time::Now;
use proptest::prelude::*;

const LIMITS: Limits = Limits { events: 8, bytes: 1 << 30, linger: Duration::ZERO };

fn event(severity: Severity, name: u64) -> Event {
    Event::new(Code::SessionConnected, Now::for_test(0)).severity(severity).resource(name.to_string())
}

fn names(taken: &Taken) -> Vec<(Severity, u64)> {
    let name = |p: &Pending| (p.event.severity, p.event.resource.as_deref().unwrap().parse().unwrap());
    taken.events.iter().map(name).collect()
}

#[test]
fn what_is_kept_comes_out_in_the_order_of_arrival() {
    let queue = Queue::new(LIMITS);
    let severities = [Severity::Warning, Severity::Info, Severity::Critical, Severity::Info, Severity::Notice];
    for (name, severity) in (0..).zip(severities) {
        queue.push(event(severity, name), None);
    }
    let order: Vec<_> = names(&queue.take()).into_iter().map(|(_, name)| name).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[test]
fn a_full_queue_drops_the_oldest_infos_then_warnings_and_counts_them() {
    let queue = Queue::new(Limits { events: 4, ..LIMITS });
    let pushed = [
        Severity::Warning,
        Severity::Info,
        Severity::Info,
        Severity::Notice,
        Severity::Warning,
        Severity::Critical,
        Severity::Error,
        Severity::Info,
    ];
    for (name, severity) in (0..).zip(pushed) {
        queue.push(event(severity, name), None);
    }
    let taken = queue.take();
    let kept: Vec<_> = names(&taken).into_iter().map(|(_, name)| name).collect();
    assert_eq!(kept, [3, 4, 5, 6]);
    assert_eq!(taken.dropped.total(), 4);
    assert_eq!(taken.dropped.of(Severity::Info), 3);
    assert_eq!(taken.dropped.of(Severity::Warning), 1);
}

#[test]
fn the_audit_trail_has_room_beyond_the_limit_and_is_refused_aloud_when_that_is_used_up() {
    let queue = Queue::new(LIMITS);
    for name in 0..8 {
        queue.push(event(Severity::Notice, name), None);
    }
    queue.push(event(Severity::Info, 8), None);
    queue.push(event(Severity::Notice, 9), None);
    queue.push(event(Severity::Notice, 10), None);
    let (acknowledge, mut answer) = oneshot::channel();
    queue.push(event(Severity::Critical, 11), Some(acknowledge));
    assert_eq!(answer.try_recv().unwrap(), Err(RecordError::QueueFull));
    let taken = queue.take();
    assert_eq!(names(&taken).len(), 10);
    assert_eq!(taken.dropped.of(Severity::Critical), 1);
    assert_eq!(taken.dropped.of(Severity::Info), 1);
}

#[test]
fn a_closed_queue_gives_out_what_it_has_and_takes_nothing_in() {
    let queue = Queue::new(LIMITS);
    queue.push(event(Severity::Info, 1), None);
    queue.close();
    let (acknowledge, mut answer) = oneshot::channel();
    queue.push(event(Severity::Info, 2), Some(acknowledge));
    assert_eq!(answer.try_recv().unwrap(), Err(RecordError::Closed));
    let taken = queue.take();
    assert_eq!((names(&taken).len(), taken.last), (1, true));
}

proptest! {
    #[test]
    fn nothing_is_lost_uncounted_and_nothing_severe_for_something_less_severe(
        pushed in prop::collection::vec(0..5u8, 1..60)
    ) {
        let severities =
            [Severity::Info, Severity::Notice, Severity::Warning, Severity::Error, Severity::Critical];
        let queue = Queue::new(LIMITS);
        for (name, severity) in (0..).zip(&pushed) {
            queue.push(event(severities[usize::from(*severity)], name), None);
        }
        let taken = queue.take();
        prop_assert_eq!(taken.events.len() as u64 + taken.dropped.total(), pushed.len() as u64);
        let dropped_warning = taken.dropped.of(Severity::Warning) > 0;
        let oldest_info_kept = names(&taken).iter().find(|(s, _)| *s == Severity::Info).map(|(_, n)| *n);
        if let (true, Some(info)) = (dropped_warning, oldest_info_kept) {
            // An info may only be there because it came after the last warning that was dropped.
            let later = (0..).zip(&pushed).filter(|(n, s)| **s == 2 && *n > info).count() as u64;
            let kept = names(&taken).iter().filter(|(s, n)| *s == Severity::Warning && *n > info).count() as u64;
            prop_assert_eq!(later, kept);
        }
        let protected = pushed.iter().filter(|s| matches!(s, 1 | 3 | 4)).count();
        let kept = names(&taken).iter().filter(|(s, _)| !matches!(s, Severity::Info | Severity::Warning)).count();
        prop_assert_eq!(kept, protected.min(LIMITS.events + LIMITS.events / RESERVE));
    }
}
