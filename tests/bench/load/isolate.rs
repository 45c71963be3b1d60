//! How fast an isolation order takes hold while the gateway is fully loaded: of one thing, and of a large group.
//!
//! Four publishers flood one subscriber. Beside them the probe, a thing of its own, sends its clock at a steady pace to a
//! watcher. Then the probe, or a group of many connected things and the probe, is isolated and released, again and again.
//! Each time is told: how long a preview took, which travels the same way and enforces nothing; how long the order took
//! until it was enforced, durable and answered; and when the last message was sent that still passed. None that was sent
//! after the answer may pass.

use super::client::{Client, Got};
use super::packet::{Packet, publish};
use super::process::hundredths;
use super::target::Target;
use crate::Options;
use anyhow::{Context, Result, ensure};
use cordon_proto::v1::gateway_client::GatewayClient;
use cordon_proto::v1::{IsolateRequest, Level, ReleaseRequest};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const PUBLISHERS: usize = 4;
/// The probe's pace: messages a second.
const PACE: u32 = 5000;
/// How long is listened for messages that should not have passed.
const AFTER: Duration = Duration::from_millis(100);
/// How long the probe may take to pass again after its release.
const BACK: Duration = Duration::from_secs(10);

/// What everybody shares.
#[derive(Clone)]
struct Scene {
    epoch: Instant,
    stop: Arc<AtomicBool>,
    /// When the youngest of the probe's messages that passed was sent, in nanoseconds since `epoch`.
    passed: Arc<AtomicU64>,
}

/// One order, in milliseconds since it was called for.
struct Shot {
    preview: f64,
    answered: f64,
    last_passed: f64,
    leaked: bool,
}

pub(crate) fn run(target: &Target, options: &Options) -> Result<Value> {
    let rounds = options.number("rounds", 20)?;
    let crowd = target.anonymous(u16::try_from(options.number("members_port", 0)?)?);
    let members = (0..options.number("members", 5000)?)
        .map(|number| {
            let name = format!("dev-{number}");
            let mut client = crowd.connect(&name)?;
            client.subscribe(&crowd.topic(&name), 0)?;
            Ok(client)
        })
        .collect::<Result<Vec<_>>>()?;
    let scene = Scene { epoch: Instant::now(), stop: Arc::default(), passed: Arc::default() };
    let threads = scene.play(target)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shots = runtime.block_on(async {
        let mut gateway = connect(options).await?;
        let thing = scene.shoot(&mut gateway, "thing:probe", rounds).await?;
        let group = scene.shoot(&mut gateway, "group:crowd", rounds).await?;
        anyhow::Ok((thing, group))
    });
    scene.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().ok().context("a client panicked")??;
    }
    let (thing, group) = shots?;
    Ok(json!({
        "members": members.len(), "rounds": rounds,
        "thing_preview_ms": median(&thing, |shot| shot.preview), "thing_answered_ms": median(&thing, |shot| shot.answered),
        "thing_last_passed_ms": median(&thing, |shot| shot.last_passed), "thing_leaked": leaked(&thing),
        "group_preview_ms": median(&group, |shot| shot.preview), "group_answered_ms": median(&group, |shot| shot.answered),
        "group_last_passed_ms": median(&group, |shot| shot.last_passed), "group_leaked": leaked(&group),
    }))
}

// === impl Scene ===

impl Scene {
    /// Starts the flood, the probe and the watcher.
    fn play(&self, target: &Target) -> Result<Vec<thread::JoinHandle<Result<()>>>> {
        let mut threads = Vec::new();
        let mut sink = target.connect("sub-0")?;
        sink.subscribe(&target.topic("+"), 0)?;
        let scene = self.clone();
        threads.push(thread::spawn(move || scene.listen(sink, |_| {})));
        let mut watcher = target.connect("sub-1")?;
        watcher.subscribe(&target.topic("probe"), 0)?;
        let scene = self.clone();
        threads.push(thread::spawn(move || {
            let passed = Arc::clone(&scene.passed);
            scene.listen(watcher, move |stamp| {
                passed.fetch_max(stamp, Ordering::Relaxed);
            })
        }));
        for number in 0..PUBLISHERS {
            let name = format!("pub-{number}");
            let (client, topic, scene) = (target.connect(&name)?, target.topic(&name), self.clone());
            threads.push(thread::spawn(move || scene.flood(client, &topic)));
        }
        let (client, topic, scene) = (target.connect("probe")?, target.topic("probe"), self.clone());
        threads.push(thread::spawn(move || scene.probe(client, &topic)));
        Ok(threads)
    }

