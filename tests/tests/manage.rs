//! Manage: only operators, only what their role allows, and every change with who, what and why.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_proto::v1::StatusRequest;
use cordon_proto::v1::gateway_client::GatewayClient;
use cordon_tests::device::{DEADLINE, Device};
use cordon_tests::gateway::{Gateway, at, binary};
use cordon_tests::pki::{Identity, Pki};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

const QUARANTINE: [&str; 7] =
    ["isolate", "--thing", "press-01", "--level", "quarantine", "--reason", "vibration out of range"];

/// Runs `cordon` as the operator with this certificate.
fn as_operator(gateway: &Gateway, identity: &Identity, arguments: &[&str]) -> Result<Output> {
    let (certificate, key) = (path(&identity.certificate), path(&identity.key));
    gateway.cordon(&[&["--cert", certificate, "--key", key], arguments].concat())
}

/// Runs `cordon` in another folder, by somebody whose home is that folder, without a word about which gateway.
fn elsewhere(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary().unwrap());
    command.current_dir(folder).env("HOME", folder).env_remove("XDG_CONFIG_HOME").env_remove("CORDON_CONTEXT");
    command.args(arguments);
    command
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The exit code, and what was said on standard error.
fn verdict(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn has(code: &'static str, field: &'static str, part: &'static str) -> impl Fn(&[Value]) -> bool {
    move |events| events.iter().any(|event| event["code"] == code && event[field].to_string().contains(part))
}

/// These fields of each record.
fn columns<const N: usize>(records: &[Value], fields: [&str; N]) -> Value {
    records.iter().map(|record| json!(fields.map(|field| &record[field]).to_vec())).collect()
}

/// Asks for a page of the metrics endpoint.
fn page(gateway: &Gateway, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(at(gateway.ports().metrics))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn without_a_certificate_of_the_operators_authority_nothing_answers() -> Result<()> {
    let gateway = Gateway::start()?;
    let address = at(gateway.ports().control);
    let ca = Certificate::from_pem(std::fs::read(gateway.dir().join("ca.pem"))?);
    let bare = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(ClientTlsConfig::new().ca_certificate(ca).domain_name("localhost"))?;
    let answer = match bare.connect().await {
        Ok(channel) => GatewayClient::new(channel).status(StatusRequest {}).await.map(drop),
        Err(error) => Err(tonic::Status::from_error(error.into())),
    };
    assert!(answer.is_err(), "answered without a client certificate");
    gateway.json_until(&["events", "--code", "OPERATOR_REFUSED"], has("OPERATOR_REFUSED", "reason", "no client"))?;

    let mut plain = TcpStream::connect(address)?;
    plain.set_read_timeout(Some(DEADLINE))?;
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    let mut said = Vec::new();
    plain.read_to_end(&mut said).ok();
    assert!(said.first().is_none_or(|kind| *kind == 21), "only a TLS alert may be said without TLS: {said:?}");

    let folder = tempfile::tempdir()?;
    let stranger = Pki::create(folder.path(), "Cordon development operator CA")?.client("operator")?;
    let things = gateway.dir().join("things/press-01");
    let device = Identity { certificate: things.join("cert.pem"), key: things.join("key.pem") };
    for (identity, who) in [(device, "a device"), (stranger, "a stranger under the authority's name")] {
        let (code, said) = verdict(&as_operator(&gateway, &identity, &["status"])?);
        assert_eq!(code, Some(4), "{who}: {said}");
        assert!(said.contains("operator certificate"), "{who}: {said}");
    }
    let refused = has("OPERATOR_REFUSED", "reason", "not signed by the operator authority");
    let events =
        gateway.json_until(&["events", "--code", "OPERATOR_REFUSED"], |events| refused(events) && events.len() >= 4)?;
    assert!(events.iter().all(|event| event["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:"))));
    Ok(())
}

#[tokio::test]
async fn each_role_may_do_what_it_says_and_each_change_and_refusal_is_recorded() -> Result<()> {
    let mut gateway = Gateway::prepared()?;
    for (name, role) in [("watcher", "viewer"), ("shift-lead", "operator")] {
        gateway.append("cordon.toml", &format!("\n[[operator]]\nname = \"{name}\"\nrole = \"{role}\"\n"))?;
    }
    gateway.run()?;
    let (viewer, operator) = (gateway.operator("watcher")?, gateway.operator("shift-lead")?);
    let nobody = gateway.operator("nobody")?;
    let _press = Device::connect(&gateway.by_password("press-01")?).await?;
    let _pump = Device::connect(&gateway.by_password("pump-01")?).await?;

    let release = ["release", "iso-1", "--reason", "inspected"];
    let disconnect = ["disconnect", "pump-01", "--reason", "log in anew"];
    let reload = ["reload", "--reason", "new policy"];
    let preview = ["isolate", "--group", "line-1", "--level", "quarantine", "--dry-run"];
    for arguments in [
        &["status"][..],
        &["things"],
        &["sessions"],
        &["events"],
        &["alarms", "--active"],
        &["orders"],
        &["findings"],
        &["explain", "--thing", "press-01", "--connect"],
        &preview,
    ] {
        let (code, said) = verdict(&as_operator(&gateway, &viewer, arguments)?);
        assert_eq!(code, Some(0), "a viewer asks for {arguments:?}: {said}");
    }
    for arguments in [&QUARANTINE[..], &release, &disconnect, &reload] {
        let (code, said) = verdict(&as_operator(&gateway, &viewer, arguments)?);
        assert_eq!(code, Some(4), "a viewer tries {arguments:?}: {said}");
        assert!(said.contains("viewer"), "{said}");
    }
    assert!(gateway.json(&["orders"])?.is_empty());
    for arguments in [&QUARANTINE[..], &release, &disconnect] {
        let (code, said) = verdict(&as_operator(&gateway, &operator, arguments)?);
        assert_eq!(code, Some(0), "an operator does {arguments:?}: {said}");
    }
    assert_eq!(verdict(&as_operator(&gateway, &operator, &reload)?).0, Some(4));
    assert_eq!(verdict(&gateway.cordon(&reload)?).0, Some(0));
    let (code, said) = verdict(&as_operator(&gateway, &nobody, &["status"])?);
    assert_eq!(code, Some(4));
    assert!(said.contains("[[operator]]"), "{said}");

    let acted = gateway.json(&["events", "--code", "OPERATOR_ACTED"])?;
    let told = columns(&acted, ["principal", "action", "resource", "reason"]);
    assert_eq!(
        told,
        json!([
            ["operator:shift-lead", "cordon:Isolate", "thing:press-01", "vibration out of range"],
            ["operator:shift-lead", "cordon:Release", "iso-1", "inspected"],
            ["operator:shift-lead", "cordon:Disconnect", "pump-01", "log in anew"],
            ["operator:operator", "cordon:Reload", "configuration", "new policy"],
        ])
    );
    assert!(acted.iter().all(|event| event["peer"].is_string() && event["details"]["outcome"] == "done"), "{acted:#?}");
    let refused = gateway.json_until(&["events", "--code", "OPERATOR_REFUSED"], |events| events.len() == 6)?;
    let told = columns(&refused, ["principal", "action"]);
    assert_eq!(
        told,
        json!([
            ["operator:watcher", "cordon:Isolate"],
            ["operator:watcher", "cordon:Release"],
            ["operator:watcher", "cordon:Disconnect"],
            ["operator:watcher", "cordon:Reload"],
            ["operator:shift-lead", "cordon:Reload"],
            ["operator:nobody", "cordon:Status"],
        ])
    );
    Ok(())
}

#[tokio::test]
async fn an_operator_that_is_taken_out_of_the_configuration_is_out_with_the_reload() -> Result<()> {
    let mut gateway = Gateway::prepared()?;
    let entry = "\n[[operator]]\nname = \"leaver\"\nrole = \"admin\"\n";
    gateway.append("cordon.toml", entry)?;
    gateway.run()?;
    let leaver = gateway.operator("leaver")?;
    assert_eq!(verdict(&as_operator(&gateway, &leaver, &["status"])?).0, Some(0));
    gateway.edit("cordon.toml", entry, "")?;
    gateway.json(&["reload", "--reason", "has left"])?;
    assert_eq!(verdict(&as_operator(&gateway, &leaver, &["status"])?).0, Some(4));
    Ok(())
}

#[tokio::test]
async fn the_gateway_is_found_beside_its_folder_and_elsewhere_by_flags_or_a_context_file() -> Result<()> {
    let gateway = Gateway::start()?;
    let dir = gateway.dir();
    let endpoint = at(gateway.ports().control).to_string();
    let files = ["ca.pem", "operator/cert.pem", "operator/key.pem"].map(|file| path(&dir.join(file)).to_owned());
    let [ca, cert, key] = &files;
    let home = tempfile::tempdir()?;
    let succeeds = |mut command: Command| -> Result<()> {
        let output = command.output()?;
        let (code, said) = verdict(&output);
        ensure!(code == Some(0), "{command:?} ended with {code:?}: {said}");
        ensure!(String::from_utf8_lossy(&output.stdout).contains("gw-dev"), "{command:?}");
        Ok(())
    };
    let mut beside = elsewhere(home.path(), &["status"]);
    beside.current_dir(dir.parent().context("the folder has a parent")?);
    succeeds(beside)?;
    let (code, said) = verdict(&elsewhere(home.path(), &["status"]).output()?);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--endpoint HOST:PORT"), "{said}");

    let flags = ["status", "--endpoint", &endpoint, "--ca", ca, "--cert", cert, "--key", key];
    succeeds(elsewhere(home.path(), &flags))?;
    let context = format!("endpoint = \"{endpoint}\"\nca = \"{ca}\"\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    let file = home.path().join("plant.toml");
    std::fs::write(&file, &context)?;
    succeeds(elsewhere(home.path(), &["status", "--context", path(&file)]))?;
    let mut named = elsewhere(home.path(), &["status"]);
    named.env("CORDON_CONTEXT", &file);
    succeeds(named)?;
    let own = home.path().join(".config/cordon");
    std::fs::create_dir_all(&own)?;
    std::fs::write(own.join("context.toml"), &context)?;
    succeeds(elsewhere(home.path(), &["status"]))?;
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_not_there_or_not_the_right_one_is_exit_code_3() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let folder = tempfile::tempdir()?;
    let other = Pki::create(folder.path(), "Somebody else's authority")?;
    let (code, said) = verdict(&gateway.cordon(&["status", "--ca", path(&other.ca())])?);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("not trusted") && said.contains("--ca"), "{said}");
    gateway.stop()?;
    let (code, said) = verdict(&gateway.cordon(&["status"])?);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&at(gateway.ports().control).to_string()) && said.contains("cordon serve"), "{said}");
    Ok(())
}

