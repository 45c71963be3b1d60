//! Compiled patterns: `*` is any run of characters, `?` one character, all else stands for itself.
//!
//! A pattern shares its text, so a copy costs a reference count. Matching allocates nothing and takes at most the
//! product of the two lengths.

use std::sync::Arc;

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// This byte of UTF-8.
    Byte(u8),
    /// Any one character (`?`).
    One,
    /// Any run of characters, also none (`*`).
    Many,
}

/// A pattern in its cheapest form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Matches everything.
    Any,
    /// Matches this text alone.
    Exact(Arc<str>),
    /// Matches whatever begins with this text.
    Prefix(Arc<str>),
    /// Everything else.
    Glob(Arc<[Token]>),
}

// === impl Pattern ===

impl Pattern {
    /// The pattern that a text with `*` and `?` describes.
    pub(super) fn of_glob(text: &str) -> Self {
        let tokens = text.bytes().map(|byte| match byte {
            b'*' => Token::Many,
            b'?' => Token::One,
            byte => Token::Byte(byte),
        });
        Self::of_tokens(tokens.collect())
    }

    /// The cheapest pattern for these tokens; their bytes must be whole characters of UTF-8.
    pub(super) fn of_tokens(mut tokens: Vec<Token>) -> Self {
        tokens.dedup_by(|a, b| *a == Token::Many && *b == Token::Many);
        let literal = tokens.iter().take_while(|token| matches!(token, Token::Byte(_))).count();
        let text = || -> Option<Arc<str>> {
            let bytes =
                tokens.iter().filter_map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None });
            String::from_utf8(bytes.take(literal).collect()).ok().map(Arc::from)
        };
        match (tokens.get(literal), tokens.len() - literal) {
            (None, _) => text().map(Self::Exact),
            (Some(Token::Many), 1) if literal == 0 => Some(Self::Any),
            (Some(Token::Many), 1) => text().map(Self::Prefix),
            _ => None,
        }
        .unwrap_or_else(|| Self::Glob(tokens.into()))
    }

    /// Whether the whole of `text` fits.
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Glob(tokens) => glob(tokens, text.as_bytes()),
        }
    }
}

/// Greedy matching that only ever returns to the last `*`.
fn glob(tokens: &[Token], text: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        let step = match tokens.get(token) {
            Some(Token::Many) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(Token::Byte(byte)) => (*byte == text[at]).then_some(1),
            Some(Token::One) => character(&text[at..]),
            None => None,
        };
        match (step, &mut retry) {
            (Some(step), _) => {
                token += 1;
                at += step;
            }
            (None, Some((after_star, from))) => {
                *from += 1;
                (token, at) = (*after_star, *from);
            }
            (None, None) => return false,
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

/// The length of the character that begins here; none inside a character.
fn character(rest: &[u8]) -> Option<usize> {
    let continues = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    let (first, others) = rest.split_first()?;
    (!continues(first)).then(|| 1 + others.iter().take_while(|byte| continues(byte)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What matching means, without any cleverness.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && reference(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && reference(rest, &text[1..]),
        }
    }

    #[test]
    fn wildcards_of_policies_are_not_those_of_mqtt() {
        for (pattern, text, fits) in [
            ("a/*", "a/b/c", true),
            ("a/*", "a/", true),
            ("a/*", "a", false),
            ("a*", "a/b/c", true),
            ("a/*/b", "a/x/y/b", true),
            ("a/*/b", "a/+/b", true),
            ("a/+/b", "a/x/b", false),
            ("a/+/b", "a/+/b", true),
            ("a/#", "a/b", false),
            ("a/#", "a/#", true),
            ("a?c", "abc", true),
            ("a?c", "aüc", true),
            ("a?c", "a/c", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("?", "", false),
            ("", "", true),
            ("*?", "ü", true),
            ("*??", "ü", false),
            ("*a*b", "aab", true),
            ("*ab*abc", "ababdabc", true),
            ("Plant", "plant", false),
        ] {
            assert_eq!(Pattern::of_glob(pattern).matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn common_patterns_take_their_cheap_form() {
        assert_eq!(Pattern::of_glob("***"), Pattern::Any);
        assert_eq!(Pattern::of_glob("a/b"), Pattern::Exact("a/b".into()));
        assert_eq!(Pattern::of_glob("a/**"), Pattern::Prefix("a/".into()));
        assert!(matches!(Pattern::of_glob("a*b"), Pattern::Glob(_)));
    }

    #[test]
    fn the_longest_topic_against_a_hostile_pattern_ends() {
        let text = "a".repeat(65_535);
        let pattern = format!("{}b", "*a".repeat(500));
        assert!(!Pattern::of_glob(&pattern).matches(&text));
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[aü/*?]{0,8}", text in "[aü/]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::of_glob(&pattern).matches(&text), reference(&chars(&pattern), &chars(&text)));
        }
    }
}
