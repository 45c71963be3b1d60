//! Who does not accept whose certificate, in the journal's words; and what the gateway's own files can be like.

use crate::world::{DEADLINE, World};
use cordon_core::event::Code;
use cordon_tests::cloud::Cloud;
use cordon_tests::pki::Pki;
use cordon_uplink::Config;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_of_the_gateway_is_recorded() {
    let world = World::new().await;
    let _handle = world.start_with(world.config_as(&world.pki.expired_client("gw-1").unwrap()));
    world.journal.refusal("iot:Connect", "CertificateExpired").await;
    assert!(world.cloud.seen().connects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_certificate_of_another_authority_is_recorded() {
    let world = World::new().await;
    let _handle = world.start_with(world.config_as(&world.pki.foreign_client("gw-1").unwrap()));
    world.journal.refusal("iot:Connect", "does not accept the gateway").await;
    assert!(world.cloud.seen().connects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_of_another_authority_is_not_spoken_to() {
    let mut world = World::new().await;
    world.push(1);
    let other = Pki::create(&world.dir().join("other"), "other authority").unwrap();
    let _handle = world.start_with(Config { ca: other.ca(), ..world.config() });
    world.journal.refusal("iot:Connect", "comes from no authority").await;
    assert_eq!(world.outbox.len(), 1);
    assert!(world.cloud.seen().connects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_with_an_expired_or_foreign_name_is_not_spoken_to() {
    let world = World::new().await;
    let expired = world.pki.expired_server("old", &["localhost"]).unwrap();
    let elsewhere = world.pki.server("elsewhere", &["elsewhere.example"]).unwrap();
    for (identity, reason) in [(expired, "has expired"), (elsewhere, "is not for the configured host")] {
        let cloud = Cloud::start_as(&world.pki, &identity).await.unwrap();
        let _handle = world.start_with(Config { port: cloud.address().port(), ..world.config() });
        world.journal.refusal("iot:Connect", reason).await;
        assert!(cloud.seen().connects.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_certificate_files_are_an_event_and_are_used_as_soon_as_they_are_there() {
    let mut world = World::new().await;
    world.push(2);
    let config = world.config();
    let away = config.key.with_extension("away");
    fs::rename(&config.key, &away).unwrap();
    let handle = world.start_with(config.clone());
    let event = world.journal.wait_for("no key", |event| event.code == Code::GatewayDegraded).await;
    assert!(event.reason.unwrap().contains("the gateway's key"));
    fs::rename(&away, &config.key).unwrap();
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_holds_nothing_up() {
    let world = World::new().await;
    let handle = world.start_with(Config { host: "nowhere.invalid".to_owned(), ..world.config() });
    world.journal.wait_for("no link", |event| event.code == Code::UplinkDisconnected).await;
    handle.shutdown(DEADLINE).await;
    assert_eq!(world.journal.count(Code::UplinkRefused), 0);
}
