//! Configurations that are wrong, with what is said about them, and the samples, which are right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use super::*;
use cordon_control::Role;
use cordon_mqtt::{Acknowledge, Auth, Transport};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// The least that is a configuration.
const LISTENER: &str = "[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:1883\"\nauth = \"password\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/cordon/cordon.toml"))
}

/// What is said about `text`, without the file's name.
fn said(text: &str) -> Vec<String> {
    let error = parse(text).err().unwrap_or_else(|| panic!("taken:\n{text}"));
    error.problems.iter().map(|problem| problem.to_string().replace("/etc/cordon/cordon.toml:", "")).collect()
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").canonicalize().unwrap()
}

#[test]
fn the_least_configuration_has_defaults_for_everything() {
    let config = parse(LISTENER).unwrap();
    assert_eq!(config.gateway.data_dir, Path::new("/etc/cordon/data"));
    assert_eq!(config.gateway.fleet, Path::new("/etc/cordon/fleet.toml"));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.listeners[0].auth, Auth::Password);
    assert_eq!(config.listeners[0].connect_timeout, Duration::from_secs(10));
    assert_eq!(config.listeners[0].acknowledge, Acknowledge::Disk);
    assert_eq!((config.sys.interval, config.sys.is_on()), (Duration::from_secs(10), false));
    assert_eq!((config.login.failures, config.isolation.max_automatic_percent), (5, 10));
    assert_eq!((config.journal.max_bytes, config.outbox.max_bytes), (1 << 30, 64 << 20));
    assert!(config.control.is_none() && config.metrics.is_none() && config.uplink.is_none());
    assert_eq!((config.log.level, config.log.format), ("info", LogFormat::Text));
    assert_eq!(config.warnings, []);
}

#[test]
fn every_section_is_read() {
    let text = r#"
[gateway]
name = "gw-01"
data_dir = "/var/lib/cordon"
break_glass = ["pump-01"]
[[listener]]
name = "tls"
bind = "[::1]:8883"
auth = "certificate"
acknowledge = "memory"
tls = { certificate = "a.pem", key = "a.key", client_ca = "ca.pem", crl = "ca.crl" }
[limits]
max_packet_size = "1MiB"
workers = 2
max_queued_bytes_total = "128MiB"
max_retained_bytes = "1MiB"
max_packets_per_second = 1000
max_bytes_per_second = "1MiB"
max_topics = 500
write_timeout = "30s"
[sources]
max_connections = 10
max_connections_per_second = 5
max_failures_per_second = 20
failure_burst = 200
exempt = ["10.0.0.5", "fd00::/8"]
[[profile]]
name = "plant"
applies_to = ["group:line-1", "version:<1.3.0"]
[control]
certificate = "a.pem"
key = "a.key"
client_ca = "ops.pem"
[[operator]]
name = "operator"
role = "admin"
[metrics]
[sys]
interval = "1s"
readers = ["group:line-1"]
[uplink]
endpoint = "localhost:443"
ca = "u/ca.pem"
certificate = "u/cert.pem"
key = "u/key.pem"
rule = "cordon_in"
alarm_topic = "alarms/gw"
summary_interval = "1s"
[log]
level = "debug"
format = "json"
"#;
    let config = parse(text).unwrap();
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.key, Path::new("/etc/cordon/a.key"));
    assert_eq!(tls.crl.as_deref(), Some(Path::new("/etc/cordon/ca.crl")));
    assert_eq!((config.limits.max_packet_size, config.limits.workers), (1 << 20, 2));
    assert_eq!((config.limits.max_queued_bytes_total, config.limits.max_retained_bytes), (128 << 20, 1 << 20));
    assert_eq!(config.listeners[0].acknowledge, Acknowledge::Memory);
    assert_eq!((config.limits.max_packets_per_second, config.limits.max_bytes_per_second), (1000, 1 << 20));
    assert_eq!((config.limits.max_topics, config.limits.write_timeout), (500, Duration::from_secs(30)));
    let sources = config.limits.sources;
    assert_eq!((sources.max_connections, sources.max_connections_per_second), (10, 5));
    assert_eq!((sources.max_failures_per_second, sources.failure_burst), (20, 200));
    let exempt: Vec<_> = sources.exempt.iter().map(ToString::to_string).collect();
    assert_eq!(exempt, ["10.0.0.5/32", "fd00::/8"]);
    assert_eq!(config.profiles[0].applies_to.len(), 2);
    assert_eq!(config.control.unwrap().bind.to_string(), "127.0.0.1:7443");
    assert_eq!(config.operators[0].role, Role::Admin);
    assert_eq!(config.metrics.unwrap().bind.to_string(), "127.0.0.1:9464");
    assert_eq!((config.sys.interval, config.sys.is_on()), (Duration::from_secs(1), true));
    let uplink = config.uplink.unwrap();
    assert_eq!((uplink.link.port, uplink.link.gateway.as_str()), (443, "gw-01"));
    assert_eq!(uplink.topics.summary, "$aws/rules/cordon_in/cordon/gw-01/summary");
    assert_eq!(uplink.topics.alarm, "alarms/gw");
    assert_eq!(uplink.summary_interval, Duration::from_secs(1));
    assert_eq!(config.gateway.data_dir, Path::new("/var/lib/cordon"));
}

