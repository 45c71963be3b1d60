//! The operators of conditions and what they compare with.

use super::error::cut;
use super::pattern::Pattern;
use super::template::{Template, TemplateFault, Unresolved};
use super::{Subject, condition::Truth};
use std::net::IpAddr;

/// The operator names, for messages.
pub(super) const NAMES: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "Bool",
    "IpAddress",
    "NotIpAddress",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "Null",
];

/// How a condition compares, before any negation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Text,
    TextIgnoringCase,
    Like,
    Bool,
    Network,
    Equal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Null,
}

/// An operator: a comparison, turned round or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) comparison: Comparison,
    pub(super) negated: bool,
}

/// One value of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Text(Template),
    Bool(bool),
    Network { address: IpAddr, prefix: u8 },
    Number(f64),
}

// === impl Operator ===

impl Operator {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (comparison, negated) = match name {
            "StringEquals" => (Comparison::Text, false),
            "StringNotEquals" => (Comparison::Text, true),
            "StringEqualsIgnoreCase" => (Comparison::TextIgnoringCase, false),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "Bool" => (Comparison::Bool, false),
            "IpAddress" => (Comparison::Network, false),
            "NotIpAddress" => (Comparison::Network, true),
            "NumericEquals" => (Comparison::Equal, false),
            "NumericNotEquals" => (Comparison::Equal, true),
            "NumericLessThan" => (Comparison::Less, false),
            "NumericLessThanEquals" => (Comparison::AtMost, false),
            "NumericGreaterThan" => (Comparison::Greater, false),
            "NumericGreaterThanEquals" => (Comparison::AtLeast, false),
            "Null" => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self { comparison, negated })
    }

    /// Whether the operator compares texts.
    pub(super) fn is_textual(self) -> bool {
        matches!(self.comparison, Comparison::Text | Comparison::TextIgnoringCase | Comparison::Like)
    }

    /// Reads one value of a condition with this operator.
    pub(super) fn operand(self, text: &str) -> Result<Operand, TemplateFault> {
        let fault = |problem: &str, help: &str| TemplateFault {
            problem: format!("\"{}\" is no {problem}", cut(text)),
            help: help.to_owned(),
        };
        match self.comparison {
            Comparison::Text | Comparison::TextIgnoringCase => Template::parse(text, false).map(Operand::Text),
            Comparison::Like => Template::parse(text, true).map(Operand::Text),
            Comparison::Bool | Comparison::Null => match text {
                "true" => Ok(Operand::Bool(true)),
                "false" => Ok(Operand::Bool(false)),
                _ => Err(fault("truth value", "write \"true\" or \"false\"")),
            },
            Comparison::Network => {
                network(text).ok_or_else(|| fault("network", "write for example \"192.168.1.0/24\" or \"fd00::/8\""))
            }
            _ => text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Operand::Number)
                .ok_or_else(|| fault("number", "write for example \"10\"")),
        }
    }

    /// Compares a fact with one value of the condition, before any negation.
    pub(super) fn compare(self, fact: &str, operand: &Operand, subject: &Subject) -> Truth {
        match operand {
            Operand::Text(template) => match (template.bind(subject, Unresolved::Drop), self.comparison) {
                (None, _) => Truth::Unknown,
                (Some(Pattern::Exact(text)), Comparison::TextIgnoringCase) => {
                    Truth::of(text.to_lowercase() == fact.to_lowercase())
                }
                (Some(pattern), _) => Truth::of(pattern.matches(fact)),
            },
            Operand::Bool(wanted) => Truth::of(fact == if *wanted { "true" } else { "false" }),
            Operand::Network { address, prefix } => match fact.parse() {
                Ok(fact) => Truth::of(is_inside(*address, *prefix, fact)),
                Err(_) => Truth::Unknown,
            },
            Operand::Number(wanted) => match fact.parse::<f64>() {
                Ok(fact) => Truth::of(match self.comparison {
                    Comparison::Less => fact < *wanted,
                    Comparison::AtMost => fact <= *wanted,
                    Comparison::Greater => fact > *wanted,
                    Comparison::AtLeast => fact >= *wanted,
                    _ => fact == *wanted,
                }),
                Err(_) => Truth::Unknown,
            },
        }
    }
}

fn network(text: &str) -> Option<Operand> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= longest)?,
        None => longest,
    };
    Some(Operand::Network { address, prefix })
}

fn is_inside(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let same = |a: u128, b: u128, unused: u32| unused >= 128 || (a ^ b).checked_shr(unused) == Some(0);
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            same(u32::from(a).into(), u32::from(b).into(), 32_u32.saturating_sub(prefix.into()))
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128_u32.saturating_sub(prefix.into())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn an_address_is_inside_its_networks_only() {
        for (text, address, inside) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "::1", true),
        ] {
            let Some(Operand::Network { address: net, prefix }) = network(text) else { panic!("{text}") };
            assert_eq!(is_inside(net, prefix, address.parse().unwrap()), inside, "{text} {address}");
        }
        for text in ["10.0.0.0/33", "fd00::/129", "10.0.0", "x", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(network(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_listed_operator_is_known() {
        assert!(NAMES.iter().all(|name| Operator::of_name(name).is_some()));
    }
}
