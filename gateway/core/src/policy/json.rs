//! A JSON reader that remembers where every key and value stands, for messages.
//!
//! Strict: a key given twice, a trailing comma or anything after the document is refused. Nesting is bounded.

use super::error::{Fault, cut};

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// A value and the byte where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// A JSON value; numbers stay as written.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// One key of an object.
#[derive(Debug, PartialEq)]
pub(super) struct Member {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Reads a whole document.
pub(super) fn read(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.node(0)?;
    reader.blank();
    if reader.at < text.len() {
        return Err(reader.fault("there is more after the end of the document", "end the file after the last `}`"));
    }
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn node(&mut self, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault("this is nested too deeply", "a policy needs no more than five levels"));
        }
        self.blank();
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => Value::Map(self.map(depth)?),
            Some(b'[') => Value::List(self.list(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Node { at, value })
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Member>, Fault> {
        let mut members: Vec<Member> = Vec::new();
        self.at += 1;
        self.blank();
        if self.take(b'}') {
            return Ok(members);
        }
        loop {
            self.blank();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(
                    self.fault("a key is expected here", "write a name in double quotes; no comma after the last")
                );
            }
            let key = self.string()?;
            if members.iter().any(|member| member.key == key) {
                let problem = format!("the key \"{}\" is given twice", cut(&key));
                return Err(Fault::new(at, "document", problem, "keep one of the two, or use a list"));
            }
            self.blank();
            if !self.take(b':') {
                return Err(self.fault("a colon is missing", "write `:` between a key and its value"));
            }
            let node = self.node(depth + 1)?;
            members.push(Member { at, key, node });
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.fault("a comma or `}` is missing", "write `,` between two keys")),
            }
        }
        self.at += 1;
        Ok(members)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        self.at += 1;
        self.blank();
        if self.take(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.node(depth + 1)?);
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.fault("a comma or `]` is missing", "write `,` between two values")),
            }
        }
        self.at += 1;
        Ok(items)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let from = self.at;
        let mut escaped = false;
        let inner = self.text.as_bytes().iter().skip(from + 1);
        let closed = inner.copied().position(|byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        });
        let Some(length) = closed else {
            return Err(self.fault("a text is not closed", "write `\"` at its end"));
        };
        self.at = from + length + 2;
        self.text
            .get(from..self.at)
            .and_then(|token| serde_json::from_str(token).ok())
            .ok_or_else(|| Fault::new(from, "document", "this is no JSON text", "escape line ends and backslashes"))
    }

    fn number(&mut self) -> Result<String, Fault> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        let token = self.text.get(from..self.at).unwrap_or_default();
        match serde_json::from_str::<serde_json::Number>(token) {
            Ok(_) => Ok(token.to_owned()),
            Err(_) => {
                Err(Fault::new(from, "document", "this is no number", "write it in digits, or as text in quotes"))
            }
        }
    }

    fn word(&mut self) -> Result<Value, Fault> {
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.fault("a value is expected here", "write a text in double quotes, a list or an object"))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault(&self, problem: &str, help: &str) -> Fault {
        Fault::new(self.at, "document", problem, help)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(token) => serde_json::from_str(token).unwrap(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(plain).collect(),
            Value::Map(members) => members.iter().map(|member| (member.key.clone(), plain(&member.node))).collect(),
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(text in "([\\[\\]{},:\" 1a-]|\"a\"|true|null|1\\.5|\\\\|\\\\u00e9|ü){0,14}") {
            let expected = serde_json::from_str::<serde_json::Value>(&text);
            match read(&text) {
                Ok(node) => prop_assert_eq!(plain(&node), expected.unwrap()),
                Err(fault) => prop_assert!(expected.is_err() || fault.problem.contains("twice")),
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(read(&"[".repeat(60_000)).is_err());
    }
}