#[test]
fn a_listener_is_tcp_unless_it_says_websocket() {
    assert_eq!(parse(LISTENER).unwrap().listeners[0].transport, Transport::Tcp);
    let websocket = |more: &str| {
        let config = parse(&format!("{LISTENER}transport = \"websocket\"\n{more}")).unwrap();
        match config.listeners[0].transport.clone() {
            Transport::WebSocket(config) => (config.path, config.origins),
            Transport::Tcp => panic!("no WebSocket"),
        }
    };
    assert_eq!(websocket(""), ("/mqtt".to_owned(), vec![]));
    let given = "path = \"/broker/ws\"\norigins = [\"https://plant.example\", \"http://[::1]:8080\"]\n";
    let origins = vec!["https://plant.example".to_owned(), "http://[::1]:8080".to_owned()];
    assert_eq!(websocket(given), ("/broker/ws".to_owned(), origins));
}

#[test]
fn each_mistake_names_its_line_its_key_and_what_to_write() {
    for (text, message) in [
        ("[gatway]\n", "5: gatway: unknown key; did you mean \"gateway\"?"),
        ("[gateway]\ndatadir = \"x\"\n", "6: gateway.datadir: unknown key; did you mean \"data_dir\"?"),
        (
            "[gateway]\nname = \"a/b\"\n",
            "6: gateway.name: \"a/b\" is no name; write 1 to 128 characters of a-z A-Z 0-9 : _ -",
        ),
        ("[gateway]\nfleet = 7\n", "6: gateway.fleet: this must be text; write it in quotes"),
        ("[gateway]\nfleet = \"\"\n", "6: gateway.fleet: this is empty; write a value, or take the key out"),
        (
            "[gateway]\nbreak_glass = \"a\"\n",
            "6: gateway.break_glass: this must be a list; write break_glass = [\"...\"]",
        ),
        ("[limits]\nworkers = 5\n", "6: limits.workers: 5 is out of range; write 1 to 4"),
        (
            "[limits]\nmax_keep_alive = \"19h\"\n",
            "6: limits.max_keep_alive: 19h is out of range; write \"1s\" to \"18h12m15s\"",
        ),
        ("[limits]\nworkers = -1\n", "6: limits.workers: this must be a whole number; write 1 to 4"),
        (
            "[limits]\nmax_packet_size = \"1MB\"\n",
            "6: limits.max_packet_size: this is no size; write bytes, or for example \"64KiB\", \"1MiB\" or \"1GiB\"",
        ),
        ("[limits]\nmax_queued_bytes = 5\n", "6: limits.max_queued_bytes: 5 is out of range; write 4KiB to 1GiB"),
        (
            "[limits]\nmax_bytes_per_second = 5\n",
            "6: limits.max_bytes_per_second: so slow a client does not get a packet through; write at least 1KiB, or 0 for no limit",
        ),
        ("[limits]\nmax_topics = 200000\n", "6: limits.max_topics: 200000 is out of range; write 0 to 100000"),
        ("[limits]\nwrite_timeout = \"0s\"\n", "6: limits.write_timeout: 0s is out of range; write \"1s\" to \"1h\""),
        (
            "[sources]\nexempt = [\"10.0.0.5\", \"plant\"]\n",
            "6: sources.exempt: \"plant\": this is no IP address; write for example \"10.0.0.5\", \"10.0.0.0/8\" or \"fd00::/8\"",
        ),
        (
            "[sources]\nexempt = [\"10.0.0.0/33\"]\n",
            "6: sources.exempt: \"10.0.0.0/33\": a prefix has 0 to 32 bits; write for example \"10.0.0.5\", \"10.0.0.0/8\" or \"fd00::/8\"",
        ),
        ("[sources]\nfailure_burst = 0\n", "6: sources.failure_burst: 0 is out of range; write 1 to 1000000"),
        (
            "[sources]\nmax_connection = 1\n",
            "6: sources.max_connection: unknown key; did you mean \"max_connections\"?",
        ),
        (
            "[login]\nwindow = \"60\"\n",
            "6: login.window: `60` is no duration: a unit is missing; write for example \"500ms\", \"10s\", \"5m\", \"1h30m\" or \"7d\"",
        ),
        ("[login]\nrefusal = \"2h\"\n", "6: login.refusal: 2h is out of range; write \"1s\" to \"1h\""),
        (
            "[login]\nrefusal = \"10s\"\nmax_refusal = \"5s\"\n",
            "7: login.max_refusal: the longest refusal is shorter than the first; write a duration that is no shorter",
        ),
        (
            "[journal]\nmax_bytes = \"8MiB\"\n",
            "6: journal.max_bytes: a segment must fit at least twice into the journal's max_bytes; lower segment_bytes, or raise max_bytes",
        ),
        ("[log]\nlevel = \"inof\"\n", "6: log.level: \"inof\" is not known here; did you mean \"info\"?"),
        (
            "[sys]\ninterval = \"500ms\"\n",
            "6: sys.interval: this is too often; write at least \"1s\", or \"0s\" for never",
        ),
        ("[sys]\ninterval = \"2h\"\n", "6: sys.interval: 2h is out of range; write \"0s\" to \"1h\""),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\nacknowledge = \"dsk\"\n",
            "9: listener b: acknowledge: \"dsk\" is not known here; did you mean \"disk\"?",
        ),
        ("[limits]\nmax_retained_bytes = 1\n", "6: limits.max_retained_bytes: 1 is out of range; write 64KiB to 64GiB"),
        ("[sys]\nreaders = [\"grup:ops\"]\n", "6: sys.readers: `grup:ops` is no selector; did you mean \"group\"?"),
        ("[sys]\nreader = [\"all\"]\n", "6: sys.reader: unknown key; did you mean \"readers\"?"),
        ("log = 1\n", "1: log: this must be a table; write [log] on a line of its own"),
        (
            "[metrics]\nbind = \"9464\"\n",
            "6: metrics.bind: \"9464\" is no address; write an IP address and a port: \"127.0.0.1:1883\", \"0.0.0.0:1883\" or \"[::]:1883\"",
        ),
        (
            "[metrics]\nbind = \"0.0.0.0:1883\"\n",
            "6: metrics.bind: 0.0.0.0:1883 is already taken by listener plain; give each its own port",
        ),
        ("[profile]\nname = \"plant\"\n", "5: profile: this must be a list of tables; write [[profile]]"),
        (
            "[[profile]]\nname = \"plant\"\napplies_to = [\"grup:line-1\"]\n",
            "7: profile plant: applies_to: `grup:line-1` is no selector; did you mean \"group\"?",
        ),
        (
            "[[operator]]\nname = \"a\"\nrole = \"root\"\n",
            "7: operator a: role: \"root\" is not known here; write one of: viewer, operator, admin",
        ),
        (
            "[[operator]]\nname = \"a\"\nrole = \"viewer\"\n[[operator]]\nname = \"a\"\nrole = \"admin\"\n",
            "9: operator a: name: this operator is given twice; keep one of the two",
        ),
        (
            "[control]\nkey = \"a\"\nclient_ca = \"b\"\n",
            "5: control.certificate: this is missing; write certificate = \"tls/server.pem\"",
        ),
        (
            "[uplink]\nendpoint = \"a b:8883\"\nca = \"a\"\ncertificate = \"b\"\nkey = \"c\"\n",
            "6: uplink.endpoint: a b does not do; write a DNS name or an IPv4 address",
        ),
        (
            "[uplink]\nendpoint = \"h\"\nca = \"a\"\ncertificate = \"b\"\nkey = \"c\"\nalarm_topic = \"a/#\"\n",
            "10: uplink.alarm_topic: \"a/#\" is no topic: the topic is empty or has a wildcard or NUL in it; write for example \"cordon/gw-01/summary\"",
        ),
        (
            "[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\n",
            "6: listener plain: name: this name is given twice; give each listener a name of its own",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1883\"\nauth = \"password\"\n",
            "7: listener b: bind: 127.0.0.1:1883 is already taken by listener plain; give each its own port",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"certificate\"\n",
            "8: listener b: auth: \"certificate\" needs TLS; add [listener.tls] with certificate, key and client_ca",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"certificate\"\n[listener.tls]\ncertificate = \"a\"\nkey = \"b\"\n",
            "9: listener b: tls.client_ca: this is missing; write client_ca = \"ca.pem\", the authorities of the devices",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"anonymous\"\n",
            "8: listener b: auth: \"anonymous\" needs policies; write policies = [\"...\"], the policies that its clients are under",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"pasword\"\n",
            "8: listener b: auth: \"pasword\" is not known here; did you mean \"password\"?",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\ntransport = \"websockets\"\npath = \"/x\"\n",
            "9: listener b: transport: \"websockets\" is not known here; did you mean \"websocket\"?",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\npath = \"/mqtt\"\n",
            "9: listener b: path: only a listener with transport = \"websocket\" has this; take it out, or write transport = \"websocket\"",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\ntransport = \"tcp\"\norigins = []\n",
            "10: listener b: origins: only a listener with transport = \"websocket\" has this; take it out, or write transport = \"websocket\"",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\ntransport = \"websocket\"\npath = \"mqtt\"\n",
            "10: listener b: path: \"mqtt\" is no path of a URL; write for example \"/mqtt\", without query or fragment",
        ),
        (
            "[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\ntransport = \"websocket\"\norigins = [\"plant.example\"]\n",
            "10: listener b: origins: \"plant.example\" is no origin; write for example \"https://plant.example\" or \"http://10.0.0.5:8080\", without a path",
        ),
        (
            "[[listener]]\nbind = \"127.0.0.1:1884\"\nauth = \"password\"\n",
            "5: listener 2: name: this is missing; write name = \"plain\"",
        ),
    ] {
        // A plain key must stand before the first table.
        let whole = if text.starts_with('[') { format!("{LISTENER}{text}") } else { format!("{text}{LISTENER}") };
        assert_eq!(said(&whole), [message], "{whole}");
    }
}

