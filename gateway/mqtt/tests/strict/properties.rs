//! Section 2.2.2.2: which property is valid in which packet, and how often.

use crate::support::{Bench, packet};
use crate::table::{Illegal, V5, illegal, legal, pass_all, raw, refuse_all, stranger};

/// Every property of the standard, with a value (table 2-4).
const ALL: &[(u8, &[u8])] = &[
    (0x01, &[1]),
    (0x02, &[0, 0, 0, 9]),
    (0x03, b"\0\x01c"),
    (0x08, b"\0\x01r"),
    (0x09, b"\0\x01d"),
    (0x0B, &[1]),
    (0x11, &[0, 0, 0, 9]),
    (0x12, b"\0\x01i"),
    (0x13, &[0, 9]),
    (0x15, b"\0\x01m"),
    (0x16, b"\0\x01d"),
    (0x17, &[1]),
    (0x18, &[0, 0, 0, 9]),
    (0x19, &[1]),
    (0x1A, b"\0\x01i"),
    (0x1C, b"\0\x01s"),
    (0x1F, b"\0\x01r"),
    (0x21, &[0, 9]),
    (0x22, &[0, 9]),
    (0x23, &[0, 1]),
    (0x24, &[1]),
    (0x25, &[1]),
    (0x26, b"\0\x01n\0\x01v"),
    (0x27, &[0, 0, 9, 9]),
    (0x28, &[1]),
    (0x29, &[1]),
    (0x2A, &[1]),
];

/// A packet around a property block: its first byte, what is before and after the block, and the properties it may hold.
struct Place {
    first: u8,
    before: &'static [u8],
    after: &'static [u8],
    holds: &'static [u8],
    answers: &'static [&'static [u8]],
}

const PLACES: &[Place] = &[
    Place {
        first: 0x32,
        before: b"\0\x01t\0\x01",
        after: b"x",
        holds: &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26],
        answers: &[&[0x40, 2, 0, 1]],
    },
    Place { first: 0x40, before: b"\0\x01\0", after: b"", holds: &[0x1F, 0x26], answers: &[] },
    Place { first: 0x50, before: b"\0\x01\0", after: b"", holds: &[0x1F, 0x26], answers: &[&[0x62, 3, 0, 1, 0x92]] },
    Place { first: 0x62, before: b"\0\x01\0", after: b"", holds: &[0x1F, 0x26], answers: &[&[0x70, 3, 0, 1, 0x92]] },
    Place { first: 0x70, before: b"\0\x01\0", after: b"", holds: &[0x1F, 0x26], answers: &[] },
    Place {
        first: 0x82,
        before: b"\0\x01",
        after: b"\0\x01t\0",
        holds: &[0x0B, 0x26],
        answers: &[&[0x90, 4, 0, 1, 0, 0]],
    },
    Place { first: 0xA2, before: b"\0\x01", after: b"\0\x01t", holds: &[0x26], answers: &[&[0xB0, 4, 0, 1, 0, 0x11]] },
];

fn body(place: &Place, properties: &[u8]) -> Vec<u8> {
    [place.before, &[u8::try_from(properties.len()).unwrap()], properties, place.after].concat()
}

