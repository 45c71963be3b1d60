//! What a lasting session's deliveries put on record, and how they come back from it.

use super::{Delivery, Flight, Queued, Slot};
use crate::session::ledger::{Change, Ledger};
use crate::session::pool::Pool;
use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

/// A message as it came out of the record.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) place: u64,
    /// The identifier it is sent under.
    pub(crate) packet_id: Option<NonZeroU16>,
    /// Whether it may have been sent.
    pub(crate) sent: bool,
    /// QoS 2: the client has it.
    pub(crate) released: bool,
    pub(crate) queued: Queued,
}

// === impl Delivery ===

impl Delivery {
    /// Deliveries whose queue counts against what all sessions share.
    pub(crate) fn within(pool: Arc<Pool>) -> Self {
        let mut delivery = Self::default();
        delivery.pool = Some(pool);
        delivery
    }

    /// The session is to outlive the gateway.
    pub(crate) fn begin_record(&mut self) {
        self.ledger.get_or_insert_default();
    }

    /// The session is not to outlive the gateway any more. Returns what is on record.
    pub(crate) fn end_record(&mut self) -> Vec<Change> {
        let Some(ledger) = self.ledger.take() else { return Vec::new() };
        let places = self.flights.iter().map(|flight| flight.queued.slot.place);
        let places = places.chain(self.queue.iter().map(|queued| queued.slot.place));
        let kept = places.filter(|place| ledger.is_kept(*place)).map(Change::Forget);
        // What was done since the last look is on record as well.
        let done =
            ledger.log.iter().filter(|change| matches!(change, Change::Forget(_) | Change::Released(_))).copied();
        kept.chain(self.unreleased.iter().map(|id| Change::Released(*id))).chain(done).collect()
    }

    /// Whether something has changed that must be on record.
    pub(crate) fn has_log(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| !ledger.log.is_empty())
    }

    /// What has changed since the last call, in order.
    pub(crate) fn take_log(&mut self) -> Vec<Change> {
        self.ledger.as_mut().map(|ledger| std::mem::take(&mut ledger.log)).unwrap_or_default()
    }

    /// The message at a place: with its identifier, and whether the client has it.
    pub(crate) fn at(&self, place: u64) -> Option<(&Queued, Option<NonZeroU16>, bool)> {
        if let Ok(at) = self.flights.binary_search_by_key(&place, |flight| flight.queued.slot.place) {
            let flight = &self.flights[at];
            return Some((&flight.queued, Some(flight.packet_id), flight.released));
        }
        let at = self.queue.binary_search_by_key(&place, |queued| queued.slot.place).ok()?;
        Some((&self.queue[at], self.queue[at].slot.planned, false))
    }

    /// How far things have come: identifiers on record as used, and the last place that was sent.
    pub(crate) fn progress(&self) -> (u16, u64) {
        self.ledger.as_ref().map(|ledger| ledger.progress()).unwrap_or_default()
    }

    /// The client is away: everything that waits is put on record.
    pub(crate) fn keep_all(&mut self) {
        let upto = self.ledger.as_ref().map_or(0, |ledger| ledger.last());
        self.keep(upto);
    }

    /// Puts on record what has waited since before the last call, and how far sending has come.
    pub(crate) fn age(&mut self) {
        let upto = self.ledger.as_mut().map_or(0, |ledger| ledger.look());
        self.keep(upto);
    }

    /// Counts what is unacknowledged against what all sessions share, until the client is back.
    pub(crate) fn park(&mut self) {
        self.unpark();
        self.parked = self.flights.iter().map(|flight| flight.queued.message.size()).sum();
        if let Some(pool) = &self.pool {
            pool.claim(self.parked);
        }
    }

    pub(super) fn unpark(&mut self) {
        let parked = std::mem::take(&mut self.parked);
        if let Some(pool) = &self.pool {
            pool.give(parked);
        }
    }

    /// A message that came out of the queue is not sent.
    pub(crate) fn discard(&mut self, queued: &Queued) {
        if let Some(ledger) = &mut self.ledger {
            ledger.forget(queued.slot.place, queued.slot.planned);
        }
    }

    /// A QoS 2 message of the client was received; to be called when nothing of it can get lost any more.
    pub(crate) fn note_arrival(&mut self, packet_id: NonZeroU16) {
        if let Some(ledger) = self.ledger.as_mut().filter(|_| self.unreleased.contains(&packet_id.get())) {
            ledger.log.push(Change::Arrived(packet_id.get()));
        }
    }

    /// Takes up what is on record: messages in the order of their places, how far things had come, and the identifiers of
    /// QoS 2 messages that the client has not released.
    pub(crate) fn restore(
        pool: Arc<Pool>,
        messages: Vec<Restored>,
        (last_id, sent): (u16, u64),
        unreleased: impl IntoIterator<Item = u16>,
    ) -> Self {
        let mut delivery = Self::within(pool.clone());
        delivery.last_id = last_id;
        delivery.unreleased = unreleased.into_iter().collect();
        let mut planned = BTreeSet::new();
        let last = messages.last().map_or(0, |message| message.place).max(sent);
        for Restored { place, packet_id, sent, released, mut queued } in messages {
            queued.slot = Slot { place, planned: packet_id };
            match packet_id.filter(|_| released || (sent && delivery.queue.is_empty())) {
                Some(packet_id) => delivery.flights.push_back(Flight { packet_id, queued, released }),
                None => {
                    planned.extend(packet_id.map(NonZeroU16::get));
                    let size = queued.message.size();
                    pool.claim(size);
                    delivery.queued_bytes += size;
                    delivery.queue.push_back(queued);
                }
            }
        }
        delivery.ledger = Some(Box::new(Ledger::restored(last, sent, last_id, planned)));
        delivery.park();
        delivery
    }

    fn keep(&mut self, upto: u64) {
        let Some(ledger) = &mut self.ledger else { return };
        let places = ledger.keep(upto);
        let (from, to) = (*places.start(), *places.end());
        if from <= to {
            let flights = self.flights.partition_point(|flight| flight.queued.slot.place < from);
            for flight in self.flights.range(flights..).take_while(|flight| flight.queued.slot.place <= to) {
                ledger.kept(flight.queued.slot.place, true);
            }
            self.plan(from, to);
        }
        let Some(ledger) = &mut self.ledger else { return };
        let kept = self.flights.partition_point(|flight| ledger.is_kept(flight.queued.slot.place));
        if let Some(last) = kept.checked_sub(1).and_then(|at| self.flights.get(at)) {
            ledger.sent(last.queued.slot.place);
        }
    }

    /// Gives the messages of the queue at these places their identifiers, and puts them on record.
    fn plan(&mut self, from: u64, to: u64) {
        let mut at = self.queue.partition_point(|queued| queued.slot.place < from);
        while let Some(place) = self.queue.get(at).map(|queued| queued.slot.place).filter(|place| *place <= to) {
            let may = self.ledger.as_ref().is_some_and(|ledger| ledger.may_plan());
            let id = may.then(|| self.fresh_id());
            if let (Some(ledger), Some(queued)) = (&mut self.ledger, self.queue.get_mut(at)) {
                queued.slot.planned = id;
                id.into_iter().for_each(|id| ledger.plan(id));
                ledger.kept(place, true);
            }
            at += 1;
        }
    }
}