#[tokio::test]
async fn status_things_and_sessions_show_the_gateway_as_it_is() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    press.subscribed("plant/press-01/cmd/#", 1).await?;
    let mut sleeper = Device::connect(&gateway.by_certificate("press-02")?.persistent()).await?;
    sleeper.subscribed("plant/press-02/cmd/#", 1).await?;
    sleeper.disconnect().await?;
    gateway.json_until(&["sessions"], |sessions| sessions.len() == 1)?;
    let mut pump = Device::connect(&gateway.by_password("pump-01")?).await?;
    pump.publish("plant/press-02/cmd/start", b"1", 1).await?;
    gateway.json(&QUARANTINE)?;

    let status = &gateway.json(&["status"])?[0];
    for (field, value) in [
        ("gateway", json!("gw-dev")),
        ("things", json!(3)),
        ("connected", json!(2)),
        ("sessions", json!(3)),
        ("active_orders", json!(1)),
        ("isolated_things", json!(1)),
        ("active_alarms", json!(0)),
        ("degraded", json!([])),
        ("uplink", Value::Null),
        ("operator", json!("operator")),
        ("role", json!("admin")),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    let doors: Vec<_> = status["listeners"].as_array().unwrap().iter().map(|door| door["address"].clone()).collect();
    assert_eq!(doors, [at(gateway.ports().mqtt).to_string(), at(gateway.ports().mqtts).to_string()]);

    let things = gateway.json(&["things"])?;
    let told = columns(&things, ["name", "client_id", "isolation", "firmware"]);
    assert_eq!(
        told,
        json!([
            ["press-01", "press-01", "quarantine", "1.2.0"],
            ["press-02", null, null, "1.2.0"],
            ["pump-01", "pump-01", null, "1.3.0"],
        ])
    );
    assert_eq!(verdict(&gateway.cordon(&["things", "press-09"])?).0, Some(1));

    let sessions = gateway.json(&["sessions"])?;
    let told = columns(&sessions, ["client_id", "thing", "principal", "listener"]);
    assert_eq!(
        told,
        json!([["press-01", "press-01", "user:press-01", "plain"], ["pump-01", "pump-01", "user:pump-01", "plain"],])
    );
    let all = gateway.json(&["sessions", "--all"])?;
    let absent = all.iter().find(|session| session["client_id"] == "press-02").context("press-02")?;
    assert_eq!((&absent["connected"], &absent["queued"]), (&false.into(), &1.into()));
    assert_eq!((&absent["principal"], &absent["persistent"]), (&"cert:press-02".into(), &true.into()));

    for (arguments, part) in [(&["status"][..], "gw-dev"), (&["things"], "press-02"), (&["orders"], "iso-1")] {
        let table = gateway.cordon(arguments)?;
        let text = String::from_utf8_lossy(&table.stdout).into_owned();
        assert!(table.status.success() && text.contains(part) && !text.contains('{'), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_disconnected_client_is_told_why_and_may_come_back() -> Result<()> {
    let gateway = Gateway::start()?;
    let options = gateway.by_password("press-01")?.v5();
    let mut press = Device::connect(&options).await?;
    gateway.json(&["disconnect", "press-01", "--reason", "log in anew"])?;
    assert_eq!(press.closed().await?, Some(0x98), "administrative action");
    let ended = has("SESSION_DISCONNECTED", "reason", "API_INITIATED_DISCONNECT");
    gateway.json_until(&["events", "--thing", "press-01", "--code", "SESSION"], ended)?;
    Device::connect(&options).await?.disconnect().await?;
    gateway.json_until(&["sessions"], <[Value]>::is_empty)?;
    let (code, said) = verdict(&gateway.cordon(&["disconnect", "press-01"])?);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no client is connected as"), "{said}");
    Ok(())
}

#[tokio::test]
async fn explain_gives_the_answer_that_the_next_packet_gets_with_its_rule() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    let own = "plant/press-01/telemetry/force";
    let explained = |topic: &str| -> Result<Value> {
        let answer = gateway.json(&["explain", "--thing", "press-01", "--publish", topic])?;
        answer.into_iter().next().context("one answer")
    };
    for (topic, allowed, code, rule) in [
        (own, true, 0, "policy device statement PublishItsOwnData"),
        ("plant/press-02/telemetry/force", false, 0x87, ""),
        ("$SYS/broker/version", false, 0x87, "reserved topics"),
    ] {
        let answer = explained(topic)?;
        assert_eq!(answer["allowed"], allowed, "{answer:#}");
        assert!(answer["rule"].as_str().unwrap().contains(rule), "{answer:#}");
        assert_eq!(press.publish(topic, b"1", 1).await?, code, "{topic}");
    }
    gateway.json(&QUARANTINE)?;
    let answer = explained(own)?;
    assert_eq!(answer["allowed"], false);
    assert!(answer["rule"].as_str().unwrap().contains("iso-1"), "{answer:#}");
    assert_eq!(press.publish(own, b"1", 1).await?, 0x87);
    let (code, said) = verdict(&gateway.cordon(&["explain", "--thing", "press-09", "--connect"])?);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("press-09"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_shadow_is_shown_as_the_device_reported_it_and_one_that_is_not_there_is_said_so() -> Result<()> {
    let gateway = Gateway::start()?;
    let (code, said) = verdict(&gateway.cordon(&["shadow", "press-01"])?);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("press-01"), "{said}");
    let mut press = Device::connect(&gateway.by_password("press-01")?).await?;
    for (topic, name) in [("shadow/update", &[][..]), ("shadow/name/config/update", &["--name", "config"])] {
        press.subscribed(&format!("$aws/things/press-01/{topic}/accepted"), 1).await?;
        let report = br#"{"state":{"reported":{"telnet":false}}}"#;
        press.publish(&format!("$aws/things/press-01/{topic}"), report, 1).await?;
        press.message().await?;
        let shadow = gateway.json(&[&["shadow", "press-01"], name].concat())?;
        assert_eq!(shadow[0]["state"]["reported"], json!({ "telnet": false }), "{topic}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_are_a_prometheus_page_that_follows_what_happens_and_names_no_device() -> Result<()> {
    let gateway = Gateway::start()?;
    let mut press = Device::connect(&gateway.by_password("press-01")?.v5()).await?;
    press.publish("plant/press-02/cmd/stop", b"forged", 1).await?;
    gateway.json(&QUARANTINE)?;
    let wanted = [
        "cordon_connections 1",
        "cordon_active_orders 1",
        "cordon_events_total{family=\"AUTHZ\",severity=\"warning\"} 1",
    ];
    let end = Instant::now() + DEADLINE;
    let text = loop {
        let text = page(&gateway, "/metrics")?;
        if wanted.iter().all(|line| text.contains(line)) {
            break text;
        }
        ensure!(Instant::now() < end, "{wanted:?} do not come to be in\n{text}");
    };
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.to_ascii_lowercase().contains("content-type: application/openmetrics-text"), "{text}");
    assert!(text.contains("# TYPE cordon_connections gauge") && text.contains("# HELP cordon_connections"), "{text}");
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
    assert!(!text.contains("press-01"), "{text}");
    assert!(page(&gateway, "/ready")?.starts_with("HTTP/1.1 200"));
    assert!(page(&gateway, "/secret")?.starts_with("HTTP/1.1 404"));
    Ok(())
}
