//! Chapters 1 and 2: data types, the fixed header, packet identifiers, property blocks.

use crate::support::packet;
use crate::table::{Illegal, V5, V31, V311, illegal, legal, pass_all, raw, refuse_all};

/// Byte sequences that are no UTF-8: surrogates, overlong forms, beyond U+10FFFF, cut short, stray bytes.
const NOT_UTF8: &[&[u8]] = &[
    b"\xED\xA0\x80",
    b"\xED\xBF\xBF",
    b"\xED\xA0\xBD\xED\xB8\x80",
    b"\xC0\x80",
    b"\xC1\xBF",
    b"\xE0\x80\x80",
    b"\xF0\x80\x80\x80",
    b"\xF4\x90\x80\x80",
    b"\xF5\x80\x80\x80",
    b"\xE2\x82",
    b"\x80",
    b"\xFF",
    b"\xFE",
];

fn string(text: &[u8]) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

/// The places of a string in packets after CONNECT. `v5` adds those in properties.
fn places(text: &[u8], v5: bool) -> Vec<Vec<u8>> {
    let text = string(text);
    let block = |property: &[u8]| [&[u8::try_from(property.len()).unwrap()], property].concat();
    let empty: &[u8] = if v5 { &[0] } else { &[] };
    let mut places = vec![
        packet(0x30, &[&text, empty]),
        packet(0x32, &[&text, &[0, 1], empty]),
        packet(0x82, &[&[0, 1], empty, &text, &[0]]),
        packet(0xA2, &[&[0, 1], empty, &text]),
    ];
    if v5 {
        let name = [&[0x26], &text[..], &string(b"v")].concat();
        let value = [&[0x26], &string(b"n")[..], &text].concat();
        let in_publish = |id: u8| packet(0x30, &[b"\0\x01t", &block(&[&[id], &text[..]].concat())]);
        places.extend([in_publish(0x03), in_publish(0x08)]);
        for pair in [name, value] {
            places.extend([
                packet(0x30, &[b"\0\x01t", &block(&pair)]),
                packet(0x40, &[b"\0\x01\0", &block(&pair)]),
                packet(0x62, &[b"\0\x01\0", &block(&pair)]),
                packet(0x82, &[b"\0\x01", &block(&pair), b"\0\x01t\0"]),
                packet(0xA2, &[b"\0\x01", &block(&pair), b"\0\x01t"]),
                packet(0xE0, &[b"\0", &block(&pair)]),
            ]);
        }
        let reason = block(&[&[0x1F], &text[..]].concat());
        places.extend([packet(0x50, &[b"\0\x01\0", &reason]), packet(0xE0, &[b"\0", &reason])]);
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_string_that_is_not_utf8_passes_anywhere() {
    for (version, rule) in [(V311, "MQTT-1.5.3-1"), (V5, "MQTT-1.5.4-1")] {
        let bad = NOT_UTF8.iter().flat_map(|text| places(text, version == V5));
        refuse_all(version, bad.map(|bytes| raw(rule, &bytes, 0x81)).collect()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_string_with_a_nul_passes_anywhere() {
    for (version, rule) in [(V31, "MQTT-1.5.3-2"), (V311, "MQTT-1.5.3-2"), (V5, "MQTT-1.5.4-2")] {
        let bad = [&b"\0"[..], b"a\0", b"\0a", b"a/\0/b"].into_iter().flat_map(|text| places(text, version == V5));
        refuse_all(version, bad.map(|bytes| raw(rule, &bytes, 0x81)).collect()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_character_but_nul_and_surrogates_passes_in_a_topic() {
    let odd = [
        "\u{1}",
        "\u{7f}",
        "\u{9f}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{feff}a",
        "\u{fdd0}",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        " ",
        "/",
        "//",
        "ü",
        "日本",
        "🌡/°C",
        "a b",
        "'\"\\",
    ];
    for version in [V31, V311, V5] {
        let empty: &[u8] = if version == V5 { &[0] } else { &[] };
        let answer = packet(0x40, &[&[0, 1]]);
        let rows = odd.iter().map(|topic| {
            let publish = packet(0x32, &[&string(topic.as_bytes()), &[0, 1], empty, b"x"]);
            legal("MQTT-1.5.4-1, MQTT-1.5.4-3", publish, std::slice::from_ref(&answer))
        });
        pass_all(version, rows.collect()).await;
    }
}

/// Faults of the fixed header and of lengths. The rules are those of MQTT 5 and of MQTT 3.1.1.
fn header_rows(v5: bool) -> Vec<Illegal> {
    let by = |v5_rule: &'static str, v3_rule: &'static str| if v5 { v5_rule } else { v3_rule };
    let block: &[u8] = if v5 { &[0] } else { &[] };
    let types = by("MQTT5 2.1.2", "MQTT3 2.2.1");
    let flags = by("MQTT-2.1.3-1", "MQTT-2.2.2-1");
    let lengths = by("MQTT5 2.1.4", "MQTT3 2.2.3");
    let id = by("MQTT-2.2.1-3", "MQTT-2.3.1-1");
    vec![
        raw(types, &[0x00, 0], 0x81),
        raw(types, &[0x20, 2, 0, 0], 0x82),
        raw(types, &[0x90, 3, 0, 1, 0], 0x82),
        raw(types, &[0xB0, 2, 0, 1], 0x82),
        raw(types, &[0xD0, 0], 0x82),
        raw(flags, &[0x11, 0], 0x81),
        raw(flags, &[0x41, 2, 0, 1], 0x81),
        raw(flags, &[0x48, 2, 0, 1], 0x81),
        raw(flags, &[0x52, 2, 0, 1], 0x81),
        raw(flags, &[0x72, 2, 0, 1], 0x81),
        raw(flags, &[0xC1, 0], 0x81),
        raw(flags, &[0xCF, 0], 0x81),
        raw("MQTT-3.6.1-1", &[0x60, 2, 0, 1], 0x81),
        raw("MQTT-3.6.1-1", &[0x63, 2, 0, 1], 0x81),
        raw("MQTT-3.6.1-1", &[0x6A, 2, 0, 1], 0x81),
        illegal("MQTT-3.8.1-1", 0x80, &[b"\0\x01", block, b"\0\x01t\0"].concat(), 0x81),
        illegal("MQTT-3.8.1-1", 0x83, &[b"\0\x01", block, b"\0\x01t\0"].concat(), 0x81),
        illegal("MQTT-3.8.1-1", 0x8A, &[b"\0\x01", block, b"\0\x01t\0"].concat(), 0x81),
        illegal("MQTT-3.10.1-1", 0xA0, &[b"\0\x01", block, b"\0\x01t"].concat(), 0x81),
        illegal("MQTT-3.10.1-1", 0xAA, &[b"\0\x01", block, b"\0\x01t"].concat(), 0x81),
        raw("MQTT-3.14.1-1", &[0xE1, 0], 0x81),
        raw("MQTT-3.14.1-1", &[0xE8, 0], 0x81),
        raw(by("MQTT5 1.5.5", "MQTT3 2.2.3"), &[0x30, 0x80, 0x80, 0x80, 0x80, 1], 0x81),
        raw(by("MQTT5 1.5.5", "MQTT3 2.2.3"), &[0xC0, 0xFF, 0xFF, 0xFF, 0xFF], 0x81),
        // The largest length there is; nothing of the body is waited for.
        raw(by("MQTT-3.2.2-15", "MQTT3 2.2.3"), &[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 0x95),
        illegal(lengths, 0x30, b"", 0x81),
        illegal(lengths, 0x30, b"\0", 0x81),
        illegal(lengths, 0x30, b"\0\x05abc", 0x81),
        illegal(lengths, 0x32, b"\0\x01t\0", 0x81),
        illegal(lengths, 0x40, b"", 0x81),
        illegal(lengths, 0x40, b"\0", 0x81),
        illegal(lengths, 0x62, b"\x01", 0x81),
        illegal(lengths, 0x82, b"\0", 0x81),
        illegal(lengths, 0x82, &[b"\0\x01", block, b"\0\x01t"].concat(), 0x81),
        illegal(lengths, 0x82, &[b"\0\x01", block, b"\0\x01t\0\0"].concat(), 0x81),
        illegal(lengths, 0xA2, &[b"\0\x01", block, b"\0\x02t"].concat(), 0x81),
        illegal(lengths, 0xA2, &[b"\0\x01", block, b"\0\x01t\0"].concat(), 0x81),
        illegal(lengths, 0xC0, b"\0", 0x81),
        illegal(id, 0x32, &[b"\0\x01t\0\0", block].concat(), 0x82),
        illegal(id, 0x34, &[b"\0\x01t\0\0", block].concat(), 0x82),
        illegal(id, 0x40, b"\0\0", 0x82),
        illegal(id, 0x50, b"\0\0", 0x82),
        illegal(id, 0x62, b"\0\0", 0x82),
        illegal(id, 0x70, b"\0\0", 0x82),
        illegal(id, 0x82, &[b"\0\0", block, b"\0\x01t\0"].concat(), 0x82),
        illegal(id, 0xA2, &[b"\0\0", block, b"\0\x01t"].concat(), 0x82),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_fixed_header_or_of_a_length_passes() {
    refuse_all(V311, header_rows(false)).await;
    refuse_all(V5, header_rows(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_one_version_forbids_is_forbidden_there() {
    refuse_all(
        V5,
        vec![
            raw("MQTT-1.5.5-1", &[0xC0, 0x80, 0], 0x81),
            raw("MQTT-1.5.5-1", &[0x30, 0x84, 0x00, 0, 1, b't', 0], 0x81),
            illegal("MQTT-1.5.5-1", 0x30, b"\0\x01t\x80\x00", 0x81),
            illegal("MQTT-1.5.5-1", 0x82, b"\0\x01\x03\x0B\x81\x00\0\x01t\0", 0x81),
            illegal("MQTT5 1.5.5", 0x82, b"\0\x01\x06\x0B\xFF\xFF\xFF\xFF\x01\0\x01t\0", 0x81),
            illegal("MQTT5 2.2.2.1", 0x30, b"\0\x01t\x05", 0x81),
            illegal("MQTT5 2.2.2.1", 0x82, b"\0\x01\x7F\0\x01t\0", 0x81),
            illegal("MQTT5 2.2.2.1", 0x30, b"\0\x01t\x03\x23\0", 0x81),
            illegal("MQTT5 2.1.4", 0x30, b"\0\x01t\x02\x23\0", 0x81),
            illegal("MQTT5 2.1.4", 0x30, b"\0\x01t", 0x81),
            illegal("MQTT5 2.1.4", 0x82, b"\0\x01", 0x81),
        ],
    )
    .await;
    refuse_all(
        V311,
        vec![
            illegal("MQTT3 2.2.1", 0xF0, b"", 0),
            illegal("MQTT3 2.2.3", 0x40, b"\0\x01\0", 0),
            illegal("MQTT3 2.2.3", 0x62, b"\0\x01\0\0", 0),
            illegal("MQTT3 2.2.3", 0xE0, b"\0", 0),
        ],
    )
    .await;
    // A length padded with zeros is not forbidden in MQTT 3, nor is DUP on a repeated SUBSCRIBE in MQTT 3.1.
    pass_all(V311, vec![legal("MQTT3 2.2.3", vec![0x30, 0x84, 0x80, 0x00, 0, 1, b't', b'x'], &[])]).await;
    let suback = [packet(0x90, &[&[0, 1, 0]])];
    pass_all(V31, vec![legal("MQTT3.1 2.1", packet(0x8A, &[b"\0\x01\0\x01t\0"]), &suback)]).await;
}
