//! Record: events are kept in order, found again by what they are about, and survive kills and damaged files.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_tests::device::{DEADLINE, Device, Options};
use cordon_tests::gateway::{Gateway, at, binary};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const EVERYTHING: [&str; 3] = ["events", "--limit", "10000"];

/// Refused publishes of one connection that are recorded one by one; repeats and further ones are counted.
const ONE_BY_ONE: usize = 30;

/// Publishes to topics that are nobody's, numbered from 0.
async fn refused(device: &mut Device, kind: &str, count: usize) -> Result<()> {
    for number in 0..count {
        assert_eq!(device.publish(&format!("forbidden/{kind}/{number}"), b"x", 1).await?, 0x87);
    }
    Ok(())
}

/// Connects and is refused again and again, until the gateway is gone or it was enough.
async fn storm(options: Options) {
    for connection in 0..60 {
        let Ok(mut device) = Device::connect(&options).await else { return };
        if refused(&mut device, &connection.to_string(), ONE_BY_ONE).await.is_err() {
            return;
        }
    }
}

fn number(event: &Value) -> u64 {
    event["seq"].as_u64().unwrap()
}

fn by_number(events: Vec<Value>) -> BTreeMap<u64, Value> {
    events.into_iter().map(|event| (number(&event), event)).collect()
}

fn has(code: &'static str) -> impl Fn(&[Value]) -> bool {
    move |events| events.iter().any(|event| event["code"] == code)
}

fn verdict_on_journal(gateway: &Gateway) -> Result<(Option<i32>, Value)> {
    let output = gateway.cordon(&["--output", "json", "journal", "verify"])?;
    Ok((output.status.code(), serde_json::from_slice(&output.stdout)?))
}

/// The data file of the newest database in a folder of the gateway's data.
fn newest_database(gateway: &Gateway, store: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(gateway.dir().join("data").join(store))?;
    let databases = entries.flatten().map(|entry| entry.path().join("db")).filter(|file| file.is_file());
    databases.max().with_context(|| format!("no database in {store}"))
}

fn flip_every_byte(file: &Path) -> Result<()> {
    let flipped: Vec<u8> = fs::read(file)?.into_iter().map(|byte| !byte).collect();
    Ok(fs::write(file, flipped)?)
}

#[tokio::test]
async fn events_stand_in_the_order_in_which_things_happened() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    refused(&mut press, "first", ONE_BY_ONE).await?;
    press.subscribe("secret/#", 0).await?;
    press.disconnect().await?;
    let arguments = ["events", "--thing", "press-01"];
    let events = gateway.json_until(&arguments, has("SESSION_DISCONNECTED"))?;

    let mut told = events.iter().filter(|event| event["code"] != "ALARM_RAISED");
    let mut next = || told.next().context("an event is missing");
    assert_eq!(next()?["code"], "SESSION_CONNECTED");
    for number in 0..ONE_BY_ONE {
        assert_eq!(next()?["resource"], format!("forbidden/first/{number}"));
    }
    assert_eq!(next()?["code"], "AUTHZ_SUBSCRIBE_DENIED");
    assert_eq!(next()?["code"], "SESSION_DISCONNECTED");
    let numbers: Vec<u64> = gateway.json(&EVERYTHING)?.iter().map(number).collect();
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_that_was_shown_is_there_after_a_kill_under_its_number_and_the_journal_is_intact() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let mut shown = BTreeMap::new();
    for _ in 0..3 {
        let storm = tokio::spawn(storm(gateway.by_password("press-01")?.v5()));
        let before = shown.len();
        while shown.len() < before + 100 {
            shown.extend(by_number(gateway.json(&EVERYTHING)?));
        }
        gateway.kill()?;
        storm.await?;
        gateway.run()?;

        let kept = by_number(gateway.json(&EVERYTHING)?);
        for (number, event) in &shown {
            assert_eq!(kept.get(number), Some(event), "event {number}");
        }
        let last = *kept.keys().next_back().unwrap();
        assert_eq!((kept.len() as u64, kept.keys().next()), (last, Some(&1)), "no number is left out");
        let (code, verified) = verdict_on_journal(&gateway)?;
        assert_eq!((code, &verified["intact"]), (Some(0), &true.into()), "{verified:#}");
        assert!(verified["events"].as_u64() >= Some(last), "{verified:#}");
    }
    Ok(())
}

