//! Shadow requests, one a line: a refused one changes nothing, an accepted one raises the version by one, and the
//! document stays within its bounds and survives being stored.
#![no_main]

use cordon_core::shadow::{MAX_DOCUMENT_BYTES, Shadow, ShadowKey, parse_topic};
use cordon_core::time::Now;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let key = ShadowKey::classic("press-01");
    let mut shadow = Shadow::default();
    for (at, request) in bytes.split(|byte| *byte == b'\n').take(16).enumerate() {
        let now = Now::for_test(at as u64 * 1000);
        drop(std::str::from_utf8(request).map(parse_topic));
        let before = shadow.clone();
        match shadow.apply_update(request, now) {
            Ok(outcome) => {
                assert_eq!((outcome.version, shadow.version()), (before.version() + 1, outcome.version));
                assert_eq!(outcome.accepted["version"], outcome.version);
                let state = serde_json::json!({ "desired": shadow.desired(), "reported": shadow.reported() });
                assert!(state.to_string().len() <= MAX_DOCUMENT_BYTES);
                let stored = serde_json::to_vec(&shadow).expect("it can be stored");
                let read: Shadow = serde_json::from_slice(&stored).expect("what is stored reads again");
                assert_eq!(read, shadow);
            }
            Err(rejected) => {
                assert_eq!(shadow, before);
                assert!(rejected.document(now).to_string().len() < 1000, "{rejected:?}");
            }
        }
        assert_eq!(shadow.get(&key, request, now).is_ok(), shadow.exists() && shadow.get(&key, request, now).is_ok());
        if request.first() == Some(&b'-') {
            let version = shadow.version();
            drop(shadow.delete(&key, &request[1..], now));
            assert!(!shadow.exists() && shadow.version() == version);
        }
    }
});
