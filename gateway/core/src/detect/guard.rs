//! Repeated failed logins: refused for a while, and longer each time.

use super::guard_entry::Entry;
use super::{Agenda, LoginKey, Refusal};
use crate::time::Mono;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// When logins are refused, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLimits {
    /// This many failures bring a refusal about, 1 to 100.
    pub failures: u32,
    /// The time in which they must fall.
    pub within: Duration,
    /// How long the first refusal is; each further one is twice as long.
    pub first: Duration,
    /// The longest refusal.
    pub longest: Duration,
    /// How long after the end of a refusal the next one still grows.
    pub memory: Duration,
    /// The most addresses and names that are remembered. When there are more, those that have been quiet the longest are
    /// forgotten, those under refusal last.
    pub keys: usize,
}

/// Counts failed logins per address and per user name, and refuses both for a growing time.
///
/// A refusal is not extended by attempts during it. To guess at a device's name from elsewhere must not lock the device
/// out: a failure that makes its address refused does not also refuse the name, and a refusal of a name does not hold for
/// the address from which that name logged in last. Nor must one guesser behind a shared address lock out the devices
/// beside it: a refusal of the address does not hold for names that logged in from there last. Where both are refused,
/// nobody gets in.
#[derive(Debug, Default)]
pub struct LoginGuard {
    limits: LoginLimits,
    entries: BTreeMap<LoginKey, Entry>,
    /// When each key was last touched, for forgetting.
    touched: Agenda<LoginKey>,
    ends: Agenda<LoginKey>,
    /// Refusals that ended and were not handed out yet.
    ended: Vec<Refusal>,
    evicted: u64,
}

/// How many of the quietest keys are looked at for one that is not under refusal.
const EVICTION_SCAN: usize = 64;

// === impl LoginLimits ===

impl Default for LoginLimits {
    /// Five failures in 60 s; refused for 10 s and up to 1 h; growth is remembered for 24 h; 65,536 keys.
    fn default() -> Self {
        Self {
            failures: 5,
            within: Duration::from_secs(60),
            first: Duration::from_secs(10),
            longest: Duration::from_secs(3600),
            memory: Duration::from_secs(24 * 3600),
            keys: 65_536,
        }
    }
}

impl LoginLimits {
    pub(super) fn threshold(&self) -> usize {
        usize::try_from(self.failures.clamp(1, 100)).unwrap_or(1)
    }
}

// === impl LoginGuard ===

impl LoginGuard {
    /// A guard that remembers nothing yet.
    #[must_use]
    pub fn new(limits: LoginLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether a login may be tried. Ask before looking at the password. Changes nothing.
    ///
    /// # Errors
    /// The refusal in force for the address, or else for the name.
    pub fn check(&self, address: IpAddr, name: Option<&str>, now: Mono) -> Result<(), Refusal> {
        let address = LoginKey::address(address);
        let of_address = self.entries.get(&address).and_then(|entry| entry.refusal(now));
        let named = name.and_then(|name| self.entries.get(&LoginKey::name(name)));
        let of_name = named.and_then(|entry| entry.refusal(now));
        let at_home = named.is_some_and(|entry| entry.home.as_ref() == Some(&address));
        match (of_address, of_name) {
            (None, None) => Ok(()),
            (Some(_), None) | (None, Some(_)) if at_home => Ok(()),
            (Some(refusal), _) | (None, Some(refusal)) => Err(refusal.clone()),
        }
    }

    /// Counts a failed login, and gives the refusal that begins with it.
    pub fn failure(&mut self, address: IpAddr, name: Option<&str>, now: Mono) -> Option<Refusal> {
        let address = LoginKey::address(address);
        if self.entries.get(&address).is_some_and(|entry| entry.refusal(now).is_some()) {
            // Attempts that were under way when the refusal began are part of what it answers; only names that are at
            // home here may still try, and answer for it themselves.
            let name = LoginKey::name(name?);
            let at_home = self.entries.get(&name).is_some_and(|entry| entry.home.as_ref() == Some(&address));
            return if at_home { self.fail(name, true, now) } else { None };
        }
        let by_address = self.fail(address, true, now);
        let by_name = name.and_then(|name| self.fail(LoginKey::name(name), by_address.is_none(), now));
        by_address.or(by_name)
    }

    /// Notes a login that succeeded: the name's failures are forgotten, the address is known as its home. What the
    /// address has failed at stays, or one good account would let it guess at all others.
    pub fn success(&mut self, address: IpAddr, name: Option<&str>, now: Mono) {
        let Some(name) = name else { return };
        let key = LoginKey::name(name);
        let entry = self.entry(&key, now);
        entry.forgive();
        entry.home = Some(LoginKey::address(address));
    }

    /// Gives the refusals that are over, once each, and forgets what is old.
    pub fn handle_timeout(&mut self, now: Mono) -> Vec<Refusal> {
        while let Some(key) = self.ends.pop(now) {
            if let Some(refusal) = self.entries.get_mut(&key).and_then(|entry| entry.end(now)) {
                self.touched.set(&key, Some(refusal.until));
                self.ended.push(refusal);
            }
        }
        self.forget_old(now);
        std::mem::take(&mut self.ended)
    }

    /// When a refusal ends; a time that has passed means at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        if self.ended.is_empty() { self.ends.next() } else { Some(Mono(0)) }
    }

    /// How many addresses and names are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many keys were forgotten early because the table was full.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn fail(&mut self, key: LoginKey, may_refuse: bool, now: Mono) -> Option<Refusal> {
        if self.entries.get(&key).is_some_and(|entry| entry.refusal(now).is_some()) {
            return None;
        }
        let limits = self.limits;
        let entry = self.entry(&key, now);
        let over = entry.end(now);
        let refusal = entry.fail(&key, may_refuse, now, &limits);
        self.ended.extend(over);
        self.ends.set(&key, refusal.as_ref().map(|refusal| refusal.until));
        refusal
    }

    fn entry(&mut self, key: &LoginKey, now: Mono) -> &mut Entry {
        if !self.entries.contains_key(key) && self.entries.len() >= self.limits.keys.max(1) {
            self.evict();
        }
        self.touched.set(key, Some(now));
        self.entries.entry(key.clone()).or_default()
    }

    fn evict(&mut self) {
        let is_free = |key: &&LoginKey| self.entries.get(*key).is_none_or(|entry| entry.is_forgettable());
        let quiet = || self.touched.iter().map(|(_, key)| key).take(EVICTION_SCAN);
        let Some(key) = quiet().find(is_free).or_else(|| quiet().next()).cloned() else { return };
        self.evicted = self.evicted.saturating_add(1);
        self.forget(&key);
    }

    fn forget(&mut self, key: &LoginKey) {
        let refusal = self.entries.remove(key).and_then(|mut entry| entry.abandon());
        self.ended.extend(refusal);
        self.touched.set(key, None);
        self.ends.set(key, None);
    }

    /// Forgets the keys that have been quiet for longer than anything about them is remembered. A name with a home stays
    /// until its place is needed; it goes to the back of the line.
    fn forget_old(&mut self, now: Mono) {
        let keep = self.limits.memory.max(self.limits.within);
        while let Some(key) = self.touched.first().cloned() {
            let since = self.touched.next().map_or(Duration::ZERO, |touched| now.since(touched));
            if since < keep {
                return;
            }
            match self.entries.get_mut(&key) {
                Some(entry) if !entry.is_forgettable() => {
                    entry.forgive();
                    self.touched.set(&key, Some(now));
                }
                _ => self.forget(&key),
            }
        }
    }
}

#[cfg(test)]
mod tests;
