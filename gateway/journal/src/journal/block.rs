//! A block: the unit of writing, hashing and skipping.
//!
//! ```text
//! magic "CORJ" · version u8 · boot id length u8 · highest severity u8 · 0 · count u32 · body length u32
//! first seq u64 · least unix ms u64 · greatest unix ms u64 · written at (unix ms u64 · mono ms u64 · trusted u8)
//! hash of the block before (32) · boot id · hash of all this but itself (32) · body
//! ```
//!
//! Numbers are big-endian. The body is an `EventBatch` compressed with lz4, without boot ids; the length is that before
//! compression. The hash is BLAKE3 over the header up to it and the compressed body. A reader that skips by time or
//! severity reads the header alone.

use super::Recorded;
use cordon_core::event::{Event, Severity};
use cordon_core::time::{Mono, Now, Unix};
use cordon_proto::v1;
use prost::Message as _;
use std::sync::Arc;

/// A BLAKE3 hash.
pub(super) type Hash = [u8; 32];

/// A body is closed once it has this many bytes before compression; one sled record then holds most blocks.
pub(super) const BODY_BYTES: usize = 16 * 1024;
/// The most that a body is inflated to when read.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// An event larger than this loses its details; only a bug makes one.
const MAX_EVENT_BYTES: usize = 64 * 1024;
const MAX_BOOT_ID_BYTES: usize = 64;
const MAGIC: &[u8; 4] = b"CORJ";
const VERSION: u8 = 1;

/// What a block says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first_seq: u64,
    pub(super) count: u32,
    pub(super) unix_min: u64,
    pub(super) unix_max: u64,
    pub(super) severity_max: Severity,
    pub(super) written: Now,
    pub(super) previous: Hash,
    pub(super) boot_id: Arc<str>,
    pub(super) hash: Hash,
    body_bytes: u32,
    body_at: usize,
}

/// Why a block cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    #[error("it is no block of this version")]
    Header,
    #[error("its contents do not have the hash that it carries")]
    Hash,
    #[error("its contents are no batch of events")]
    Body,
}

/// What a new block continues and when it is written.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) first_seq: u64,
    pub(super) previous: Hash,
    pub(super) written: Now,
    pub(super) boot_id: Arc<str>,
}

// === impl Header ===

impl Header {
    /// Reads the header of a stored block; the hash is not checked.
    pub(super) fn read(stored: &[u8]) -> Result<Self, BlockError> {
        let mut cursor = Cursor(stored);
        Self::parse(&mut cursor, stored.len()).ok_or(BlockError::Header)
    }

    fn parse(cursor: &mut Cursor<'_>, total: usize) -> Option<Self> {
        if cursor.take(4)? != MAGIC || cursor.byte()? != VERSION {
            return None;
        }
        let boot_id_bytes = usize::from(cursor.byte()?);
        let severity_max = severity_of(cursor.byte()?)?;
        cursor.byte()?;
        let (count, body_bytes) = (cursor.u32()?, cursor.u32()?);
        let (first_seq, unix_min, unix_max) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        let (unix, mono, trusted) = (Unix(cursor.u64()?), Mono(cursor.u64()?), cursor.byte()? == 1);
        let previous = cursor.take(32)?.try_into().ok()?;
        let boot_id = std::str::from_utf8(cursor.take(boot_id_bytes)?).ok()?.into();
        let hash = cursor.take(32)?.try_into().ok()?;
        let written = Now { mono, unix, trusted };
        let body_at = total - cursor.0.len();
        first_seq.checked_add(u64::from(count))?;
        (count > 0).then_some(Self {
            first_seq,
            count,
            unix_min,
            unix_max,
            severity_max,
            written,
            previous,
            boot_id,
            hash,
            body_bytes,
            body_at,
        })
    }

    /// The sequence number after the block's last.
    pub(super) fn end(&self) -> u64 {
        self.first_seq + u64::from(self.count)
    }

    /// Whether `stored`, whose header this is, has the hash that it carries.
    pub(super) fn check(&self, stored: &[u8]) -> Result<(), BlockError> {
        let (header, body) = stored.split_at_checked(self.body_at).ok_or(BlockError::Header)?;
        let hashed = header.len().checked_sub(32).and_then(|end| header.get(..end)).ok_or(BlockError::Header)?;
        if hash(hashed, body) == self.hash { Ok(()) } else { Err(BlockError::Hash) }
    }

    /// The events of `stored`, whose header this is. An event that only a newer version knows is `None`.
    pub(super) fn events(&self, stored: &[u8]) -> Result<Vec<(u64, Option<Recorded>)>, BlockError> {
        let body = stored.get(self.body_at..).ok_or(BlockError::Body)?;
        let len = usize::try_from(self.body_bytes).unwrap_or(usize::MAX);
        if len > MAX_BODY_BYTES {
            return Err(BlockError::Body);
        }
        let raw = lz4_flex::block::decompress(body, len).map_err(|_| BlockError::Body)?;
        let batch = v1::EventBatch::decode(raw.as_slice()).map_err(|_| BlockError::Body)?;
        if u32::try_from(batch.events.len()) != Ok(self.count) {
            return Err(BlockError::Body);
        }
        let read = |(seq, wire): (u64, v1::RecordedEvent)| {
            let event = wire.event.and_then(|event| Event::try_from(event).ok());
            let recorded = event.map(|event| Recorded { seq, boot_id: Arc::clone(&self.boot_id), event: event.into() });
            (seq, recorded)
        };
        Ok((self.first_seq..).zip(batch.events).map(read).collect())
    }
}

