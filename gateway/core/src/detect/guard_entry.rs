//! What is remembered about the logins from one address or as one name.

use super::{LoginKey, LoginLimits};
use crate::duration;
use crate::time::Mono;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A temporary refusal of logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// From where, or as whom.
    pub key: LoginKey,
    /// When it ends.
    pub until: Mono,
    /// How long it is in all.
    pub duration: Duration,
    /// How many failures brought it about.
    pub failures: u32,
    /// What would have been normal.
    pub normal: Normal,
}

/// What is normal for failed logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Normal {
    /// Normal is fewer failures than this,
    pub failures: u32,
    /// within this time.
    pub within: Duration,
}

/// Failures, refusals and growth of one key.
#[derive(Debug, Default)]
pub(super) struct Entry {
    failures: VecDeque<Mono>,
    refusal: Option<Refusal>,
    /// How many refusals there were that are not forgotten, and when the last one ended.
    offences: u32,
    offended: Mono,
    /// For a name: the address from which it logged in last. A refusal of the name does not hold there.
    pub(super) home: Option<LoginKey>,
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = duration::format(self.duration);
        write!(f, "logins of {} are refused for {length} after {} failures", self.key, self.failures)
    }
}

// === impl Normal ===

impl fmt::Display for Normal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fewer than {} in {}", self.failures, duration::format(self.within))
    }
}

// === impl Entry ===

impl Entry {
    /// The refusal in force at `now`.
    pub(super) fn refusal(&self, now: Mono) -> Option<&Refusal> {
        self.refusal.as_ref().filter(|refusal| now < refusal.until)
    }

    /// Takes out a refusal that is over at `now`.
    pub(super) fn end(&mut self, now: Mono) -> Option<Refusal> {
        let ended = self.refusal.take_if(|refusal| refusal.until <= now)?;
        self.offended = ended.until;
        Some(ended)
    }

    /// Takes out the refusal, over or not.
    pub(super) fn abandon(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// Counts a failure; `may_refuse` says whether it can bring a refusal about.
    pub(super) fn fail(
        &mut self,
        key: &LoginKey,
        may_refuse: bool,
        now: Mono,
        limits: &LoginLimits,
    ) -> Option<Refusal> {
        let threshold = limits.threshold();
        while self.failures.front().is_some_and(|earliest| now.since(*earliest) >= limits.within) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        if self.failures.len() > threshold {
            self.failures.pop_front();
        }
        if !may_refuse || self.failures.len() < threshold {
            return None;
        }
        if now.since(self.offended) >= limits.memory {
            self.offences = 0;
        }
        let factor = 1_u32.checked_shl(self.offences).unwrap_or(u32::MAX);
        let duration = limits.first.saturating_mul(factor).min(limits.longest);
        self.offences = self.offences.saturating_add(1);
        let failures = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        self.failures.clear();
        let normal = Normal { failures: limits.failures.max(1), within: limits.within };
        let refusal = Refusal { key: key.clone(), until: now.plus(duration), duration, failures, normal };
        self.refusal = Some(refusal.clone());
        Some(refusal)
    }

    /// Forgets the failures so far, not what came of them.
    pub(super) fn forgive(&mut self) {
        self.failures.clear();
    }

    /// Whether nothing is lost by forgetting this after it was untouched for the memory's length.
    pub(super) fn is_forgettable(&self) -> bool {
        self.refusal.is_none() && self.home.is_none()
    }
}