#[tokio::test]
async fn each_filter_finds_what_it_says_and_nothing_else() -> Result<()> {
    let gateway = Gateway::start()?;
    for thing in ["press-01", "press-02"] {
        let mut device = Device::connect(&gateway.by_password(thing)?.v5()).await?;
        refused(&mut device, thing, 3).await?;
        device.subscribe("secret/#", 0).await?;
        device.disconnect().await?;
    }
    let guess = Options::new(at(gateway.ports().mqtt), "pump-01").login("pump-01", "guessed");
    Device::try_connect(&guess).await?;
    gateway.json(&["isolate", "--thing", "pump-01", "--level", "audit", "--for", "10m", "--reason", "a look"])?;
    let both_left = |events: &[Value]| {
        events.iter().filter(|event| event["code"] == "SESSION_DISCONNECTED").count() == 2
            && has("AUTHN_BAD_PASSWORD")(events)
            && has("OPERATOR_ACTED")(events)
    };
    let all = gateway.json_until(&EVERYTHING, both_left)?;
    let middle = all[all.len() / 2]["time"].as_str().unwrap();

    type Wanted<'a> = &'a dyn Fn(&Value) -> bool;
    let code = |event: &Value, start: &str| event["code"].as_str().unwrap().starts_with(start);
    let at_least = |event: &Value, severities: &[&str]| severities.contains(&event["severity"].as_str().unwrap());
    let time = |event: &Value| event["time"].as_str().unwrap().to_owned();
    let cases: &[(&[&str], Wanted<'_>)] = &[
        (&["--since", "10m"], &|_| true),
        (&["--since", middle], &|event| time(event).as_str() >= middle),
        (&["--until", middle], &|event| time(event).as_str() < middle),
        (&["--thing", "press-01"], &|event| event["thing"] == "press-01"),
        (&["--client-id", "press-02"], &|event| event["client_id"] == "press-02"),
        (&["--code", "AUTH"], &|event| code(event, "AUTH")),
        (&["--code", "authz_subscribe"], &|event| code(event, "AUTHZ_SUBSCRIBE")),
        (&["--code", "SESSION", "--code", "AUTHN"], &|event| code(event, "SESSION") || code(event, "AUTHN")),
        (&["--severity", "warning"], &|event| at_least(event, &["warning", "error", "critical"])),
        (&["--severity", "notice"], &|event| !at_least(event, &["info"])),
        (&["--since", "10m", "--thing", "press-01", "--code", "AUTH", "--severity", "warning"], &|event| {
            event["thing"] == "press-01" && code(event, "AUTH")
        }),
    ];
    for (arguments, wanted) in cases {
        let found = gateway.json(&[&EVERYTHING[..], arguments].concat())?;
        let wanted: Vec<_> = all.iter().filter(|event| wanted(event)).cloned().collect();
        assert!(!wanted.is_empty(), "{arguments:?} is to find something");
        assert_eq!(found, wanted, "{arguments:?}");
    }
    for nothing in [&["--since", "2100-01-01T00:00:00Z"][..], &["--until", "2001-01-01T00:00:00Z"], &["--thing", "x"]] {
        assert_eq!(gateway.json(&[&["events"], nothing].concat())?, [] as [Value; 0], "{nothing:?}");
    }
    let newest = gateway.json(&["events", "--thing", "press-01", "--limit", "2"])?;
    let of_press: Vec<_> = all.into_iter().filter(|event| event["thing"] == "press-01").collect();
    assert_eq!(newest, of_press[of_press.len() - 2..], "the newest, oldest first");
    Ok(())
}

#[tokio::test]
async fn people_read_lines_and_machines_read_one_object_per_line_with_what_is_needed_to_judge() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    refused(&mut press, "topic", 1).await?;
    let events = gateway.json_until(&["events", "--code", "AUTHZ"], has("AUTHZ_PUBLISH_DENIED"))?;
    let event = &events[0];
    for (field, value) in [
        ("thing", "press-01"),
        ("client_id", "press-01"),
        ("principal", "user:press-01"),
        ("listener", "plain"),
        ("action", "iot:Publish"),
        ("resource", "forbidden/topic/0"),
        ("severity", "warning"),
    ] {
        assert_eq!(event[field], value, "{field} in {event:#}");
    }
    for field in ["reason", "rule", "peer", "time", "boot_id"] {
        assert!(event[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {event:#}");
    }
    let output = gateway.cordon(&["events", "--code", "AUTHZ"])?;
    let text = String::from_utf8(output.stdout)?;
    for part in ["AUTHZ_PUBLISH_DENIED", "press-01", "warning", "iot:Publish forbidden/topic/0", "rule: "] {
        assert!(text.contains(part) && !text.contains('{'), "{part} in {text}");
    }
    let output = gateway.cordon(&["events", "--code", "AUTHZ_PUBLSH_DENIED"])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("did you mean AUTHZ_PUBLISH_DENIED"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_shows_what_happens_from_then_on_and_ends_with_the_interrupt() -> Result<()> {
    let gateway = Gateway::start()?;
    let options = gateway.by_password("press-01")?.v5();
    let mut press = Device::connect(&options).await?;
    refused(&mut press, "old", 3).await?;
    gateway.json_until(&["events", "--code", "AUTHZ"], |events| events.len() == 3)?;
    drop(press);

    let follower = gateway.watch(&["events", "--follow", "--code", "AUTHZ_PUBLISH_DENIED"])?;
    let storm = tokio::spawn(storm(options));
    let mut last = 0;
    for _ in 0..20 {
        let event: Value = serde_json::from_str(&follower.line()?)?;
        assert_eq!((&event["code"], &event["thing"]), (&"AUTHZ_PUBLISH_DENIED".into(), &"press-01".into()));
        ensure!(!event["resource"].as_str().unwrap().contains("old"), "it began before: {event:#}");
        ensure!(number(&event) > last, "{} after {last}", number(&event));
        last = number(&event);
    }
    storm.abort();
    follower.signal("INT")?;
    assert_eq!(follower.end()?.0.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn follow_goes_on_through_a_kill_of_the_gateway_without_a_gap_and_without_doubles() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let follower = gateway.watch(&["events", "--follow", "--since", "10m"])?;
    let mut seen = vec![serde_json::from_str::<Value>(&follower.line()?)?];
    assert_eq!(seen[0]["code"], "GATEWAY_STARTED");
    for round in ["before", "after"] {
        let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
        refused(&mut press, round, 10).await?;
        let last = format!("forbidden/{round}/9");
        while seen.last().unwrap()["resource"] != last {
            seen.push(serde_json::from_str(&follower.line()?)?);
        }
        if round == "before" {
            gateway.kill()?;
            gateway.run()?;
        }
    }
    follower.signal("INT")?;
    assert_eq!(follower.end()?.0.code(), Some(0));
    let mut recorded = gateway.json(&EVERYTHING)?;
    recorded.truncate(seen.len());
    assert_eq!(seen, recorded);
    Ok(())
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside_and_said_so_while_devices_and_orders_are_as_before() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    refused(&mut press, "before", ONE_BY_ONE).await?;
    let arguments = ["isolate", "--thing", "press-02", "--level", "disconnect", "--for", "1h", "--reason", "stolen"];
    gateway.json(&arguments)?;
    gateway.stop()?;
    flip_every_byte(&newest_database(&gateway, "journal")?)?;
    gateway.run()?;

    let events = gateway.json_until(&["events", "--severity", "error"], has("JOURNAL_SET_ASIDE"))?;
    let event = events.iter().find(|event| event["code"] == "JOURNAL_SET_ASIDE").unwrap();
    let reason = event["reason"].as_str().unwrap();
    assert!(reason.starts_with("journal: ") && reason.contains(".damaged-"), "{reason}");
    let aside = fs::read_dir(gateway.dir().join("data/journal"))?.flatten().map(|entry| entry.path());
    let mut aside = aside.map(|path| path.to_string_lossy().into_owned());
    let aside = aside.find(|path| path.contains(".damaged-")).context("it is gone")?;
    assert!(reason.contains(&aside), "{reason} and not {aside}");

    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    refused(&mut press, "after", 1).await?;
    let after = gateway.json_until(&["events", "--code", "AUTHZ"], has("AUTHZ_PUBLISH_DENIED"))?;
    assert!(number(&after[0]) > ONE_BY_ONE as u64, "numbers are not used twice: {after:#?}");
    let (_, refused) = Device::try_connect(&gateway.by_password("press-02")?.v5()).await?;
    assert_eq!(refused.code, 0x87, "the order holds");
    let (code, verified) = verdict_on_journal(&gateway)?;
    assert_eq!(
        (code, &verified["intact"]),
        (Some(1), &false.into()),
        "what is gone is not called intact: {verified:#}"
    );

    gateway.stop()?;
    gateway.run()?;
    let events = gateway.json(&["events", "--code", "JOURNAL_SET_ASIDE"])?;
    assert_eq!(events.len(), 1, "it is set aside once: {events:#?}");
    Ok(())
}

#[tokio::test]
async fn whatever_part_of_the_journal_is_damaged_the_gateway_serves_and_nothing_vanishes_in_silence() -> Result<()> {
    let mut gateway = Gateway::start()?;
    for connection in 0..10 {
        let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
        refused(&mut press, &connection.to_string(), ONE_BY_ONE).await?;
    }
    gateway.json_until(&EVERYTHING, |events| events.len() > 10 * ONE_BY_ONE)?;
    gateway.kill()?;
    let file = newest_database(&gateway, "journal")?;
    let (journal, mark) = (gateway.dir().join("data/journal"), gateway.dir().join("data/journal/head"));
    let (whole, reached) = (fs::read(&file)?, fs::read(&mark)?);
    let before = u64::from_be_bytes(reached[..8].try_into()?);
    let used = whole.iter().rposition(|byte| *byte != 0).context("an empty database")?;

    for eighth in 0..8 {
        let mut damaged = whole.clone();
        damaged[used * eighth / 8..].iter_mut().take(64).for_each(|byte| *byte = !*byte);
        fs::remove_dir_all(&journal)?;
        fs::create_dir_all(file.parent().unwrap())?;
        fs::write(&file, &damaged)?;
        fs::write(&mark, &reached)?;
        gateway.run()?;
        Device::connect(&gateway.by_password("press-01")?).await?;

        let events = gateway.json_until(&EVERYTHING, has("GATEWAY_STARTED"))?;
        let kept = events.iter().filter(|event| number(event) <= before).count() as u64;
        let told = ["JOURNAL_SET_ASIDE", "GATEWAY_DEGRADED"];
        let said = events.iter().any(|event| number(event) > before && told.iter().any(|code| event["code"] == *code));
        let (code, verified) = verdict_on_journal(&gateway)?;
        ensure!(said != (kept == before), "damage in eighth {eighth}: {kept} of {before} are left, and {verified:#}");
        assert_eq!(code == Some(0), kept == before, "{verified:#}");
        gateway.kill()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_damaged_state_store_is_set_aside_and_said_so_and_the_gateway_serves() -> Result<()> {
    let mut gateway = Gateway::start()?;
    gateway.json(&["isolate", "--thing", "press-02", "--level", "disconnect", "--for", "1h", "--reason", "stolen"])?;
    gateway.stop()?;
    flip_every_byte(&newest_database(&gateway, "state")?)?;
    gateway.run()?;

    let both = |events: &[Value]| has("JOURNAL_SET_ASIDE")(events) && has("GATEWAY_DEGRADED")(events);
    let events = gateway.json_until(&["events", "--severity", "error"], both)?;
    for (code, part) in [("JOURNAL_SET_ASIDE", ".damaged-"), ("GATEWAY_DEGRADED", "are gone")] {
        let event = events.iter().find(|event| event["code"] == code).unwrap();
        let reason = event["reason"].as_str().unwrap();
        assert!(reason.starts_with("state: ") && reason.contains(part), "{reason}");
    }
    Device::connect(&gateway.by_password("press-01")?).await?;
    gateway.json(&["isolate", "--thing", "press-02", "--level", "disconnect", "--for", "1h", "--reason", "again"])?;
    gateway.kill()?;
    gateway.run()?;
    assert_eq!(gateway.json(&["orders"])?.len(), 1, "the fresh store keeps");
    assert_eq!(verdict_on_journal(&gateway)?.0, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_told_by_name_and_nothing_is_served() -> Result<()> {
    let gateway = Gateway::prepared()?;
    let data = gateway.dir().join("data");
    fs::remove_dir_all(&data)?;
    fs::write(&data, "not a directory")?;
    let config = gateway.dir().join("cordon.toml");
    for arguments in [&["--config", config.to_str().unwrap()][..], &["--dev"]] {
        let mut command = tokio::process::Command::new(binary()?);
        command.current_dir(gateway.dir().parent().unwrap()).arg("serve").args(arguments).kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, command.output()).await.context("it serves")??;
        let told = String::from_utf8(output.stderr)?;
        assert!(output.status.code().is_some_and(|code| code != 0), "{arguments:?} {}: {told}", output.status);
        assert!(told.contains("cordon-dev/data"), "{arguments:?}: {told}");
        assert_eq!(output.stdout, b"", "it does not say that it is ready");
    }
    assert_eq!(fs::read_to_string(&data)?, "not a directory", "what is there is left alone");
    Ok(())
}

#[tokio::test]
async fn with_a_journal_that_cannot_be_opened_devices_are_served_and_no_event_of_that_time_is_lost() -> Result<()> {
    let mut gateway = Gateway::prepared()?;
    let journal = gateway.dir().join("data/journal");
    fs::remove_dir_all(&journal)?;
    fs::write(&journal, "not a directory")?;
    gateway.run()?;
    let status = gateway.json_until(&["status"], |status| status[0]["degraded"] != Value::Array(Vec::new()))?;
    assert!(status[0]["degraded"][0].as_str().unwrap().contains("data/journal"), "{status:#?}");
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    refused(&mut press, "meanwhile", 3).await?;

    fs::remove_file(&journal)?;
    let all_three = |events: &[Value]| {
        has("GATEWAY_DEGRADED")(events)
            && events.iter().filter(|event| event["code"] == "AUTHZ_PUBLISH_DENIED").count() == 3
    };
    gateway.json_until(&EVERYTHING, all_three)?;
    assert_eq!(gateway.json_until(&["status"], |status| status[0]["degraded"] == Value::Array(Vec::new()))?.len(), 1);
    assert_eq!(verdict_on_journal(&gateway)?.0, Some(0));
    Ok(())
}
