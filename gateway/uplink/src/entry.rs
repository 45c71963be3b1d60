//! What waits to be sent, and the limits of AWS IoT Core that it must keep.

use bytes::Bytes;

/// The largest payload that AWS IoT Core takes, in bytes; anything larger closes the connection.
pub const MAX_PAYLOAD_BYTES: usize = 131_072;

/// The longest topic that AWS IoT Core takes, in bytes, not counting `$aws/rules/<rule>/`.
pub const MAX_TOPIC_BYTES: usize = 256;

/// The most slashes that AWS IoT Core takes in a topic, not counting those of `$aws/rules/<rule>/`.
pub const MAX_TOPIC_SLASHES: usize = 7;

/// One message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place: ids rise in the order of sending and are never used twice.
    pub id: u64,
    /// Where it is published.
    pub topic: String,
    /// What is published.
    pub payload: Bytes,
}

/// Why a message can never be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The payload is larger than the far side takes.
    #[error("the payload has {bytes} bytes and the far side takes {limit}; split it")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// What the far side takes.
        limit: usize,
    },
    /// The topic is longer than AWS IoT Core takes.
    #[error("the topic has {bytes} bytes and AWS IoT Core takes {MAX_TOPIC_BYTES}; shorten it")]
    TopicTooLong {
        /// Its length, without a Basic Ingest prefix.
        bytes: usize,
    },
    /// The topic has more levels than AWS IoT Core takes.
    #[error("the topic has {slashes} slashes and AWS IoT Core takes {MAX_TOPIC_SLASHES}; use fewer levels")]
    TooManySlashes {
        /// How many it has, without a Basic Ingest prefix.
        slashes: usize,
    },
    /// The topic is empty, or has a wildcard or a NUL.
    #[error("the topic is empty or has a wildcard or NUL in it")]
    TopicInvalid,
}

// === impl Entry ===

impl Entry {
    /// Whether AWS IoT Core can take this message; ask before it enters the outbox.
    ///
    /// # Errors
    ///
    /// The limit that it breaks.
    pub fn check(topic: &str, payload: &[u8]) -> Result<(), EntryError> {
        if !cordon_core::topic::is_valid_name(topic) {
            return Err(EntryError::TopicInvalid);
        }
        check_topic(topic)?;
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(EntryError::PayloadTooLarge { bytes: payload.len(), limit: MAX_PAYLOAD_BYTES });
        }
        Ok(())
    }

    /// What it costs of the byte quota.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    /// The size of its PUBLISH packet, at most.
    pub(crate) fn packet_bytes(&self) -> usize {
        // Fixed header 5, topic length 2, packet identifier 2, property length 1.
        self.bytes() + 10
    }
}

/// Length and levels of a topic or filter, as AWS IoT Core counts them.
pub(crate) fn check_topic(topic: &str) -> Result<(), EntryError> {
    let counted = beyond_rule(topic).unwrap_or(topic);
    if counted.len() > MAX_TOPIC_BYTES {
        return Err(EntryError::TopicTooLong { bytes: counted.len() });
    }
    let slashes = counted.bytes().filter(|b| *b == b'/').count();
    if slashes > MAX_TOPIC_SLASHES {
        return Err(EntryError::TooManySlashes { slashes });
    }
    Ok(())
}

/// What follows `$aws/rules/<rule>/` in a Basic Ingest topic.
fn beyond_rule(topic: &str) -> Option<&str> {
    topic.strip_prefix("$aws/rules/")?.split_once('/').map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_at_the_limits_is_taken_and_one_beyond_is_refused() {
        let eight = "1/2/3/4/5/6/7/8";
        let long = "t".repeat(256);
        let largest = vec![0; MAX_PAYLOAD_BYTES];
        for (topic, payload, taken) in [
            (eight.to_owned(), &largest[..], Ok(())),
            (format!("$aws/rules/r/{eight}"), &[], Ok(())),
            (format!("$aws/rules/r/{long}"), &[], Ok(())),
            (format!("{eight}/9"), &[], Err(EntryError::TooManySlashes { slashes: 8 })),
            (format!("$aws/rules/r/{eight}/9"), &[], Err(EntryError::TooManySlashes { slashes: 8 })),
            (format!("{long}t"), &[], Err(EntryError::TopicTooLong { bytes: 257 })),
            ("a/#".to_owned(), &[], Err(EntryError::TopicInvalid)),
            (String::new(), &[], Err(EntryError::TopicInvalid)),
        ] {
            assert_eq!(Entry::check(&topic, payload), taken, "{topic}");
        }
        let beyond = vec![0; MAX_PAYLOAD_BYTES + 1];
        assert!(matches!(Entry::check("a", &beyond), Err(EntryError::PayloadTooLarge { bytes: 131_073, .. })));
    }
}
