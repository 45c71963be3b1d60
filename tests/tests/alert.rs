//! Alert: what is outside normal becomes an alarm that says what was seen, and that clears by itself.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result};
use cordon_tests::device::{Device, Options};
use cordon_tests::gateway::{Gateway, at};
use serde_json::Value;
use std::net::Ipv4Addr;

const FAILURES: &str = "aws:num-authorization-failures";
const MESSAGES: &str = "aws:num-messages-sent";
const LOGINS: &str = "cordon:num-login-failures";

/// A gateway whose security profile is the delivered one with windows of so many seconds.
fn gateway_with_windows(seconds: u64) -> Result<Gateway> {
    let mut gateway = Gateway::prepared()?;
    let file = "profiles/plant.json";
    let mut profile: Value = serde_json::from_str(&std::fs::read_to_string(gateway.dir().join(file))?)?;
    for behavior in profile["behaviors"].as_array_mut().context("behaviors")? {
        behavior["criteria"]["durationSeconds"] = seconds.into();
    }
    gateway.write(file, &profile.to_string())?;
    gateway.run()?;
    Ok(gateway)
}

/// A gateway that refuses logins after three failures, for times like `refusal = "1s"`.
fn gateway_with_refusals(times: &str) -> Result<Gateway> {
    let mut gateway = Gateway::prepared()?;
    gateway.edit("cordon.toml", "failures = 5 ", "failures = 3 ")?;
    gateway.edit("cordon.toml", "refusal = \"10s\"", times)?;
    gateway.run()?;
    Ok(gateway)
}

async fn forbidden_publishes(device: &mut Device, count: usize) -> Result<()> {
    for _ in 0..count {
        assert_eq!(device.publish("plant/press-02/cmd/stop", b"forged", 1).await?, 0x87);
    }
    Ok(())
}

fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// Tries a wrong password from an address and returns the reason code.
async fn guess(gateway: &Gateway, name: &str, from: u8) -> Result<u8> {
    let options = Options::new(at(gateway.ports().mqtt), name).login(name, "guessed").source(host(from)).v5();
    Ok(Device::try_connect(&options).await?.1.code)
}

/// Logs in with the right password from an address and returns the reason code (MQTT 5) and return code (MQTT 3.1.1).
async fn log_in(gateway: &Gateway, thing: &str, from: u8) -> Result<(u8, u8)> {
    let options = gateway.by_password(thing)?.source(host(from));
    let three = Device::try_connect(&options).await?.1.code;
    Ok((Device::try_connect(&options.v5()).await?.1.code, three))
}

fn of_metric<'a>(alarms: &'a [Value], metric: &str) -> Result<&'a Value> {
    alarms.iter().find(|alarm| alarm["metric"] == metric).with_context(|| format!("no {metric} in {alarms:#?}"))
}

fn has(metric: &'static str) -> impl Fn(&[Value]) -> bool {
    move |alarms| alarms.iter().any(|alarm| alarm["metric"] == metric)
}

#[tokio::test]
async fn the_delivered_profile_raises_an_alarm_for_refused_acts() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    forbidden_publishes(&mut press, 4).await?;
    press.disconnect().await?;
    let mut pump = Device::connect(&gateway.by_password("pump-01")?.v5()).await?;
    for _ in 0..5 {
        assert_eq!(pump.subscribe("secret/#", 0).await?, 0x87);
    }
    let alarms = gateway.json_until(&["alarms", "--active"], has(FAILURES))?;
    assert_eq!(alarms.len(), 1, "four refusals are still normal: {alarms:#?}");
    assert_eq!(alarms[0]["thing"], "pump-01");
    assert_eq!(alarms[0]["normal"], "fewer than 5 in 10s");
    assert!(alarms[0]["seen"].as_u64().unwrap() >= 5);
    Ok(())
}

#[tokio::test]
async fn each_behavior_raises_one_alarm_for_the_thing_that_shows_it_and_clears_by_itself() -> Result<()> {
    let gateway = gateway_with_windows(2)?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    let mut pump = Device::connect(&gateway.by_password("pump-01")?).await?;
    let mut quiet = Device::connect(&gateway.by_password("press-02")?).await?;
    forbidden_publishes(&mut press, 8).await?;
    for _ in 0..500 {
        pump.publish("plant/pump-01/telemetry/pressure", b"1", 0).await?;
    }
    quiet.publish("plant/press-02/telemetry/force", b"1", 1).await?;

    let both = |alarms: &[Value]| has(FAILURES)(alarms) && has(MESSAGES)(alarms);
    let raised = gateway.json_until(&["alarms"], both)?;
    for (metric, thing, normal, least) in
        [(FAILURES, "press-01", "fewer than 5 in 2s", 5), (MESSAGES, "pump-01", "at most 200 in 2s", 201)]
    {
        let alarm = of_metric(&raised, metric)?;
        assert_eq!((&alarm["thing"], &alarm["normal"]), (&thing.into(), &normal.into()));
        assert!(alarm["seen"].as_u64().unwrap() >= least, "{alarm:#?}");
        assert!(alarm["source"].as_str().unwrap().contains("plant/"), "{alarm:#?}");
        assert!(alarm["raised"].is_string());
    }

    gateway.json_until(&["alarms", "--active"], <[Value]>::is_empty)?;
    let past = gateway.json(&["alarms"])?;
    assert_eq!(past.len(), 2, "one alarm for each behavior: {past:#?}");
    assert!(past.iter().all(|alarm| alarm["cleared"].is_string() && alarm["active"] == false), "{past:#?}");
    let events = gateway.json(&["events", "--code", "ALARM"])?;
    for code in ["ALARM_RAISED", "ALARM_CLEARED"] {
        assert_eq!(events.iter().filter(|event| event["code"] == code).count(), 2, "{code} in {events:#?}");
    }
    assert_eq!(pump.publish("plant/pump-01/telemetry/pressure", b"1", 1).await?, 0, "an alarm cuts nobody off");
    Ok(())
}

