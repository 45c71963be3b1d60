//! Persist: sessions, what waits for them and retained messages survive kills of the gateway at any moment.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use anyhow::{Context, Result, bail};
use cordon_tests::device::{Device, Options, Packet};
use cordon_tests::gateway::Gateway;
use std::collections::BTreeSet;
use tokio::sync::watch;

const ROUNDS: u32 = 4;
/// Messages of one publisher in one round: two of them stay below what waits for one session.
const MANY: u32 = 400;
/// Messages that a publisher has on their way at once.
const BURST: u32 = 16;
const END: &str = "plant/press-01/telemetry/end";

/// A publish packet of MQTT 3.1.1.
fn publish(topic: &str, number: u32, id: u16, qos: u8, again: bool) -> Vec<u8> {
    let payload = number.to_string();
    let body = [
        &u16::try_from(topic.len()).unwrap().to_be_bytes()[..],
        topic.as_bytes(),
        &id.to_be_bytes(),
        payload.as_bytes(),
    ]
    .concat();
    let first = 0x30 | qos << 1 | if again { 8 } else { 0 };
    [&[first, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

fn id_of(number: u32) -> u16 {
    u16::try_from(number % 50_000).unwrap() + 1
}

/// Publishes at QoS 1 and notes what was acknowledged, until the gateway is gone. Nothing is repeated.
async fn at_least_once(
    options: &Options,
    next: &mut u32,
    acked: &mut BTreeSet<u32>,
    told: &watch::Sender<u32>,
) -> Result<()> {
    let mut device = Device::connect(options).await?;
    let end = *next + MANY;
    while *next < end {
        let burst = *next..*next + BURST;
        let all: Vec<u8> =
            burst.clone().flat_map(|n| publish("plant/press-01/telemetry/n", n, id_of(n), 1, false)).collect();
        *next = burst.end;
        device.send(&all).await?;
        for number in burst {
            let answer = device.packet().await?;
            assert!(matches!(answer, Packet::Puback(ack) if ack.id == id_of(number)), "{number}: {answer:?}");
            acked.insert(number);
            told.send_modify(|count| *count += 1);
        }
    }
    Ok(())
}

/// What a publisher knows of its QoS 2 messages: the next number, and the flow that a kill cut off.
#[derive(Default)]
struct Flow {
    next: u32,
    open: Option<(u32, bool)>,
}

impl Flow {
    /// Publishes at QoS 2 and goes on where the last connection ended, until the gateway is gone or `limit` were published.
    async fn exactly_once(&mut self, options: &Options, limit: u32, told: &watch::Sender<u32>) -> Result<()> {
        let mut device = Device::connect(options).await?;
        let end = self.next + limit;
        loop {
            let (number, received, again) = match self.open {
                Some((number, received)) => (number, received, true),
                None if self.next >= end => return Ok(()),
                None => {
                    self.next += 1;
                    (self.next - 1, false, false)
                }
            };
            let id = id_of(number);
            self.open = Some((number, received));
            if !received {
                device.send(&publish("plant/press-02/telemetry/n", number, id, 2, again)).await?;
                match device.packet().await? {
                    Packet::Pubrec(ack) if ack.id == id => self.open = Some((number, true)),
                    other => bail!("{other:?}"),
                }
            }
            let [high, low] = id.to_be_bytes();
            device.send(&[0x62, 2, high, low]).await?;
            match device.packet().await? {
                Packet::Pubcomp(ack) if ack.id == id => self.open = None,
                other => bail!("{other:?}"),
            }
            told.send_modify(|count| *count += 1);
        }
    }
}

fn number(payload: &[u8]) -> u32 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_message_for_an_absent_client_arrives_after_kills_at_any_moment() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let subscriber = gateway.by_password("pump-01")?.persistent();
    let mut pump = Device::connect(&subscriber).await?;
    pump.subscribed("plant/+/telemetry/#", 2).await?;
    pump.disconnect().await?;
    let one = gateway.by_password("press-01")?;
    let other = gateway.by_password("press-02")?.persistent();
    let (mut next, mut acked, mut flow) = (0, BTreeSet::new(), Flow::default());
    let (mut once, mut exactly) = (Vec::new(), Vec::new());

    for round in 0..ROUNDS {
        let (told, mut telling) = watch::channel(0);
        let kill = 20 + round * 137 % 300;
        let killer = async {
            telling.wait_for(|count| *count >= kill).await.unwrap();
            gateway.kill().unwrap();
        };
        let both = async {
            tokio::join!(async { at_least_once(&one, &mut next, &mut acked, &told).await.ok() }, async {
                flow.exactly_once(&other, MANY, &told).await.ok()
            },);
        };
        tokio::join!(killer, both);
        gateway.run()?;
        // The flow that was cut off is finished, and then a last message follows all others.
        flow.exactly_once(&other, 0, &watch::channel(0).0).await?;
        Device::connect(&one).await?.publish(END, b"end", 1).await?;

        let mut pump = Device::connect(&subscriber).await?;
        loop {
            let message = pump.message().await?;
            match message.topic.as_str() {
                END => break,
                "plant/press-01/telemetry/n" => once.push(number(&message.payload)),
                _ => exactly.push(number(&message.payload)),
            }
        }
        pump.messages_so_far().await?;
        pump.disconnect().await?;
    }

    assert!(once.is_sorted(), "QoS 1 messages keep their order");
    let arrived: BTreeSet<u32> = once.iter().copied().collect();
    let lost: Vec<_> = acked.difference(&arrived).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert_eq!(exactly, (0..flow.next).collect::<Vec<_>>(), "QoS 2 messages arrive once, and in order");
    Ok(())
}

#[tokio::test]
async fn a_session_goes_on_after_a_kill_and_repeats_what_was_not_acknowledged() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let options = gateway.by_password("pump-01")?.persistent();
    let mut pump = Device::connect(&options).await?;
    pump.subscribed("plant/+/telemetry/#", 1).await?;
    pump.disconnect().await?;
    let mut press = Device::connect(&gateway.by_password("press-01")?).await?;
    press.publish("plant/press-01/telemetry/a", b"1", 1).await?;
    let mut pump = Device::connect(&options).await?;
    pump.acknowledge = false;
    let first = pump.message().await?;
    assert!(!first.dup);
    drop(pump);
    gateway.json_until(&["sessions", "--all"], |sessions| {
        sessions.iter().any(|session| session["client_id"] == "pump-01" && session["connected"] == false)
    })?;
    // Acknowledged, and so is everything that was handed over before it.
    press.publish("plant/press-01/telemetry/a", b"2", 1).await?;
    gateway.kill()?;
    gateway.run()?;

    let (mut pump, answer) = Device::try_connect(&options).await?;
    assert!(answer.present);
    let again = pump.message().await?;
    assert_eq!((again.dup, again.id, &again.payload[..]), (true, first.id, &b"1"[..]));
    let second = pump.message().await?;
    assert_eq!((second.dup, &second.payload[..]), (false, &b"2"[..]));
    let mut press = Device::connect(&gateway.by_password("press-01")?).await?;
    press.publish("plant/press-01/telemetry/a", b"3", 1).await?;
    assert_eq!(&pump.message().await?.payload[..], b"3", "the subscription is there without a new SUBSCRIBE");
    Ok(())
}

#[tokio::test]
async fn retained_messages_survive_a_kill_and_an_order_cuts_what_waited_before_it() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let options = gateway.by_password("pump-01")?.persistent();
    let mut pump = Device::connect(&options).await?;
    pump.subscribed("plant/+/status", 1).await?;
    pump.disconnect().await?;
    for thing in ["press-01", "press-02"] {
        let mut press = Device::connect(&gateway.by_password(thing)?).await?;
        let topic = format!("plant/{thing}/status");
        press.publish_with(&topic, thing.as_bytes(), 1, true).await?;
    }
    gateway.json(&["isolate", "--thing", "press-01", "--level", "quarantine", "--for", "10m", "--reason", "test"])?;
    gateway.kill()?;
    gateway.run()?;

    let mut pump = Device::connect(&options).await?;
    let waited = pump.messages_so_far().await?;
    let waited: Vec<_> = waited.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(waited, [b"press-02"], "what the isolated press had sent before is cut");
    pump.subscribed("plant/+/status", 1).await?;
    let retained = pump.messages_so_far().await?;
    let retained: Vec<_> = retained.iter().map(|message| (&message.payload[..], message.retain)).collect();
    assert_eq!(retained, [(&b"press-02"[..], true)]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_a_session_that_was_ended_before_a_restart() -> Result<()> {
    let mut gateway = Gateway::start()?;
    let options = gateway.by_password("pump-01")?;
    let mut pump = Device::connect(&options.clone().persistent()).await?;
    pump.subscribed("plant/+/telemetry/#", 1).await?;
    pump.disconnect().await?;
    Device::connect(&options).await?.disconnect().await?;
    gateway.stop()?;
    gateway.run()?;
    let (_, answer) = Device::try_connect(&options.persistent()).await.context("after the restart")?;
    assert!(!answer.present);
    Ok(())
}
