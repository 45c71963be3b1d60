//! JSON with the place of every value, for messages that point at it.

use serde_json::Value;

/// A value and the byte where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) item: Item,
}

/// What a value is. Members keep their order and are not merged, so that a key given twice can be refused.
#[derive(Debug)]
pub(super) enum Item {
    Map(Vec<Member>),
    List(Vec<Node>),
    Plain(Value),
}

/// One key of an object.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

/// Reads a document; a syntax error comes with serde_json's line, column and words. Nesting is bounded by serde_json.
pub(super) fn read(text: &str) -> Result<Node, serde_json::Error> {
    serde_json::from_str::<Value>(text)?;
    Ok(Reader { text, at: 0 }.node())
}

/// Walks over text that is known to be well-formed, and therefore has nothing to report.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn node(&mut self) -> Node {
        self.blank();
        let at = self.at;
        let item = match self.peek() {
            b'{' => Item::Map(self.map()),
            b'[' => Item::List(self.list()),
            b'"' => Item::Plain(Value::String(self.string())),
            _ => Item::Plain(self.word()),
        };
        Node { at, item }
    }

    fn map(&mut self) -> Vec<Member> {
        let mut members = Vec::new();
        while self.more(b'}') {
            let at = self.at;
            let key = self.string();
            self.blank();
            self.at += 1;
            members.push(Member { at, key, node: self.node() });
        }
        members
    }

    fn list(&mut self) -> Vec<Node> {
        let mut items = Vec::new();
        while self.more(b']') {
            items.push(self.node());
        }
        items
    }

    /// Steps over the opening bracket or a comma; at `close` or the end of the text over that, and there is no more.
    fn more(&mut self, close: u8) -> bool {
        self.blank();
        if self.peek() != close {
            self.at += 1;
            self.blank();
        }
        let more = self.at < self.text.len() && self.peek() != close;
        self.at += usize::from(!more);
        more
    }

    fn string(&mut self) -> String {
        let from = self.at;
        let mut escaped = false;
        self.at += 1;
        while self.at < self.text.len() && (escaped || self.peek() != b'"') {
            escaped = !escaped && self.peek() == b'\\';
            self.at += 1;
        }
        self.at += 1;
        self.decode(from)
    }

    fn word(&mut self) -> Value {
        let from = self.at;
        while self.peek().is_ascii_alphanumeric() || matches!(self.peek(), b'-' | b'+' | b'.') {
            self.at += 1;
        }
        self.decode(from)
    }

    fn decode<T: serde::de::DeserializeOwned + Default>(&self, from: usize) -> T {
        self.text.get(from..self.at).and_then(|token| serde_json::from_str(token).ok()).unwrap_or_default()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    fn plain(node: &Node) -> Value {
        match &node.item {
            Item::Map(members) => members.iter().map(|member| (member.key.clone(), plain(&member.node))).collect(),
            Item::List(items) => items.iter().map(plain).collect(),
            Item::Plain(value) => value.clone(),
        }
    }

    proptest! {
        #[test]
        fn it_reads_exactly_what_serde_json_reads(
            text in "([\\[\\]{},:]|\"a\"|\"\\\\\"\"| ?\"ü\\\\\\\\\" ?|-1\\.5e\\+3|true|null|\n|7){0,14}"
        ) {
            let expected = serde_json::from_str::<Value>(&text);
            match read(&text) {
                Ok(node) => prop_assert_eq!(plain(&node), expected.unwrap()),
                Err(_) => prop_assert!(expected.is_err()),
            }
        }
    }

    #[test]
    fn every_value_knows_where_it_stands() {
        let text = " { \"a\" : [ 1 , {\"b\\\"\":null} ] , \"c\":\"d\" } ";
        let Item::Map(members) = read(text).unwrap().item else { panic!("an object") };
        assert_eq!(members.iter().map(|m| (m.at, m.node.at)).collect::<Vec<_>>(), [(3, 9), (32, 36)]);
        let Item::List(items) = &members[0].node.item else { panic!("a list") };
        assert_eq!(items.iter().map(|item| item.at).collect::<Vec<_>>(), [11, 15]);
    }
}
