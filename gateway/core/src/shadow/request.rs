//! Reading a shadow request, before anything is changed.

use super::Rejected;
use serde_json::{Map, Value};

/// The largest state of one shadow, `desired` and `reported` together, as compact JSON (AWS IoT quota; metadata does not
/// count).
pub const MAX_DOCUMENT_BYTES: usize = 8 * 1024;

/// The largest request: a full document with room for the other fields and white space.
pub const MAX_REQUEST_BYTES: usize = 2 * MAX_DOCUMENT_BYTES;

/// The deepest nesting below `desired` or `reported`, in field names (AWS IoT quota).
pub const MAX_DEPTH: usize = 6;

/// The longest client token, in bytes (AWS IoT quota).
pub const MAX_TOKEN_BYTES: usize = 64;

/// What an update asks for one section.
#[derive(Debug)]
pub(super) enum Change {
    /// The section is not named.
    Keep,
    /// The section is null.
    Remove,
    /// Fields to merge.
    Merge(Map<String, Value>),
}

/// A well-formed update.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) desired: Change,
    pub(super) reported: Change,
    pub(super) version: Option<u64>,
    pub(super) token: Option<String>,
}

/// Reads an update or says, in AWS's words, what is wrong with it.
pub(super) fn update(payload: &[u8]) -> Result<Update, Rejected> {
    let mut request = object(payload)?;
    let token = token(&request)?;
    sections(&mut request, token.clone()).map_err(|rejected| rejected.with_token(token))
}

/// Reads the client token of a request that needs no payload.
pub(super) fn get(payload: &[u8]) -> Result<Option<String>, Rejected> {
    if payload.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    token(&object(payload)?)
}

/// The client token if there is a valid one; AWS ignores everything else about the payload of a delete.
pub(super) fn delete(payload: &[u8]) -> Option<String> {
    token(&object(payload).ok()?).ok()?
}

fn sections(request: &mut Map<String, Value>, token: Option<String>) -> Result<Update, Rejected> {
    let version = match request.get("version") {
        None => None,
        Some(version) => Some(version.as_u64().ok_or_else(|| Rejected::bad("Invalid version"))?),
    };
    let mut state = match request.remove("state") {
        None | Some(Value::Null) => return Err(Rejected::bad("Missing required node: state")),
        Some(Value::Object(state)) => state,
        Some(_) => return Err(Rejected::bad("State node must be an object")),
    };
    let desired = change(state.remove("desired"), "Desired")?;
    let reported = change(state.remove("reported"), "Reported")?;
    if let Some(name) = state.keys().next() {
        return Err(invalid_node(name));
    }
    Ok(Update { desired, reported, version, token })
}

fn change(section: Option<Value>, title: &str) -> Result<Change, Rejected> {
    match section {
        None => Ok(Change::Keep),
        Some(Value::Null) => Ok(Change::Remove),
        Some(Value::Object(fields)) => {
            check(&fields)?;
            Ok(Change::Merge(fields))
        }
        Some(_) => Err(Rejected::bad(format!("{title} node must be an object"))),
    }
}

fn check(fields: &Map<String, Value>) -> Result<(), Rejected> {
    for (name, value) in fields {
        if levels(value) >= MAX_DEPTH {
            return Err(too_deep());
        }
        if holds_null_in_array(value) {
            return Err(invalid_node(name));
        }
    }
    Ok(())
}

/// How many levels of names or nested arrays lie below this value.
fn levels(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(|child| 1 + levels(child)).max().unwrap_or(0),
        Value::Array(items) => items
            .iter()
            .filter(|item| item.is_object() || item.is_array())
            .map(|item| 1 + levels(item))
            .max()
            .unwrap_or(0),
        _ => 0,
    }
}

fn holds_null_in_array(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(holds_null_in_array),
        _ => false,
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, Rejected> {
    if payload.len() > MAX_REQUEST_BYTES {
        return Err(Rejected::new(413, "The payload exceeds the maximum size allowed"));
    }
    let text = std::str::from_utf8(payload)
        .map_err(|_| Rejected::new(415, "Unsupported documented encoding; supported encoding is UTF-8"))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(request)) => Ok(request),
        // serde_json stops at its own depth limit and has no other way to say so.
        Err(error) if error.to_string().starts_with("recursion limit") => Err(too_deep()),
        _ => Err(Rejected::bad("Invalid JSON")),
    }
}

fn token(request: &Map<String, Value>) -> Result<Option<String>, Rejected> {
    match request.get("clientToken") {
        None => Ok(None),
        Some(Value::String(token)) if token.len() <= MAX_TOKEN_BYTES => Ok(Some(token.clone())),
        Some(_) => Err(Rejected::bad("Invalid clientToken")),
    }
}

