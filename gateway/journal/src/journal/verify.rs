//! Proving that nothing in the journal was changed or removed.
//!
//! Every block carries the hash of the block before it, so a change anywhere breaks the chain from there on. The oldest
//! block must continue the anchor that the last deletion left, and the newest durable block must be there. Someone who
//! can rewrite every file can also rewrite the chain; against that, keep `head_hash` somewhere else and compare.

use super::archive::{Archive, hex};
use super::block::{Hash, Header};
use crate::database::Direction;
use crate::error::StoreError;
use std::ops::ControlFlow;

/// What checking the journal found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blocks that are whole and in their place.
    pub blocks: u64,
    /// Events in them.
    pub events: u64,
    /// The number of the first of these events.
    pub first_seq: Option<u64>,
    /// The number of the last of these events.
    pub last_seq: Option<u64>,
    /// The hash of the last of these blocks, in hexadecimal.
    pub head_hash: Option<String>,
    /// The first thing that is wrong; what follows it was not checked.
    pub broken: Option<Broken>,
}

/// Where the journal was changed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The first event that cannot be trusted.
    pub seq: u64,
    /// What is wrong.
    pub what: String,
}

/// How far the chain has been followed.
struct Chain {
    report: VerifyReport,
    /// What the next block must continue; unknown where the journal begins without an anchor.
    expected: Option<(u64, Hash)>,
    head: Option<(u64, Hash)>,
    head_seen: bool,
}

