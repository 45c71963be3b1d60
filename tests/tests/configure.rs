//! Configure: mistakes are told with where they are and what to write, and a change is taken over whole or not at all.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_tests::device::{DEADLINE, Device, Options};
use cordon_tests::gateway::{Gateway, Ports, at, binary};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

const TELEMETRY: &str = "plant/press-01/telemetry/force";

/// Mistakes: the file, what stands there, what is written instead, and what must be said about it.
const MISTAKES: [(&str, &str, &str, &[&str]); 9] = [
    ("cordon.toml", "data_dir = \"data\"", "datadir = \"data\"", &["gateway.datadir", "did you mean \"data_dir\"?"]),
    ("cordon.toml", "[journal]", "[jurnal]", &["jurnal", "unknown key", "did you mean \"journal\"?"]),
    (
        "cordon.toml",
        "failures = 5 ",
        "failures = \"five\" ",
        &["login.failures", "must be a whole number", "write 1 to"],
    ),
    ("cordon.toml", "window = \"60s\"", "window = \"60\"", &["login.window", "a unit is missing", "\"10s\""]),
    ("policies/device.json", "\"iot:Connect\"", "\"iot:Conect\"", &["did you mean \"iot:Connect\"?"]),
    ("policies/controller.json", "\"Effect\"", "\"Efect\"", &["did you mean \"Effect\"?"]),
    (
        "fleet.toml",
        "\"device\", \"controller\"",
        "\"device\", \"controler\"",
        &["thing pump-01: policies", "\"controller\"?"],
    ),
    ("baselines/hardened.toml", "deadline = \"60s\"", "deadline = 60", &["deadline", "write it in quotes"]),
    ("profiles/plant.json", "\"less-than\"", "\"les-than\"", &["criteria", "\"less-than\"?"]),
];

fn check(gateway: &Gateway) -> Result<(Option<i32>, String)> {
    let output = gateway.cordon(&["check"])?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

/// Runs `cordon serve`, which is expected to end by itself. Returns its exit code and what it said on standard error.
async fn serve(gateway: &Gateway, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = tokio::process::Command::new(binary()?);
    command.current_dir(gateway.dir().parent().unwrap()).arg("serve").args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await.context("it serves")??;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

/// The lines that `cordon check` calls errors, without that word.
fn errors(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("error: ")).collect()
}

/// Every file below a folder with its mode and content; the gateway's own data left out.
fn files(dir: &Path) -> Result<BTreeMap<PathBuf, (u32, Vec<u8>)>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("data") {
            found.extend(files(&path)?);
        } else if path.is_file() {
            let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
            found.insert(path.clone(), (mode, fs::read(&path)?));
        }
    }
    Ok(found)
}

fn reloads(count: usize) -> impl Fn(&[Value]) -> bool {
    move |events| events.len() == count
}

#[tokio::test]
async fn a_mistake_is_told_with_file_line_key_and_what_to_write_by_check_and_by_serve_alike() -> Result<()> {
    let gateway = Gateway::prepared()?;
    let (code, said) = check(&gateway)?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("can be used") && said.contains("things: 3"), "{said}");

    for (file, from, to, parts) in MISTAKES {
        gateway.edit(file, from, to)?;
        let text = fs::read_to_string(gateway.dir().join(file))?;
        let line = 1 + text.lines().position(|line| line.contains(to)).context("the edited line")?;
        let (code, said) = check(&gateway)?;
        assert_eq!(code, Some(1), "{to}: {said}");
        let told = errors(&said);
        let place = format!("cordon-dev/{file}:{line}:");
        let about = told.iter().find(|error| error.contains(&place));
        let about = about.with_context(|| format!("nothing is said about {place}\n{said}"))?;
        for part in parts {
            assert!(about.contains(part), "`{part}` is not in: {about}");
        }
        for arguments in [&["--config", "cordon-dev/cordon.toml"][..], &["--dev"]] {
            let (code, said) = serve(&gateway, arguments).await?;
            assert_eq!(code, Some(78), "{arguments:?} with {to}: {said}");
            assert!(said.contains(about), "{arguments:?} says {said}, and not {about}");
        }
        gateway.edit(file, to, from)?;
    }
    assert_eq!(check(&gateway)?.0, Some(0));
    Ok(())
}

