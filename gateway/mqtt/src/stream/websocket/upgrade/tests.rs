//! Requests that are answered with a WebSocket, and those that are not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use super::*;

const GOOD: &str = "GET /mqtt HTTP/1.1\r\nHost: gw\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

fn upgrade(origins: &[&str]) -> Upgrade {
    let origins = origins.iter().map(ToString::to_string).collect();
    Upgrade::new(Arc::new(WebSocketConfig { path: "/mqtt".into(), origins }))
}

/// The status line of the answer, and the rule that was broken.
fn answered(upgrade: &mut Upgrade, request: &str) -> (String, &'static str) {
    let answer = upgrade.take(request.as_bytes()).unwrap_or_else(|| panic!("no answer to {request}"));
    let response = String::from_utf8(answer.response).unwrap();
    let rule = match answer.refused {
        None => "",
        Some(Breach::Violation(violation)) => violation.rule,
        Some(Breach::Origin(_)) => "listener.origins",
    };
    (response.lines().next().unwrap().to_owned(), rule)
}

#[test]
fn a_good_request_is_answered_with_its_key_and_the_sub_protocol() {
    let answer = upgrade(&[]).take(format!("{GOOD}rest").as_bytes()).unwrap();
    let response = String::from_utf8(answer.response).unwrap().to_ascii_lowercase();
    assert!(response.starts_with("http/1.1 101 switching protocols\r\n"), "{response}");
    assert!(response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{response}");
    assert!(response.contains("sec-websocket-protocol: mqtt\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    assert_eq!(answer.rest, 4);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut upgrade = upgrade(&[]);
    let (last, before) = GOOD.as_bytes().split_last().unwrap();
    for byte in before {
        assert!(upgrade.take(&[*byte]).is_none());
    }
    assert!(upgrade.take(&[*last]).unwrap().refused.is_none());
}

#[test]
fn each_bad_request_is_answered_with_its_status() {
    let long = format!("GET /mqtt HTTP/1.1\r\nX: {}", "x".repeat(LONGEST_HEAD));
    let without = |header: &str| {
        let kept = GOOD.split_inclusive("\r\n").filter(|line| !line.starts_with(header));
        kept.collect::<String>()
    };
    for (request, status, rule) in [
        ("\u{10}\u{c}\0\u{4}MQTT".to_owned(), "400 Bad Request", "RFC6455 4.2.1"),
        (GOOD.replace("GET", "POST"), "400 Bad Request", "RFC6455 4.2.1"),
        (GOOD.replace("Host: gw", "Host gw"), "400 Bad Request", "RFC6455 4.2.1"),
        (long.clone(), "431 Request Header Fields Too Large", "RFC6455 10.4"),
        (format!("{long}\r\n\r\n"), "431 Request Header Fields Too Large", "RFC6455 10.4"),
        (GOOD.replace("/mqtt", "/"), "404 Not Found", "listener.path"),
        ("GET /mqtt HTTP/1.1\r\nHost: gw\r\n\r\n".to_owned(), "426 Upgrade Required", "RFC6455 4.2.1"),
        (GOOD.replace("Version: 13", "Version: 8"), "426 Upgrade Required", "RFC6455 4.2.1"),
        (GOOD.replace("WebSocket\r\n", "h2c\r\n"), "426 Upgrade Required", "RFC6455 4.2.1"),
        (without("Connection"), "426 Upgrade Required", "RFC6455 4.2.1"),
        (without("Sec-WebSocket-Protocol"), "400 Bad Request", "MQTT-6.0.0-3"),
        (GOOD.replace("chat, mqtt", "chat, mqtt5"), "400 Bad Request", "MQTT-6.0.0-3"),
        (without("Sec-WebSocket-Key"), "400 Bad Request", "RFC6455 4.2.1"),
    ] {
        assert_eq!(answered(&mut upgrade(&[]), &request), (format!("HTTP/1.1 {status}"), rule), "{request}");
    }
}

#[test]
fn only_pages_of_the_listed_origins_get_in_and_clients_that_are_no_browsers() {
    let from = |origin: &str| GOOD.replace("Host", &format!("Origin: {origin}\r\nHost"));
    let switched = ("HTTP/1.1 101 Switching Protocols".to_owned(), "");
    let refused = ("HTTP/1.1 403 Forbidden".to_owned(), "listener.origins");
    let listed = &["https://plant.example"];
    assert_eq!(answered(&mut upgrade(listed), &from("https://plant.example")), switched);
    assert_eq!(answered(&mut upgrade(listed), &from("https://Plant.example")), switched);
    assert_eq!(answered(&mut upgrade(listed), GOOD), switched);
    assert_eq!(answered(&mut upgrade(listed), &from("https://plant.example.evil")), refused);
    assert_eq!(answered(&mut upgrade(listed), &from("http://plant.example")), refused);
    assert_eq!(answered(&mut upgrade(listed), &from("null")), refused);
    assert_eq!(answered(&mut upgrade(&[]), &from("https://anywhere")), switched);
}

#[test]
fn a_query_is_no_part_of_the_path_and_mqtt_3_1_has_a_sub_protocol_of_its_own() {
    let request = GOOD.replace("/mqtt ", "/mqtt?token=x ").replace("chat, mqtt", "mqttv3.1");
    assert_eq!(answered(&mut upgrade(&[]), &request).1, "");
}
