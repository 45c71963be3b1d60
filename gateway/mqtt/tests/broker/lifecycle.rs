//! Lifecycle events: who watches `$aws/events/...` sees what clients do, as AWS IoT tells it.

use crate::support::{Bench, Client, Hello, LASTING, Packet, subscribe, unsubscribe};
use cordon_core::isolation::Level;
use cordon_mqtt::Limits;
use serde_json::Value;

/// The next event of `watcher`: its topic and its fields.
fn event(watcher: &mut Client) -> (String, Value) {
    let packet = watcher.next();
    read(watcher, &packet)
}

fn read(watcher: &mut Client, packet: &Packet) -> (String, Value) {
    assert_eq!(packet.first & 0x0F, 0x02, "QoS 1, not retained: {packet:?}");
    let (topic, id, payload) = packet.message(watcher.v5);
    let [high, low] = id.unwrap().to_be_bytes();
    watcher.send(&[0x40, 2, high, low]);
    (topic, serde_json::from_slice(&payload).unwrap())
}

fn keys(event: &Value) -> Vec<&str> {
    event.as_object().unwrap().keys().map(String::as_str).collect()
}

fn watcher(bench: &Bench, filter: &str) -> Client {
    let mut watcher = bench.client("watcher");
    assert_eq!(watcher.subscribe(filter, 1).body.last(), Some(&1));
    watcher
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_told_at_its_beginning_and_its_end_with_the_fields_of_aws() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench, "$aws/events/presence/#");
    let mut client = bench.client("line/press-01");
    let (topic, begun) = event(&mut watcher);
    assert_eq!(topic, "$aws/events/presence/connected/line/press-01");
    let mut fields = [
        "clientId",
        "eventType",
        "ipAddress",
        "principalIdentifier",
        "sessionIdentifier",
        "timestamp",
        "versionNumber",
    ];
    fields.sort_unstable();
    assert_eq!(keys(&begun), fields);
    assert_eq!((&begun["clientId"], &begun["eventType"]), (&"line/press-01".into(), &"connected".into()));
    assert_eq!((&begun["ipAddress"], &begun["principalIdentifier"]), (&"127.0.0.1".into(), &"anonymous:open".into()));
    assert_eq!(begun["versionNumber"], 0);
    assert!(begun["timestamp"].as_u64().unwrap() >= 1_767_225_600_000);
    assert_eq!(begun["sessionIdentifier"].as_str().unwrap().len(), 36);

    client.send(&[0xE0, 0]);
    let (topic, ended) = event(&mut watcher);
    assert_eq!(topic, "$aws/events/presence/disconnected/line/press-01");
    assert_eq!(
        keys(&ended),
        [
            "clientId",
            "clientInitiatedDisconnect",
            "disconnectReason",
            "eventType",
            "principalIdentifier",
            "sessionIdentifier",
            "timestamp",
            "versionNumber"
        ]
    );
    assert_eq!(ended["clientInitiatedDisconnect"], true);
    assert_eq!(ended["disconnectReason"], "CLIENT_INITIATED_DISCONNECT");
    for same in ["sessionIdentifier", "versionNumber", "principalIdentifier"] {
        assert_eq!(begun[same], ended[same], "{same}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_rise_over_takeovers_losses_and_new_sessions_of_one_client_id() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench, "$aws/events/presence/+/a");
    let mut told = |expected: (&str, u64, Option<&str>)| {
        let (_, event) = event(&mut watcher);
        let reason = event["disconnectReason"].as_str();
        let got = (event["eventType"].as_str().unwrap(), event["versionNumber"].as_u64().unwrap(), reason);
        assert_eq!(got, expected, "{event:#}");
        event["sessionIdentifier"].to_string()
    };
    let first = bench.client("a");
    let one = told(("connected", 0, None));
    let second = bench.client_with(&Hello { id: "a", clean: false, properties: LASTING, ..Hello::default() });
    assert_eq!(told(("disconnected", 0, Some("DUPLICATE_CLIENTID"))), one);
    let two = told(("connected", 1, None));
    assert_ne!(one, two);
    drop(second);
    told(("disconnected", 1, Some("CONNECTION_LOST")));
    let third = bench.client_with(&Hello { id: "a", clean: false, properties: LASTING, ..Hello::default() });
    assert!(third.present);
    let three = told(("connected", 2, None));
    assert_ne!(two, three, "one session, another connection");
    assert!(bench.handle.disconnect("a", "maintenance").await);
    told(("disconnected", 2, Some("API_INITIATED_DISCONNECT")));
    drop((first, third));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keep_alive_that_runs_out_and_a_broken_rule_are_told_as_such() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench, "$aws/+/presence/disconnected/+");
    let silent = bench.client_with(&Hello { id: "silent", keep_alive: 1, ..Hello::default() });
    let (_, told) = event(&mut watcher);
    assert_eq!((&told["clientId"], &told["disconnectReason"]), (&"silent".into(), &"MQTT_KEEP_ALIVE_TIMEOUT".into()));
    assert_eq!(told["clientInitiatedDisconnect"], false);
    drop(silent);
    let mut wrong = bench.client("wrong");
    wrong.send(&[0x00, 0x00]);
    assert_eq!(event(&mut watcher).1["disconnectReason"], "CLIENT_ERROR");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_told_once_each_and_only_those_that_were_granted() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench, "$aws/events/subscriptions/#");
    let (topic, own) = event(&mut watcher);
    assert_eq!(topic, "$aws/events/subscriptions/subscribed/watcher");
    assert_eq!(own["topics"], serde_json::json!(["$aws/events/subscriptions/#"]));
    let mut client = bench.client("a");
    client.subscribe("$share/g/b/+", 0);
    let (topic, told) = event(&mut watcher);
    assert_eq!(topic, "$aws/events/subscriptions/subscribed/a");
    assert_eq!(
        keys(&told),
        ["clientId", "eventType", "principalIdentifier", "sessionIdentifier", "timestamp", "topics"]
    );
    assert_eq!((&told["eventType"], &told["topics"]), (&"subscribed".into(), &serde_json::json!(["$share/g/b/+"])));

    let [refused, twice] = [subscribe("$aws/rules/r/a", 0, true), subscribe("c", 0, true)];
    assert_eq!(client.ask(&refused, 9).0.body.last(), Some(&0x87));
    client.ask(&twice, 9);
    assert_eq!(event(&mut watcher).1["topics"], serde_json::json!(["c"]), "what was refused is not told");
    client.ask(&unsubscribe("never", true), 11);
    client.ask(&unsubscribe("c", true), 11);
    let (topic, told) = event(&mut watcher);
    assert_eq!(topic, "$aws/events/subscriptions/unsubscribed/a");
    assert_eq!((&told["eventType"], &told["topics"]), (&"unsubscribed".into(), &serde_json::json!(["c"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_id_that_is_no_topic_level_has_no_events() {
    let bench = Bench::start().await;
    let mut watcher = watcher(&bench, "$aws/events/presence/connected/#");
    for id in ["a+", "#", "b/+/c"] {
        bench.client(id).ping();
    }
    bench.client("plain").ping();
    assert_eq!(event(&mut watcher).0, "$aws/events/presence/connected/plain", "the first that is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_may_not_connect_is_told_as_failed() {
    let mut bench = Bench::start().await;
    bench.isolate("bad", Level::Disconnect, &[]).await;
    let mut watcher = watcher(&bench, "$aws/events/presence/connect_failed/+");
    let mut bad = Client::over(std::net::TcpStream::connect(bench.address).unwrap());
    bad.send(&crate::support::connect(&Hello { id: "bad", ..Hello::default() }));
    assert_eq!(bad.next().body[1], 0x87);
    let (topic, told) = event(&mut watcher);
    assert_eq!(topic, "$aws/events/presence/connect_failed/bad");
    assert_eq!(told["connectFailureReason"], "AUTHORIZATION_FAILED");
    assert_eq!((&told["eventType"], &told["ipAddress"]), (&"connect_failed".into(), &"127.0.0.1".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wide_filter_sees_no_lifecycle_and_an_end_of_watching_ends_the_events() {
    let bench = Bench::start().await;
    let mut wide = bench.client("wide");
    wide.subscribe("#", 1);
    let mut watcher = watcher(&bench, "$aws/events/presence/connected/+");
    bench.client("a").ping();
    assert_eq!(event(&mut watcher).1["clientId"], "a");
    watcher.ask(&unsubscribe("$aws/events/presence/connected/+", true), 11);
    bench.client("b").ping();
    assert!(watcher.ping().is_empty());
    assert!(wide.ping().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_watcher_sees_nothing_and_a_mass_departure_is_told_whole() {
    let mut bench = Bench::with(Limits { workers: 2, ..Limits::default() }).await;
    let mut cut = bench.client("cut");
    cut.subscribe("$aws/events/presence/#", 1);
    bench.isolate("cut", Level::Quarantine, &[]).await;
    let mut watcher = watcher(&bench, "$aws/events/presence/disconnected/+");
    let clients: Vec<Client> = (0..80).map(|n| bench.client(&format!("client-{n}"))).collect();
    drop(clients);
    let mut gone: Vec<String> = (0..80).map(|_| event(&mut watcher).1["clientId"].to_string()).collect();
    gone.sort();
    gone.dedup();
    assert_eq!(gone.len(), 80);
    assert!(cut.ping().is_empty());
}
