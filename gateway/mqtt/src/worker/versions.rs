//! The `versionNumber` of lifecycle events: it rises with each connection of a client id, so that a reader can tell
//! which of two events is the later one. As in AWS IoT, a client that was away for an hour begins at 0 again.
//!
//! A session that lives carries its number itself. This remembers those of sessions that have ended, in bounded memory:
//! when it is full, the oldest is forgotten, and every client that is not remembered begins above it. So a number may
//! skip values, and never goes back within the hour.

use cordon_core::time::Mono;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long a number is remembered after the session has ended.
const AWAY: Duration = Duration::from_secs(3600);
/// Ends that are remembered.
const ENDS: usize = 16 * 1024;

/// The numbers of clients without a session.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// By the hash of the client id. Two ids of one hash make a number skip, no more.
    last: HashMap<u64, (u64, Mono)>,
    /// The same in the order of their ends, and ends that a later one of the same client has outdated.
    ends: VecDeque<(u64, Mono)>,
    floor: u64,
    hasher: RandomState,
}

// === impl Versions ===

impl Versions {
    /// The number of a client's first connection in a new session.
    pub(super) fn first(&mut self, client_id: &str, now: Mono) -> u64 {
        self.forget(now);
        let last = self.last.remove(&self.hasher.hash_one(client_id));
        last.map_or(self.floor, |(version, _)| version.saturating_add(1).max(self.floor))
    }

    /// Remembers the last number of a session that has ended, whose client left at `left`.
    pub(super) fn remember(&mut self, client_id: &str, version: u64, left: Mono, now: Mono) {
        if now.since(left) < AWAY {
            let key = self.hasher.hash_one(client_id);
            self.last.insert(key, (version, left));
            self.ends.push_back((key, left));
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Mono) {
        while let Some(&(key, left)) = self.ends.front() {
            let over = now.since(left) >= AWAY;
            if !over && self.ends.len() <= ENDS {
                break;
            }
            self.ends.pop_front();
            let Some(&(version, at)) = self.last.get(&key) else { continue };
            if at == left {
                self.last.remove(&key);
                if !over {
                    self.floor = self.floor.max(version.saturating_add(1));
                }
            }
        }
        if self.ends.is_empty() {
            self.floor = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_number_rises_with_each_session_and_begins_anew_after_an_hour_away() {
        let mut versions = Versions::default();
        assert_eq!(versions.first("a", Mono(0)), 0);
        versions.remember("a", 0, Mono(10), Mono(10));
        assert_eq!(versions.first("b", Mono(11)), 0);
        assert_eq!(versions.first("a", Mono(20)), 1);
        versions.remember("a", 1, Mono(30), Mono(30));
        assert_eq!(versions.first("a", Mono(29 + HOUR)), 2);
        versions.remember("a", 2, Mono(100), Mono(100));
        assert_eq!(versions.first("a", Mono(100 + HOUR)), 0);
    }

    #[test]
    fn a_session_that_outlived_its_client_by_an_hour_is_not_remembered() {
        let mut versions = Versions::default();
        versions.remember("a", 7, Mono(0), Mono(HOUR));
        assert_eq!(versions.first("a", Mono(HOUR)), 0);
    }

    #[test]
    fn ever_new_clients_take_bounded_memory_and_nobody_goes_back_within_the_hour() {
        let mut versions = Versions::default();
        versions.remember("old", 41, Mono(0), Mono(0));
        for client in 0..3 * ENDS {
            versions.remember(&client.to_string(), 0, Mono(1), Mono(1));
        }
        assert!(versions.last.len() <= ENDS && versions.ends.len() <= ENDS);
        assert!(versions.first("old", Mono(2)) > 41);
        assert_eq!(versions.first("old", Mono(2 + HOUR)), 0, "what was skipped is over with the hour");
    }

    #[test]
    fn one_client_that_comes_and_goes_takes_bounded_memory() {
        let mut versions = Versions::default();
        for connection in 0..2 * ENDS as u64 {
            assert_eq!(versions.first("a", Mono(connection)), connection);
            versions.remember("a", connection, Mono(connection), Mono(connection));
        }
        assert!(versions.ends.len() <= ENDS);
    }
}
