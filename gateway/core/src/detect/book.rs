//! The alarms that are and that were.

use super::{Alarm, AlarmState, LoginKey, Refusal, Source, Violation};
use crate::time::Now;
use std::collections::{BTreeMap, VecDeque};

/// The most active alarms; further ones are announced but not kept.
const MAX_ACTIVE: usize = 10_000;

/// The most past alarms; the oldest are forgotten.
const MAX_PAST: usize = 1_000;

/// Active and past alarms, bounded.
#[derive(Debug, Clone, Default)]
pub struct AlarmBook {
    active: BTreeMap<Slot, Alarm>,
    past: VecDeque<Alarm>,
    raised: u64,
    overflow: u64,
}

/// What there is at most one active alarm for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Violation(String),
    Login(LoginKey),
}

// === impl AlarmBook ===

impl AlarmBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts stored alarms back after a restart, and gives those that end by it: refusals of logins do not outlive the
    /// process, so neither do their alarms. Give the active ones to [`super::Detector::resume`].
    pub fn restore(&mut self, alarms: impl IntoIterator<Item = Alarm>, now: Now) -> Vec<Alarm> {
        let mut ended = Vec::new();
        for alarm in alarms {
            match (alarm.state, &alarm.source) {
                (AlarmState::InAlarm, Source::Behavior { .. }) => {
                    self.keep(Slot::of(&alarm), alarm);
                }
                (AlarmState::InAlarm, Source::Login { .. }) => {
                    let alarm = alarm.ended(AlarmState::AlarmInvalidated, now);
                    ended.push(alarm.clone());
                    self.bury(alarm);
                }
                (AlarmState::AlarmCleared | AlarmState::AlarmInvalidated, _) => self.bury(alarm),
            }
        }
        ended
    }

    /// Enters what the detector found, and gives the alarm as it stands; `None` for the end of one that is not known.
    pub fn apply(&mut self, violation: &Violation, now: Now) -> Option<Alarm> {
        match violation.event_type {
            AlarmState::InAlarm => {
                let alarm = Alarm::of_violation(violation, now);
                self.keep(Slot::of(&alarm), alarm.clone());
                Some(alarm)
            }
            ended => self.end(&violation.violation_id, ended, now),
        }
    }

    /// Enters a refusal of logins, and gives its alarm; one that is still active grows instead of being raised twice.
    pub fn raise_login(&mut self, refusal: &Refusal, now: Now) -> Alarm {
        let slot = Slot::Login(refusal.key.clone());
        if let Some(alarm) = self.active.get_mut(&slot) {
            alarm.seen = alarm.seen.saturating_add(u64::from(refusal.failures));
            return alarm.clone();
        }
        self.raised += 1;
        let alarm = Alarm::of_refusal(format!("login-{:x}-{}", now.unix.0, self.raised), refusal, now);
        self.keep(slot, alarm.clone());
        alarm
    }

    /// Clears the alarm of a refusal that is over.
    pub fn clear_login(&mut self, key: &LoginKey, now: Now) -> Option<Alarm> {
        self.close(&Slot::Login(key.clone()), AlarmState::AlarmCleared, now)
    }

    /// Ends the active alarm with this id.
    pub fn end(&mut self, id: &str, state: AlarmState, now: Now) -> Option<Alarm> {
        let behavior = Slot::Violation(id.to_owned());
        let slot = if self.active.contains_key(&behavior) {
            behavior
        } else {
            self.active.iter().find(|(_, alarm)| alarm.id == id).map(|(slot, _)| slot.clone())?
        };
        self.close(&slot, state, now)
    }

    /// The active alarms: those of behaviors in the order they rose, then those of logins.
    pub fn active(&self) -> impl Iterator<Item = &Alarm> {
        self.active.values()
    }

    /// The past alarms, oldest first.
    pub fn past(&self) -> impl Iterator<Item = &Alarm> {
        self.past.iter()
    }

    /// The alarm with this id, active or past.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Alarm> {
        self.active().chain(self.past()).find(|alarm| alarm.id == id)
    }

    /// How many alarms were announced but not kept because too many were active.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    fn keep(&mut self, slot: Slot, alarm: Alarm) {
        if self.active.len() < MAX_ACTIVE || self.active.contains_key(&slot) {
            self.active.insert(slot, alarm);
        } else {
            self.overflow = self.overflow.saturating_add(1);
        }
    }

    fn close(&mut self, slot: &Slot, state: AlarmState, now: Now) -> Option<Alarm> {
        let alarm = self.active.remove(slot)?.ended(state, now);
        self.bury(alarm.clone());
        Some(alarm)
    }

    fn bury(&mut self, alarm: Alarm) {
        self.past.push_back(alarm);
        if self.past.len() > MAX_PAST {
            self.past.pop_front();
        }
    }
}

