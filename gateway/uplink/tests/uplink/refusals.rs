//! What the far side refuses becomes an event, and does not keep the rest from arriving.

use crate::world::{DEADLINE, TOPIC, World};
use cordon_core::event::{Code, Severity};
use cordon_uplink::Config;

const REJECTED: &str = "$aws/things/gw-1/shadow/update/rejected";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connect_is_recorded_and_tried_again() {
    let mut world = World::new().await;
    world.push(3);
    world.cloud.script(|script| script.refuse_connect = Some(135));
    let handle = world.start();
    let event = world.journal.refusal("iot:Connect", "135 not authorized").await;
    assert_eq!(event.severity, Severity::Error);
    assert_eq!(event.resource.as_deref(), Some("client/gw-1"));
    world.cloud.script(|script| script.refuse_connect = None);
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_subscription_is_recorded_and_the_rest_works() {
    let mut world = World::new().await;
    world.push(3);
    world.cloud.script(|script| {
        script.refuse_subscribe.insert(REJECTED.to_owned(), 135);
    });
    let handle = world.start();
    let event = world.journal.refusal("iot:Subscribe", "135 not authorized").await;
    assert_eq!(event.resource.as_deref(), Some(REJECTED));
    world.everything_arrived_in_order(handle).await;
    assert_eq!(world.journal.count(Code::UplinkRefused), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_publish_is_recorded_stays_and_arrives_once_it_is_allowed() {
    let mut world = World::new().await;
    world.cloud.script(|script| {
        script.refuse_publish.insert(TOPIC.to_owned(), 135);
    });
    world.push(5);
    let handle = world.start();
    let event = world.journal.refusal("iot:Publish", "135 not authorized").await;
    assert_eq!(event.resource.as_deref(), Some(TOPIC));
    assert_eq!(world.outbox.len(), 5);
    world.cloud.script(|script| script.refuse_publish.clear());
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_stays_refused_is_given_up_with_an_event_and_others_arrive_meanwhile() {
    let mut world = World::new().await;
    world.cloud.script(|script| {
        script.refuse_publish.insert("cordon/gw-1/alarm".to_owned(), 135);
    });
    world.outbox.push("cordon/gw-1/alarm", "never").unwrap();
    world.push(20);
    let handle = world.start_with(Config { max_retries: 1, ..world.config() });
    world.cloud.wait_for_publishes(20, DEADLINE).await.unwrap();
    let dropped = world.journal.wait_for("a drop", |event| event.code == Code::UplinkDropped).await;
    assert_eq!(dropped.resource.as_deref(), Some("cordon/gw-1/alarm"));
    assert_eq!(dropped.reason.as_deref(), Some("refused 2 times, last with 135 not authorized"));
    let status = handle.status();
    handle.shutdown(DEADLINE).await;
    assert_eq!((world.outbox.len(), world.outbox.acked(), world.outbox.discarded()), (0, 20, 1));
    assert_eq!(status.borrow().counters.dead_lettered, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_closes_the_connection_twice_is_given_up_and_the_rest_arrives() {
    for reason in [None, Some(149)] {
        let mut world = World::new().await;
        world.cloud.script(|script| {
            script.close_on_publish.insert("poison".to_owned(), reason);
        });
        world.push(4);
        world.outbox.push("poison", "x").unwrap();
        world.push(4);
        let handle = world.start();
        let dropped = world.journal.wait_for("a drop", |event| event.code == Code::UplinkDropped).await;
        assert_eq!(dropped.resource.as_deref(), Some("poison"));
        world.journal.refusal("iot:Publish", "twice on this entry").await;
        world
            .cloud
            .wait_until("the last", DEADLINE, |seen| seen.publishes.iter().any(|p| p.payload == "7"))
            .await
            .unwrap();
        handle.shutdown(DEADLINE).await;
        assert_eq!((world.outbox.len(), world.outbox.acked(), world.outbox.discarded()), (0, 8, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_with_an_impossible_topic_is_given_up_at_once() {
    let mut world = World::new().await;
    world.cloud.script(|script| {
        script.refuse_publish.insert("odd".to_owned(), 144);
    });
    world.outbox.push("odd", "x").unwrap();
    world.push(2);
    let handle = world.start();
    let dropped = world.journal.wait_for("a drop", |event| event.code == Code::UplinkDropped).await;
    assert!(dropped.reason.unwrap().contains("144 topic name invalid"));
    world.cloud.wait_for_publishes(2, DEADLINE).await.unwrap();
    handle.shutdown(DEADLINE).await;
    assert!(world.outbox.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_a_rejected_topic_is_recorded_with_its_code_and_reason() {
    let world = World::new().await;
    let handle = world.start();
    world.cloud.wait_for_subscription(REJECTED, DEADLINE).await.unwrap();
    world.cloud.publish(REJECTED, r#"{"code":413,"message":"The payload exceeds the maximum size allowed"}"#);
    let event = world.journal.refusal("iot:Publish", "413 The payload exceeds").await;
    assert_eq!(event.resource.as_deref(), Some(REJECTED));
    assert_eq!(handle.status().borrow().counters.received, 1);
    world.cloud.publish(REJECTED, "\u{0}not json");
    world.journal.refusal("iot:Publish", "without a readable reason").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_with_a_reason_is_recorded_and_one_for_maintenance_is_not() {
    let mut world = World::new().await;
    let handle = world.start();
    world.cloud.wait_for_subscription(REJECTED, DEADLINE).await.unwrap();
    world.cloud.disconnect(139);
    world.cloud.wait_for_connects(2, DEADLINE).await.unwrap();
    assert_eq!(world.journal.count(Code::UplinkRefused), 0);
    world.cloud.wait_until("a session", DEADLINE, |seen| seen.open == 1).await.unwrap();
    world.cloud.disconnect(152);
    world.journal.refusal("iot:Connect", "152 administrative action").await;
    world.push(1);
    world.everything_arrived_in_order(handle).await;
}
