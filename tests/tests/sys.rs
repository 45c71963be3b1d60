//! What the gateway tells about itself and its clients: `$SYS` for operators, and the lifecycle events of AWS IoT.

use anyhow::{Context, Result, ensure};
use cordon_tests::device::{Device, Message, Options};
use cordon_tests::gateway::Gateway;
use serde_json::Value;

const OPEN: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"All","Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

const FLEET: &str = r#"
[[group]]
name = "operators"
[[thing]]
name = "press-01"
policies = ["open"]
username = "press-01"
[[thing]]
name = "press-02"
policies = ["open"]
username = "press-02"
[[thing]]
name = "pump-01"
groups = ["operators"]
policies = ["open"]
username = "pump-01"
"#;

const READERS: &str = "readers = [\"group:operators\"]";

/// A gateway on which policies allow everything to everybody, and only pump-01 is a reader of `$SYS`.
fn open() -> Result<Gateway> {
    let mut gateway = Gateway::prepared()?;
    gateway.write("policies/open.json", OPEN)?;
    gateway.write("fleet.toml", FLEET)?;
    gateway.append("cordon.toml", &format!("\n[sys]\ninterval = \"1s\"\n{READERS}\n"))?;
    gateway.run()?;
    Ok(gateway)
}

/// Reads messages until one on `topic` says `text`.
async fn until(device: &mut Device, topic: &str, text: &str) -> Result<Message> {
    loop {
        let message = device.message().await.with_context(|| format!("{topic} never said {text}"))?;
        if message.topic == topic && &message.payload[..] == text.as_bytes() {
            return Ok(message);
        }
    }
}

async fn event(watcher: &mut Device) -> Result<(String, Value)> {
    let message = watcher.message().await?;
    ensure!(message.qos == 1 && !message.retain, "{message:?}");
    Ok((message.topic, serde_json::from_slice(&message.payload)?))
}

#[tokio::test]
async fn an_operator_reads_the_numbers_and_an_ordinary_thing_is_refused_whatever_its_policy_says() -> Result<()> {
    let gateway = open()?;
    let mut operator = Device::connect(&gateway.by_password("pump-01")?).await?;
    operator.subscribed("$SYS/broker/clients/#", 0).await?;
    until(&mut operator, "$SYS/broker/clients/connected", "1").await?;
    let mut ordinary = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    until(&mut operator, "$SYS/broker/clients/connected", "2").await?;
    until(&mut operator, "$SYS/broker/clients/maximum", "2").await?;
    let mut late =
        Device::connect(&Options { client_id: "pump-01-b".into(), ..gateway.by_password("pump-01")? }).await?;
    late.subscribed("$SYS/broker/version", 1).await?;
    let version = late.message().await?;
    ensure!(version.retain && version.payload.starts_with(b"cordon version "), "{version:?}");

    assert_eq!(ordinary.subscribe("$SYS/#", 0).await?, 0x87);
    assert_eq!(ordinary.subscribe("$share/g/$SYS/broker/+", 0).await?, 0x87);
    ordinary.subscribed("#", 0).await?;
    assert_eq!(ordinary.publish("$SYS/broker/uptime", b"forged", 1).await?, 0x87);
    let denied = |events: &[Value]| events.iter().any(|event| event["resource"] == "$SYS/#");
    let events = gateway.json_until(&["events", "--code", "AUTHZ_SUBSCRIBE_DENIED"], denied)?;
    let event = events.iter().find(|event| event["resource"] == "$SYS/#").context("asked for")?;
    assert_eq!((&event["thing"], &event["reason"]), (&"press-01".into(), &"the topic is reserved".into()));
    ensure!(event["rule"].as_str().is_some_and(|rule| rule.starts_with("sys.readers: ")), "{event:#}");
    let told = gateway.cordon(&["explain", "--thing", "press-01", "--subscribe", "$SYS/#"])?;
    let told = String::from_utf8(told.stdout)?;
    ensure!(told.contains("denied") && told.contains("sys.readers"), "{told}");
    // A whole interval passes for the operator meanwhile.
    until(&mut operator, "$SYS/broker/clients/connected", "3").await?;
    assert_eq!(ordinary.messages_so_far().await?, [], "a filter that begins with a wildcard selects nothing of $SYS");
    Ok(())
}

