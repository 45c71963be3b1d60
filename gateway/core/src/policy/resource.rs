//! Resources of a statement: which clients, topics and topic filters it is about.

use super::Action;
use super::error::cut;
use super::pattern::{Pattern, Token};
use super::template::{Piece, Template, TemplateFault};
use crate::fleet::did_you_mean;

/// The resource types of AWS IoT that may stand in a document; the first three are those the gateway asks about.
const KINDS: &[&str] = &[
    "client",
    "topic",
    "topicfilter",
    "thing",
    "thinggroup",
    "thingtype",
    "rolealias",
    "job",
    "cert",
    "policy",
    "stream",
];

/// The type of resource that an action is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Client,
    Topic,
    TopicFilter,
}

/// One resource, for one type: a `Resource` text with a wildcard in its type becomes several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) template: Template,
}

/// A target with its variables filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matcher {
    pub(super) kind: Kind,
    pub(super) pattern: Pattern,
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 3] = [Self::Client, Self::Topic, Self::TopicFilter];

    /// The type of resource that `action` is checked against.
    pub(super) fn of(action: Action) -> Self {
        match action {
            Action::Connect => Self::Client,
            Action::Publish | Action::Receive | Action::RetainPublish => Self::Topic,
            Action::Subscribe => Self::TopicFilter,
        }
    }

    /// The type as it stands in a resource name, with its slash.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Client => "client/",
            Self::Topic => "topic/",
            Self::TopicFilter => "topicfilter/",
        }
    }
}

/// Reads one `Resource` text: `*` or `arn:<partition>:iot:<region>:<account>:<type>/<pattern>`. Partition, region and
/// account may be anything, because the gateway is in none.
pub(super) fn parse(text: &str) -> Result<Vec<Target>, TemplateFault> {
    if text == "*" {
        return targets("*");
    }
    let mut parts = text.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (arn, partition, service, _region, _account, rest) = (part(), part(), part(), part(), part(), part());
    if arn != "arn" || partition.is_empty() || rest.is_empty() {
        return Err(TemplateFault {
            problem: format!("\"{}\" is no resource", cut(text)),
            help: "write \"arn:aws:iot:*:*:topic/...\" (or client/..., topicfilter/...) or \"*\"".to_owned(),
        });
    }
    if service != "iot" && service != "*" {
        return Err(TemplateFault {
            problem: format!("\"{}\" is no resource of the service iot", cut(text)),
            help: format!("write \"arn:{}:iot:*:*:...\"", cut(partition)),
        });
    }
    targets(rest)
}

/// Whether `kind` with its pattern is what the plain text `prefix` leads to: every way to read `prefix` at the start of
/// the template leaves one template for the rest.
fn targets(rest: &str) -> Result<Vec<Target>, TemplateFault> {
    let template = Template::parse(rest, true)?;
    let head: Option<String> = rest.split_once('/').map(|(head, _)| head.to_owned());
    if !rest.starts_with('*') && head.as_ref().is_none_or(|head| !head.contains(['*', '?'])) {
        let head = head.unwrap_or_else(|| rest.to_owned());
        let open = rest.contains('*') && !rest.contains('/');
        if !open && (!KINDS.contains(&head.as_str()) || !rest.contains('/')) {
            return Err(TemplateFault {
                problem: format!("\"{}\" is no type of resource", cut(&head)),
                help: format!("{} A topic is written \"topic/...\"", did_you_mean(&head, KINDS)),
            });
        }
    }
    let found: Vec<Target> = Kind::ALL
        .into_iter()
        .flat_map(|kind| {
            rests(template.pieces(), kind.prefix())
                .into_iter()
                .map(move |pieces| Target { kind, template: Template::of_pieces(pieces) })
        })
        .collect();
    let other = KINDS.iter().any(|kind| !rests(template.pieces(), &format!("{kind}/")).is_empty());
    if found.is_empty() && !other {
        return Err(TemplateFault {
            problem: format!("\"{}\" can match no resource", cut(rest)),
            help: "write client/..., topic/... or topicfilter/... after the account".to_owned(),
        });
    }
    Ok(found)
}

