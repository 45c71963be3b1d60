//! Connect and judge: who gets in, what they may do, and that every refusal is answered and recorded.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_tests::device::{Device, Options};
use cordon_tests::gateway::{Gateway, at};
use cordon_tests::pki::Pki;
use serde_json::Value;

fn event<'a>(events: &'a [Value], code: &str) -> Result<&'a Value> {
    events.iter().find(|event| event["code"] == code).with_context(|| format!("no {code} in {events:#?}"))
}

fn has(code: &'static str) -> impl Fn(&[Value]) -> bool {
    move |events| events.iter().any(|event| event["code"] == code)
}

#[tokio::test]
async fn a_device_gets_in_by_password_or_certificate_and_its_messages_arrive_in_both_versions() -> Result<()> {
    let gateway = Gateway::start()?;
    for (subscriber, publisher) in [
        (gateway.by_password("pump-01")?, gateway.by_certificate("press-01")?),
        (gateway.by_certificate("pump-01")?.v5(), gateway.by_password("press-01")?),
        (gateway.by_password("pump-01")?.v5(), gateway.by_password("press-01")?.v5()),
    ] {
        let mut subscriber = Device::connect(&subscriber).await?;
        subscriber.subscribed("plant/+/telemetry/#", 2).await?;
        let mut publisher = Device::connect(&publisher).await?;
        for qos in 0..=2 {
            let code = publisher.publish("plant/press-01/telemetry/temperature", &[qos], qos).await?;
            ensure!(code == 0, "QoS {qos} was answered with {code:#04x}");
            let message = subscriber.message().await?;
            assert_eq!(
                (message.topic.as_str(), &message.payload[..], message.qos),
                ("plant/press-01/telemetry/temperature", &[qos][..], qos)
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_burst_of_messages_arrives_whole_and_in_order() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut subscriber = Device::connect(&gateway.by_password("pump-01")?).await?;
    subscriber.subscribed("plant/+/telemetry/#", 1).await?;
    let mut publisher = Device::connect(&gateway.by_password("press-01")?).await?;
    const COUNT: u32 = 5_000;
    let mut burst = Vec::new();
    for number in 0..COUNT {
        burst.extend(Device::encoded("plant/press-01/telemetry/count", &number.to_be_bytes()));
    }
    publisher.send(&burst).await?;
    for number in 0..COUNT {
        assert_eq!(&subscriber.message().await?.payload[..], &number.to_be_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_no_login_are_refused_and_recorded() -> Result<()> {
    let gateway = Gateway::start()?;
    let address = at(gateway.ports().mqtt);
    for (options, level, code, recorded) in [
        (Options::new(address, "press-01").login("press-01", "wrong"), 4, 4, "AUTHN_BAD_PASSWORD"),
        (Options::new(address, "nobody").login("nobody", "secret-guess").v5(), 5, 0x86, "AUTHN_UNKNOWN_USER"),
        (Options::new(address, "press-02"), 4, 4, "AUTHN_NO_CREDENTIALS"),
    ] {
        let (_, answer) = Device::try_connect(&Options { level, ..options.clone() }).await?;
        assert_eq!(answer.code, code, "{recorded}");
        let events = gateway.json_until(&["events", "--since", "10m", "--code", "AUTH"], has(recorded))?;
        let event = event(&events, recorded)?;
        assert_eq!(event["client_id"], options.client_id.as_str());
        assert!(event["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert!(event["reason"].is_string());
    }
    let everything = std::fs::read_to_string(gateway.log())?;
    assert!(!everything.contains("secret-guess"), "a password was logged");
    Ok(())
}

#[tokio::test]
async fn foreign_expired_and_missing_certificates_are_refused_with_the_reason_recorded() -> Result<()> {
    let gateway = Gateway::start()?;
    let folder = tempfile::tempdir()?;
    let foreign = Pki::create(folder.path(), "Somebody else's authority")?.client("press-01")?;
    let tls = gateway.tls(Some((&foreign.certificate, &foreign.key)))?;
    let options = Options::new(at(gateway.ports().mqtts), "press-01").tls(tls);
    assert!(Device::try_connect(&options).await.is_err());
    let events = gateway.json_until(&["events", "--code", "AUTHN"], has("AUTHN_CERTIFICATE_REFUSED"))?;
    let reason = event(&events, "AUTHN_CERTIFICATE_REFUSED")?["reason"].to_string();
    assert!(reason.contains("authority"), "{reason}");

    let options = Options::new(at(gateway.ports().mqtts), "press-01").tls(gateway.tls(None)?);
    assert!(Device::try_connect(&options).await.is_err());
    gateway.json_until(&["events", "--code", "AUTHN"], |events| {
        events.iter().any(|event| event["reason"].to_string().contains("no certificate"))
    })?;
    Device::connect(&gateway.by_certificate("press-01")?).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_id_of_another_thing_is_refused_and_no_other_principal_can_take_a_session_over() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut victim = Device::connect(&gateway.by_password("press-01")?).await?;
    let mut thief = gateway.by_password("press-02")?.v5();
    thief.client_id = "press-01".to_owned();
    let (_, answer) = Device::try_connect(&thief).await?;
    assert_eq!(answer.code, 0x85);
    let events = gateway.json_until(&["events", "--code", "AUTHN"], has("AUTHN_CLIENT_ID_FOREIGN"))?;
    assert_eq!(event(&events, "AUTHN_CLIENT_ID_FOREIGN")?["principal"], "user:press-02");
    assert!(victim.messages_so_far().await?.is_empty(), "the victim is still connected");

    let mut unrelated = gateway.by_password("press-02")?;
    unrelated.client_id = "somebody".to_owned();
    let (_, answer) = Device::try_connect(&unrelated).await?;
    assert_eq!(answer.code, 5);
    gateway.json_until(&["events", "--code", "AUTHZ"], has("AUTHZ_CONNECT_DENIED"))?;
    Ok(())
}

#[tokio::test]
async fn a_publish_and_a_subscribe_outside_the_policy_are_answered_as_each_version_demands() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut watcher = Device::connect(&gateway.by_password("press-02")?).await?;
    watcher.subscribed("plant/press-02/cmd/#", 1).await?;

    let mut five = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    assert_eq!(five.publish("plant/press-02/cmd/stop", b"x", 1).await?, 0x87);
    assert_eq!(five.publish("plant/press-02/cmd/stop", b"x", 2).await?, 0x87);
    assert_eq!(five.subscribe("secret/#", 0).await?, 0x87);
    five.disconnect().await?;

    let mut three = Device::connect(&gateway.by_password("press-01")?).await?;
    assert_eq!(three.publish("plant/press-02/cmd/stop", b"x", 1).await?, 0, "MQTT 3.1.1 cannot say no");
    assert_eq!(three.subscribe("secret/#", 0).await?, 0x80);

    let mut controller = Device::connect(&gateway.by_password("pump-01")?).await?;
    assert_eq!(controller.publish("plant/press-02/cmd/stop", b"permitted", 1).await?, 0);
    assert_eq!(&watcher.message().await?.payload[..], b"permitted", "nothing refused was delivered before");

    let events = gateway.json_until(&["events", "--thing", "press-01", "--code", "AUTHZ"], |events| {
        has("AUTHZ_PUBLISH_DENIED")(events) && has("AUTHZ_SUBSCRIBE_DENIED")(events)
    })?;
    let event = event(&events, "AUTHZ_PUBLISH_DENIED")?;
    assert_eq!(event["action"], "iot:Publish");
    assert_eq!(event["resource"], "plant/press-02/cmd/stop");
    assert_eq!(event["thing"], "press-01");
    assert!(event["rule"].is_string());
    Ok(())
}

#[tokio::test]
async fn malformed_packets_and_absurd_lengths_end_that_connection_only() -> Result<()> {
    let gateway = Gateway::start()?;
    let address = at(gateway.ports().mqtt);
    for bytes in [
        &b"\x10\xff\xff\xff\x7f"[..],
        &b"\x10\xff\xff\xff\xff\x01"[..],
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &b"\x00\x00"[..],
        &b"\x30\x05\x00\x03a/b"[..],
    ] {
        let mut hostile = Device::open(&Options::new(address, "")).await?;
        hostile.send(bytes).await?;
        hostile.closed().await?;
    }
    gateway.json_until(&["events", "--code", "PROTOCOL"], has("PROTOCOL_VIOLATION"))?;

    let mut five = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    five.send(b"\x82\x02\x00\x01").await?;
    assert!(matches!(five.closed().await?, Some(0x81 | 0x82)));
    let mut five = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    five.send(b"\x30\xff\xff\xff\x7f").await?;
    assert_eq!(five.closed().await?, Some(0x95));
    Device::connect(&gateway.by_password("press-02")?).await?;
    Ok(())
}

#[tokio::test]
async fn retained_messages_wills_and_persistent_sessions_work_as_a_stock_client_expects() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut publisher = Device::connect(&gateway.by_password("press-01")?).await?;
    assert_eq!(publisher.publish_with("plant/press-01/status", b"up", 1, true).await?, 0);

    let sleeper = gateway.by_password("pump-01")?.persistent();
    let mut subscriber = Device::connect(&sleeper).await?;
    subscriber.subscribed("plant/+/status", 1).await?;
    let retained = subscriber.message().await?;
    assert_eq!((&retained.payload[..], retained.retain), (&b"up"[..], true));
    drop(subscriber);
    publisher.publish("plant/press-01/status", b"while away", 1).await?;
    let (mut subscriber, answer) = Device::try_connect(&sleeper).await?;
    assert!(answer.present);
    assert_eq!(&subscriber.message().await?.payload[..], b"while away");

    drop(publisher);
    let will = cordon_tests::device::Will {
        topic: "plant/press-01/status".to_owned(),
        payload: b"gone".to_vec(),
        qos: 1,
        retain: false,
    };
    let doomed = Device::connect(&gateway.by_password("press-01")?.will(will)).await?;
    drop(doomed);
    assert_eq!(&subscriber.message().await?.payload[..], b"gone");
    Ok(())
}
