//! What is legal in a policy but most likely not meant: the known traps of AWS IoT policies.

use super::resource::{Kind, Target};
use super::statement::{Effect, Statement};
use super::template::Piece;
use super::{Action, pattern::Token};

/// Advice about one statement. It changes no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The statement: `policy <name> statement <sid or number>`.
    pub rule: String,
    /// What is odd about it and what to write.
    pub advice: String,
}

/// The hints about `statement`.
pub(super) fn of(statement: &Statement) -> Vec<Hint> {
    let hint = |advice: String| Hint { rule: statement.rule.to_string(), advice };
    let mut hints = Vec::new();
    let aimless = |action: &Action| {
        statement.actions.has(*action) && !statement.targets.iter().any(|target| target.kind == Kind::of(*action))
    };
    // A wildcard action that selects all is written for convenience; its idle parts are no mistake.
    let selects_all = Action::ALL.iter().all(|action| statement.actions.has(*action));
    if !statement.inverted && !selects_all {
        hints.extend(Action::ALL.iter().filter(|action| aimless(action)).map(|action| {
            let kind = Kind::of(*action).prefix();
            hint(format!("{action} is checked against {kind}..., and no resource here is of that type"))
        }));
    }
    let topics = |target: &&Target| target.kind == Kind::Topic;
    if statement.effect == Effect::Deny && statement.targets.iter().filter(topics).any(has_mqtt_wildcard) {
        hints.push(hint("`+` and `#` are plain characters in a policy, so this denies no topic; write `*`".to_owned()));
    }
    hints
}

fn has_mqtt_wildcard(target: &Target) -> bool {
    target.template.pieces().iter().any(|piece| matches!(piece, Piece::Token(Token::Byte(b'+' | b'#'))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use crate::policy::Policy;

    #[test]
    fn the_traps_are_pointed_out_and_sound_statements_are_not() {
        for (effect, action, resource, says) in [
            ("Allow", "iot:Subscribe", "topic/a", Some("topicfilter/")),
            ("Allow", "iot:Receive", "topicfilter/a", Some("topic/")),
            ("Deny", "iot:Publish", "topic/a/+", Some("write `*`")),
            ("Deny", "iot:Subscribe", "topicfilter/a/#", None),
            ("Allow", "iot:Subscribe", "topicfilter/a/#", None),
            ("Allow", "iot:*", "topic/a", None),
            ("Deny", "iot:Publish", "topic/a/*", None),
        ] {
            let json = format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"{action}","Resource":"arn:aws:iot:*:*:{resource}"}}}}"#
            );
            let hints = Policy::parse("p", &json).unwrap().hints();
            match says {
                None => assert_eq!(hints, [], "{json}"),
                Some(says) => assert!(hints.len() == 1 && hints[0].advice.contains(says), "{json}: {hints:?}"),
            }
        }
    }
}