#[tokio::test]
async fn guessing_from_one_address_refuses_it_and_not_the_devices_that_are_at_home_there_or_elsewhere() -> Result<()> {
    let gateway = gateway_with_refusals("refusal = \"10m\"")?;
    assert_eq!(log_in(&gateway, "press-02", 2).await?, (0, 0));
    for name in ["admin", "root", "press-01"] {
        assert_eq!(guess(&gateway, name, 2).await?, 0x86, "{name}");
    }
    assert_eq!(log_in(&gateway, "press-01", 2).await?, (0x8A, 5), "from the guesser's address");
    assert_eq!(log_in(&gateway, "press-02", 2).await?, (0, 0), "at home at the guesser's address");
    assert_eq!(log_in(&gateway, "press-01", 1).await?, (0, 0), "from another address");
    assert_eq!(log_in(&gateway, "pump-01", 3).await?, (0, 0), "from another address");

    let alarms = gateway.json_until(&["alarms", "--active"], has(LOGINS))?;
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert_eq!((&alarms[0]["address"], &alarms[0]["seen"]), (&"127.0.0.2".into(), &3.into()));
    assert_eq!(alarms[0]["normal"], "fewer than 3 in 1m");
    let refused = gateway.json(&["events", "--code", "AUTHN_REFUSED_TEMPORARILY"])?;
    let last = refused.last().context("the refused logins are recorded")?;
    assert!(last["peer"].as_str().unwrap().starts_with("127.0.0.2:"), "{last:#?}");
    assert_eq!((&last["principal"], &last["rule"]), (&"user:press-01".into(), &"address 127.0.0.2".into()));
    Ok(())
}

#[tokio::test]
async fn guessing_at_one_name_from_many_addresses_refuses_it_everywhere_but_at_its_home() -> Result<()> {
    let gateway = gateway_with_refusals("refusal = \"10m\"")?;
    assert_eq!(log_in(&gateway, "press-01", 1).await?, (0, 0));
    for from in 2..5 {
        assert_eq!(guess(&gateway, "press-01", from).await?, 0x86, "{from}");
    }
    assert_eq!(log_in(&gateway, "press-01", 9).await?, (0x8A, 5), "from a new address");
    assert_eq!(log_in(&gateway, "press-01", 1).await?, (0, 0), "at home");
    assert_eq!(log_in(&gateway, "press-02", 2).await?, (0, 0), "another name from a guesser's address");
    let alarms = gateway.json_until(&["alarms", "--active"], has(LOGINS))?;
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert_eq!((&alarms[0]["thing"], &alarms[0]["seen"]), (&"press-01".into(), &3.into()));
    Ok(())
}

#[tokio::test]
async fn a_refusal_ends_by_itself_and_is_longer_each_time_up_to_the_longest() -> Result<()> {
    let gateway = gateway_with_refusals("refusal = \"1s\"\nmax_refusal = \"2s\"")?;
    let mut names = 0..;
    for (raised, seconds) in [(1, "1"), (2, "2"), (3, "2")] {
        for name in names.by_ref().take(3) {
            assert_eq!(guess(&gateway, &format!("name-{name}"), 2).await?, 0x86);
        }
        let events = gateway.json_until(&["events", "--code", "ALARM_RAISED"], |events| events.len() == raised)?;
        assert_eq!(events[raised - 1]["details"]["refused for seconds"], seconds);
        gateway.json_until(&["alarms", "--active"], <[Value]>::is_empty)?;
    }
    assert_eq!(log_in(&gateway, "press-01", 2).await?, (0, 0));
    assert_eq!(gateway.json(&["alarms"])?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn alarms_survive_a_kill_and_still_clear_by_themselves() -> Result<()> {
    let mut gateway = gateway_with_windows(5)?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    forbidden_publishes(&mut press, 5).await?;
    for name in ["a", "b", "c", "d", "e"] {
        guess(&gateway, name, 2).await?;
    }
    let before = gateway.json_until(&["alarms", "--active"], |alarms| has(FAILURES)(alarms) && has(LOGINS)(alarms))?;
    gateway.kill()?;
    gateway.run()?;

    let after = gateway.json(&["alarms"])?;
    for metric in [FAILURES, LOGINS] {
        let (old, new) = (of_metric(&before, metric)?, of_metric(&after, metric)?);
        for field in ["id", "seen", "normal", "raised", "thing", "address"] {
            assert_eq!(old[field], new[field], "{metric} {field}");
        }
    }
    assert_eq!(of_metric(&after, FAILURES)?["active"], true);
    assert_eq!(log_in(&gateway, "press-02", 2).await?, (0, 0), "a refusal does not outlive its process");
    gateway.json_until(&["alarms", "--active"], <[Value]>::is_empty)?;
    Ok(())
}