fn too_deep() -> Rejected {
    Rejected::bad(format!("JSON contains too many levels of nesting, maximum is {MAX_DEPTH}"))
}

fn invalid_node(name: &str) -> Rejected {
    Rejected::bad(format!("State contains an invalid node: '{}'", name.chars().take(64).collect::<String>()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_updates_are_refused_in_the_words_of_aws() {
        let deep = |levels: usize| {
            let nested = (0..levels).fold("{}".to_owned(), |inner, _| format!("{{\"n\":{inner}}}"));
            format!(r#"{{"state":{{"desired":{nested}}}}}"#).into_bytes()
        };
        let long_token = format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "t".repeat(65));
        for (payload, code, message) in [
            (b"".to_vec(), 400, "Invalid JSON"),
            (b"{".to_vec(), 400, "Invalid JSON"),
            (b"[]".to_vec(), 400, "Invalid JSON"),
            (b"null".to_vec(), 400, "Invalid JSON"),
            (br#"{"state":{"reported":{"a":1e999}}}"#.to_vec(), 400, "Invalid JSON"),
            (br#"{"state":{}} x"#.to_vec(), 400, "Invalid JSON"),
            (b"{}".to_vec(), 400, "Missing required node: state"),
            (br#"{"state":null}"#.to_vec(), 400, "Missing required node: state"),
            (br#"{"state":[]}"#.to_vec(), 400, "State node must be an object"),
            (br#"{"state":{"desired":1}}"#.to_vec(), 400, "Desired node must be an object"),
            (br#"{"state":{"reported":"x"}}"#.to_vec(), 400, "Reported node must be an object"),
            (br#"{"state":{"delta":{}}}"#.to_vec(), 400, "State contains an invalid node: 'delta'"),
            (br#"{"state":{"reported":{"a":[1,null]}}}"#.to_vec(), 400, "State contains an invalid node: 'a'"),
            (br#"{"state":{"reported":{"a":[{"b":null}]}}}"#.to_vec(), 400, "State contains an invalid node: 'a'"),
            (br#"{"state":{"reported":{"a":{"b":[[null]]}}}}"#.to_vec(), 400, "State contains an invalid node: 'a'"),
            (br#"{"state":{},"version":"3"}"#.to_vec(), 400, "Invalid version"),
            (br#"{"state":{},"version":-1}"#.to_vec(), 400, "Invalid version"),
            (br#"{"state":{},"version":null}"#.to_vec(), 400, "Invalid version"),
            (br#"{"state":{},"clientToken":7}"#.to_vec(), 400, "Invalid clientToken"),
            (long_token.into_bytes(), 400, "Invalid clientToken"),
            (deep(7), 400, "JSON contains too many levels of nesting, maximum is 6"),
            (deep(500), 400, "JSON contains too many levels of nesting, maximum is 6"),
            (b"[".repeat(10_000), 400, "JSON contains too many levels of nesting, maximum is 6"),
            (b"{\"state\":{\"reported\":{\"a\":\"\xff\"}}}".to_vec(), 415, "supported encoding is UTF-8"),
            (vec![b' '; MAX_REQUEST_BYTES + 1], 413, "maximum size"),
        ] {
            let rejected = update(&payload).unwrap_err();
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned();
            assert_eq!(rejected.code, code, "{shown}: {rejected}");
            assert!(rejected.message.contains(message), "{shown}: {rejected}");
        }
        assert!(update(&deep(6)).is_ok(), "six levels are allowed");
    }

    #[test]
    fn a_rejection_carries_the_token_of_its_request() {
        let rejected = update(br#"{"state":{"desired":1},"clientToken":"tok-1"}"#).unwrap_err();
        assert_eq!(rejected.client_token.as_deref(), Some("tok-1"));
    }

    #[test]
    fn a_get_needs_no_payload_and_a_delete_ignores_it() {
        assert_eq!(get(b"").unwrap(), None);
        assert_eq!(get(br#"{"clientToken":"a"}"#).unwrap().as_deref(), Some("a"));
        assert_eq!(get(b"x").unwrap_err().message, "Invalid JSON");
        assert_eq!(delete(b"x"), None);
        assert_eq!(delete(br#"{"clientToken":"a"}"#).as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_harm(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = update(&payload);
        }

        #[test]
        fn any_json_like_text_is_read_or_refused_without_harm(
            text in "\\{\"state\":([\\[\\]{},:0-9]|\"desired\"|\"reported\"|\"a\"|null|true|\"version\"){0,16}\\}"
        ) {
            let _ = update(text.as_bytes());
        }
    }
}
