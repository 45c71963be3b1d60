//! A client in JavaScript, MQTT.js, as a device and as a web page: over TCP, over WebSocket, and over TLS.
//!
//! Where node or the package is not installed these tests say so and count as ignored. `.ci/run tools` installs both.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result};
use cordon_tests::gateway::{Gateway, Ports};
use cordon_tests::javascript::{missing, node};
use cordon_tests::process::{Process, Watch};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// MQTT 3.1, 3.1.1 and 5, as MQTT.js numbers them.
const VERSIONS: [u8; 3] = [3, 4, 5];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("mqtt_js_as_a_page_watches_a_device_on_tcp_in_every_version", page_and_device),
        trial("mqtt_js_as_a_device_on_websocket_is_watched_from_tcp_in_every_version", device_on_websocket),
        trial("mqtt_js_comes_in_by_certificate_over_tls_and_over_websocket_with_tls", by_certificate),
        trial("mqtt_js_is_refused_from_a_foreign_page_and_with_a_wrong_password", refused),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial that is ignored, aloud, if what it needs is not installed.
fn trial(name: &str, run: fn() -> Result<()>) -> Trial {
    let missing = missing();
    if let Some(missing) = missing {
        eprintln!("IGNORED {name}: {missing} is not installed on this machine");
    }
    let checked = move || match missing {
        None => run().map_err(|error| format!("{error:?}").into()),
        Some(missing) => Err(format!("{missing} is not installed").into()),
    };
    Trial::test(name, checked).with_ignored_flag(missing.is_some())
}

/// A gateway with two WebSocket listeners beside its usual ones.
struct Plant {
    gateway: Gateway,
    /// With user name and password.
    web: u16,
    /// With TLS and client certificates.
    webs: u16,
}

// === impl Plant ===

impl Plant {
    fn start() -> Result<Self> {
        let mut gateway = Gateway::prepared()?;
        let ports = Ports::free()?;
        let (web, webs) = (ports.mqtt, ports.mqtts);
        gateway.append(
            "cordon.toml",
            &format!(
                "\n[[listener]]\nname = \"web\"\nbind = \"127.0.0.1:{web}\"\nauth = \"password\"\n\
                 transport = \"websocket\"\norigins = [\"https://plant.example\"]\n\
                 [[listener]]\nname = \"webs\"\nbind = \"127.0.0.1:{webs}\"\nauth = \"certificate\"\n\
                 transport = \"websocket\"\npath = \"/broker\"\n[listener.tls]\ncertificate = \"tls/server.pem\"\n\
                 key = \"tls/server.key\"\nclient_ca = \"ca.pem\"\n"
            ),
        )?;
        gateway.run()?;
        Ok(Self { gateway, web, webs })
    }

    /// Options that log a thing in by password.
    fn by_password(&self, url: &str, thing: &str) -> Result<Value> {
        let password = fs::read_to_string(self.thing(thing, "password"))?;
        Ok(json!({ "url": url, "clientId": thing, "username": thing, "password": password.trim() }))
    }

    /// Options that show a thing's certificate.
    fn by_certificate(&self, url: &str, thing: &str) -> Result<Value> {
        let text = |path: &Path| fs::read_to_string(path).with_context(|| path.display().to_string());
        let (cert, key) = (text(&self.thing(thing, "cert.pem"))?, text(&self.thing(thing, "key.pem"))?);
        Ok(
            json!({ "url": url, "clientId": thing, "ca": text(&self.gateway.dir().join("ca.pem"))?, "cert": cert, "key": key }),
        )
    }

    fn thing(&self, thing: &str, file: &str) -> std::path::PathBuf {
        self.gateway.dir().join("things").join(thing).join(file)
    }

    fn tcp_url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.gateway.ports().mqtt)
    }

    fn web_url(&self) -> String {
        format!("ws://127.0.0.1:{}/mqtt", self.web)
    }

    fn recorded(&self, code: &str) -> Result<Vec<Value>> {
        self.gateway.json_until(&["events", "--code", code], |events| !events.is_empty())
    }
}