// === impl Slot ===

impl Slot {
    fn of(alarm: &Alarm) -> Self {
        match &alarm.source {
            Source::Behavior { .. } => Self::Violation(alarm.id.clone()),
            Source::Login { key } => Self::Login(key.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::super::{Criterion, LoginGuard, Metric, Operator};
    use super::*;
    use crate::time::Mono;
    use std::time::Duration;

    fn violation(id: &str, event_type: AlarmState) -> Violation {
        let criterion = Criterion {
            operator: Operator::LessThan,
            count: 5,
            window: Duration::from_secs(10),
            to_alarm: 1,
            to_clear: 1,
        };
        Violation {
            violation_id: id.to_owned(),
            thing: "press-01".to_owned(),
            profile: "presses".to_owned(),
            behavior: "auth-fail".to_owned(),
            metric: Metric::AuthorizationFailures,
            event_type,
            seen: 7,
            normal: criterion.to_string(),
            criterion,
            suppress_alerts: false,
        }
    }

    fn refusal() -> Refusal {
        let mut guard = LoginGuard::default();
        (0..5).find_map(|_| guard.failure("10.0.0.7".parse().unwrap(), None, Mono(0))).unwrap()
    }

    #[test]
    fn an_alarm_says_what_was_seen_and_what_is_normal_until_it_clears() {
        let mut book = AlarmBook::new();
        let raised = book.apply(&violation("vio-1", AlarmState::InAlarm), Now::for_test(0)).unwrap();
        assert_eq!((raised.seen, raised.normal.as_str()), (7, "fewer than 5 in 10s"));
        assert_eq!(raised.source.to_string(), "security profile presses behavior auth-fail");
        assert_eq!(book.active().collect::<Vec<_>>(), [&raised]);
        let cleared = book.apply(&violation("vio-1", AlarmState::AlarmCleared), Now::for_test(9)).unwrap();
        assert_eq!((cleared.state, cleared.cleared), (AlarmState::AlarmCleared, Some(Now::for_test(9))));
        assert_eq!((book.active().count(), book.past().collect::<Vec<_>>()), (0, vec![&cleared]));
        assert_eq!(book.get("vio-1"), Some(&cleared));
        assert_eq!(book.apply(&violation("vio-1", AlarmState::AlarmCleared), Now::for_test(9)), None);
    }

    #[test]
    fn a_refusal_raises_one_alarm_that_grows_and_clears() {
        let mut book = AlarmBook::new();
        let first = book.raise_login(&refusal(), Now::for_test(0));
        assert_eq!(first.address, Some("10.0.0.7".parse().unwrap()));
        let second = book.raise_login(&refusal(), Now::for_test(5));
        assert_eq!((second.id.as_str(), second.seen), (first.id.as_str(), 10));
        assert_eq!(book.clear_login(&refusal().key, Now::for_test(9)).unwrap().id, first.id);
        assert_eq!(book.clear_login(&refusal().key, Now::for_test(9)), None);
        assert_eq!(book.active().count(), 0);
    }

    #[test]
    fn after_a_restart_behaviors_are_still_in_alarm_and_refusals_are_over() {
        let mut book = AlarmBook::new();
        book.apply(&violation("vio-1", AlarmState::InAlarm), Now::for_test(0));
        let login = book.raise_login(&refusal(), Now::for_test(0));
        let stored = serde_json::to_string(&book.active().collect::<Vec<_>>()).unwrap();
        let alarms: Vec<Alarm> = serde_json::from_str(&stored).unwrap();
        let mut after = AlarmBook::new();
        let ended = after.restore(alarms, Now::for_test(9));
        assert_eq!((ended.len(), ended[0].id.as_str()), (1, login.id.as_str()));
        assert_eq!(ended[0].state, AlarmState::AlarmInvalidated);
        assert_eq!(after.active().map(|alarm| alarm.id.as_str()).collect::<Vec<_>>(), ["vio-1"]);
        assert!(after.end("vio-1", AlarmState::AlarmInvalidated, Now::for_test(9)).is_some());
    }

    #[test]
    fn the_book_is_bounded() {
        let mut book = AlarmBook::new();
        for number in 0..=MAX_ACTIVE {
            book.apply(&violation(&format!("vio-{number:05}"), AlarmState::InAlarm), Now::for_test(0));
        }
        assert_eq!((book.active().count(), book.overflow()), (MAX_ACTIVE, 1));
        for number in 0..=MAX_PAST {
            book.end(&format!("vio-{number:05}"), AlarmState::AlarmCleared, Now::for_test(0));
        }
        assert_eq!(book.past().count(), MAX_PAST);
        assert_eq!(book.past().next().unwrap().id, "vio-00001");
    }
}
