//! CONNECT: no input makes it panic, a part of a packet is never a packet, and what was read is legal.
#![no_main]

use cordon_mqtt::codec::{Version, decode_connect, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let framed = frame(bytes, u32::MAX);
    match decode_connect(bytes) {
        Ok(connect) => {
            let header = framed.expect("what is read can be framed").expect("what is read is whole");
            assert_eq!(header.total_len, bytes.len());
            assert!(!connect.client_id.contains('\0'));
            assert!(!connect.client_id.is_empty() || connect.version == Version::V5 || connect.clean_start);
            if let Some(will) = &connect.will {
                assert!(cordon_core::topic::is_valid_name(will.topic));
                let mut forwarded = Vec::new();
                will.properties.write_forwarded(&mut forwarded);
                assert_eq!(forwarded.len(), will.properties.forwarded_len());
            }
            let shown = format!("{connect:?}");
            assert!(!shown.contains("password: Some([") && !shown.contains("authentication_data: Some(["));
            assert!(decode_connect(&bytes[..bytes.len() - 1]).is_err(), "a part of it is no CONNECT");
        }
        Err(refused) => assert!(refused.violation.reason.is_error() && !refused.violation.rule.is_empty()),
    }
});