/// Plays the story. Returns what was noticed, and whether it came to its end.
fn play(version: u8, watcher: &Value, device: &Value) -> Result<(bool, Vec<String>)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/javascript/story.js");
    let plan = json!({ "version": version, "watcher": watcher, "device": device });
    let process = Process::start(node()?.arg(script).env("PLAN", plan.to_string()), Watch::Output)?;
    let mut lines = Vec::new();
    // The last line, or the end of a story that broke off.
    while let Ok(line) = process.line() {
        let last = line == "done";
        lines.push(line);
        if last {
            break;
        }
    }
    let (status, rest) = process.end()?;
    lines.extend(rest);
    Ok((status.success(), lines))
}

/// What the story must tell.
fn told(version: u8) -> Vec<String> {
    let (publish, subscribe) = match version {
        5 => ("refused 135", "refused Subscribe error: Not authorized"),
        // MQTT 3 cannot say that a publish is refused: docs/decisions/0005.
        4 => ("accepted", "refused Subscribe error: Unspecified error"),
        // MQTT 3.1 can say neither: docs/mqtt.md.
        _ => ("accepted", "accepted"),
    };
    let telemetry = |qos: u8| format!("{qos} live plant/press-01/telemetry/force at {qos}");
    vec![
        "granted 2".to_owned(),
        telemetry(0),
        telemetry(1),
        telemetry(2),
        "large true".to_owned(),
        "1 retained plant/press-01/status up".to_owned(),
        format!("foreign topic {publish}"),
        format!("foreign filter {subscribe}"),
        "1 live plant/press-01/status gone".to_owned(),
        "1 live plant/press-01/status ".to_owned(),
        "done".to_owned(),
    ]
}

fn page_and_device() -> Result<()> {
    let plant = Plant::start()?;
    for version in VERSIONS {
        let watcher = plant.by_password(&plant.web_url(), "pump-01")?;
        let device = plant.by_password(&plant.tcp_url(), "press-01")?;
        assert_eq!(play(version, &watcher, &device)?, (true, told(version)), "version {version}");
    }
    Ok(())
}

fn device_on_websocket() -> Result<()> {
    let plant = Plant::start()?;
    for version in VERSIONS {
        let watcher = plant.by_password(&plant.tcp_url(), "pump-01")?;
        let device = plant.by_password(&plant.web_url(), "press-01")?;
        assert_eq!(play(version, &watcher, &device)?, (true, told(version)), "version {version}");
    }
    Ok(())
}

fn by_certificate() -> Result<()> {
    let plant = Plant::start()?;
    let tls = format!("mqtts://localhost:{}", plant.gateway.ports().mqtts);
    let web = format!("wss://localhost:{}/broker", plant.webs);
    for (watching, sending) in [(&tls, &web), (&web, &tls)] {
        let (watcher, device) =
            (plant.by_certificate(watching, "pump-01")?, plant.by_certificate(sending, "press-01")?);
        assert_eq!(play(5, &watcher, &device)?, (true, told(5)), "{watching} {sending}");
    }
    Ok(())
}

fn refused() -> Result<()> {
    let plant = Plant::start()?;
    let device = plant.by_password(&plant.web_url(), "press-01")?;
    let mut page = plant.by_password(&plant.web_url(), "pump-01")?;
    page["wsOptions"] = json!({ "origin": "https://evil.example" });
    // MQTT.js tells a page no more than that the connection did not come about.
    assert_eq!(play(5, &page, &device)?, (false, vec![]));
    let event = &plant.recorded("AUTHN_ORIGIN_REFUSED")?[0];
    assert!(event["reason"].as_str().unwrap().contains("https://evil.example"), "{event:#}");
    page["wsOptions"] = json!({ "origin": "https://plant.example" });
    page["password"] = json!("guessed");
    let words = "failed: Connection refused: Bad username or password";
    assert_eq!(play(4, &page, &device)?, (false, vec![words.to_owned()]));
    assert_eq!(plant.recorded("AUTHN_BAD_PASSWORD")?[0]["client_id"], "pump-01");
    Ok(())
}
