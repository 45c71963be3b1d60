//! What carries MQTT on a listener: `transport`, and for a WebSocket `path` and `origins`.

use super::source::{Section, Wrong, cut};
use cordon_mqtt::{Transport, WebSocketConfig};

/// The path that MQTT clients ask for unless they are told otherwise.
const USUAL_PATH: &str = "/mqtt";

const TRANSPORTS: [(&str, bool); 2] = [("tcp", false), ("websocket", true)];

/// Reads the keys of one listener.
pub(super) fn read(section: &Section<'_>) -> Transport {
    let websocket = section.choice("transport", &TRANSPORTS);
    let config = WebSocketConfig {
        path: section.parsed("path", path).unwrap_or_else(|| USUAL_PATH.to_owned()),
        origins: section.list("origins", origin),
    };
    if websocket == Some(true) {
        return Transport::WebSocket(config);
    }
    // After a transport that is not known, these may be right.
    if websocket.is_some() || !section.has("transport") {
        for key in ["path", "origins"] {
            if section.has(key) {
                let help = "take it out, or write transport = \"websocket\"";
                section.wrong(key, Wrong::new("only a listener with transport = \"websocket\" has this", help));
            }
        }
    }
    Transport::Tcp
}

fn path(text: &str) -> Result<String, Wrong> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if is_path {
        return Ok(text.to_owned());
    }
    let problem = format!("\"{}\" is no path of a URL", cut(text));
    Err(Wrong::new(problem, "write for example \"/mqtt\", without query or fragment"))
}

/// An origin as browsers send it: scheme, host and a port that is not the usual one (RFC 6454, 6.2).
fn origin(text: &str) -> Result<String, Wrong> {
    let host = text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let is_host = |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if host.is_some_and(|(scheme, host)| !scheme.is_empty() && is_host(host)) && !text.contains('*') {
        return Ok(text.to_owned());
    }
    let problem = format!("\"{}\" is no origin", cut(text));
    Err(Wrong::new(problem, "write for example \"https://plant.example\" or \"http://10.0.0.5:8080\", without a path"))
}
