//! Records of sessions and retained messages, as a store gives them back at start: damaged ones are passed over.
//!
//! The input is records: a byte that says how long the key is, the key, two bytes for the value's length, the value.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut records = Vec::new();
    while let Some((record, after)) = split(rest) {
        records.push(record);
        rest = after;
    }
    cordon_mqtt::fuzzing::load(records);
});

fn split(bytes: &[u8]) -> Option<((Vec<u8>, Vec<u8>), &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_at_checked(usize::from(*length % 64))?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (value, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
    Some(((key.to_vec(), value.to_vec()), rest))
}
