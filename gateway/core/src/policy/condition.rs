//! Conditions of a statement: facts about the session that must hold.
//!
//! All facts are fixed at CONNECT, so conditions are decided once per session and never per packet. Operators and keys
//! are joined by AND, the values of one key by OR; for a negated operator none of the values may match.

use super::error::{Fault, cut};
use super::json::{Member, Node, Value};
use super::operator::{Comparison, NAMES, Operand, Operator};
use super::variable::{CONNECT_ATTRIBUTES, KNOWN, Variable};
use super::{Action, Subject};
use crate::fleet::did_you_mean;
use std::borrow::Cow;

/// One key of one operator.
#[derive(Debug)]
pub(super) struct Condition {
    operator: Operator,
    quantifier: Option<Quantifier>,
    if_exists: bool,
    key: Key,
    operands: Box<[Operand]>,
}

/// What is known of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    /// A variable has no value or a fact cannot be compared.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug)]
enum Key {
    Single(Variable),
    ConnectAttributes,
}

// === impl Truth ===

impl Truth {
    pub(super) fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

// === impl Condition ===

impl Condition {
    /// Reads the value of a statement's `Condition`.
    pub(super) fn parse_all(node: &Node, path: &str) -> Result<Vec<Self>, Fault> {
        let Value::Map(operators) = &node.value else {
            let help = "write { \"StringEquals\": { \"iot:ClientId\": \"press-01\" } }";
            return Err(Fault::new(node.at, path, "this must be an object", help));
        };
        let mut found = Vec::new();
        for Member { at, key: name, node } in operators {
            let path = format!("{path}.{}", cut(name));
            let (quantifier, operator, if_exists) = operator(name).ok_or_else(|| unknown_operator(*at, &path, name))?;
            let Value::Map(keys) = &node.value else {
                let help = format!("write {{ \"{}\": {{ \"iot:ClientId\": \"press-01\" }} }}", cut(name));
                return Err(Fault::new(node.at, &path, "this must be an object", help));
            };
            for Member { at, key: name, node } in keys {
                let path = format!("{path}.{}", cut(name));
                let key =
                    key(name, operator, quantifier).map_err(|(problem, help)| Fault::new(*at, &path, problem, help))?;
                let operands = operands(node, operator, &path)?.into();
                found.push(Self { operator, quantifier, if_exists, key, operands });
            }
        }
        Ok(found)
    }

    /// Whether the condition holds for `subject` doing `action`.
    pub(super) fn decide(&self, subject: &Subject, action: Action) -> Truth {
        let facts: Option<Vec<Cow<'_, str>>> = match &self.key {
            Key::Single(variable) => variable.value(subject).map(|value| vec![value]),
            Key::ConnectAttributes if action == Action::Connect => {
                let given = [(subject.persistent, "PersistentConnect"), (subject.last_will, "LastWill")];
                Some(given.into_iter().filter(|(is, _)| *is).map(|(_, name)| Cow::from(name)).collect())
            }
            Key::ConnectAttributes => None,
        };
        if self.operator.comparison == Comparison::Null {
            let missing = facts.is_none_or(|facts| facts.is_empty());
            return Truth::of(self.operands.contains(&Operand::Bool(missing)));
        }
        let Some(facts) = facts else {
            let absent_holds = match self.quantifier {
                Some(Quantifier::ForAllValues) => true,
                Some(Quantifier::ForAnyValue) => false,
                None => self.operator.negated,
            };
            return Truth::of(absent_holds || self.if_exists);
        };
        let each = facts.iter().map(|fact| self.test(fact, subject));
        match self.quantifier {
            Some(Quantifier::ForAnyValue) => each.fold(Truth::No, Truth::or),
            _ => each.fold(Truth::Yes, Truth::and),
        }
    }

    fn test(&self, fact: &str, subject: &Subject) -> Truth {
        let any = self
            .operands
            .iter()
            .map(|operand| self.operator.compare(fact, operand, subject))
            .fold(Truth::No, Truth::or);
        if self.operator.negated { any.not() } else { any }
    }
}

