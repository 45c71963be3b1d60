//! Texts of a policy document before their variables are filled in.

use super::Subject;
use super::pattern::{Pattern, Token};
use super::variable::{KNOWN, Variable};
use crate::fleet::nearest;

/// A parsed text: literals, wildcards and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

/// One element of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Token(Token),
    Variable(Variable),
}

/// What a variable without a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// Any text: the result covers every value the variable could have had.
    Widen,
    /// Nothing: there is no result.
    Drop,
}

/// Why a text is no template.
pub(super) struct TemplateFault {
    pub(super) problem: String,
    pub(super) help: String,
}

// === impl Template ===

impl Template {
    /// Reads a text; `*` and `?` are wildcards only if `wildcards`.
    pub(super) fn parse(text: &str, wildcards: bool) -> Result<Self, TemplateFault> {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(from) = rest.strip_prefix("${") {
                let Some((name, after)) = from.split_once('}') else {
                    return Err(TemplateFault {
                        problem: "a variable is not closed".to_owned(),
                        help: "write `}` after its name, or `${$}` for a plain dollar".to_owned(),
                    });
                };
                pieces.push(variable(name)?);
                rest = after;
                continue;
            }
            match first {
                '*' if wildcards => pieces.push(Piece::Token(Token::Many)),
                '?' if wildcards => pieces.push(Piece::Token(Token::One)),
                _ => pieces.extend(first.to_string().bytes().map(|byte| Piece::Token(Token::Byte(byte)))),
            }
            rest = &rest[first.len_utf8()..];
        }
        Ok(Self(pieces))
    }

    pub(super) fn of_pieces(pieces: &[Piece]) -> Self {
        Self(pieces.to_vec())
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The pattern, if no variable is in it.
    pub(super) fn fixed(&self) -> Option<Pattern> {
        let token = |piece: &Piece| if let Piece::Token(token) = piece { Some(*token) } else { None };
        self.0.iter().map(token).collect::<Option<_>>().map(Pattern::of_tokens)
    }

    /// The pattern for `subject`; `None` only with [`Unresolved::Drop`] and a variable without a value.
    pub(super) fn bind(&self, subject: &Subject, unresolved: Unresolved) -> Option<Pattern> {
        let mut tokens = Vec::with_capacity(self.0.len());
        for piece in &self.0 {
            match piece {
                Piece::Token(token) => tokens.push(*token),
                Piece::Variable(variable) => match variable.substitute(subject) {
                    Some(value) => tokens.extend(value.bytes().map(Token::Byte)),
                    None if unresolved == Unresolved::Widen => tokens.push(Token::Many),
                    None => return None,
                },
            }
        }
        Some(Pattern::of_tokens(tokens))
    }
}

fn variable(name: &str) -> Result<Piece, TemplateFault> {
    match name {
        "*" | "?" | "$" => Ok(Piece::Token(Token::Byte(name.as_bytes()[0]))),
        _ => Variable::of_name(name).map(Piece::Variable).ok_or_else(|| TemplateFault {
            problem: format!("`${{{}}}` is no variable this gateway knows", name.chars().take(64).collect::<String>()),
            help: match nearest(name, KNOWN.iter().copied()) {
                Some(near) => format!("did you mean `${{{near}}}`?"),
                None => format!("write one of: {}", KNOWN.join(", ")),
            },
        }),
    }
}