    fn ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn flood(&self, mut client: Client, topic: &str) -> Result<()> {
        let mut chunk = Vec::new();
        for _ in 0..50 {
            publish(&mut chunk, topic, &[0; 64], 0, 0);
        }
        while !self.ended() {
            client.send(&chunk)?;
        }
        Ok(())
    }

    fn probe(&self, mut client: Client, topic: &str) -> Result<()> {
        let mut out = Vec::new();
        while !self.ended() {
            out.clear();
            publish(&mut out, topic, &self.nanos().to_be_bytes(), 0, 0);
            client.send(&out)?;
            thread::sleep(Duration::from_secs(1) / PACE);
        }
        Ok(())
    }

    fn listen(&self, mut client: Client, mut heard: impl FnMut(u64)) -> Result<()> {
        client.patience(AFTER)?;
        while !self.ended() {
            let got = client.read(|packet| {
                if let Packet::Publish { payload, .. } = packet
                    && let Some(stamp) = payload.first_chunk::<8>()
                {
                    heard(u64::from_be_bytes(*stamp));
                }
            })?;
            ensure!(got != Got::End, "the gateway has ended a connection");
        }
        Ok(())
    }

    /// Waits until a message that was sent from now on has passed.
    async fn flows(&self) -> Result<()> {
        let (from, end) = (self.nanos(), Instant::now() + BACK);
        while self.passed.load(Ordering::Relaxed) <= from {
            ensure!(Instant::now() < end, "the probe does not get through");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn shoot(&self, gateway: &mut GatewayClient<Channel>, selector: &str, rounds: usize) -> Result<Vec<Shot>> {
        let request = |dry_run| IsolateRequest {
            selector: selector.to_owned(),
            level: Level::Quarantine.into(),
            block: Vec::new(),
            duration_ms: None,
            reason: "measured".to_owned(),
            dry_run,
        };
        let mut shots = Vec::new();
        for _ in 0..rounds {
            self.flows().await?;
            let asked = self.nanos();
            gateway.isolate(request(true)).await?;
            let called = self.nanos();
            let answer = gateway.isolate(request(false)).await?.into_inner();
            let answered = self.nanos();
            tokio::time::sleep(AFTER).await;
            let passed = self.passed.load(Ordering::Relaxed);
            shots.push(Shot {
                preview: millis(asked, called),
                answered: millis(called, answered),
                last_passed: millis(called, passed),
                leaked: passed > answered,
            });
            let id = answer.order.context("no order came back")?.id;
            gateway.release(ReleaseRequest { id, reason: "measured".to_owned() }).await?;
        }
        Ok(shots)
    }
}

async fn connect(options: &Options) -> Result<GatewayClient<Channel>> {
    let folder = Path::new(options.needed("operators")?);
    let read = |file: &str| fs::read(folder.join(file)).with_context(|| folder.join(file).display().to_string());
    let identity = Identity::from_pem(read("operator.cert.pem")?, read("operator.key.pem")?);
    let authority = Certificate::from_pem(read("../devices/ca.pem")?);
    let channel = Endpoint::from_shared(format!("https://127.0.0.1:{}", options.needed("control")?))?
        .tcp_nodelay(true)
        .tls_config(ClientTlsConfig::new().ca_certificate(authority).identity(identity))?
        .connect()
        .await?;
    Ok(GatewayClient::new(channel).max_decoding_message_size(16 << 20))
}

fn millis(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

fn median(shots: &[Shot], of: impl Fn(&Shot) -> f64) -> f64 {
    let mut values: Vec<f64> = shots.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    hundredths(values.get(values.len() / 2).copied().unwrap_or_default())
}

fn leaked(shots: &[Shot]) -> usize {
    shots.iter().filter(|shot| shot.leaked).count()
}
