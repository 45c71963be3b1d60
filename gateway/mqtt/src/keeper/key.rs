//! The keys of the records. They are short and of fixed length, whatever a client calls itself or its topics.

/// What a record is about. Sessions go by their number, which is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// A session: who it is, its subscriptions, when it ends.
    Session(u64),
    /// How far the deliveries of a session have come.
    Progress(u64),
    /// The will of a session.
    Will(u64),
    /// A message that waits for a session, by its place in the order.
    Message(u64, u64),
    /// The packet identifier of a QoS 2 message that a session published and has not released.
    Unreleased(u64, u16),
    /// A retained message, by the hash of its topic.
    Retained([u8; 32]),
}

const SESSION: u8 = b's';
const PROGRESS: u8 = b'p';
const WILL: u8 = b'w';
const MESSAGE: u8 = b'm';
const UNRELEASED: u8 = b'u';
const RETAINED: u8 = b'r';

// === impl Key ===

impl Key {
    /// The key of a retained message.
    pub(crate) fn retained(topic: &str) -> Self {
        Self::Retained(*blake3::hash(topic.as_bytes()).as_bytes())
    }

    /// The number of the session it belongs to.
    pub(crate) fn session(self) -> Option<u64> {
        match self {
            Self::Session(number)
            | Self::Progress(number)
            | Self::Will(number)
            | Self::Message(number, _)
            | Self::Unreleased(number, _) => Some(number),
            Self::Retained(_) => None,
        }
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let join = |kind: u8, parts: &[&[u8]]| [&[kind][..], &parts.concat()].concat();
        match self {
            Self::Session(number) => join(SESSION, &[&number.to_be_bytes()]),
            Self::Progress(number) => join(PROGRESS, &[&number.to_be_bytes()]),
            Self::Will(number) => join(WILL, &[&number.to_be_bytes()]),
            Self::Message(number, place) => join(MESSAGE, &[&number.to_be_bytes(), &place.to_be_bytes()]),
            Self::Unreleased(number, id) => join(UNRELEASED, &[&number.to_be_bytes(), &id.to_be_bytes()]),
            Self::Retained(hash) => join(RETAINED, &[&hash]),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        if *kind == RETAINED {
            return rest.try_into().ok().map(Self::Retained);
        }
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*number);
        match (*kind, rest.len()) {
            (SESSION, 0) => Some(Self::Session(number)),
            (PROGRESS, 0) => Some(Self::Progress(number)),
            (WILL, 0) => Some(Self::Will(number)),
            (MESSAGE, 8) => Some(Self::Message(number, u64::from_be_bytes(rest.try_into().ok()?))),
            (UNRELEASED, 2) => Some(Self::Unreleased(number, u16::from_be_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_as_it_was_written_and_nothing_else_does() {
        let keys = [
            Key::Session(1),
            Key::Progress(u64::MAX),
            Key::Will(3),
            Key::Message(4, 5),
            Key::Unreleased(6, 7),
            Key::retained("a/b"),
        ];
        for key in keys {
            let bytes = key.encode();
            assert_eq!(Key::decode(&bytes), Some(key));
            for end in 0..bytes.len() {
                assert_eq!(Key::decode(&bytes[..end]), None, "{key:?} cut at {end}");
            }
            assert_eq!(Key::decode(&[&bytes[..], &[0]].concat()), None, "{key:?} with a byte too many");
        }
        assert_eq!(Key::decode(b"x12345678"), None);
    }
}