fn operator(name: &str) -> Option<(Option<Quantifier>, Operator, bool)> {
    let (quantifier, rest) = if let Some(rest) = name.strip_prefix("ForAllValues:") {
        (Some(Quantifier::ForAllValues), rest)
    } else if let Some(rest) = name.strip_prefix("ForAnyValue:") {
        (Some(Quantifier::ForAnyValue), rest)
    } else {
        (None, name)
    };
    let (bare, if_exists) = match rest.strip_suffix("IfExists") {
        Some(bare) => (bare, true),
        None => (rest, false),
    };
    let operator = Operator::of_name(bare)?;
    let is_null = operator.comparison == Comparison::Null;
    (!(is_null && (if_exists || quantifier.is_some()))).then_some((quantifier, operator, if_exists))
}

fn unknown_operator(at: usize, path: &str, name: &str) -> Fault {
    let bare = name.rsplit(':').next().unwrap_or(name);
    let bare = bare.strip_suffix("IfExists").unwrap_or(bare);
    let help = match name.split_once(':') {
        Some((first, _)) if !matches!(first, "ForAllValues" | "ForAnyValue") => {
            did_you_mean(first, &["ForAllValues", "ForAnyValue"])
        }
        _ if bare == "Null" => "write \"Null\" alone".to_owned(),
        _ => did_you_mean(bare, NAMES),
    };
    Fault::new(at, path, format!("\"{}\" is no operator this gateway can judge", cut(name)), help)
}

fn key(name: &str, operator: Operator, quantifier: Option<Quantifier>) -> Result<Key, (String, String)> {
    let is_null = operator.comparison == Comparison::Null;
    if name.eq_ignore_ascii_case(CONNECT_ATTRIBUTES) {
        return match quantifier {
            _ if is_null => Ok(Key::ConnectAttributes),
            Some(_) if operator.is_textual() => Ok(Key::ConnectAttributes),
            _ => Err((
                "this key is a set of texts".to_owned(),
                "write \"ForAllValues:StringEquals\" or \"ForAnyValue:StringEquals\" before it".to_owned(),
            )),
        };
    }
    let Some(variable) = Variable::of_name(name) else {
        let known: Vec<&str> = KNOWN.iter().copied().chain([CONNECT_ATTRIBUTES]).collect();
        return Err((format!("\"{}\" is no key this gateway knows", cut(name)), did_you_mean(name, &known)));
    };
    if quantifier.is_some() {
        let help = format!("leave ForAllValues/ForAnyValue out; they are for {CONNECT_ATTRIBUTES}");
        return Err(("this key has one value, not a set".to_owned(), help));
    }
    if operator.comparison == Comparison::Network && variable != Variable::SourceIp {
        return Err(("this key is no address".to_owned(), "compare aws:SourceIp, or use StringEquals".to_owned()));
    }
    if variable == Variable::SourceIp && !is_null && operator.comparison != Comparison::Network {
        return Err(("this key is an address".to_owned(), "write \"IpAddress\" or \"NotIpAddress\"".to_owned()));
    }
    Ok(Key::Single(variable))
}

fn operands(node: &Node, operator: Operator, path: &str) -> Result<Vec<Operand>, Fault> {
    let nodes: &[Node] = if let Value::List(items) = &node.value { items } else { std::slice::from_ref(node) };
    let takes_bool = matches!(operator.comparison, Comparison::Bool | Comparison::Null);
    let takes_number = !takes_bool && !operator.is_textual() && operator.comparison != Comparison::Network;
    let read = |node: &Node| {
        let text = match &node.value {
            Value::Text(text) => text.as_str(),
            Value::Bool(value) if takes_bool => {
                if *value {
                    "true"
                } else {
                    "false"
                }
            }
            Value::Number(number) if takes_number => number.as_str(),
            _ => return Err(Fault::new(node.at, path, "this must be text or a list of texts", "write it in quotes")),
        };
        operator.operand(text).map_err(|fault| Fault::new(node.at, path, fault.problem, fault.help))
    };
    nodes.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_stays_unknown_unless_something_else_decides() {
        use Truth::{No, Unknown, Yes};
        for (a, b, and, or) in [
            (Yes, Yes, Yes, Yes),
            (Yes, No, No, Yes),
            (No, No, No, No),
            (Yes, Unknown, Unknown, Yes),
            (No, Unknown, No, Unknown),
            (Unknown, Unknown, Unknown, Unknown),
        ] {
            assert_eq!((a.and(b), b.and(a)), (and, and), "{a:?} {b:?}");
            assert_eq!((a.or(b), b.or(a)), (or, or), "{a:?} {b:?}");
        }
    }
}