#[tokio::test]
async fn readers_change_with_a_reload_and_are_cut_off_at_once() -> Result<()> {
    let gateway = open()?;
    let mut operator = Device::connect(&gateway.by_password("pump-01")?).await?;
    operator.subscribed("$SYS/broker/uptime", 0).await?;
    operator.message().await?;
    gateway.edit("cordon.toml", READERS, "readers = [\"thing:press-02\"]")?;
    gateway.json(&["reload"])?;
    operator.messages_so_far().await?;
    let mut other = Device::connect(&gateway.by_password("press-02")?).await?;
    other.subscribed("$SYS/broker/uptime", 0).await?;
    // Two rounds that the new reader sees and the old one does not.
    let (first, second) = (other.message().await?, other.message().await?);
    ensure!(first.payload != second.payload, "{first:?}");
    assert_eq!(operator.messages_so_far().await?, []);
    assert_eq!(operator.subscribe("$SYS/broker/uptime", 0).await?, 0x80);

    let off = "interval = \"0s\"\nreaders = [\"all\"]";
    gateway.edit("cordon.toml", "interval = \"1s\"\nreaders = [\"thing:press-02\"]", off)?;
    gateway.json(&["reload"])?;
    until(&mut other, "$SYS/broker/uptime", "").await?;
    let mut late = Device::connect(&gateway.by_password("press-01")?).await?;
    late.subscribed("$SYS/broker/clients/#", 0).await?;
    assert_eq!(late.messages_so_far().await?, [], "nothing is retained any more");
    Ok(())
}

#[tokio::test]
async fn presence_is_told_as_aws_tells_it_on_connect_takeover_and_silence() -> Result<()> {
    let gateway = open()?;
    let mut watcher = Device::connect(&gateway.by_password("pump-01")?).await?;
    watcher.subscribed("$aws/events/presence/+/press-01", 1).await?;
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();

    let _first = Device::connect(&gateway.by_certificate("press-01")?).await?;
    let (topic, begun) = event(&mut watcher).await?;
    assert_eq!(topic, "$aws/events/presence/connected/press-01");
    assert_eq!((&begun["clientId"], &begun["thingName"]), (&"press-01".into(), &"press-01".into()));
    assert_eq!((&begun["eventType"], &begun["versionNumber"]), (&"connected".into(), &0.into()));
    assert_eq!(begun["ipAddress"], "127.0.0.1");
    let principal = begun["principalIdentifier"].as_str().context("principalIdentifier")?;
    ensure!(principal.len() == 64 && principal.bytes().all(|byte| byte.is_ascii_hexdigit()), "{principal}");
    ensure!(begun["timestamp"].as_u64().is_some_and(|at| u128::from(at) >= before - 1000), "{begun:#}");

    let silent = Options { keep_alive: 1, ..gateway.by_password("press-01")? };
    let _second = Device::connect(&silent).await?;
    let (topic, ended) = event(&mut watcher).await?;
    assert_eq!(topic, "$aws/events/presence/disconnected/press-01");
    assert_eq!((&ended["disconnectReason"], &ended["versionNumber"]), (&"DUPLICATE_CLIENTID".into(), &0.into()));
    assert_eq!(ended["clientInitiatedDisconnect"], false);
    assert_eq!(ended["sessionIdentifier"], begun["sessionIdentifier"]);
    let (_, again) = event(&mut watcher).await?;
    assert_eq!((&again["eventType"], &again["versionNumber"]), (&"connected".into(), &1.into()));
    assert_eq!(again["principalIdentifier"], "press-01");
    assert_ne!(again["sessionIdentifier"], begun["sessionIdentifier"]);

    let (_, ended) = event(&mut watcher).await?;
    assert_eq!(ended["disconnectReason"], "MQTT_KEEP_ALIVE_TIMEOUT");
    assert_eq!(ended["sessionIdentifier"], again["sessionIdentifier"]);
    Ok(())
}
