//! The record of a session itself.

use super::super::times::Stamp;
use super::super::wire::{Read, Write};
use super::open;
use crate::codec::{QoS, RetainHandling, SubscribeOptions, Version};
use cordon_core::policy::Principal;
use cordon_core::time::{Mono, Now, Unix};
use std::net::SocketAddr;

/// Everything about a session but its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) client_id: String,
    pub(crate) thing: Option<String>,
    pub(crate) principal: Principal,
    /// The listener of the last connection, and the policies it put anonymous clients under.
    pub(crate) listener: String,
    pub(crate) policies: Vec<String>,
    pub(crate) peer: SocketAddr,
    pub(crate) version: Version,
    pub(crate) since: Now,
    /// Whether the last CONNECT brought a will.
    pub(crate) will: bool,
    /// The session expiry, in seconds.
    pub(crate) expiry: u32,
    /// When the last connection ended; `None` while the client is connected.
    pub(crate) left: Option<Stamp>,
    /// Topic filters with their options and subscription identifiers.
    pub(crate) filters: Vec<(String, SubscribeOptions, Option<u32>)>,
}

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const HANDLINGS: [RetainHandling; 3] = [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend];

// === impl SessionRecord ===

impl SessionRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.text(&self.client_id);
        out.byte(u8::from(self.thing.is_some()));
        out.text(self.thing.as_deref().unwrap_or_default());
        write_principal(out, &self.principal);
        out.text(&self.listener);
        out.int(u32::try_from(self.policies.len()).unwrap_or(u32::MAX));
        self.policies.iter().for_each(|policy| out.text(policy));
        out.text(&self.peer.to_string());
        out.byte(number_of(&VERSIONS, self.version));
        out.long(self.since.mono.0);
        out.long(self.since.unix.0);
        out.byte(u8::from(self.since.trusted));
        out.byte(u8::from(self.will));
        out.int(self.expiry);
        out.byte(u8::from(self.left.is_some()));
        if let Some(left) = self.left {
            left.write(out);
        }
        out.int(u32::try_from(self.filters.len()).unwrap_or(u32::MAX));
        for (filter, options, id) in &self.filters {
            out.text(filter);
            out.byte(options.qos.as_u8());
            out.byte(u8::from(options.no_local));
            out.byte(u8::from(options.retain_as_published));
            out.byte(number_of(&HANDLINGS, options.retain_handling));
            out.int(id.unwrap_or(0));
        }
    }

    pub(in super::super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = open(bytes)?;
        let client_id = from.text()?;
        let (has_thing, thing) = (from.flag()?, from.text()?);
        let principal = read_principal(&mut from)?;
        let listener = from.text()?;
        let policies = from.list(Read::text)?;
        let peer = from.text()?.parse().ok()?;
        let version = *VERSIONS.get(usize::from(from.byte()?))?;
        let since = Now { mono: Mono(from.long()?), unix: Unix(from.long()?), trusted: from.flag()? };
        let will = from.flag()?;
        let expiry = from.int()?;
        let left = if from.flag()? { Some(Stamp::read(&mut from)?) } else { None };
        let filters = from.list(read_filter)?;
        let thing = has_thing.then_some(thing);
        from.end(Self {
            client_id,
            thing,
            principal,
            listener,
            policies,
            peer,
            version,
            since,
            will,
            expiry,
            left,
            filters,
        })
    }
}

fn number_of<T: PartialEq>(all: &[T], one: T) -> u8 {
    all.iter().position(|each| *each == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn read_filter(from: &mut Read<'_>) -> Option<(String, SubscribeOptions, Option<u32>)> {
    let filter = from.text()?;
    let options = SubscribeOptions {
        qos: QoS::from_u8(from.byte()?)?,
        no_local: from.flag()?,
        retain_as_published: from.flag()?,
        retain_handling: *HANDLINGS.get(usize::from(from.byte()?))?,
    };
    // An identifier is never 0 (MQTT 5, 3.8.2.1.2).
    Some((filter, options, Some(from.int()?).filter(|id| *id != 0)))
}

fn write_principal(out: &mut Vec<u8>, principal: &Principal) {
    let (kind, first, second) = match principal {
        Principal::Certificate { common_name, fingerprint } => (0, common_name.as_str(), fingerprint.as_str()),
        Principal::User(name) => (1, name.as_str(), ""),
        Principal::Anonymous { listener } => (2, listener.as_str(), ""),
        Principal::Gateway => (3, "", ""),
    };
    out.byte(kind);
    out.text(first);
    out.text(second);
}

fn read_principal(from: &mut Read<'_>) -> Option<Principal> {
    let (kind, first, second) = (from.byte()?, from.text()?, from.text()?);
    match kind {
        0 => Some(Principal::Certificate { common_name: first, fingerprint: second }),
        1 => Some(Principal::User(first)),
        2 => Some(Principal::Anonymous { listener: first }),
        3 => Some(Principal::Gateway),
        _ => None,
    }
}
