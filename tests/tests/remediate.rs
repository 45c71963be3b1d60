//! Remediate: a device reports what it is, is told what must change, and is cut off when it does not change it.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_tests::device::Device;
use cordon_tests::gateway::Gateway;
use serde_json::{Value, json};

/// A baseline that gives a device one second, and then quarantines it.
const STRICT: &str = r#"
applies_to = ["all"]
deadline = "1s"
[[rule]]
path = "telnet"
equals = false
[on_deadline]
level = "quarantine"
for = "10m"
"#;

/// A thing that can ask for its shadow and hears every answer.
struct Thing {
    name: &'static str,
    device: Device,
}

impl Thing {
    async fn connect(gateway: &Gateway, name: &'static str) -> Result<Self> {
        let mut device = Device::connect(&gateway.by_password(name)?.v5()).await?;
        device.subscribed(&format!("$aws/things/{name}/shadow/#"), 1).await?;
        Ok(Self { name, device })
    }

    /// Makes a request to the shadow: `update`, `get` or `delete`.
    async fn request(&mut self, operation: &str, body: &[u8]) -> Result<()> {
        let topic = format!("$aws/things/{}/shadow/{operation}", self.name);
        let code = self.device.publish(&topic, body, 1).await?;
        ensure!(code == 0, "{topic} was answered with {code:#04x}");
        Ok(())
    }

    async fn report(&mut self, reported: Value) -> Result<()> {
        self.request("update", json!({ "state": { "reported": reported } }).to_string().as_bytes()).await
    }

    /// The next answer on this topic below the shadow's; others before it are passed over.
    async fn hears(&mut self, suffix: &str) -> Result<Value> {
        let topic = format!("$aws/things/{}/shadow/{suffix}", self.name);
        loop {
            let message = self.device.message().await.with_context(|| topic.clone())?;
            if message.topic == topic {
                return Ok(serde_json::from_slice(&message.payload)?);
            }
        }
    }

    /// Publishes telemetry and returns the reason code.
    async fn speaks(&mut self) -> Result<u8> {
        self.device.publish(&format!("plant/{}/telemetry/force", self.name), b"1", 1).await
    }
}

fn strict_gateway() -> Result<Gateway> {
    let mut gateway = Gateway::prepared()?;
    gateway.write("baselines/hardened.toml", STRICT)?;
    gateway.run()?;
    Ok(gateway)
}

fn state_is(state: &'static str) -> impl Fn(&[Value]) -> bool {
    move |findings| findings.len() == 1 && findings[0]["state"] == state
}

/// The codes of these events that are of a family, in the order they happened.
fn codes<'a>(events: &'a [Value], family: &str) -> Vec<&'a str> {
    events.iter().filter_map(|event| event["code"].as_str()).filter(|code| code.starts_with(family)).collect()
}

#[tokio::test]
async fn a_deviation_opens_a_finding_the_device_is_told_what_must_change_and_its_correction_closes_it() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Thing::connect(&gateway, "press-01").await?;
    press.report(json!({ "telnet": true, "firmware": "1.3.1", "uptime": 7 })).await?;
    assert_eq!(press.hears("update/delta").await?["state"], json!({ "telnet": false }), "only what must change");

    let findings = gateway.json_until(&["findings"], state_is("open"))?;
    let finding = &findings[0];
    assert_eq!((&finding["thing"], &finding["baseline"]), (&"press-01".into(), &"hardened".into()));
    assert_eq!(finding["deviations"], json!([{ "path": "telnet", "found": "true", "wanted": "false" }]));
    assert!(finding["deadline_in_ms"].as_u64().unwrap() <= 60_000);
    assert_eq!(gateway.json(&["things", "press-01"])?[0]["compliance"], "deviating");

    press.report(json!({ "telnet": false })).await?;
    gateway.json_until(&["findings"], <[Value]>::is_empty)?;
    let closed = gateway.json(&["findings", "--all"])?;
    assert_eq!((&closed[0]["id"], &closed[0]["state"]), (&finding["id"], &"corrected".into()));
    assert!(closed[0]["closed"].is_string());
    assert_eq!(gateway.json(&["things", "press-01"])?[0]["compliance"], "compliant");
    let shadow = &gateway.json(&["shadow", "press-01"])?[0]["state"];
    assert_eq!(shadow, &json!({ "reported": { "telnet": false, "firmware": "1.3.1", "uptime": 7 } }));
    let events = gateway.json(&["events", "--thing", "press-01"])?;
    let wanted = ["COMPLIANCE_DEVIATION", "COMPLIANCE_DELTA_SENT", "COMPLIANCE_CORRECTED"];
    assert_eq!(codes(&events, "COMPLIANCE"), wanted);
    assert!(gateway.json(&["orders", "--all"])?.is_empty(), "nobody was cut off");
    Ok(())
}