#[test]
fn a_configuration_without_a_listener_says_what_to_write() {
    let message = "1: listener: this is missing; write listener = [[listener]] with name, bind and auth: without one no device can connect";
    assert_eq!(said(""), [message]);
}

#[test]
fn all_mistakes_are_told_in_one_go_in_order() {
    let text = format!("[login]\nfailures = 0\nwindw = \"1s\"\n{LISTENER}tls = 1\n[loog]\n");
    assert_eq!(
        said(&text),
        [
            "2: login.failures: 0 is out of range; write 1 to 1000",
            "3: login.windw: unknown key; did you mean \"window\"?",
            "8: listener plain: tls: this must be a table; write [listener.tls] on a line of its own",
            "9: loog: unknown key; did you mean \"log\"?",
        ]
    );
}

#[test]
fn broken_syntax_is_told_with_its_line() {
    let told = said("[gateway]\nname = = 1\n");
    assert!(told[0].starts_with("2: this is no TOML: ") && told[0].ends_with("; correct the syntax there"), "{told:?}");
}

#[test]
fn what_works_but_is_hardly_meant_is_a_warning() {
    let warned =
        |text: &str| parse(text).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let open = LISTENER.replace("127.0.0.1", "0.0.0.0");
    assert!(warned(&open).contains("bind: passwords cross the network in plain text"), "{}", warned(&open));
    let anonymous = open.replace("\"password\"", "\"anonymous\"\npolicies = [\"device\"]");
    assert!(warned(&anonymous).contains("auth: anyone who reaches this address can be any thing"));
    let metrics = format!("{LISTENER}[metrics]\nbind = \"0.0.0.0:9464\"\n");
    assert!(warned(&metrics).contains("metrics.bind: anyone who reaches this address can read the metrics"));
    let alone = format!("{LISTENER}[control]\ncertificate = \"a\"\nkey = \"b\"\nclient_ca = \"c\"\n");
    assert!(warned(&alone).contains("there is no operator"), "{}", warned(&alone));
}