fn property(id: u8, value: &[u8]) -> Vec<u8> {
    [&[id], value].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_passes_where_it_belongs_and_nowhere_else() {
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    for place in PLACES {
        for (id, value) in ALL {
            let body = body(place, &property(*id, value));
            if place.holds.contains(id) {
                let answers: Vec<Vec<u8>> = place.answers.iter().map(|answer| answer.to_vec()).collect();
                good.push(legal("MQTT5 2.2.2.2", packet(place.first, &[&body]), &answers));
            } else if (place.first, *id) == (0x32, 0x0B) {
                bad.push(illegal("MQTT-3.3.4-6", place.first, &body, 0x82));
            } else {
                bad.push(illegal("MQTT5 2.2.2.2", place.first, &body, 0x81));
            }
        }
        for id in [0x00, 0x04, 0x7F, 0xFF] {
            bad.push(illegal("MQTT5 2.2.2.2", place.first, &body(place, &[id, 0]), 0x81));
        }
    }
    refuse_all(V5, bad).await;
    pass_all(V5, good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_is_given_once_unless_it_is_a_user_property() {
    let (mut bad, mut good) = (Vec::<Illegal>::new(), Vec::new());
    for place in PLACES {
        for (id, value) in ALL.iter().filter(|(id, _)| place.holds.contains(id)) {
            let body = body(place, &property(*id, value).repeat(2));
            if *id == 0x26 {
                let answers: Vec<Vec<u8>> = place.answers.iter().map(|answer| answer.to_vec()).collect();
                good.push(legal("MQTT5 2.2.2.2", packet(place.first, &[&body]), &answers));
            } else {
                bad.push(illegal("MQTT5 2.2.2.2", place.first, &body, 0x82));
            }
        }
    }
    refuse_all(V5, bad).await;
    pass_all(V5, good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_and_auth_hold_only_their_own_properties() {
    let mut bad = Vec::new();
    for (id, value) in ALL {
        let block = property(*id, value);
        let disconnect = [&[0, u8::try_from(block.len()).unwrap()], &block[..]].concat();
        match id {
            // Session expiry, reason string, user property.
            0x11 | 0x1F | 0x26 => {}
            0x1C => bad.push(illegal("MQTT5 3.14.2.2.5", 0xE0, &disconnect, 0x82)),
            _ => bad.push(illegal("MQTT5 2.2.2.2", 0xE0, &disconnect, 0x81)),
        }
        let auth = [&[0x18, u8::try_from(block.len()).unwrap()], &block[..]].concat();
        match id {
            // All of AUTH's are refused too, because no method was agreed.
            0x15 => bad.push(illegal("MQTT-4.12.0-7", 0xF0, &auth, 0x82)),
            0x16 | 0x1F | 0x26 => bad.push(illegal("MQTT5 3.15.2.2.2", 0xF0, &auth, 0x82)),
            _ => bad.push(illegal("MQTT5 2.2.2.2", 0xF0, &auth, 0x81)),
        }
    }
    bad.push(raw("MQTT5 2.2.2.2", &[0xE0, 12, 0, 10, 0x11, 0, 0, 0, 9, 0x11, 0, 0, 0, 9], 0x82));
    refuse_all(V5, bad).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_and_its_will_hold_only_their_own_properties() {
    let bench = Bench::start().await;
    let connect = |properties: &[u8], will: Option<&[u8]>| {
        let block = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let flags = if will.is_some() { 0b110 } else { 0b010 };
        let will = will.map(|will| [&block(will)[..], b"\0\x01w\0\x01x"].concat()).unwrap_or_default();
        packet(0x10, &[b"\0\x04MQTT\x05", &[flags], b"\0\0", &block(properties), b"\0\0", &will])
    };
    // The authentication method, 0x15, is known but no method is offered.
    let in_connect = |id: u8| match id {
        0x11 | 0x17 | 0x19 | 0x21 | 0x22 | 0x26 | 0x27 => 0,
        0x15 => 0x8C,
        0x16 => 0x82,
        _ => 0x81,
    };
    let in_will = |id: u8| if matches!(id, 0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x18 | 0x26) { 0 } else { 0x81 };
    let ask = |bytes: &[u8]| {
        let mut client = stranger(&bench);
        client.send(bytes);
        let connack = client.next();
        assert_eq!(connack.first, 0x20);
        connack.body[1]
    };
    for (id, value) in ALL {
        let once = property(*id, value);
        assert_eq!(ask(&connect(&once, None)), in_connect(*id), "{id:#x} in CONNECT");
        assert_eq!(ask(&connect(&[], Some(&once))), in_will(*id), "{id:#x} in the will");
        let twice = once.repeat(2);
        if in_connect(*id) == 0 {
            assert_eq!(ask(&connect(&twice, None)), if *id == 0x26 { 0 } else { 0x82 }, "{id:#x} twice in CONNECT");
        }
        if in_will(*id) == 0 {
            assert_eq!(
                ask(&connect(&[], Some(&twice))),
                if *id == 0x26 { 0 } else { 0x82 },
                "{id:#x} twice in the will"
            );
        }
    }
}