#[tokio::test]
async fn a_device_that_goes_further_than_the_minimum_is_not_asked_to_go_back() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Thing::connect(&gateway, "press-01").await?;
    press.report(json!({ "telnet": true, "firmware": "1.2.0" })).await?;
    let wanted = json!({ "telnet": false, "firmware": "1.3.0" });
    assert_eq!(press.hears("update/delta").await?["state"], wanted);
    press.report(json!({ "telnet": false })).await?;
    assert_eq!(press.hears("update/delta").await?["state"], json!({ "firmware": "1.3.0" }), "what is left");

    press.report(json!({ "firmware": "1.4.0" })).await?;
    gateway.json_until(&["findings"], <[Value]>::is_empty)?;
    press.request("get", b"").await?;
    let mut asked = Vec::new();
    loop {
        let message = press.device.message().await?;
        if message.topic.ends_with("/get/accepted") {
            let document: Value = serde_json::from_slice(&message.payload)?;
            assert_eq!(document["state"], json!({ "reported": { "telnet": false, "firmware": "1.4.0" } }));
            break;
        }
        asked.extend(message.topic.ends_with("/update/delta").then_some(message.payload));
    }
    assert!(asked.is_empty(), "{asked:?}");
    Ok(())
}

#[tokio::test]
async fn a_device_that_misses_the_deadline_is_cut_off_can_still_correct_itself_and_is_let_back_in() -> Result<()> {
    let gateway = strict_gateway()?;
    let mut controller = Device::connect(&gateway.by_password("pump-01")?).await?;
    controller.subscribed("plant/+/telemetry/#", 1).await?;
    let mut press = Thing::connect(&gateway, "press-01").await?;
    press.report(json!({ "telnet": true })).await?;

    let orders = gateway.json_until(&["orders"], |orders| orders.len() == 1)?;
    let order = &orders[0];
    assert_eq!((&order["selector"], &order["level"]), (&"thing:press-01".into(), &"quarantine".into()));
    assert_eq!(order["automatic"], true);
    assert!(order["reason"].as_str().unwrap().contains("telnet is true, wanted false"), "{order:#?}");
    let findings =
        gateway.json_until(&["findings"], |findings| findings.iter().any(|finding| finding["order"] == order["id"]))?;
    assert_eq!(findings[0]["state"], "escalated");
    assert_eq!(gateway.json(&["things", "press-01"])?[0]["compliance"], "escalated");
    assert_eq!(press.speaks().await?, 0x87, "the plant's topics are cut");

    let mut press = Thing::connect(&gateway, "press-01").await?;
    assert_eq!(press.speaks().await?, 0x87, "to connect anew does not help");
    press.request("get", b"").await?;
    assert_eq!(press.hears("get/accepted").await?["state"]["delta"], json!({ "telnet": false }));
    press.report(json!({ "telnet": false })).await?;
    assert_eq!(press.hears("update/accepted").await?["state"], json!({ "reported": { "telnet": false } }));
    gateway.json_until(&["findings"], <[Value]>::is_empty)?;
    gateway.json_until(&["orders"], <[Value]>::is_empty)?;
    assert_eq!(press.speaks().await?, 0);
    assert_eq!(controller.message().await?.topic, "plant/press-01/telemetry/force");

    let events = gateway.json(&["events", "--thing", "press-01"])?;
    let wanted = ["COMPLIANCE_DEVIATION", "COMPLIANCE_DELTA_SENT", "COMPLIANCE_ESCALATED", "COMPLIANCE_CORRECTED"];
    assert_eq!(codes(&events, "COMPLIANCE"), wanted);
    let isolation = codes(&events, "ISOLATION");
    assert_eq!((isolation.first(), isolation.last()), (Some(&"ISOLATION_ORDERED"), Some(&"ISOLATION_RELEASED")));
    Ok(())
}

