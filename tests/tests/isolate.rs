//! Isolate: orders cut at once, both ways, leave the door open, survive a kill, and can be undone.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result};
use cordon_tests::device::Device;
use cordon_tests::gateway::Gateway;
use serde_json::Value;

const TELEMETRY: &str = "plant/press-01/telemetry/temperature";

fn order_id(answer: &[Value]) -> Result<String> {
    let id = answer.iter().find_map(|value| value["id"].as_str().or(value["order"]["id"].as_str()));
    Ok(id.with_context(|| format!("no order id in {answer:#?}"))?.to_owned())
}

#[tokio::test]
async fn a_quarantine_cuts_both_ways_at_once_leaves_the_door_open_and_can_be_released() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut controller = Device::connect(&gateway.by_password("pump-01")?).await?;
    controller.subscribed("plant/+/telemetry/#", 1).await?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    press.subscribed("plant/press-01/cmd/#", 1).await?;
    press.subscribed("$aws/things/press-01/shadow/update/accepted", 1).await?;
    assert_eq!(press.publish(TELEMETRY, b"before", 1).await?, 0);
    assert_eq!(&controller.message().await?.payload[..], b"before");

    let reason = "vibration out of range";
    let answer = gateway.json(&[
        "isolate",
        "--thing",
        "press-01",
        "--level",
        "quarantine",
        "--for",
        "10m",
        "--reason",
        reason,
    ])?;
    let id = order_id(&answer)?;
    assert_eq!(press.publish(TELEMETRY, b"cut", 1).await?, 0x87);
    assert_eq!(controller.publish("plant/press-01/cmd/stop", b"cut", 1).await?, 0);
    assert!(press.messages_so_far().await?.is_empty());
    assert!(controller.messages_so_far().await?.is_empty());
    let update = br#"{"state":{"reported":{"telnet":false}}}"#;
    assert_eq!(press.publish("$aws/things/press-01/shadow/update", update, 1).await?, 0);
    assert_eq!(press.message().await?.topic, "$aws/things/press-01/shadow/update/accepted");

    let orders = gateway.json(&["orders"])?;
    assert_eq!(orders.len(), 1, "{orders:#?}");
    assert_eq!(orders[0]["reason"], reason);
    gateway.json(&["release", &id, "--reason", "inspected"])?;
    assert_eq!(press.publish(TELEMETRY, b"after", 1).await?, 0);
    assert_eq!(&controller.message().await?.payload[..], b"after");
    controller.publish("plant/press-01/cmd/start", b"go", 1).await?;
    assert_eq!(&press.message().await?.payload[..], b"go");
    let events = gateway.json(&["events", "--code", "ISOLATION"])?;
    for code in ["ISOLATION_ORDERED", "ISOLATION_CUT", "ISOLATION_RELEASED"] {
        assert!(events.iter().any(|event| event["code"] == code), "{code} in {events:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_group_or_a_version_is_disconnected_and_kept_out_and_others_are_not() -> Result<()> {
    let gateway = Gateway::start()?;
    for selector in [["--group", "line-1"], ["--version", "<1.3.0"]] {
        let mut first = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
        let mut second = Device::connect(&gateway.by_certificate("press-02")?).await?;
        let mut other = Device::connect(&gateway.by_password("pump-01")?).await?;
        let answer = gateway.json(&[
            "isolate",
            selector[0],
            selector[1],
            "--level",
            "disconnect",
            "--for",
            "10m",
            "--reason",
            "recall",
        ])?;
        assert_eq!(first.closed().await?, Some(0x87));
        second.closed().await?;
        assert!(other.messages_so_far().await?.is_empty(), "pump-01 stays connected");
        let (_, refused) = Device::try_connect(&gateway.by_password("press-01")?).await?;
        assert_eq!(refused.code, 5);
        gateway.json(&["release", &order_id(&answer)?, "--reason", "done"])?;
        Device::connect(&gateway.by_password("press-01")?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_restriction_cuts_the_named_topics_only() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    press.subscribed("plant/press-01/cmd/#", 1).await?;
    let mut controller = Device::connect(&gateway.by_password("pump-01")?).await?;
    controller.subscribed("plant/+/telemetry/#", 1).await?;
    gateway.json(&[
        "isolate",
        "--thing",
        "press-01",
        "--level",
        "restrict",
        "--block",
        "plant/+/cmd/#",
        "--for",
        "10m",
        "--reason",
        "remote commands are suspect",
    ])?;
    controller.publish("plant/press-01/cmd/stop", b"cut", 1).await?;
    assert!(press.messages_so_far().await?.is_empty());
    assert_eq!(press.publish(TELEMETRY, b"flows", 1).await?, 0);
    assert_eq!(&controller.message().await?.payload[..], b"flows");
    Ok(())
}

#[tokio::test]
async fn an_order_survives_a_kill_and_holds_from_the_first_packet_on() -> Result<()> {
    let mut gateway = Gateway::start()?;
    gateway.json(&["isolate", "--thing", "press-01", "--level", "disconnect", "--for", "1h", "--reason", "stolen"])?;
    gateway.kill()?;
    gateway.run()?;
    let (_, refused) = Device::try_connect(&gateway.by_password("press-01")?.v5()).await?;
    assert_eq!(refused.code, 0x87);
    assert_eq!(gateway.json(&["orders"])?.len(), 1);
    Device::connect(&gateway.by_password("press-02")?).await?;
    Ok(())
}

#[tokio::test]
async fn an_order_ends_by_itself() -> Result<()> {
    let gateway = Gateway::start()?;
    gateway.json(&["isolate", "--thing", "press-01", "--level", "quarantine", "--for", "1s", "--reason", "short"])?;
    gateway.json_until(&["events", "--code", "ISOLATION"], |events| {
        events.iter().any(|event| event["code"] == "ISOLATION_EXPIRED")
    })?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    assert_eq!(press.publish(TELEMETRY, b"x", 1).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_preview_says_whom_an_order_would_cut_and_changes_nothing() -> Result<()> {
    let gateway = Gateway::start()?;
    let answer =
        gateway.json(&["isolate", "--group", "line-1", "--level", "quarantine", "--reason", "x", "--dry-run"])?;
    let text = serde_json::to_string(&answer)?;
    assert!(text.contains("press-01") && text.contains("press-02") && !text.contains("pump-01"), "{text}");
    assert!(gateway.json(&["orders"])?.is_empty());
    Ok(())
}

#[tokio::test]
async fn messages_that_were_queued_or_retained_before_the_order_do_not_pass_it() -> Result<()> {
    let gateway = Gateway::start()?;
    let sleeper = gateway.by_password("pump-01")?.persistent();
    let mut subscriber = Device::connect(&sleeper).await?;
    subscriber.subscribed("plant/+/telemetry/#", 1).await?;
    subscriber.disconnect().await?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    press.publish(TELEMETRY, b"queued", 1).await?;
    press.publish_with("plant/press-01/status", b"retained", 1, true).await?;
    let mut other = Device::connect(&gateway.by_password("press-02")?.v5()).await?;
    gateway.json(&["isolate", "--thing", "press-01", "--level", "quarantine", "--for", "10m", "--reason", "x"])?;
    other.publish("plant/press-02/telemetry/t", b"passes", 1).await?;
    let mut subscriber = Device::connect(&sleeper).await?;
    assert_eq!(&subscriber.message().await?.payload[..], b"passes");
    subscriber.subscribed("plant/+/status", 1).await?;
    assert!(subscriber.messages_so_far().await?.is_empty());
    Ok(())
}
