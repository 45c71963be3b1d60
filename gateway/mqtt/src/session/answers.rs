//! Acknowledgements that wait until what they promise is durable.
//!
//! Acknowledgements keep their order (MQTT-4.6.0-2 to 4.6.0-4): while one is held back, all later ones of the connection
//! wait behind it. When too many wait, the client is not read from any more. They end with the connection: a client
//! repeats what was not acknowledged.

use super::Queued;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::num::NonZeroU16;

/// Answers held for one connection before it is not read from any more.
const MANY: usize = 1000;

/// What an answer has to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    No,
    /// What was changed in this batch of packets.
    Batch,
    /// What the changes of a ticket stand for.
    Ticket(u64),
    /// That other workers have taken messages of this one, and have handed over what they changed for them: the lanes and
    /// how far each must have come. After that, a QoS 2 message counts as received under this identifier.
    Lanes(Vec<(usize, u64)>, Option<NonZeroU16>),
}

/// The answers held for one connection, in order.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    held: VecDeque<Held>,
    /// Their packets, one after the other.
    encoded: BytesMut,
    weight: usize,
}

#[derive(Debug)]
struct Held {
    hold: Hold,
    length: usize,
    /// Messages that follow the answer: what is retained, after SUBACK.
    messages: Vec<Queued>,
}

// === impl Answers ===

impl Answers {
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether so many are held that no further packets should be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.weight >= MANY
    }

    /// Holds an answer that `encode` appends, and what follows it.
    pub(crate) fn push(&mut self, hold: Hold, messages: Vec<Queued>, encode: impl FnOnce(&mut BytesMut)) {
        let before = self.encoded.len();
        encode(&mut self.encoded);
        self.weight += 1 + messages.len();
        self.held.push_back(Held { hold, length: self.encoded.len() - before, messages });
    }

    /// Whether an answer waits for the batch that is being processed.
    pub(crate) fn has_batch(&self) -> bool {
        self.held.iter().rev().any(|held| held.hold == Hold::Batch)
    }

    /// The batch has been handed over under this ticket.
    pub(crate) fn seal(&mut self, ticket: u64) {
        let unsealed = self.held.iter_mut().filter(|held| held.hold == Hold::Batch);
        unsealed.for_each(|held| held.hold = Hold::Ticket(ticket));
    }

    /// What the first answer waits for.
    pub(crate) fn first(&mut self) -> Option<&mut Hold> {
        self.held.front_mut().map(|held| &mut held.hold)
    }

    /// Lets the first answer go: its packet, and what follows it.
    pub(crate) fn pop(&mut self) -> Option<(BytesMut, Vec<Queued>)> {
        let held = self.held.pop_front()?;
        self.weight -= 1 + held.messages.len();
        let packet = self.encoded.split_to(held.length);
        if self.held.is_empty() {
            *self = Self::default();
        }
        Some((packet, held.messages))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn answers_leave_in_the_order_in_which_they_came_and_many_of_them_are_too_many() {
        let mut answers = Answers::default();
        for number in 0..MANY {
            assert!(!answers.is_full());
            let hold = if number % 2 == 0 { Hold::Batch } else { Hold::No };
            answers.push(hold, Vec::new(), |out| out.extend_from_slice(&number.to_be_bytes()));
        }
        assert!(answers.is_full() && answers.has_batch());
        answers.seal(7);
        assert!(!answers.has_batch());
        assert_eq!(answers.first(), Some(&mut Hold::Ticket(7)));
        for number in 0..MANY {
            assert_eq!(&answers.pop().unwrap().0[..], number.to_be_bytes());
        }
        assert!(answers.is_empty() && answers.pop().is_none());
    }
}