#[tokio::test]
async fn a_reported_firmware_version_is_what_version_selectors_go_by() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let mut press = Thing::connect(&gateway, "press-01").await?;
    let mut other = Thing::connect(&gateway, "press-02").await?;
    gateway.json(&["isolate", "--version", "<1.3.0", "--level", "quarantine", "--reason", "recall"])?;
    assert_eq!((press.speaks().await?, other.speaks().await?), (0x87, 0x87));

    press.report(json!({ "telnet": false, "firmware": "1.3.0" })).await?;
    let events = gateway.json_until(&["events", "--code", "FIRMWARE_CHANGED"], |events| events.len() == 1)?;
    assert_eq!((&events[0]["thing"], &events[0]["resource"]), (&"press-01".into(), &"1.3.0".into()));
    assert_eq!((press.speaks().await?, other.speaks().await?), (0, 0x87), "at once, and only for the one");
    let reach = gateway.json(&["isolate", "--version", "<1.3.0", "--level", "audit", "--dry-run"])?;
    assert_eq!(reach[0]["things"], json!(["press-02"]));

    gateway.kill()?;
    gateway.run()?;
    assert_eq!(gateway.json(&["things", "press-01"])?[0]["firmware"], "1.3.0");
    let mut press = Thing::connect(&gateway, "press-01").await?;
    assert_eq!(press.speaks().await?, 0);
    Ok(())
}