#[test]
fn every_sample_is_right() {
    let file = samples().join("cordon.toml");
    let config = Config::parse(&fs::read_to_string(&file).unwrap(), &file).unwrap();
    assert_eq!(config.warnings, []);
    let rules = Rules::load(&config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules.warnings, []);
    assert_eq!(rules.policies.keys().collect::<Vec<_>>(), ["controller", "device"]);
    assert_eq!((rules.registry.things.len(), rules.profiles.len(), rules.baselines.len()), (3, 1, 1));
    for folder in ["policies", "aws"] {
        for entry in fs::read_dir(samples().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().ends_with("-policy.json") {
                cordon_core::policy::Policy::parse("sample", &fs::read_to_string(&path).unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn the_sample_explains_every_key_and_what_is_commented_out_works_too() {
    let file = samples().join("cordon.toml");
    let text = fs::read_to_string(&file).unwrap();
    let is_example = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.starts_with('[') || (line.contains(" = ") && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let open: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").filter(|line| is_example(line)).unwrap_or(line)).collect();
    let config = Config::parse(&open.join("\n"), &file).unwrap_or_else(|error| panic!("{error}"));
    let kind = |key: &str| {
        key.split_once(' ')
            .map(|(kind, rest)| (kind.to_owned(), rest.split_once(": ").map_or("", |(_, key)| key).to_owned()))
    };
    let given: BTreeSet<String> = config
        .lines
        .keys()
        .map(|key| kind(key).map_or_else(|| key.clone(), |(kind, key)| format!("{kind}: {key}")))
        .collect();
    for section in open.iter().filter(|line| line.starts_with('[')) {
        // A key that is like no other is answered with all that there are.
        let asked = open.join("\n").replacen(section, &format!("{section}\nzzzzzzzzzzzzzzzzzzzz = 1"), 1);
        let error = Config::parse(&asked, &file).unwrap_err();
        let problem = &error.problems[0];
        let place = problem.key.trim_end_matches("zzzzzzzzzzzzzzzzzzzz");
        let place = kind(place).map_or_else(|| place.to_owned(), |(kind, key)| format!("{kind}: {key}"));
        for key in problem.help.trim_start_matches("write one of: ").split(", ") {
            assert!(given.contains(&format!("{place}{key}")), "`{place}{key}` is not explained in config/cordon.toml");
        }
    }
    assert_eq!(config.listeners.len(), 4);
    assert!(config.control.is_some() && config.uplink.is_some());
}

#[test]
fn the_rules_are_told_with_file_line_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let policy = fs::read_to_string(samples().join("policies/device.json")).unwrap();
    write("policies/device.json", &policy);
    write("profiles/plant.json", &fs::read_to_string(samples().join("profiles/plant.json")).unwrap());
    write("fleet.toml", "[[thing]]\nname = \"a\"\npolicies = [\n  \"device\",\n  \"devise\",\n]\nusername = \"a\"\n");
    write(
        "passwords.toml",
        "[passwords]\na = \"hunter2\"\nb = \"$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA\"\n",
    );
    fs::set_permissions(dir.path().join("passwords.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "{LISTENER}[gateway]\nbreak_glass = [\"A\"]\n[[profile]]\nname = \"plnt\"\napplies_to = [\"all\"]\n\
         [[listener]]\nname = \"any\"\nbind = \"127.0.0.1:1884\"\nauth = \"anonymous\"\npolicies = [\"nothing\"]\n"
    );
    let file = dir.path().join("cordon.toml");
    let error = Rules::load(&Config::parse(&text, &file).unwrap()).unwrap_err();
    let told: Vec<_> = error
        .problems
        .iter()
        .map(|problem| problem.to_string().replace(&format!("{}/", dir.path().display()), ""))
        .collect();
    assert_eq!(
        told,
        [
            "cordon.toml:6: gateway.break_glass: there is no thing \"A\"; did you mean \"a\"?",
            "cordon.toml:8: profile plnt: name: there is no security profile \"plnt\"; did you mean \"plant\"?",
            "cordon.toml:14: listener any: policies: there is no policy \"nothing\"; add policies/nothing.json, or correct the name",
            "fleet.toml:5: thing a: policies: there is no policy \"devise\"; did you mean \"device\"?",
            "passwords.toml:2: passwords.a: this is no password hash; write what `cordon passwd` prints",
            "passwords.toml:3: passwords.b: this hash is not argon2id; write what `cordon passwd` prints",
        ]
    );
    assert!(!error.to_string().contains("hunter2"));
}