/// Fills one block with the first of `events` and returns how many it took, its header and its stored form.
///
/// `events` must not be empty.
pub(super) fn build(context: &Context, events: &[Arc<Event>]) -> Option<(usize, Header, Vec<u8>)> {
    let (mut batch, mut bytes) = (v1::EventBatch::default(), 0);
    let (mut unix_min, mut unix_max, mut severity_max) = (u64::MAX, 0, Severity::Info);
    for (seq, event) in (context.first_seq..).zip(events) {
        let wire = v1::RecordedEvent { seq, event: Some(fitting(event)), boot_id: String::new() };
        bytes += wire.encoded_len() + 4;
        batch.events.push(wire);
        unix_min = unix_min.min(event.at.unix.0);
        unix_max = unix_max.max(event.at.unix.0);
        severity_max = severity_max.max(event.severity);
        if bytes >= BODY_BYTES {
            break;
        }
    }
    let raw = batch.encode_to_vec();
    let body = lz4_flex::block::compress(&raw);
    let taken = batch.events.len();
    let boot_id: Arc<str> = clipped(&context.boot_id).into();

    let mut stored = Vec::with_capacity(160 + body.len());
    stored.extend_from_slice(MAGIC);
    stored.extend_from_slice(&[VERSION, u8::try_from(boot_id.len()).ok()?, severity_max as u8, 0]);
    for number in [u32::try_from(taken).ok()?, u32::try_from(raw.len()).ok()?] {
        stored.extend_from_slice(&number.to_be_bytes());
    }
    let written = context.written;
    for number in [context.first_seq, unix_min, unix_max, written.unix.0, written.mono.0] {
        stored.extend_from_slice(&number.to_be_bytes());
    }
    stored.push(u8::from(written.trusted));
    stored.extend_from_slice(&context.previous);
    stored.extend_from_slice(boot_id.as_bytes());
    let hash = hash(&stored, &body);
    stored.extend_from_slice(&hash);
    stored.extend_from_slice(&body);
    let header = Header::read(&stored).ok().filter(|_| taken > 0)?;
    Some((taken, header, stored))
}

fn hash(header: &[u8], body: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

fn fitting(event: &Event) -> v1::Event {
    let mut wire = v1::Event::from(event.clone());
    if wire.encoded_len() > MAX_EVENT_BYTES {
        wire.details.clear();
        wire.details.insert("details".to_owned(), "left out, they were too large".to_owned());
    }
    let texts = [
        &mut wire.thing,
        &mut wire.client_id,
        &mut wire.listener,
        &mut wire.principal,
        &mut wire.action,
        &mut wire.resource,
        &mut wire.reason,
        &mut wire.rule,
    ];
    for text in texts.into_iter().flatten() {
        cut(text, cordon_core::event::MAX_FIELD_BYTES);
    }
    wire
}

fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}

fn clipped(boot_id: &str) -> String {
    let mut boot_id = boot_id.to_owned();
    cut(&mut boot_id, MAX_BOOT_ID_BYTES);
    boot_id
}

fn severity_of(byte: u8) -> Option<Severity> {
    use Severity::{Critical, Error, Info, Notice, Warning};
    [Info, Notice, Warning, Error, Critical].into_iter().find(|severity| *severity as u8 == byte)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;
    use cordon_core::event::Code;
    use proptest::prelude::*;

    fn context() -> Context {
        Context { first_seq: 41, previous: [7; 32], written: Now::for_test(9), boot_id: "boot-1".into() }
    }

    fn events(count: u64) -> Vec<Arc<Event>> {
        let event =
            |n| Event::new(Code::AuthzPublishDenied, Now::for_test(n)).thing("press-01").resource(format!("t/{n}"));
        (0..count).map(event).map(Arc::new).collect()
    }

    #[test]
    fn a_block_gives_back_what_it_took_in_and_closes_at_its_size() {
        let all = events(2000);
        let (taken, header, stored) = build(&context(), &all).unwrap();
        assert!(taken > 50 && taken < 2000, "{taken}");
        assert_eq!(Header::read(&stored).unwrap(), header);
        assert_eq!(header.check(&stored), Ok(()));
        assert_eq!((header.first_seq, header.end()), (41, 41 + taken as u64));
        let read = header.events(&stored).unwrap();
        for ((seq, recorded), event) in read.into_iter().zip(&all) {
            let recorded = recorded.unwrap();
            assert_eq!((recorded.seq, recorded.event, &*recorded.boot_id), (seq, Arc::clone(event), "boot-1"));
        }
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let (_, _, stored) = build(&context(), &events(3)).unwrap();
        for at in 0..stored.len() {
            let mut changed = stored.clone();
            changed[at] ^= 1;
            let noticed = match Header::read(&changed) {
                Ok(header) => header.check(&changed).is_err(),
                Err(_) => true,
            };
            // The one reserved byte is hashed as well.
            assert!(noticed, "byte {at}");
        }
    }

    #[test]
    fn an_event_beyond_all_bounds_is_kept_without_its_details() {
        let mut event = Event::new(Code::GatewayStarted, Now::for_test(0));
        event.reason = Some("ü".repeat(100_000));
        event.details.insert("x".to_owned(), "y".repeat(3_000_000));
        let (_, header, stored) = build(&context(), &[Arc::new(event)]).unwrap();
        let (_, recorded) = header.events(&stored).unwrap().remove(0);
        let kept = recorded.unwrap().event;
        assert!(kept.reason.as_deref().unwrap().len() <= 512);
        assert_eq!(kept.details.keys().collect::<Vec<_>>(), ["details"]);
    }

    proptest! {
        #[test]
        fn reading_garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), keep in 0..200usize) {
            let (_, _, mut stored) = build(&context(), &events(2)).unwrap();
            stored.truncate(keep);
            stored.extend(bytes);
            if let Ok(header) = Header::read(&stored) {
                let _ = header.check(&stored);
                let _ = header.events(&stored);
            }
        }
    }
}
