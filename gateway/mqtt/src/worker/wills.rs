//! Wills of a few clients are published as they become due. Of many at once, only a few at a time are, so that ten thousand
//! clients that are lost together neither hold the others up nor overrun those who read the wills.
//!
//! The others wait in the order in which they became due. No will is lost to the bounds of the line: one that finds no place in
//! it is published at once. While a will of a lasting session stands in line, it is on record.

use super::Worker;
use super::inbound::SHARE;
use super::leave::PendingWill;
use crate::session::{Session, Will};
use cordon_core::time::Now;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::Notify;

/// Wills published before other tasks get a turn, and without standing in line between two ticks.
const AT_ONCE: usize = 64;
/// Wills in the line, and the bytes of their payloads and topics together.
const MAX_WILLS: usize = 65_536;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Wills that are due.
#[derive(Default)]
pub(crate) struct DueWills {
    wills: RefCell<Line<(Rc<Session>, Will)>>,
    bytes: Cell<usize>,
    /// Wills published directly since the worker's last tick.
    direct: Cell<usize>,
    wake: Notify,
}

/// A line in which everybody has a number.
struct Line<T> {
    waiting: VecDeque<T>,
    /// The number of the first one.
    first: u64,
}

// === impl DueWills ===

impl DueWills {
    /// Adds a will. Gives it back if there is no place for it.
    fn push(&self, session: Rc<Session>, will: Will) -> Option<(Rc<Session>, Will)> {
        let mut wills = self.wills.borrow_mut();
        let bytes = self.bytes.get() + cost(&will);
        if wills.waiting.len() >= MAX_WILLS || bytes > MAX_BYTES {
            return Some((session, will));
        }
        self.bytes.set(bytes);
        let owner = session.clone();
        owner.lasting.due_will.set(Some(wills.push((session, will))));
        self.wake.notify_one();
        None
    }

    fn pop(&self) -> Option<(Rc<Session>, Will)> {
        let next = self.wills.borrow_mut().pop()?;
        self.bytes.set(self.bytes.get() - cost(&next.1));
        Some(next)
    }

    /// The will of a session that stands in line.
    pub(super) fn of(&self, session: &Session) -> Option<Will> {
        self.wills.borrow().get(session.lasting.due_will.get()?).map(|(_, will)| will.clone())
    }

    /// Whether a will may be published without standing in line.
    fn is_direct(&self) -> bool {
        let direct = self.is_empty() && self.direct.get() < AT_ONCE;
        self.direct.set(self.direct.get() + usize::from(direct));
        direct
    }

    fn is_empty(&self) -> bool {
        self.wills.borrow().waiting.is_empty()
    }
}

// === impl Line ===

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), first: 0 }
    }
}

impl<T> Line<T> {
    /// Puts one at the end. Returns its number.
    fn push(&mut self, next: T) -> u64 {
        self.waiting.push_back(next);
        self.first + self.waiting.len() as u64 - 1
    }

    fn pop(&mut self) -> Option<T> {
        let next = self.waiting.pop_front()?;
        self.first += 1;
        Some(next)
    }

    /// The one with this number, if it still stands here.
    fn get(&self, number: u64) -> Option<&T> {
        self.waiting.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

// === impl Worker ===

impl Worker {
    /// Publishes a will, or has it published soon. Whoever calls hands it over.
    pub(super) fn will_is_due(self: &Rc<Self>, session: Rc<Session>, will: Will, now: Now) {
        if self.due_wills.is_direct() {
            self.publish_will(&session, &will, now);
        } else if let Some((session, will)) = self.due_wills.push(session, will) {
            self.publish_will(&session, &will, now);
        }
    }

    /// Has those wills published soon whose delay is over.
    pub(super) fn publish_due_wills(self: &Rc<Self>, now: Now) {
        self.due_wills.direct.set(0);
        let due: Vec<PendingWill> = self.wills.borrow_mut().extract_if(.., |will| will.due <= now.mono).collect();
        for pending in due {
            self.will_is_due(pending.session, pending.will, now);
        }
    }

    /// Publishes wills as they become due, for as long as the worker lives.
    pub(super) async fn publish_wills(self: Rc<Self>) {
        loop {
            if self.due_wills.is_empty() {
                self.due_wills.wake.notified().await;
            }
            self.shared.flow.room(self.index).await;
            self.attend();
            let now = self.shared.now();
            self.publish_some_wills(now);
            self.hand_over(now);
            self.write_all();
            if let Some(behind) = self.pressing.take() {
                let held = self.hold(behind);
                self.relieved(&held).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Publishes every will that is due, because the worker ends.
    pub(super) fn publish_last_wills(self: &Rc<Self>, now: Now) {
        while let Some((session, will)) = self.due_wills.pop() {
            self.publish_will(&session, &will, now);
        }
        self.hand_over(now);
        self.write_all();
    }

    /// Publishes wills until the share of one turn is used up, or a subscriber of theirs is behind.
    fn publish_some_wills(self: &Rc<Self>, now: Now) {
        self.spent.set(0);
        self.pressing.take();
        for _ in 0..AT_ONCE {
            let Some((session, will)) = self.due_wills.pop() else { return };
            self.publish_will(&session, &will, now);
            self.deliver_local(now);
            if self.spent.get() > SHARE || self.pressing.borrow().is_some() {
                return;
            }
        }
    }
}

fn cost(will: &Will) -> usize {
    will.topic.len() + will.payload.len() + will.properties.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_found_by_its_number_for_as_long_as_it_stands_in_line() {
        let mut line = Line::default();
        let numbers: Vec<u64> = ["a", "b", "c"].map(|name| line.push(name)).into();
        assert_eq!(line.pop(), Some("a"));
        let late = line.push("d");
        let found = |line: &Line<&'static str>| -> Vec<Option<&str>> {
            numbers.iter().chain([&late]).map(|number| line.get(*number).copied()).collect()
        };
        assert_eq!(found(&line), [None, Some("b"), Some("c"), Some("d")]);
        while line.pop().is_some() {}
        assert_eq!(found(&line), [None; 4]);
        assert_eq!(line.get(line.first + 1), None);
    }
}
