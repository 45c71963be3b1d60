//! Policy variables and condition keys: facts about the session, by their AWS names.

use super::{Principal, Subject};
use std::borrow::Cow;

/// Values longer than this are not put in the place of a variable (AWS IoT limit), in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// What to write, for messages.
pub(super) const KNOWN: &[&str] = &[
    "iot:ClientId",
    "iot:Connection.Thing.ThingName",
    "iot:Connection.Thing.ThingTypeName",
    "iot:Connection.Thing.Attributes[name]",
    "iot:Connection.Thing.IsAttached",
    "iot:Certificate.Subject.CommonName",
    "aws:SourceIp",
];

/// The condition key that is a set; only conditions may use it.
pub(super) const CONNECT_ATTRIBUTES: &str = "iot:ConnectAttributes";

/// A fact about a session that has at most one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    /// The MQTT client id.
    ClientId,
    /// The thing's name.
    ThingName,
    /// The thing's type.
    ThingType,
    /// An attribute of the thing.
    Attribute(Box<str>),
    /// `true` when the principal is attached to the thing.
    IsAttached,
    /// The client's address.
    SourceIp,
    /// The common name of the client certificate.
    CommonName,
}

// === impl Variable ===

impl Variable {
    /// The variable of this name; letter case does not matter but in an attribute's name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        const ATTRIBUTES: &str = "iot:Connection.Thing.Attributes[";
        if name.get(..ATTRIBUTES.len()).is_some_and(|start| start.eq_ignore_ascii_case(ATTRIBUTES)) {
            let attribute = name[ATTRIBUTES.len()..].strip_suffix(']')?;
            let plain = !attribute.is_empty() && !attribute.contains(['[', ']']);
            return plain.then(|| Self::Attribute(attribute.into()));
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("iot:ClientId") => Some(Self::ClientId),
            () if is("iot:Connection.Thing.ThingName") => Some(Self::ThingName),
            () if is("iot:Connection.Thing.ThingTypeName") => Some(Self::ThingType),
            () if is("iot:Connection.Thing.IsAttached") => Some(Self::IsAttached),
            () if is("iot:Certificate.Subject.CommonName") => Some(Self::CommonName),
            () if is("aws:SourceIp") => Some(Self::SourceIp),
            () => None,
        }
    }

    /// The value this has for `subject`, if any.
    pub(super) fn value<'s>(&self, subject: &'s Subject) -> Option<Cow<'s, str>> {
        let thing = subject.thing.as_deref();
        match self {
            Self::ClientId => Some(subject.client_id.as_str().into()),
            Self::ThingName => thing.map(|thing| thing.name.as_str().into()),
            Self::ThingType => thing?.thing_type.as_deref().map(Cow::from),
            Self::Attribute(name) => thing?.attributes.get(&**name).map(|value| value.as_str().into()),
            Self::IsAttached => {
                Some(if thing.is_some() && subject.principal.is_proven() { "true" } else { "false" }.into())
            }
            Self::SourceIp => subject.source_ip.map(|ip| ip.to_canonical().to_string().into()),
            Self::CommonName => match &subject.principal {
                Principal::Certificate { common_name, .. } => Some(common_name.as_str().into()),
                _ => None,
            },
        }
    }

    /// The value to put in the variable's place inside a pattern. A value that could be read as a wildcard, by a policy
    /// or by MQTT, counts as missing; so does a client id with a `/`, which would reach into other topic levels.
    pub(super) fn substitute<'s>(&self, subject: &'s Subject) -> Option<Cow<'s, str>> {
        let tainted = |c: char| matches!(c, '*' | '?' | '+' | '#' | '$') || (c == '/' && *self == Self::ClientId);
        self.value(subject)
            .filter(|value| !value.is_empty() && value.len() <= MAX_VALUE_BYTES && !value.contains(tainted))
    }
}
