//! Forward: summaries and alarms reach the cloud's side, in order and at least once, whatever happens to the connection,
//! and what that side refuses is an event.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result};
use cordon_tests::cloud::{Cloud, Point, Seen};
use cordon_tests::device::{Device, Options};
use cordon_tests::gateway::{Gateway, at};
use cordon_tests::pki::Pki;
use cordon_tests::upstream::{ALARMS, Arrived, SUMMARIES, authority, point};
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the uplink may take to come back: its pauses between attempts grow.
const PATIENCE: Duration = Duration::from_secs(60);
const TELEMETRY: &str = "plant/press-01/telemetry/force";
const REJECTED: &str = "$aws/things/gw-dev/shadow/update/rejected";
/// An interval that no test lives to see the end of.
const NEVER: &str = "1h";

/// A gateway whose uplink is pointed at a stand-in for the cloud; it does not run yet.
async fn pointed(summary_interval: &str) -> Result<(Gateway, Cloud)> {
    let gateway = Gateway::prepared()?;
    let cloud = Cloud::start(&authority(&gateway)?).await?;
    point(&gateway, cloud.address().port(), summary_interval)?;
    gateway.edit("cordon.toml", "refusal = \"10s\"", "refusal = \"2s\"")?;
    Ok((gateway, cloud))
}

/// An address that only guesses passwords, so that its refusal hits nothing else.
fn guesser(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// Six wrong passwords from one address, one more than is normal, and waits for the alarm.
async fn six_wrong_passwords(gateway: &Gateway, from: u8) -> Result<()> {
    let name = format!("guest-{from}");
    for guess in 0..6 {
        let options = Options::new(at(gateway.ports().mqtt), &name).login(&name, &guess.to_string());
        assert_ne!(Device::try_connect(&options.source(guesser(from))).await?.1.code, 0);
    }
    let address = guesser(from).to_string();
    gateway.json_until(&["alarms"], |alarms| alarms.iter().any(|alarm| alarm["address"] == address))?;
    Ok(())
}

async fn serves(gateway: &Gateway) -> Result<()> {
    let mut pump = Device::connect(&gateway.by_password("pump-01")?).await?;
    pump.subscribed("plant/+/telemetry/#", 1).await?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    assert_eq!(press.publish(TELEMETRY, b"21.5", 1).await?, 0);
    assert_eq!(&pump.message().await?.payload[..], b"21.5");
    Ok(())
}

fn arrived(seen: &Seen) -> Result<Arrived> {
    Arrived::read(seen.publishes.iter().map(|publish| (publish.topic.as_str(), &publish.payload[..])))
}

/// Waits until what arrived is `enough`.
async fn until(cloud: &Cloud, what: &str, enough: impl Fn(&Arrived) -> bool) -> Result<Arrived> {
    let seen = cloud.wait_until(what, PATIENCE, |seen| arrived(seen).map_or(true, |arrived| enough(&arrived))).await?;
    arrived(&seen)
}

fn alarms_of<'a>(arrived: &'a Arrived, field: &str, value: &str) -> Vec<&'a Value> {
    arrived.alarms().filter(|alarm| alarm[field] == value).collect()
}

/// Whether the alarm about this guesser is there.
fn tells_of(last: u8) -> impl Fn(&Arrived) -> bool {
    move |arrived| !alarms_of(arrived, "sourceAddress", &guesser(last).to_string()).is_empty()
}

fn unix_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn uplink(status: &[Value]) -> &Value {
    &status[0]["uplink"]
}

fn waiting(gateway: &Gateway, at_least: u64) -> Result<u64> {
    let enough = |status: &[Value]| uplink(status)["outbox_entries"].as_u64() >= Some(at_least);
    uplink(&gateway.json_until(&["status"], enough)?)["outbox_entries"].as_u64().context("outbox_entries")
}