/// What is left of a pattern after it has taken `prefix`, for every way to take it. A variable takes nothing, so it
/// cannot stand in the type.
fn rests<'p>(pieces: &'p [Piece], prefix: &str) -> Vec<&'p [Piece]> {
    let mut places = vec![0];
    for byte in prefix.bytes() {
        let mut next = Vec::new();
        for mut place in places {
            loop {
                match pieces.get(place) {
                    Some(Piece::Token(Token::Many)) => {
                        next.push(place);
                        place += 1;
                        continue;
                    }
                    Some(Piece::Token(Token::One)) => next.push(place + 1),
                    Some(Piece::Token(Token::Byte(wanted))) if *wanted == byte => next.push(place + 1),
                    _ => {}
                }
                break;
            }
        }
        next.sort_unstable();
        next.dedup();
        places = next;
    }
    let mut rests: Vec<&[Piece]> = places.into_iter().map(|place| &pieces[place..]).collect();
    if let Some(wide) = rests.iter().position(|rest| matches!(rest, [Piece::Token(Token::Many)])) {
        rests = vec![rests[wide]];
    }
    rests
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn selects(text: &str, kind: Kind, resource: &str) -> bool {
        let targets = parse(text).unwrap_or_else(|fault| panic!("{text}: {}", fault.problem));
        targets.iter().any(|target| target.kind == kind && target.template.fixed().unwrap().matches(resource))
    }

    #[test]
    fn resources_select_their_type_in_any_region_and_account() {
        for (text, kind, resource, fits) in [
            ("*", Kind::Client, "a", true),
            ("arn:aws:iot:eu-west-1:123456789012:topic/a/*", Kind::Topic, "a/b", true),
            ("arn:aws:iot:eu-west-1:123456789012:topic/a/*", Kind::TopicFilter, "a/b", false),
            ("arn:aws-cn:iot:*:*:topic/a", Kind::Topic, "a", true),
            ("arn:aws:iot:::client/x", Kind::Client, "x", true),
            ("arn:aws:iot:*:*:*", Kind::TopicFilter, "a/#", true),
            ("arn:aws:iot:*:*:topic*", Kind::Topic, "a", true),
            ("arn:aws:iot:*:*:topic*", Kind::TopicFilter, "a", true),
            ("arn:aws:iot:*:*:topic*", Kind::Client, "a", false),
            ("arn:aws:iot:*:*:topic*/a", Kind::TopicFilter, "a", true),
            ("arn:aws:iot:*:*:topic*/a", Kind::Topic, "x/a", true),
            ("arn:aws:iot:*:*:*/a", Kind::Client, "a", true),
            ("arn:aws:iot:*:*:topic/a:b", Kind::Topic, "a:b", true),
            ("arn:aws:iot:*:*:topic/${$}aws/rules/*", Kind::Topic, "$aws/rules/x", true),
            ("arn:aws:iot:*:*:topic/$aws/rules/*", Kind::Topic, "$aws/rules/x", true),
            ("arn:aws:iot:*:*:topic/a${*}b", Kind::Topic, "a*b", true),
            ("arn:aws:iot:*:*:topic/a${*}b", Kind::Topic, "axb", false),
            ("arn:aws:iot:*:*:thing/a", Kind::Topic, "a", false),
        ] {
            assert_eq!(selects(text, kind, resource), fits, "{text} {resource}");
        }
    }

    #[test]
    fn a_resource_that_can_select_nothing_is_refused_with_what_to_write() {
        for (text, says) in [
            ("topic/a", "arn:aws:iot:*:*:topic/"),
            ("arn:aws:iot:*:*:topics/a", "did you mean \"topic\"?"),
            ("arn:aws:iot:*:*:topic", "topic/..."),
            ("arn:aws:s3:::bucket/a", "arn:aws:iot:"),
            ("arn:aws:iot:*:*:", "arn:aws:iot"),
            ("arn:aws:iot:*:*:x*", "topicfilter/..."),
            ("arn:aws:iot:*:*:topic/${iot:ClientID", "`}`"),
            ("arn:aws:iot:*:*:topic/${iot:ClientIdd}", "`${iot:ClientId}`?"),
            ("arn:aws:iot:*:*:topic/${iot:DomainName}", "write one of"),
        ] {
            let fault = parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(fault.help.contains(says), "{text}: {}; {}", fault.problem, fault.help);
        }
    }

    proptest! {
        #[test]
        fn splitting_off_the_type_does_not_change_what_a_pattern_selects(
            text in "[*?]?(c|cl\\*|client|topic|topicfilter|t\\*)[*?/]{0,2}[a*?/]{0,4}",
            kind in prop::sample::select(&Kind::ALL[..]),
            resource in "[a/]{0,4}",
        ) {
            if let Ok(targets) = targets(&text) {
                let split = targets.iter().any(|t| t.kind == kind && t.template.fixed().unwrap().matches(&resource));
                let whole = Pattern::of_glob(&text).matches(&format!("{}{resource}", kind.prefix()));
                prop_assert_eq!(split, whole, "{} {:?} {}", text, kind, resource);
            }
        }
    }
}