#[tokio::test]
async fn shadow_requests_are_answered_as_aws_iot_answers_them() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut pump = Thing::connect(&gateway, "pump-01").await?;
    pump.request("get", br#"{"clientToken":"t0"}"#).await?;
    let rejected = pump.hears("get/rejected").await?;
    assert_eq!((&rejected["code"], &rejected["clientToken"]), (&404.into(), &"t0".into()));

    pump.request("update", br#"{"state":{"reported":{"telnet":false,"a":1}},"clientToken":"t1"}"#).await?;
    let accepted = pump.hears("update/accepted").await?;
    assert_eq!((&accepted["version"], &accepted["clientToken"]), (&1.into(), &"t1".into()));
    pump.request("get", b"").await?;
    let document = pump.hears("get/accepted").await?;
    assert_eq!(
        (&document["state"], &document["version"]),
        (&json!({ "reported": { "telnet": false, "a": 1 } }), &1.into())
    );
    assert!(document["metadata"]["reported"]["a"]["timestamp"].is_u64(), "{document:#}");

    for (body, code) in [
        (&br#"{"state":{"reported":"#[..], 400),
        (br#"{"state":7}"#, 400),
        (br#"{"state":{"reported":{"a":2}},"version":9}"#, 409),
    ] {
        pump.request("update", body).await?;
        assert_eq!(pump.hears("update/rejected").await?["code"], code, "{}", String::from_utf8_lossy(body));
    }
    let rejected = gateway.json_until(&["events", "--code", "SHADOW_REJECTED"], |events| events.len() == 4)?;
    assert!(rejected.iter().all(|event| event["thing"] == "pump-01" && event["reason"].is_string()), "{rejected:#?}");

    pump.request("update", br#"{"state":{"reported":{"a":null}},"version":1}"#).await?;
    pump.request("get", b"").await?;
    let document = pump.hears("get/accepted").await?;
    assert_eq!((&document["state"], &document["version"]), (&json!({ "reported": { "telnet": false } }), &2.into()));

    let code = pump.device.publish("$aws/things/press-01/shadow/update", b"{}", 1).await?;
    assert_eq!(code, 0x87, "another thing's shadow is out of reach");
    let code = pump.device.publish("$aws/things/pump-01/shadow/update/accepted", b"{}", 1).await?;
    assert_eq!(code, 0x87, "only the gateway answers");
    Ok(())
}

#[tokio::test]
async fn shadows_findings_and_the_order_they_led_to_survive_a_kill() -> Result<()> {
    let mut gateway = strict_gateway()?;
    let mut press = Thing::connect(&gateway, "press-01").await?;
    press.report(json!({ "telnet": true })).await?;
    let findings =
        gateway.json_until(&["findings"], |findings| findings.iter().any(|finding| finding["order"].is_string()))?;
    let shadow = gateway.json(&["shadow", "press-01"])?;
    gateway.kill()?;
    gateway.run()?;

    let after = gateway.json(&["findings"])?;
    for field in ["id", "thing", "baseline", "state", "deviations", "opened", "order"] {
        assert_eq!(after[0][field], findings[0][field], "{field}");
    }
    let restored = gateway.json(&["shadow", "press-01"])?;
    assert_eq!(restored[0]["state"], shadow[0]["state"]);
    assert!(restored[0]["version"].as_u64() >= shadow[0]["version"].as_u64());

    let mut press = Thing::connect(&gateway, "press-01").await?;
    assert_eq!(press.speaks().await?, 0x87);
    press.report(json!({ "telnet": false })).await?;
    gateway.json_until(&["findings"], <[Value]>::is_empty)?;
    gateway.json_until(&["orders"], <[Value]>::is_empty)?;
    assert_eq!(press.speaks().await?, 0);
    Ok(())
}

#[tokio::test]
async fn automatic_orders_never_cut_more_than_a_tenth_of_the_fleet_but_always_one_thing() -> Result<()> {
    for (spare, allowed) in [(0, 1), (17, 2)] {
        let mut gateway = Gateway::prepared()?;
        gateway.write("baselines/hardened.toml", STRICT)?;
        for number in 0..spare {
            gateway
                .append("fleet.toml", &format!("\n[[thing]]\nname = \"spare-{number}\"\npolicies = [\"device\"]\n"))?;
        }
        gateway.run()?;
        let names = ["press-01", "press-02", "pump-01"];
        let mut things = Vec::new();
        for name in names {
            things.push(Thing::connect(&gateway, name).await?);
        }
        for thing in &mut things {
            thing.report(json!({ "telnet": true })).await?;
        }
        let refusals = names.len() - allowed;
        let refused =
            gateway.json_until(&["events", "--code", "ISOLATION_REFUSED"], |events| events.len() == refusals)?;
        assert!(refused[0]["reason"].as_str().unwrap().contains("limit"), "{refused:#?}");
        let orders = gateway.json(&["orders"])?;
        assert_eq!(orders.len(), allowed, "{orders:#?}");
        for thing in &mut things {
            let cut = orders.iter().any(|order| order["selector"] == format!("thing:{}", thing.name));
            assert_eq!(thing.speaks().await? == 0x87, cut, "{}", thing.name);
        }
        let findings = gateway.json(&["findings"])?;
        assert!(findings.len() == 3 && findings.iter().all(|finding| finding["state"] == "escalated"), "{findings:#?}");
        let spared = refused[0]["resource"].as_str().unwrap().trim_start_matches("thing:").to_owned();
        gateway.json(&["isolate", "--thing", &spared, "--level", "quarantine", "--reason", "an operator may"])?;
    }
    Ok(())
}
