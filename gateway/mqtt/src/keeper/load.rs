//! From records back to sessions and retained messages, when the gateway starts.
//!
//! A record that cannot be read is skipped and counted; the rest is used. What belongs to no session any more is removed.

use super::record::is_unreleased;
use super::{Entry, Key, MessageRecord, ProgressRecord, RetainedRecord, SessionRecord, StoredRecord, WillRecord};
use crate::envelope::Envelope;
use cordon_core::time::Now;
use std::collections::BTreeMap;

/// What a store held.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) sessions: Vec<Saved>,
    pub(crate) retained: Vec<Envelope>,
    /// Records that cannot be read.
    pub(crate) skipped: u64,
    /// Removals of what nobody needs any more.
    pub(crate) stale: Vec<Entry>,
    /// The highest number of a session.
    pub(crate) last_session: u64,
    /// The highest number of a message.
    pub(crate) last_message: u64,
}

/// A session with everything that belongs to it.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) number: u64,
    pub(crate) session: SessionRecord,
    pub(crate) progress: ProgressRecord,
    /// What waits for it, by place.
    pub(crate) messages: BTreeMap<u64, MessageRecord>,
    pub(crate) unreleased: Vec<u16>,
    pub(crate) will: Option<WillRecord>,
}

#[derive(Default)]
struct Parts {
    session: Option<SessionRecord>,
    progress: ProgressRecord,
    messages: BTreeMap<u64, MessageRecord>,
    unreleased: Vec<u16>,
    will: Option<WillRecord>,
    keys: Vec<Key>,
}

/// Reads the records of a store.
pub(crate) fn load(records: Vec<StoredRecord>, boot: u64, now: Now) -> Loaded {
    let mut loaded = Loaded::default();
    let mut sessions: BTreeMap<u64, Parts> = BTreeMap::new();
    let mut unread_sessions = false;
    for (key, value) in records {
        let Some(key) = Key::decode(&key) else {
            loaded.skipped += 1;
            continue;
        };
        if let Some(number) = key.session() {
            loaded.last_session = loaded.last_session.max(number);
            sessions.entry(number).or_default().keys.push(key);
        }
        if !loaded.read(&mut sessions, key, &value, boot, now) {
            unread_sessions |= matches!(key, Key::Session(_));
            loaded.skipped += 1;
        }
    }
    for (number, parts) in sessions {
        match parts.session {
            Some(session) => loaded.sessions.push(Saved {
                number,
                session,
                progress: parts.progress,
                messages: parts.messages,
                unreleased: parts.unreleased,
                will: parts.will,
            }),
            // What belongs to a session that cannot be read may be read by another version.
            None if unread_sessions => {}
            None => loaded.stale.extend(parts.keys.into_iter().map(Entry::remove)),
        }
    }
    loaded
}

// === impl Loaded ===

impl Loaded {
    /// Takes a record in. Returns whether it could be read.
    fn read(&mut self, sessions: &mut BTreeMap<u64, Parts>, key: Key, value: &[u8], boot: u64, now: Now) -> bool {
        let end = |deadline: super::Deadline| deadline.end(boot, now);
        let number = key.session().unwrap_or_default();
        let parts = sessions.entry(number);
        match key {
            Key::Retained(_) => {
                let Some(record) = RetainedRecord::read(value, end) else { return false };
                self.note(&record.message);
                if record.message.expires().is_some_and(|at| at <= now.mono) {
                    self.stale.push(Entry::remove(key));
                } else {
                    self.retained.push(record.message);
                }
                true
            }
            Key::Session(_) => {
                let read = SessionRecord::read(value);
                let known = read.is_some();
                parts.or_default().session = read;
                known
            }
            Key::Progress(_) => {
                let read = ProgressRecord::read(value);
                parts.or_default().progress = read.unwrap_or_default();
                read.is_some()
            }
            Key::Will(_) => {
                let read = WillRecord::read(value);
                let known = read.is_some();
                parts.or_default().will = read;
                known
            }
            Key::Message(_, place) => {
                let Some(record) = MessageRecord::read(value, end) else { return false };
                if let Some(message) = &record.message {
                    self.note(&message.message);
                }
                parts.or_default().messages.insert(place, record);
                true
            }
            Key::Unreleased(_, id) => {
                let known = is_unreleased(value);
                if known {
                    parts.or_default().unreleased.push(id);
                }
                known
            }
        }
    }

    /// New numbers must not be those of messages that are still known.
    fn note(&mut self, message: &Envelope) {
        self.last_message = self.last_message.max(message.number());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::QoS;
    use crate::envelope::Letter;
    use crate::keeper::Value;
    use cordon_core::judge;
    use cordon_core::policy::Action;

    #[test]
    fn who_published_a_kept_message_says_nothing_about_the_numbers_of_sessions() {
        let letter = Letter {
            qos: QoS::AtLeastOnce,
            retain: true,
            publisher: u64::MAX,
            thing: "t",
            epoch: 0,
            expires: None,
            topic: "t",
            properties: &[],
            payload: b"x",
        };
        let message = Envelope::seal(&letter, 8, &[], judge::judge_gateway(Action::Publish, "t"));
        let value = Value::Retained(RetainedRecord { message, expires: None }).encode();
        let loaded = load(vec![(Key::retained("t").encode(), value)], 1, Now::for_test(0));
        assert_eq!((loaded.retained.len(), loaded.last_message, loaded.last_session), (1, 8, 0));
    }
}