/// Reads every block, oldest first.
pub(super) fn run(archive: &Archive) -> Result<VerifyReport, StoreError> {
    let head = archive.extent().head;
    let expected = match archive.anchor() {
        Some(anchor) => Some((anchor.seq + 1, anchor.hash.0)),
        None => Some((1, [0; 32])),
    };
    let mut chain = Chain { report: VerifyReport::default(), expected, head, head_seen: head.is_none() };
    for segment in archive.segments() {
        let Some(db) = archive.database(segment.first_seq)? else {
            if let Some(anchor) = archive.anchor().filter(|anchor| anchor.seq >= segment.first_seq) {
                // Deleted meanwhile to stay within the limit.
                chain.expected = Some((anchor.seq + 1, anchor.hash.0));
                continue;
            }
            chain.stop(segment.first_seq, "the segment that begins here is gone or damaged");
            break;
        };
        db.scan(&[0; 8], &segment.end.to_be_bytes(), Direction::Forward, &mut |key, stored| {
            chain.follow(key, &stored);
            if chain.report.broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if chain.report.broken.is_some() {
            break;
        }
        if let Some(summary) = segment.summary.filter(|summary| chain.report.last_seq < Some(summary.last_seq)) {
            let seq = chain.report.last_seq.map_or(segment.first_seq, |last| last + 1);
            chain.stop(seq, &format!("the events up to {} were removed", summary.last_seq));
            break;
        }
    }
    Ok(chain.end())
}

// === impl Chain ===

impl Chain {
    fn follow(&mut self, key: &[u8], stored: &[u8]) {
        let place = key.try_into().map_or(0, u64::from_be_bytes);
        let header = match Header::read(stored).and_then(|header| header.check(stored).map(|()| header)) {
            Ok(header) => header,
            Err(error) => return self.stop(place, &format!("the block was changed: {error}")),
        };
        if header.first_seq != place {
            return self.stop(place, &format!("the block of {} was put here", header.first_seq));
        }
        if let Some((next, previous)) = self.expected {
            if place != next {
                return self.stop(next, &format!("the events up to {} were removed", place.saturating_sub(1)));
            }
            if header.previous != previous {
                return self.stop(place, "the block does not continue the one before it; one of them was replaced");
            }
        }
        if let Err(error) = header.events(stored) {
            return self.stop(place, &format!("the block holds no events: {error}"));
        }
        let last = header.end() - 1;
        self.head_seen |= self.head == Some((last, header.hash));
        self.expected = Some((header.end(), header.hash));
        self.report.blocks += 1;
        self.report.events += u64::from(header.count);
        self.report.first_seq.get_or_insert(place);
        self.report.last_seq = Some(last);
        self.report.head_hash = Some(hex(header.hash));
    }

    fn stop(&mut self, seq: u64, what: &str) {
        self.report.broken.get_or_insert_with(|| Broken { seq, what: what.to_owned() });
    }

    fn end(mut self) -> VerifyReport {
        if let Some((last, _)) = self.head.filter(|_| !self.head_seen) {
            let seq = self.report.last_seq.map_or(1, |seq| seq + 1).min(last);
            self.stop(seq, &format!("the end of the journal, up to event {last}, was removed or replaced"));
        }
        self.report
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::super::block::{Context, build};
    use super::super::catalog::{path_of, segments_in};
    use super::super::{Journal, JournalOptions};
    use super::*;
    use crate::database::{Database, Write};
    use crate::host::Host;
    use cordon_core::event::{Code, Event};
    use cordon_core::time::Now;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    const SECONDS: Duration = Duration::from_secs(20);

    fn open(root: &Path) -> Journal {
        let host = Host::new(Arc::new(|| Now::for_test(0)), "boot");
        Journal::open(JournalOptions::new(root, host)).unwrap().0
    }

    /// Five blocks of one event each.
    async fn filled(root: &Path) {
        let journal = open(root);
        for n in 0..5 {
            let event = Event::new(Code::AuthnBadPassword, Now::for_test(n)).thing("press-01");
            journal.recorder().record_durably(event).await.unwrap();
        }
        assert_eq!(verified(&journal).await, None);
        journal.shutdown(SECONDS).await.unwrap();
    }

    async fn verified(journal: &Journal) -> Option<Broken> {
        journal.verify().await.unwrap().broken
    }

    fn tamper(root: &Path, change: impl FnOnce(&Database) -> Vec<Write>) {
        let segment = segments_in(root).unwrap()[0];
        let db = Database::open(&path_of(root, segment)).unwrap();
        db.apply(&change(&db)).unwrap();
        db.flush().unwrap();
    }

    fn key(seq: u64) -> Vec<u8> {
        seq.to_be_bytes().to_vec()
    }

    async fn after(change: impl FnOnce(&Database) -> Vec<Write>) -> Broken {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await;
        tamper(dir.path(), change);
        let journal = open(dir.path());
        let broken = verified(&journal).await.unwrap();
        journal.shutdown(SECONDS).await.unwrap();
        broken
    }

    #[tokio::test]
    async fn a_changed_block_is_found() {
        let broken = after(|db| {
            let mut stored = db.get(&key(3)).unwrap().unwrap();
            *stored.last_mut().unwrap() ^= 1;
            vec![Write::Put(key(3), stored)]
        })
        .await;
        assert_eq!(broken.seq, 3);
        assert!(broken.what.contains("was changed"), "{broken:?}");
    }

    #[tokio::test]
    async fn a_removed_block_is_found() {
        let broken = after(|_| vec![Write::Remove(key(3))]).await;
        assert_eq!(broken.seq, 3);
        assert!(broken.what.contains("removed"), "{broken:?}");
    }

    #[tokio::test]
    async fn a_removed_beginning_is_found() {
        let broken = after(|_| vec![Write::Remove(key(1))]).await;
        assert_eq!((broken.seq, broken.what.as_str()), (1, "the events up to 1 were removed"));
    }

    #[tokio::test]
    async fn a_removed_end_is_found_also_after_a_restart_and_new_events() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await;
        tamper(dir.path(), |_| vec![Write::Remove(key(5))]);
        let host = Host::new(Arc::new(|| Now::for_test(0)), "boot");
        let (journal, report) = Journal::open(JournalOptions::new(dir.path(), host)).unwrap();
        assert_eq!(report.troubles.len(), 1, "{report:?}");
        let event = Event::new(Code::GatewayStarted, Now::for_test(9));
        assert_eq!(journal.recorder().record_durably(event).await, Ok(6));
        let broken = verified(&journal).await.unwrap();
        assert_eq!((broken.seq, broken.what.as_str()), (5, "the events up to 5 were removed"));
        journal.shutdown(SECONDS).await.unwrap();
    }

    #[tokio::test]
    async fn a_block_forged_with_a_hash_of_its_own_is_found_by_the_block_after_it() {
        let broken = after(|db| {
            let header = Header::read(&db.get(&key(3)).unwrap().unwrap()).unwrap();
            let context = Context {
                first_seq: 3,
                previous: header.previous,
                written: header.written,
                boot_id: Arc::clone(&header.boot_id),
            };
            let forged = Event::new(Code::GatewayStarted, Now::for_test(2));
            let (_, _, stored) = build(&context, &[Arc::new(forged)]).unwrap();
            vec![Write::Put(key(3), stored)]
        })
        .await;
        assert_eq!(broken.seq, 4);
        assert!(broken.what.contains("does not continue"), "{broken:?}");
    }
}
