//! A real Mosquitto: its broker as the far side of the uplink, its clients as devices of the gateway.
//!
//! Where Mosquitto is not installed these tests say so and count as ignored.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, ensure};
use cordon_tests::device::{Device, Options};
use cordon_tests::gateway::{Gateway, at};
use cordon_tests::mosquitto::{Mosquitto, client, client_with, installed};
use cordon_tests::pki::Identity;
use cordon_tests::process::{Process, Watch};
use cordon_tests::upstream::{Arrived, SUMMARIES, authority, point};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode, Output};

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv5"];
const TELEMETRY: &str = "plant/press-01/telemetry/force";
const STATUS: &str = "plant/press-01/status";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (broker, clients) = (["mosquitto", "mosquitto_sub"], ["mosquitto_pub", "mosquitto_sub"]);
    let trials = vec![
        trial("what_happens_while_mosquitto_is_down_arrives_there_in_order_when_it_is_back", &broker, down_and_back),
        trial("what_waits_for_mosquitto_survives_a_kill_of_the_gateway", &broker, killed_meanwhile),
        trial("what_mosquitto_refuses_is_an_error_event_and_arrives_when_it_no_longer_does", &broker, refused),
        trial("stock_clients_speak_every_version_and_qos_by_password_and_by_certificate", &clients, every_way),
        trial("stock_clients_find_retained_messages_and_wills", &clients, retained_and_wills),
        trial("stock_clients_are_told_what_is_refused", &clients, told_why),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial that is ignored, aloud, if one of the programs that it needs is not installed.
fn trial(name: &str, programs: &[&str], run: fn() -> Result<()>) -> Trial {
    let missing: Vec<_> = programs.iter().copied().filter(|program| installed(program).is_none()).collect();
    if !missing.is_empty() {
        eprintln!("IGNORED {name}: {} is not installed on this machine", missing.join(", "));
    }
    let needed = missing.join(", ");
    let checked = move || match needed.as_str() {
        "" => run().map_err(|error| format!("{error:?}").into()),
        needed => Err(format!("{needed} is not installed").into()),
    };
    Trial::test(name, checked).with_ignored_flag(!missing.is_empty())
}

// === The broker as the far side ===

/// A gateway whose uplink is pointed at Mosquitto, and a client there that prints what arrives.
struct Story {
    gateway: Gateway,
    mosquitto: Mosquitto,
    watcher: Identity,
    authority: std::path::PathBuf,
    watching: Option<Process>,
    lines: Vec<String>,
}

impl Story {
    /// Nothing runs yet.
    fn prepared() -> Result<Self> {
        let gateway = Gateway::prepared()?;
        let pki = authority(&gateway)?;
        let mosquitto = Mosquitto::prepared(&gateway.dir().join("uplink"), &pki)?;
        point(&gateway, mosquitto.port(), "1s")?;
        let (watcher, authority) = (pki.client("watcher")?, pki.ca());
        Ok(Self { gateway, mosquitto, watcher, authority, watching: None, lines: Vec::new() })
    }

    /// Starts Mosquitto, and the watching client before anything else can arrive there.
    fn mosquitto_comes(&mut self) -> Result<()> {
        self.mosquitto.start()?;
        let mut command = client_with("mosquitto_sub", self.mosquitto.port(), &self.authority, &self.watcher)?;
        command.args(["-V", "mqttv5", "-i", "watcher", "-q", "1", "-t", "cordon/#", "-F", "%q %t %p"]);
        self.watching = Some(Process::start(&mut command, Watch::Output)?);
        self.mosquitto.says("Sending SUBACK to watcher")?;
        Ok(())
    }

    fn mosquitto_goes(&mut self) -> Result<()> {
        let watching = self.watching.take().context("nobody watches")?;
        watching.signal("TERM")?;
        self.lines.extend(watching.end()?.1);
        self.mosquitto.stop()?;
        self.gateway.json_until(&["status"], |status| status[0]["uplink"]["connected"] == false)?;
        Ok(())
    }

    /// Reads what arrives until it is enough.
    fn until(&mut self, enough: impl Fn(&Arrived) -> bool) -> Result<Arrived> {
        loop {
            let messages = self.lines.iter().map(|line| {
                let (topic, payload) = line.strip_prefix("1 ")?.split_once(' ')?;
                Some((topic, payload.as_bytes()))
            });
            let messages = messages.collect::<Option<Vec<_>>>().context("a line that is no message at QoS 1")?;
            let arrived = Arrived::read(messages)?;
            if enough(&arrived) {
                return Ok(arrived);
            }
            let watching = self.watching.as_ref().context("nobody watches")?;
            let line = watching.line_with("").with_context(|| format!("after {:#?}", arrived.documents))?;
            self.lines.push(line);
        }
    }

    /// Waits until so many entries wait in the outbox; how many do.
    fn waiting(&self, at_least: u64) -> Result<u64> {
        let count = |status: &[Value]| status[0]["uplink"]["outbox_entries"].as_u64();
        let status = self.gateway.json_until(&["status"], |status| count(status) >= Some(at_least))?;
        count(&status).context("outbox_entries")
    }

    /// Six wrong passwords from one address, one more than is normal, and waits for the alarm.
    fn six_wrong_passwords(&self, from: Ipv4Addr) -> Result<()> {
        block_on(async {
            let name = format!("guest-{from}");
            for guess in 0..6 {
                let options = Options::new(at(self.gateway.ports().mqtt), &name).login(&name, &guess.to_string());
                ensure!(Device::try_connect(&options.source(from)).await?.1.code != 0, "it got in");
            }
            Ok(())
        })?;
        let raised = |alarms: &[Value]| alarms.iter().any(|alarm| alarm["address"] == from.to_string());
        self.gateway.json_until(&["alarms"], raised)?;
        Ok(())
    }
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn guesser(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

fn tells_of(arrived: &Arrived, last: u8) -> bool {
    arrived
        .alarms()
        .any(|alarm| alarm["sourceAddress"] == guesser(last).to_string() && alarm["violationEventType"] == "in-alarm")
}

fn down_and_back() -> Result<()> {
    let mut story = Story::prepared()?;
    story.mosquitto_comes()?;
    story.gateway.run()?;
    story.six_wrong_passwords(guesser(2))?;
    story.until(|arrived| tells_of(arrived, 2) && arrived.summaries().count() >= 2)?;
    story.mosquitto_goes()?;
    story.six_wrong_passwords(guesser(3))?;
    story.waiting(4)?;
    // Held still, the gateway cannot come before the client that watches is there to see it.
    story.gateway.freeze(true)?;
    story.mosquitto_comes()?;
    story.gateway.freeze(false)?;
    let before = story.until(|_| true)?.documents.len();
    let arrived = story.until(|arrived| tells_of(arrived, 3) && arrived.documents.len() >= before + 6)?;
    assert_eq!(arrived.gaps, 0, "{:#?}", arrived.documents);
    Ok(())
}

fn killed_meanwhile() -> Result<()> {
    let mut story = Story::prepared()?;
    story.gateway.run()?;
    story.six_wrong_passwords(guesser(2))?;
    let waiting = story.waiting(4)?;
    story.gateway.kill()?;
    story.mosquitto_comes()?;
    story.gateway.run()?;
    let arrived = story.until(|arrived| arrived.documents.len() as u64 >= waiting + 2)?;
    assert!(tells_of(&arrived, 2), "{:#?}", arrived.documents);
    assert_eq!(arrived.gaps, 1, "only the interval that the kill cut off is missing: {:#?}", arrived.documents);
    Ok(())
}

fn refused() -> Result<()> {
    let mut story = Story::prepared()?;
    story.mosquitto.permit("user watcher\ntopic read #\n")?;
    story.mosquitto_comes()?;
    story.gateway.run()?;
    let denied = |events: &[Value]| events.iter().any(|event| event["action"] == "iot:Publish");
    let events = story.gateway.json_until(&["events", "--code", "UPLINK_REFUSED"], denied)?;
    let event = events.iter().find(|event| event["action"] == "iot:Publish").unwrap();
    assert_eq!((&event["severity"], &event["resource"]), (&"error".into(), &SUMMARIES.into()), "{event:#}");
    assert_eq!(event["reason"], "135 not authorized");
    story.mosquitto_goes()?;
    story.mosquitto.permit("user watcher\ntopic read #\nuser gw-dev\ntopic write cordon/gw-dev/#\n")?;
    story.gateway.freeze(true)?;
    story.mosquitto_comes()?;
    story.gateway.freeze(false)?;
    let arrived = story.until(|arrived| arrived.documents.len() >= 3)?;
    assert_eq!(arrived.gaps, 0);
    Ok(())
}

// === The clients as devices ===

/// How a device of the gateway logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    Password,
    Certificate,
}

/// One of Mosquitto's clients as a device of the gateway, under its thing's name with `suffix` as client id.
fn device(gateway: &Gateway, program: &str, thing: &str, suffix: &str, login: Login) -> Result<Command> {
    let (things, ports) = (gateway.dir().join("things").join(thing), gateway.ports());
    let mut command = match login {
        Login::Password => {
            let password = std::fs::read_to_string(things.join("password"))?;
            let mut command = client(program)?;
            command.args(["-h", "127.0.0.1", "-p", &ports.mqtt.to_string(), "-u", thing, "-P", password.trim()]);
            command
        }
        Login::Certificate => {
            let identity = Identity { certificate: things.join("cert.pem"), key: things.join("key.pem") };
            client_with(program, ports.mqtts, &gateway.dir().join("ca.pem"), &identity)?
        }
    };
    command.args(["-i", &format!("{thing}{suffix}")]);
    Ok(command)
}

/// Starts a client that subscribes, and waits until the gateway knows its subscription.
fn subscriber(gateway: &Gateway, command: &mut Command, client_id: &str) -> Result<Process> {
    let process = Process::start(command, Watch::Output)?;
    gateway.json_until(&["sessions"], |sessions| {
        sessions.iter().any(|session| session["client_id"] == client_id && session["subscriptions"] == 1)
    })?;
    Ok(process)
}

/// Runs a client to its end; what it said on both outputs.
fn ended(command: &mut Command) -> Result<(Output, String)> {
    let output = command.output()?;
    let said = [&output.stdout[..], &output.stderr].concat();
    Ok((output, String::from_utf8(said)?))
}

fn every_way() -> Result<()> {
    let gateway = Gateway::start()?;
    for login in [Login::Password, Login::Certificate] {
        for version in VERSIONS {
            let mut command = device(&gateway, "mosquitto_sub", "pump-01", "", login)?;
            command.args(["-V", version, "-q", "2", "-t", "plant/+/telemetry/#", "-C", "3", "-F", "%q %r %t %p"]);
            let subscriber = subscriber(&gateway, &mut command, "pump-01")?;
            for qos in ["0", "1", "2"] {
                let mut command = device(&gateway, "mosquitto_pub", "press-01", "", login)?;
                command.args(["-V", version, "-q", qos, "-t", TELEMETRY, "-m", &format!("{version}-{qos}")]);
                let (output, said) = ended(&mut command)?;
                ensure!(output.status.success() && said.is_empty(), "{login:?} {version} {qos}: {said}");
                let line = subscriber.line().with_context(|| format!("{login:?} {version} {qos}"))?;
                assert_eq!(line, format!("{qos} 0 {TELEMETRY} {version}-{qos}"), "{login:?}");
            }
            assert_eq!(subscriber.end()?.0.code(), Some(0), "{login:?} {version}");
        }
    }
    Ok(())
}

fn retained_and_wills() -> Result<()> {
    let gateway = Gateway::start()?;
    for version in VERSIONS {
        let retained = format!("{version} is up");
        let mut command = device(&gateway, "mosquitto_pub", "press-01", "", Login::Password)?;
        ended(command.args(["-V", version, "-q", "1", "-r", "-t", STATUS, "-m", &retained]))?;
        let mut command = device(&gateway, "mosquitto_sub", "pump-01", "", Login::Password)?;
        command.args(["-V", version, "-q", "1", "-t", "plant/+/status", "-F", "%r %p"]);
        let watcher = Process::start(&mut command, Watch::Output)?;
        assert_eq!(watcher.line()?, format!("1 {retained}"));

        let will = format!("{version} is gone");
        let mut command = device(&gateway, "mosquitto_sub", "press-01", "", Login::Password)?;
        command.args(["-V", version, "-t", "plant/press-01/cmd/#"]);
        command.args(["--will-topic", STATUS, "--will-qos", "1", "--will-payload", &will]);
        let doomed = subscriber(&gateway, &mut command, "press-01")?;
        doomed.signal("KILL")?;
        assert_eq!(watcher.line()?, format!("0 {will}"));

        let mut command = device(&gateway, "mosquitto_pub", "press-01", "", Login::Password)?;
        command.args(["--will-topic", STATUS, "--will-payload", "not to be seen"]);
        ended(command.args(["-V", version, "-q", "1", "-t", TELEMETRY, "-m", "x"]))?;
        gateway.json_until(&["sessions"], |sessions| sessions.len() == 1)?;
        watcher.signal("TERM")?;
        assert_eq!(watcher.end()?.1, Vec::<String>::new(), "a client that said goodbye leaves no will");
    }
    let mut command = device(&gateway, "mosquitto_pub", "press-01", "", Login::Password)?;
    ended(command.args(["-q", "1", "-r", "-n", "-t", STATUS]))?;
    let mut command = device(&gateway, "mosquitto_sub", "pump-01", "", Login::Password)?;
    let (_, said) = ended(command.args(["-t", "plant/+/status", "-W", "1", "-v"]))?;
    assert!(!said.contains(STATUS), "an empty retained message takes the old one away: {said}");
    Ok(())
}

fn told_why() -> Result<()> {
    let gateway = Gateway::start()?;
    for (version, code, words) in [
        ("mqttv31", 4, "bad user name or password"),
        ("mqttv311", 4, "bad user name or password"),
        ("mqttv5", 134, "Bad User Name or Password"),
    ] {
        let port = gateway.ports().mqtt.to_string();
        let mut command = client("mosquitto_pub")?;
        command.args(["-h", "127.0.0.1", "-p", &port, "-i", "press-01", "-u", "press-01", "-P", "guessed"]);
        let (output, said) = ended(command.args(["-V", version, "-t", TELEMETRY, "-m", "x"]))?;
        assert!(said.contains(words), "{version}: {said}");
        assert_eq!(output.status.code(), Some(code), "{version}: {said}");
    }
    let mut command = device(&gateway, "mosquitto_pub", "press-01", "", Login::Certificate)?;
    let (_, said) = ended(command.args(["-V", "mqttv5", "-q", "1", "-t", "plant/press-02/cmd/stop", "-m", "x"]))?;
    assert!(said.contains("Not authorized"), "{said}");
    for version in VERSIONS {
        // MQTT 3.1 has no word for a refused subscription: only the event tells (docs/mqtt.md).
        let told = version != "mqttv31";
        let mut command = device(&gateway, "mosquitto_sub", "press-01", "", Login::Certificate)?;
        let wait = if told { "5" } else { "1" };
        let (output, said) = ended(command.args(["-V", version, "-t", "secret/#", "-W", wait]))?;
        let denied = said.contains("All subscription requests were denied");
        assert_eq!(denied, told, "{version}: {:?} {said}", output.status);
    }
    // Repeats within a second become one event with their count.
    for (code, count) in [("AUTHN_BAD_PASSWORD", 3), ("AUTHZ_PUBLISH_DENIED", 1), ("AUTHZ_SUBSCRIBE_DENIED", 3)] {
        gateway.json_until(&["events", "--code", code], |events| {
            events.iter().filter_map(|event| event["count"].as_u64()).sum::<u64>() == count
        })?;
    }
    Ok(())
}