#[tokio::test]
async fn certificates_keys_and_files_that_cannot_be_used_are_told_by_the_key_that_names_them() -> Result<()> {
    let gateway = Gateway::prepared()?;
    let good = |file: &str| -> Result<(PathBuf, Vec<u8>)> {
        let path = gateway.dir().join(file);
        Ok((path.clone(), fs::read(path)?))
    };
    let garbage = b"-----BEGIN CERTIFICATE-----\nnonsense\n";
    for (file, content, key, help) in [
        ("tls/server.pem", Some(&garbage[..]), "listener tls: tls.certificate", "-----BEGIN CERTIFICATE-----"),
        ("tls/server.pem", Some(b""), "control.certificate", "has no certificate in it"),
        ("ca.pem", None, "listener tls: tls.client_ca", "ca.pem"),
        ("operator-ca.pem", Some(b"nonsense"), "control.client_ca", "-----BEGIN CERTIFICATE-----"),
        ("tls/server.key", Some(b"nonsense"), "listener tls: tls.key", "PEM form"),
        ("passwords.toml", Some(b"[passwords]\npress-01 = \"plain\"\n"), "press-01", "cordon passwd"),
    ] {
        let (path, before) = good(file)?;
        match content {
            Some(content) => fs::write(&path, content)?,
            None => fs::remove_file(&path)?,
        }
        let (code, said) = check(&gateway)?;
        assert_eq!(code, Some(1), "{file}: {said}");
        let told = errors(&said);
        let about = told.iter().find(|error| error.contains(key));
        let about = about.with_context(|| format!("nothing is said about {key}\n{said}"))?;
        assert!(about.contains(help), "`{help}` is not in: {about}");
        let line = about.split(':').nth(1).is_some_and(|line| line.parse::<usize>().is_ok());
        assert!(line, "no line in: {about}");
        let (code, said) = serve(&gateway, &["--config", "cordon-dev/cordon.toml"]).await?;
        assert_eq!(code, Some(78), "{file}: {said}");
        assert!(said.contains(about), "serve says {said}, and not {about}");
        fs::write(&path, before)?;
    }
    let (key, _) = good("tls/server.key")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    let (code, said) = check(&gateway)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("chmod 600"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_told_with_who_wants_it_the_address_and_what_to_do() -> Result<()> {
    let gateway = Gateway::prepared()?;
    let Ports { mqtt, mqtts, control, metrics } = gateway.ports();
    for (port, who, help) in [
        (mqtt, "listener `plain`", "change `bind`"),
        (mqtts, "listener `tls`", "change `bind`"),
        (control, "operators", "bind"),
        (metrics, "metrics", "change `metrics.bind`"),
    ] {
        let _taken = TcpListener::bind(at(port))?;
        let (code, said) = serve(&gateway, &["--config", "cordon-dev/cordon.toml"]).await?;
        assert_eq!(code, Some(1), "{said}");
        for part in [who, &at(port).to_string(), "in use", help] {
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_policy_holds_for_live_sessions_at_once_and_a_broken_one_changes_nothing() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    let mut pump = Device::connect(&gateway.by_password("pump-01")?).await?;
    pump.subscribed("plant/+/telemetry/#", 1).await?;
    pump.subscribed("plant/+/status", 1).await?;
    assert_eq!(press.publish(TELEMETRY, b"before", 1).await?, 0);
    assert_eq!(&pump.message().await?.payload[..], b"before");

    let allowed = "topic/plant/${iot:Connection.Thing.ThingName}/telemetry/*\"";
    let forbidden = "topic/plant/${iot:Connection.Thing.ThingName}/measured/*\"";
    gateway.edit("policies/device.json", allowed, forbidden)?;
    gateway.hangup()?;
    gateway.json_until(&["events", "--code", "GATEWAY_RELOADED"], reloads(1))?;
    assert_eq!(press.publish(TELEMETRY, b"after", 1).await?, 0x87);
    assert_eq!(press.publish("plant/press-01/measured/force", b"renamed", 1).await?, 0);
    assert!(pump.messages_so_far().await?.is_empty(), "a subscription does not outlive its permission");

    gateway.edit("policies/device.json", forbidden, allowed)?;
    gateway.edit("policies/controller.json", "\"iot:Publish\"", "\"iot:Publsh\"")?;
    gateway.edit("fleet.toml", "\nname = \"press-02\"", "\nname = \"press-22\"")?;
    gateway.hangup()?;
    let refused = gateway.json_until(&["events", "--code", "GATEWAY_RELOAD_REFUSED"], reloads(1))?;
    let reason = refused[0]["reason"].as_str().unwrap();
    assert!(reason.contains("policies/controller.json:") && reason.contains("\"iot:Publish\""), "{reason}");
    assert_eq!(press.publish(TELEMETRY, b"still", 1).await?, 0x87, "the policy before stays in force");
    assert_eq!(gateway.json(&["things", "press-02"])?.len(), 1, "the fleet before stays in force");
    assert_eq!(pump.publish("plant/press-01/cmd/stop", b"1", 1).await?, 0);

    gateway.edit("policies/controller.json", "\"iot:Publsh\"", "\"iot:Publish\"")?;
    gateway.edit("fleet.toml", "\nname = \"press-22\"", "\nname = \"press-02\"")?;
    gateway.hangup()?;
    gateway.json_until(&["events", "--code", "GATEWAY_RELOADED"], reloads(2))?;
    assert_eq!(press.publish(TELEMETRY, b"again", 1).await?, 0);
    assert_eq!(&pump.message().await?.payload[..], b"again");
    Ok(())
}

#[tokio::test]
async fn a_broken_certificate_or_a_change_that_needs_a_restart_is_refused_and_recorded() -> Result<()> {
    let gateway = Gateway::start()?;
    let certificate = gateway.dir().join("tls/server.pem");
    let good = fs::read_to_string(&certificate)?;
    for (count, (file, text, part)) in [
        ("tls/server.pem", "nonsense".to_owned(), "certificate"),
        (
            "cordon.toml",
            fs::read_to_string(gateway.dir().join("cordon.toml"))?.replace("window = \"60s\"", "window = \"1m1s\""),
            "[login]",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let before = fs::read_to_string(gateway.dir().join(file))?;
        gateway.write(file, &text)?;
        gateway.hangup()?;
        let refused = gateway.json_until(&["events", "--code", "GATEWAY_RELOAD_REFUSED"], reloads(count + 1))?;
        let reason = refused[count]["reason"].as_str().unwrap();
        assert!(reason.contains(part), "{reason}");
        gateway.write(file, &before)?;
    }
    assert_eq!(fs::read_to_string(&certificate)?, good);
    Device::connect(&gateway.by_certificate("press-01")?).await?;
    assert!(gateway.json(&["events", "--code", "GATEWAY_RELOADED"])?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_second_start_changes_no_file_and_keeps_edits() -> Result<()> {
    let mut gateway = Gateway::prepared()?;
    gateway.append("cordon.toml", "\n# Edited by hand.\n")?;
    gateway.edit("baselines/hardened.toml", "deadline = \"60s\"", "deadline = \"90s\"")?;
    let before = files(&gateway.dir())?;
    gateway.run()?;
    Device::connect(&gateway.by_password("press-01")?).await?;
    Device::connect(&gateway.by_certificate("pump-01")?).await?;
    gateway.stop()?;
    assert_eq!(files(&gateway.dir())?, before);
    Ok(())
}

#[tokio::test]
async fn secrets_are_for_their_owner_only_and_stand_in_no_log_event_or_answer() -> Result<()> {
    let mut gateway = Gateway::prepared()?;
    gateway.edit("cordon.toml", "level = \"info\"", "level = \"trace\"")?;
    gateway.run()?;
    let mut secrets = vec!["a-guess-that-was-typed".to_owned(), "$argon2".to_owned(), "PRIVATE KEY".to_owned()];
    for (file, (mode, content)) in files(&gateway.dir())? {
        let text = String::from_utf8(content)?;
        let is_password = file.file_name().is_some_and(|name| name == "password");
        let is_secret = is_password || text.contains("PRIVATE KEY") || text.contains("$argon2");
        assert!(!is_secret || mode == 0o600, "{} has mode {mode:o}", file.display());
        secrets.extend(is_password.then(|| text.trim().to_owned()));
    }
    assert_eq!(secrets.len(), 6, "three passwords were found");
    for folder in ["", "data"] {
        let mode = fs::metadata(gateway.dir().join(folder))?.permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{folder}");
    }

    for thing in ["press-01", "press-02", "pump-01"] {
        Device::connect(&gateway.by_password(thing)?).await?;
    }
    let wrong = Options::new(at(gateway.ports().mqtt), "press-01").login("press-01", &secrets[0]);
    Device::try_connect(&wrong).await?;
    gateway.json(&["reload", "--reason", "look at the passwords again"])?;
    let mut said = fs::read_to_string(gateway.log())?;
    for arguments in [&["events"][..], &["alarms"], &["sessions", "--all"], &["things"], &["status"]] {
        said += &serde_json::to_string(&gateway.json(arguments)?)?;
    }
    gateway.stop()?;
    said += &fs::read_to_string(gateway.log())?;
    assert!(said.contains("AUTHN_BAD_PASSWORD"), "the failure itself is told");
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret} was told");
    }
    Ok(())
}

#[tokio::test]
async fn two_gateways_run_side_by_side_and_have_nothing_in_common() -> Result<()> {
    let (first, second) = (Gateway::start()?, Gateway::start()?);
    first.json(&["isolate", "--thing", "press-01", "--level", "disconnect", "--reason", "only here"])?;
    assert_eq!(Device::try_connect(&first.by_password("press-01")?).await?.1.code, 5);
    Device::connect(&second.by_password("press-01")?).await?;
    assert!(second.json(&["orders"])?.is_empty());
    let mut crossed = first.by_password("press-02")?;
    crossed.address = at(second.ports().mqtt);
    assert_eq!(Device::try_connect(&crossed).await?.1.code, 4, "each has passwords of its own");
    let stranger = second.dir().join("operator");
    let (certificate, key) = (stranger.join("cert.pem"), stranger.join("key.pem"));
    let identity = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap(), "status"];
    assert_eq!(first.cordon(&identity)?.status.code(), Some(4), "each has operators of its own");
    Ok(())
}

#[tokio::test]
async fn an_anonymous_client_is_the_thing_of_its_client_id_under_the_listeners_policy() -> Result<()> {
    let mut gateway = Gateway::prepared()?;
    let port = Ports::free()?.mqtt;
    let listener = format!(
        "\n[[listener]]\nname = \"legacy\"\nbind = \"127.0.0.1:{port}\"\nauth = \"anonymous\"\npolicies = [\"bare-sensor\"]\n"
    );
    gateway.append("cordon.toml", &listener)?;
    let own = "legacy/${iot:Connection.Thing.ThingName}";
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}" },
            { "Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": format!("arn:aws:iot:*:*:topic/{own}/*") },
            { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": format!("arn:aws:iot:*:*:topicfilter/{own}/*") },
        ],
    });
    gateway.write("policies/bare-sensor.json", &policy.to_string())?;
    assert_eq!(check(&gateway)?.0, Some(0), "{}", check(&gateway)?.1);
    gateway.run()?;

    let anonymous = |name: &str| Options::new(at(port), name).v5();
    let mut sensor = Device::connect(&anonymous("sensor-7")).await?;
    sensor.subscribed("legacy/sensor-7/#", 1).await?;
    assert_eq!(sensor.subscribe("legacy/#", 1).await?, 0x87);
    for (topic, code) in [("legacy/sensor-7/level", 0), ("legacy/sensor-8/level", 0x87), (TELEMETRY, 0x87)] {
        assert_eq!(sensor.publish(topic, b"1", 1).await?, code, "{topic}");
        let explained = gateway.json(&["explain", "--client-id", "sensor-7", "--publish", topic])?;
        assert_eq!(explained[0]["allowed"], code == 0, "{explained:#?}");
        assert_eq!(explained[0]["principal"], "anonymous:legacy");
    }
    assert_eq!(sensor.message().await?.topic, "legacy/sensor-7/level");
    let session = &gateway.json(&["sessions"])?[0];
    assert_eq!((&session["thing"], &session["principal"]), (&"sensor-7".into(), &"anonymous:legacy".into()));

    let mut pretender = Device::connect(&anonymous("press-01")).await?;
    assert_eq!(pretender.publish(TELEMETRY, b"forged", 1).await?, 0x87, "nobody proved to be press-01");
    let explained = gateway.json(&["explain", "--client-id", "press-01", "--publish", TELEMETRY])?;
    assert_eq!((&explained[0]["allowed"], &explained[0]["principal"]), (&false.into(), &"anonymous:legacy".into()));
    pretender.disconnect().await?;
    let mut press = Device::connect(&gateway.by_password("press-02")?).await?;
    let (_, refused) = Device::try_connect(&anonymous("press-02")).await?;
    assert_eq!(refused.code, 0x85, "a client id belongs to its principal");
    assert!(press.messages_so_far().await?.is_empty(), "press-02 is still connected");

    gateway.json(&["isolate", "--thing", "sensor-7", "--level", "disconnect", "--reason", "x"])?;
    assert_eq!(sensor.closed().await?, Some(0x87));
    assert_eq!(Device::try_connect(&anonymous("sensor-7")).await?.1.code, 0x87);
    Ok(())
}

#[tokio::test]
async fn the_gateway_stops_in_order_and_in_time_whoever_is_still_at_its_doors() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let Ports { mqtt, mqtts, control, metrics } = gateway.ports();
    let sleeper = gateway.by_password("pump-01")?.persistent();
    let mut absent = Device::connect(&sleeper).await?;
    absent.subscribed("plant/+/telemetry/#", 1).await?;
    absent.disconnect().await?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    assert_eq!(press.publish(TELEMETRY, b"the last word", 1).await?, 0);

    let mut idle = Vec::new();
    for (port, said) in [(mqtt, &b"\x10\x20"[..]), (mqtts, b"\x16"), (control, b"\x16\x03"), (metrics, b"GET /met")] {
        let mut stream = TcpStream::connect(at(port))?;
        stream.write_all(said)?;
        idle.push(stream);
    }
    let mut follower = std::process::Command::new(binary()?)
        .arg("--dev-dir")
        .arg(gateway.dir())
        .args(["events", "--follow", "--output", "json"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let begin = Instant::now();
    let stopped = gateway.stop();
    follower.kill()?;
    follower.wait()?;
    stopped?;
    ensure!(begin.elapsed() < DEADLINE, "it took {:?}", begin.elapsed());
    assert_eq!(press.closed().await?, Some(0x8B), "server shutting down");

    gateway.run()?;
    let events = gateway.json(&["events", "--code", "GATEWAY"])?;
    let codes: Vec<_> = events.iter().map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["GATEWAY_STARTED", "GATEWAY_STOPPING", "GATEWAY_STARTED"]);
    assert_eq!(gateway.json(&["journal", "verify"])?[0]["intact"], true);
    Ok(())
}
