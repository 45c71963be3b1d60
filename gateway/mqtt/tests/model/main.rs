//! Random legal traffic of several clients over real sockets, held against a model of MQTT.
//!
//! The seed is fixed, so that a run can be repeated. `CORDON_MODEL_CASES` plays more histories and `CORDON_MODEL_SEED`
//! others; a history that fails is shrunk and printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod history;
mod model;
mod peer;
mod play;
#[path = "../broker/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the broker")]
mod support;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

#[test]
fn every_client_gets_the_messages_that_mqtt_promises_and_no_others() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().expect(name));
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("CORDON_MODEL_SEED").unwrap_or(1).to_be_bytes());
    let config = Config {
        cases: number("CORDON_MODEL_CASES").unwrap_or(256),
        max_shrink_iters: 500,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    // The first failure was waited for long enough; its smaller relatives need not be.
    let failed = Cell::new(false);
    let played = runner.run(&history::history(), |history| {
        let patience = Duration::from_millis(if failed.get() { 500 } else { 10_000 });
        // A packet that is out of place panics where it is read.
        let played = catch_unwind(AssertUnwindSafe(|| play::play(&runtime, &history, patience)));
        let said = |panic: Box<dyn std::any::Any + Send>| {
            panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a packet out of place".to_owned())
        };
        let result = played.map_err(said).and_then(|result| result);
        failed.set(failed.get() || result.is_err());
        result.map_err(TestCaseError::fail)
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}
