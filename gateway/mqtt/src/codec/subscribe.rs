//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5, 3.8 and 3.10).
//!
//! The packet is checked whole when it is decoded; the filters are then read again one by one, so that a packet with
//! thousands of them costs no memory. One filter that breaks a rule spoils the packet: the standard demands that the
//! connection is closed (MQTT 3.1.1, MQTT-4.8.0-1), and its reason "Topic Filter invalid" is for well-formed ones.

use super::properties::{PropertyBlock, Seen, id};
use super::reader::Reader;
use super::rules::{self, Broken};
use super::{Filter, QoS, UserProperties, Version};
use std::num::NonZeroU16;

/// A wish for one or more subscriptions.
#[derive(Debug, Clone)]
pub struct Subscribe<'a> {
    /// The packet identifier.
    pub packet_id: NonZeroU16,
    /// The number the client gives to all of these subscriptions, 1 to 268,435,455.
    pub subscription_identifier: Option<u32>,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
    filters: SubscribeFilters<'a>,
}

/// The end of one or more subscriptions.
#[derive(Debug, Clone)]
pub struct Unsubscribe<'a> {
    /// The packet identifier.
    pub packet_id: NonZeroU16,
    /// The user properties.
    pub user_properties: UserProperties<'a>,
    filters: UnsubscribeFilters<'a>,
}

/// The options of one subscription (MQTT 5, 3.8.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest level the client wants.
    pub qos: QoS,
    /// Whether the client's own messages are kept from it. Never set together with a shared subscription.
    pub no_local: bool,
    /// Whether the retain flag of forwarded messages is left as it was published.
    pub retain_as_published: bool,
    /// What happens to retained messages at once.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription (MQTT 5, 3.8.3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// At every SUBSCRIBE.
    #[default]
    Send,
    /// Only when the subscription is new.
    SendIfNew,
    /// Not at all.
    DoNotSend,
}

/// The filters of a SUBSCRIBE with their options, in the order they were sent. There is at least one.
#[derive(Debug, Clone)]
pub struct SubscribeFilters<'a> {
    version: Version,
    reader: Reader<'a>,
}

/// The filters of an UNSUBSCRIBE, in the order they were sent. There is at least one.
#[derive(Debug, Clone)]
pub struct UnsubscribeFilters<'a> {
    version: Version,
    reader: Reader<'a>,
}

// === impl Subscribe ===

impl<'a> Subscribe<'a> {
    /// The filters and their options.
    #[must_use]
    pub fn filters(&self) -> SubscribeFilters<'a> {
        self.filters.clone()
    }
}

// === impl Unsubscribe ===

impl<'a> Unsubscribe<'a> {
    /// The filters.
    #[must_use]
    pub fn filters(&self) -> UnsubscribeFilters<'a> {
        self.filters.clone()
    }
}

// === impl SubscribeOptions ===

impl SubscribeOptions {
    fn from_byte(version: Version, byte: u8) -> Result<Self, Broken> {
        let reserved = if version.is_v5() { 0xC0 } else { 0xFC };
        if byte & reserved != 0 {
            return Err(&rules::SUBSCRIBE_OPTIONS_RESERVED);
        }
        let retain_handling = match (byte >> 4) & 3 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(&rules::RETAIN_HANDLING_3),
        };
        let qos = QoS::from_u8(byte & 3).ok_or(&rules::SUBSCRIBE_QOS_3)?;
        Ok(Self { qos, no_local: byte & 4 != 0, retain_as_published: byte & 8 != 0, retain_handling })
    }
}

// === impl SubscribeFilters ===

impl<'a> SubscribeFilters<'a> {
    fn read(&mut self) -> Result<(Filter<'a>, SubscribeOptions), Broken> {
        let filter = Filter::parse(self.version, self.reader.string()?)?;
        let options = SubscribeOptions::from_byte(self.version, self.reader.u8()?)?;
        if options.no_local && filter.share.is_some() {
            return Err(&rules::NO_LOCAL_ON_SHARED);
        }
        Ok((filter, options))
    }
}

impl<'a> Iterator for SubscribeFilters<'a> {
    type Item = (Filter<'a>, SubscribeOptions);

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        self.read().ok()
    }
}

// === impl UnsubscribeFilters ===

impl<'a> UnsubscribeFilters<'a> {
    fn read(&mut self) -> Result<Filter<'a>, Broken> {
        Filter::parse(self.version, self.reader.string()?)
    }
}

impl<'a> Iterator for UnsubscribeFilters<'a> {
    type Item = Filter<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        self.read().ok()
    }
}

// === decoding ===

pub(super) fn decode_subscribe(version: Version, body: &[u8]) -> Result<Subscribe<'_>, Broken> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let block = if version.is_v5() { reader.property_block()? } else { PropertyBlock::default() };
    let subscription_identifier = subscribe_properties(block)?;
    let filters = SubscribeFilters { version, reader };
    let mut rest = filters.clone();
    if rest.reader.is_empty() {
        return Err(&rules::SUBSCRIBE_WITHOUT_FILTER);
    }
    while !rest.reader.is_empty() {
        rest.read()?;
    }
    Ok(Subscribe { packet_id, subscription_identifier, user_properties: block.user_properties(), filters })
}

pub(super) fn decode_unsubscribe(version: Version, body: &[u8]) -> Result<Unsubscribe<'_>, Broken> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let block = if version.is_v5() { reader.property_block()? } else { PropertyBlock::default() };
    let mut seen = Seen::default();
    let mut properties = block.reader();
    while let Some(id) = seen.next(&mut properties)? {
        match id {
            id::USER_PROPERTY => properties.string_pair()?,
            _ => return Err(&rules::PROPERTY_UNKNOWN),
        }
    }
    let filters = UnsubscribeFilters { version, reader };
    let mut rest = filters.clone();
    if rest.reader.is_empty() {
        return Err(&rules::UNSUBSCRIBE_WITHOUT_FILTER);
    }
    while !rest.reader.is_empty() {
        rest.read()?;
    }
    Ok(Unsubscribe { packet_id, user_properties: block.user_properties(), filters })
}

fn subscribe_properties(block: PropertyBlock<'_>) -> Result<Option<u32>, Broken> {
    let mut identifier = None;
    let mut seen = Seen::default();
    let mut reader = block.reader();
    while let Some(id) = seen.next(&mut reader)? {
        match id {
            id::SUBSCRIPTION_IDENTIFIER => match reader.varint()? {
                0 => return Err(&rules::SUBSCRIPTION_IDENTIFIER_ZERO),
                value => identifier = Some(value),
            },
            id::USER_PROPERTY => reader.string_pair()?,
            _ => return Err(&rules::PROPERTY_UNKNOWN),
        }
    }
    Ok(identifier)
}
