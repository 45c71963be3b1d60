//! Everything arrives, in order, whatever happens to the connection.

use crate::world::{DEADLINE, TOPIC, World};
use cordon_core::event::Code;
use cordon_tests::cloud::Point;
use cordon_uplink::{Config, LinkState, Protocol, PushError};
use std::time::Duration;
use tokio::task::JoinSet;

const POINTS: [Point; 7] = [
    Point::Handshake,
    Point::Connect,
    Point::Connack,
    Point::Subscribe,
    Point::Publish,
    Point::Recorded,
    Point::Acknowledged,
];

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_and_what_comes_later_arrives_in_order() {
    let mut world = World::new().await;
    world.push(60);
    let handle = world.start();
    world.cloud.wait_for_publishes(60, DEADLINE).await.unwrap();
    world.push(60);
    world.everything_arrived_in_order(handle).await;
    let connects = world.cloud.seen().connects;
    assert_eq!(connects.len(), 1);
    assert_eq!((connects[0].client_id.as_str(), connects[0].level, connects[0].clean), ("gw-1", 5, false));
    assert_eq!(connects[0].keep_alive, 60);
    world.cloud.wait_until("a goodbye", DEADLINE, |seen| seen.disconnects == 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_at_any_point_of_a_connection_loses_nothing_and_keeps_the_order() {
    let mut outages = JoinSet::new();
    for point in POINTS {
        for nth in [1, 7] {
            outages.spawn(async move {
                let mut world = World::new().await;
                world.push(30);
                world.cloud.cut_at(point, nth);
                let handle = world.start();
                world.everything_arrived_in_order(handle).await;
            });
        }
    }
    while let Some(outage) = outages.join_next().await {
        outage.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_one_after_another_lose_nothing_and_keep_the_order() {
    let mut world = World::new().await;
    world.push(40);
    for (turn, point) in POINTS.into_iter().enumerate() {
        world.cloud.cut_at(point, 2 + turn);
    }
    let handle = world.start();
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_while_the_far_side_is_down_arrives_when_it_returns() {
    let mut world = World::new().await;
    world.push(5);
    let handle = world.start();
    world.cloud.wait_for_publishes(5, DEADLINE).await.unwrap();
    world.cloud.go_down().await.unwrap();
    world.push(100);
    world.journal.wait_for("a lost link", |event| event.code == Code::UplinkDisconnected).await;
    world.cloud.come_back().unwrap();
    world.everything_arrived_in_order(handle).await;
    assert_eq!(world.journal.count(Code::UplinkConnected), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_side_may_be_down_at_the_start() {
    let mut world = World::new().await;
    world.cloud.go_down().await.unwrap();
    world.push(5);
    let handle = world.start();
    world.journal.wait_for("no link", |event| event.code == Code::UplinkDisconnected).await;
    assert!(matches!(&handle.status().borrow().link, LinkState::Disconnected { next_try: Some(_), .. }));
    world.cloud.come_back().unwrap();
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_the_outbox_without_an_acknowledgement() {
    let mut world = World::new().await;
    world.push(120);
    world.cloud.script(|script| script.withhold_puback = true);
    let handle = world.start();
    let sent = world.cloud.wait_for_publishes(50, DEADLINE).await.unwrap();
    assert_eq!((sent.len(), world.outbox.len()), (50, 120), "the window is full and nothing is gone");
    world.cloud.script(|script| script.withhold_puback = false);
    world.cloud.drop_connections();
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_that_stops_acknowledging_is_left_and_tried_again() {
    let mut world = World::new().await;
    world.push(3);
    world.cloud.script(|script| script.withhold_puback = true);
    let handle = world.start_with(Config { ack_timeout: Duration::from_secs(1), ..world.config() });
    world.cloud.wait_for_connects(2, DEADLINE).await.unwrap();
    world.cloud.script(|script| script.withhold_puback = false);
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_receive_maximum_is_kept_to() {
    let mut world = World::new().await;
    world.push(30);
    world.cloud.script(|script| {
        script.receive_maximum = Some(3);
        script.withhold_puback = true;
    });
    let handle = world.start();
    world.cloud.wait_for_publishes(3, DEADLINE).await.unwrap();
    world.cloud.script(|script| script.withhold_puback = false);
    world.cloud.drop_connections();
    world.everything_arrived_in_order(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_speaks_mqtt_3_1_1_only_is_served_too() {
    let mut world = World::new().await;
    world.push(70);
    world.cloud.script(|script| script.only_v311 = true);
    world.cloud.cut_at(Point::Recorded, 20);
    let handle = world.start();
    let status = handle.status();
    let connected = world.journal.wait_for("a link", |event| event.code == Code::UplinkConnected).await;
    assert_eq!(connected.details["protocol"], Protocol::V311.to_string());
    world.everything_arrived_in_order(handle).await;
    let levels: Vec<_> = world.cloud.seen().connects.iter().map(|connect| connect.level).collect();
    assert_eq!(levels, [5, 5, 4, 5, 4]);
    assert_eq!(status.borrow().counters.acked, 70);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_delivered_does_not_enter_the_outbox() {
    let world = World::new().await;
    let undeliverable = |pushed| matches!(pushed, Err(PushError::Undeliverable(_)));
    assert!(undeliverable(world.outbox.push(TOPIC, vec![0; 131_073])));
    assert!(undeliverable(world.outbox.push("a/b/c/d/e/f/g/h/i", "x")));
    world.outbox.push(TOPIC, vec![0; 131_072]).unwrap();
    let handle = world.start();
    let arrived = world.cloud.wait_for_publishes(1, DEADLINE).await.unwrap();
    assert_eq!(arrived[0].payload.len(), 131_072);
    handle.shutdown(DEADLINE).await;
    assert!(world.outbox.is_empty());
}
