//! Frames in every cut, and every rule that can be broken.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use super::*;
use proptest::prelude::*;

/// A masked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        length @ 126..=0xFFFF => frame.extend([&[0xFE], &(length as u16).to_be_bytes()[..]].concat()),
        length => frame.extend([&[0xFF], &(length as u64).to_be_bytes()[..]].concat()),
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What comes out of `bytes` taken at once, and what is wrong with them.
fn taken(bytes: &[u8]) -> (Vec<u8>, Result<(), Fault>) {
    let mut bytes = bytes.to_vec();
    let (length, result) = Incoming::default().take(&mut bytes);
    (bytes[..length].to_vec(), result)
}

proptest! {
    #[test]
    fn the_payload_comes_out_whole_however_it_is_cut_into_frames_and_reads(
        pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..8),
        cuts in prop::collection::vec(1..200_usize, 1..20),
    ) {
        let (mut wire, mut whole, mut fresh) = (Vec::new(), Vec::new(), true);
        for (payload, last) in &pieces {
            wire.extend(frame(if fresh { 2 } else { 0 } | if *last { 0x80 } else { 0 }, payload));
            wire.extend(frame(0x89, &payload[..payload.len().min(125)]));
            whole.extend_from_slice(payload);
            fresh = *last;
        }
        let (mut incoming, mut out, mut cuts) = (Incoming::default(), Vec::new(), cuts.iter().cycle());
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            let mut read = now.to_vec();
            let (length, result) = incoming.take(&mut read);
            prop_assert_eq!(result, Ok(()));
            out.extend_from_slice(&read[..length]);
            rest = later;
        }
        prop_assert_eq!(out, whole);
        let last = pieces.last().map(|(payload, _)| payload[..payload.len().min(125)].to_vec());
        prop_assert_eq!(incoming.take_ping(), last);
    }

    #[test]
    fn noise_is_never_held_and_never_grows(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut incoming = Incoming::default();
        let mut read = noise.clone();
        let (length, _) = incoming.take(&mut read);
        prop_assert!(length <= noise.len());
        prop_assert!(incoming.control.len() <= LONGEST_CONTROL as usize);
    }
}

#[test]
fn what_came_before_a_broken_rule_is_passed_on() {
    let bytes = [frame(0x82, b"good"), frame(0x81, b"text")].concat();
    assert_eq!(taken(&bytes), (b"good".to_vec(), Err(TEXT)));
}

#[test]
fn every_illegal_frame_is_told_with_its_rule() {
    let long_control = frame(0x89, &[0; 126]);
    let mut roundabout = frame(0x82, &[0; 126]);
    roundabout[3] = 5;
    let mut endless = frame(0x82, &[0; 70_000]);
    endless[2] = 0x80;
    for (bytes, fault) in [
        (vec![0x82, 1, 0], UNMASKED),
        (frame(0xC2, b"x"), RESERVED),
        (frame(0x83, b"x"), UNREADABLE),
        (frame(0x8B, b"x"), UNREADABLE),
        (frame(0x09, b"x"), CONTROL),
        (long_control, CONTROL),
        (roundabout, LENGTH),
        (endless, LENGTH),
        (frame(0x80, b"x"), FRAGMENT),
        ([frame(0x02, b"x"), frame(0x82, b"x")].concat(), FRAGMENT),
        (frame(0x81, b""), TEXT),
        (frame(0x88, b"x"), CLOSE),
        (frame(0x88, &1005_u16.to_be_bytes()), CLOSE),
        (frame(0x88, &[0x03, 0xE8, 0xFF]), CLOSE),
    ] {
        assert_eq!(taken(&bytes).1, Err(fault), "{bytes:02x?}");
    }
}

#[test]
fn nothing_counts_after_a_close_frame() {
    let bytes = [frame(0x82, b"bye"), frame(0x88, &[0x03, 0xE9]), frame(0x81, b"more")].concat();
    let mut incoming = Incoming::default();
    let mut read = bytes;
    assert_eq!(incoming.take(&mut read), (3, Ok(())));
    assert_eq!(incoming.close_code(), Some(1001));
}
