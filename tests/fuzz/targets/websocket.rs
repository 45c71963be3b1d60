//! A WebSocket from its HTTP request on: the same MQTT bytes come through however the network cuts the stream.
//!
//! The first byte says where it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let whole = cordon_mqtt::fuzzing::through_websocket(&[bytes]);
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(*cut).max(1)).collect();
    let cut = cordon_mqtt::fuzzing::through_websocket(&pieces);
    assert_eq!(whole, cut, "the stream reads otherwise in pieces");
});