/// Waits until a refusal of this action is on record, and returns it.
fn refusal(gateway: &Gateway, action: &str) -> Result<Value> {
    let this = |event: &&Value| event["action"] == action;
    let events = gateway.json_until(&["events", "--code", "UPLINK_REFUSED"], |all| all.iter().any(|e| this(&e)))?;
    let event = events.iter().find(this).unwrap();
    assert_eq!((&event["severity"], &event["client_id"]), (&"error".into(), &"gw-dev".into()), "{event:#}");
    Ok(event.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn summaries_arrive_at_qos_1_one_after_the_other_and_say_what_each_thing_did() -> Result<()> {
    let (mut gateway, cloud) = pointed("1s").await?;
    gateway.run()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    for _ in 0..3 {
        press.publish(TELEMETRY, b"12345", 1).await?;
    }
    press.publish("plant/press-02/cmd/stop", b"x", 1).await?;
    let order = ["isolate", "--thing", "press-02", "--level", "audit", "--for", "10m", "--reason", "a look"];
    gateway.json(&order)?;

    let of_press = |arrived: &Arrived, count: &str| -> u64 {
        arrived.summaries().filter_map(|summary| summary["things"]["press-01"][count].as_u64()).sum()
    };
    let all_told = |arrived: &Arrived| {
        of_press(arrived, "messages") >= 3
            && of_press(arrived, "authFailures") >= 1
            && arrived.summaries().any(|summary| summary["orders"] == json!({"count": 1, "ids": ["iso-1"]}))
            && arrived.summaries().count() >= 4
    };
    let arrived = until(&cloud, "summaries about press-01", all_told).await?;
    assert_eq!((arrived.gaps, arrived.repeats), (0, 0));
    let told = ["connects", "messages", "authFailures", "bytes"].map(|count| of_press(&arrived, count));
    assert_eq!(told, [1, 3, 1, 15]);
    for summary in arrived.summaries() {
        assert_eq!((&summary["version"], &summary["gateway"]), (&"1.0".into(), &"gw-dev".into()));
        assert!(summary["summaryId"].as_str().unwrap().starts_with("gw-dev-"), "{summary:#}");
    }
    let seen = cloud.seen();
    assert!(seen.publishes.iter().all(|publish| publish.qos == 1 && publish.topic == SUMMARIES));
    assert_eq!((seen.connects[0].client_id.as_str(), seen.connects[0].level), ("gw-dev", 5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_arrive_at_once_in_the_form_of_aws_and_again_when_they_clear() -> Result<()> {
    let (mut gateway, cloud) = pointed(NEVER).await?;
    let text = fs::read_to_string(gateway.dir().join("profiles/plant.json"))?;
    gateway.write("profiles/plant.json", &text.replace("\"durationSeconds\": 10", "\"durationSeconds\": 2"))?;
    gateway.run()?;
    six_wrong_passwords(&gateway, 2).await?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    for _ in 0..5 {
        press.publish("plant/press-02/cmd/stop", b"x", 1).await?;
    }
    let arrived = until(&cloud, "two alarms and their ends", |arrived| arrived.alarms().count() >= 4).await?;
    assert_eq!(arrived.summaries().count(), 0, "alarms do not wait for a summary");
    let profile: Value = serde_json::from_str(&fs::read_to_string(gateway.dir().join("profiles/plant.json"))?)?;
    let behavior = json!({
        "name": profile["behaviors"][0]["name"],
        "metric": profile["behaviors"][0]["metric"],
        "criteria": profile["behaviors"][0]["criteria"],
    });
    let known = gateway.json(&["alarms"])?;
    for (field, who, profile, metric) in [
        ("thingName", "press-01", "plant", "aws:num-authorization-failures"),
        ("sourceAddress", "127.0.0.2", "login", "cordon:num-login-failures"),
    ] {
        let changes = alarms_of(&arrived, field, who);
        let types: Vec<_> = changes.iter().map(|alarm| &alarm["violationEventType"]).collect();
        assert_eq!(types, ["in-alarm", "alarm-cleared"], "{changes:#?}");
        let alarm = changes[0];
        assert_eq!((&alarm["securityProfileName"], &alarm["behavior"]["metric"]), (&profile.into(), &metric.into()));
        assert!(alarm["metricValue"]["count"].as_u64() >= Some(5), "{alarm:#}");
        let id = alarm["violationId"].as_str().unwrap();
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && id.len() <= 128, "{id}");
        assert_eq!(changes[1]["violationId"], id);
        assert!(known.iter().any(|alarm| alarm["id"] == id), "`cordon alarms` knows {id}: {known:#?}");
    }
    assert_eq!(alarms_of(&arrived, "thingName", "press-01")[0]["behavior"], behavior, "as it stands in the profile");
    assert!(cloud.seen().publishes.iter().all(|publish| publish.qos == 1 && publish.topic == ALARMS));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_far_side_down_devices_are_served_nothing_is_lost_and_all_arrives_in_order() -> Result<()> {
    let (mut gateway, mut cloud) = pointed("1s").await?;
    gateway.run()?;
    let before = until(&cloud, "a summary", |arrived| arrived.summaries().count() >= 2).await?;
    cloud.go_down().await?;
    gateway.json_until(&["status"], |status| uplink(status)["connected"] == false)?;
    six_wrong_passwords(&gateway, 2).await?;
    serves(&gateway).await?;
    waiting(&gateway, 4)?;
    let status = gateway.json(&["status"])?;
    assert!(!uplink(&status)["reason"].as_str().unwrap().is_empty(), "{status:#?}");
    cloud.come_back()?;
    let back = unix_ms()?;
    let enough = |arrived: &Arrived| tells_of(2)(arrived) && arrived.until() > back;
    let arrived = until(&cloud, "everything", enough).await?;
    assert_eq!(arrived.gaps, 0, "no interval is missing: {:#?}", arrived.documents);
    assert_eq!(arrived.documents[..before.documents.len()], before.documents[..]);
    let served = arrived.summaries().any(|summary| summary["things"]["pump-01"]["connects"] == 1);
    assert!(served, "what happened meanwhile is told: {:#?}", arrived.documents);
    let codes = ["UPLINK_CONNECTED", "UPLINK_DISCONNECTED", "UPLINK_CONNECTED"];
    let events = gateway.json_until(&["events", "--code", "UPLINK"], |events| events.len() >= codes.len())?;
    let told: Vec<_> = events.iter().map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(told, codes, "one event for each change, not one for each attempt");
    gateway.json_until(&["status"], |status| uplink(status)["connected"] == true)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_far_side_survives_a_kill_of_the_gateway() -> Result<()> {
    let (mut gateway, mut cloud) = pointed("1s").await?;
    cloud.go_down().await?;
    gateway.run()?;
    serves(&gateway).await?;
    six_wrong_passwords(&gateway, 2).await?;
    let before = waiting(&gateway, 4)?;
    gateway.kill()?;
    gateway.run()?;
    assert!(waiting(&gateway, 0)? >= before, "nothing can have left");
    six_wrong_passwords(&gateway, 3).await?;
    serves(&gateway).await?;
    let all = waiting(&gateway, before + 3)?;
    gateway.kill()?;
    cloud.come_back()?;
    gateway.run()?;

    let enough = |arrived: &Arrived| arrived.documents.len() as u64 > all && tells_of(3)(arrived);
    let arrived = until(&cloud, "everything", enough).await?;
    assert!(tells_of(2)(&arrived), "{:#?}", arrived.documents);
    assert_eq!(arrived.gaps, 2, "only the intervals that the kills cut off are missing: {:#?}", arrived.documents);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_before_its_acknowledgement_is_sent_again() -> Result<()> {
    let (mut gateway, cloud) = pointed("1s").await?;
    cloud.cut_at(Point::Publish, 2);
    cloud.cut_at(Point::Recorded, 3);
    gateway.run()?;
    let arrived = until(&cloud, "what follows the cuts", |arrived| arrived.documents.len() >= 8).await?;
    assert_eq!(arrived.gaps, 0);
    assert_eq!(arrived.repeats, 1, "only what was recorded and not acknowledged comes twice");
    assert_eq!(cloud.seen().connects.len(), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_an_error_event_and_devices_are_served() -> Result<()> {
    let (mut gateway, cloud) = pointed("1s").await?;
    cloud.script(|script| script.refuse_connect = Some(0x87));
    gateway.run()?;
    let event = refusal(&gateway, "iot:Connect")?;
    assert_eq!(event["resource"], "client/gw-dev");
    assert!(event["reason"].as_str().unwrap().contains("135 not authorized"), "{event:#}");
    serves(&gateway).await?;
    cloud.wait_for_connects(2, PATIENCE).await?;
    cloud.script(|script| script.refuse_connect = None);
    let arrived = until(&cloud, "what waited", |arrived| arrived.summaries().count() >= 3).await?;
    assert_eq!(arrived.gaps, 0);
    assert_eq!(gateway.json(&["events", "--code", "UPLINK_REFUSED"])?.len(), 1, "the same words are not repeated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_one_side_does_not_trust_is_an_error_event_and_a_better_one_needs_no_restart() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let stranger = Pki::create(folder.path(), "Somebody else's authority")?;
    let client = stranger.client("gw-dev")?;
    let foreign_gateway = [("gw-dev.cert.pem", client.certificate), ("gw-dev.key.pem", client.key)];
    let foreign_far_side = [("ca.pem", stranger.ca())];
    for (foreign, said) in [(&foreign_gateway[..], "UnknownCA"), (&foreign_far_side, "no authority")] {
        let (mut gateway, cloud) = pointed("1s").await?;
        let files = gateway.dir().join("uplink");
        let mut right = Vec::new();
        for (name, file) in foreign {
            right.push((files.join(name), fs::read(files.join(name))?));
            fs::copy(file, files.join(name))?;
        }
        gateway.run()?;
        let event = refusal(&gateway, "iot:Connect")?;
        assert!(event["reason"].as_str().unwrap().contains(said), "{event:#}");
        serves(&gateway).await?;
        assert!(cloud.seen().publishes.is_empty());
        for (file, content) in right {
            fs::write(file, content)?;
        }
        let arrived = until(&cloud, "what waited", |arrived| arrived.summaries().count() >= 3).await?;
        assert_eq!(arrived.gaps, 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_publish_is_an_error_event_other_topics_go_on_and_it_is_tried_again() -> Result<()> {
    let (mut gateway, cloud) = pointed("1s").await?;
    cloud.script(|script| script.refuse_publish = [(SUMMARIES.to_owned(), 135)].into());
    gateway.run()?;
    let event = refusal(&gateway, "iot:Publish")?;
    assert_eq!((&event["resource"], &event["reason"]), (&SUMMARIES.into(), &"135 not authorized".into()));
    six_wrong_passwords(&gateway, 2).await?;
    let alarm = until(&cloud, "the alarm", tells_of(2)).await?;
    assert_eq!(alarm.summaries().count(), 0);
    cloud.script(|script| script.refuse_publish.clear());
    let summaries = |seen: &Seen| {
        let summaries = seen.publishes.iter().filter(|publish| publish.topic == SUMMARIES);
        Arrived::read(summaries.map(|publish| (SUMMARIES, &publish.payload[..])))
    };
    let seen = cloud.wait_until("what was refused", PATIENCE, |seen| {
        summaries(seen).map_or(true, |arrived| arrived.documents.len() >= 5)
    });
    let arrived = summaries(&seen.await?)?;
    assert_eq!(arrived.gaps, 0);
    assert!(gateway.json(&["events", "--code", "UPLINK_DROPPED"])?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_subscription_and_a_rejected_request_are_error_events_and_summaries_go_on() -> Result<()> {
    let (mut gateway, cloud) = pointed("1s").await?;
    let refused = "$aws/things/gw-dev/jobs/notify-next";
    cloud.script(|script| script.refuse_subscribe = [(refused.to_owned(), 0x87)].into());
    gateway.run()?;
    let event = refusal(&gateway, "iot:Subscribe")?;
    assert_eq!((&event["resource"], &event["reason"]), (&refused.into(), &"135 not authorized".into()));

    cloud.wait_for_subscription(REJECTED, PATIENCE).await?;
    cloud.publish(REJECTED, r#"{"code":413,"message":"The payload exceeds the maximum size allowed"}"#);
    let event = refusal(&gateway, "iot:Publish")?;
    assert_eq!(event["resource"], REJECTED);
    assert_eq!(event["reason"], "413 The payload exceeds the maximum size allowed");
    let arrived = until(&cloud, "summaries", |arrived| arrived.summaries().count() >= 3).await?;
    assert_eq!(arrived.gaps, 0);
    assert_eq!(cloud.seen().connects.len(), 1, "none of it cost the connection");
    Ok(())
}
