//! `cordon serve`: putting the parts together, and taking them apart in order.
//!
//! Start: stores, rules, engine, front door with the rules in force, then listeners, management, metrics, and the uplink
//! last; nothing waits for a network. Stop: listeners and sessions, engine, uplink, management, stores. A second signal
//! ends the process at once.

use crate::backend::Gateway;
use crate::cli::{Global, ServeArgs};
use crate::config::{Config, Rules};
use crate::engine::{Engine, Stores};
use crate::feed::{self, Feed};
use crate::outbox::DurableOutbox;
use crate::record::Record;
use crate::stores::Open;
use crate::{check, clock, dev, logging, metrics, systemd};
use anyhow::{Context as _, Result, anyhow};
use cordon_control::{Access, Identity, Limits, Operators, Server};
use cordon_core::detect::{LoginGuard, LoginLimits};
use cordon_core::event::{Code, Event};
use cordon_mqtt::{Broker, Credentials, Parts};
use cordon_uplink::Uplink;
use std::fs;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How long sessions may take to end.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long readers of metrics may take to finish.
const GRACE: Duration = Duration::from_secs(1);
/// Exit code for a configuration that cannot be used (`EX_CONFIG`).
const EX_CONFIG: u8 = 78;

/// Runs the gateway until it is told to stop.
pub(crate) fn main(global: &Global, arguments: &ServeArgs) -> ExitCode {
    let (config, rules, banner) = match configuration(global, arguments) {
        Ok(found) => found,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EX_CONFIG);
        }
    };
    logging::start(&config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the runtime cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(config, rules, banner)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn configuration(global: &Global, arguments: &ServeArgs) -> Result<(Config, Rules, String)> {
    if let Some(file) = &arguments.config {
        let (config, rules) = check::load(file)?;
        return Ok((config, rules, String::new()));
    }
    let ports = dev::Ports {
        mqtt: arguments.mqtt_port,
        mqtts: arguments.mqtts_port,
        control: arguments.control_port,
        metrics: arguments.metrics_port,
    };
    let prepared = dev::prepare(global.dev_dir(), ports)?;
    let rules = check::rules(&prepared.config)?;
    let banner = dev::banner(&prepared);
    Ok((prepared.config, rules, banner))
}

async fn serve(config: Config, rules: Rules, banner: String) -> Result<()> {
    let mut signals = Signals::new()?;
    for warning in config.warnings.iter().chain(&rules.warnings) {
        tracing::warn!("{warning}");
    }
    let opening = config.clone();
    let open = tokio::task::spawn_blocking(move || Open::at(&opening)).await??;
    let record = Record::new(open.journal.recorder());
    let guard = Arc::new(Mutex::new(LoginGuard::new(login_limits(&config))));
    let credentials =
        Arc::new(Credentials::new(rules.passwords.clone()).map_err(|error| anyhow!("no random numbers: {error}"))?);
    let uplink_parts = config.uplink.clone().zip(open.outbox.clone());
    let stores = Stores {
        record: record.clone(),
        state: open.state.clone(),
        outbox: uplink_parts.clone().map(|(uplink, outbox)| (outbox, uplink.topics)),
    };
    let (building, engine_guard) = (config.clone(), guard.clone());
    let engine = tokio::task::spawn_blocking(move || {
        Engine::new(building, rules, stores, engine_guard, clock::now, &clock::boot_id())
    });
    let engine = Arc::new(engine.await?);
    let (told, telling) = mpsc::channel(feed::QUEUE);
    let feed = Arc::new(Feed::new(record.clone(), told, clock::now));
    let mut broker = Broker::start(Parts {
        limits: config.limits.clone(),
        clock: clock::now,
        sink: feed.clone(),
        guard,
        credentials,
        rulebook: engine.rulebook().await,
        store: Some(open.sessions.clone()),
        boot_id: clock::boot_id(),
    })?;
    let addresses = broker.listen(config.listeners.clone()).await?;
    let handle = broker.handle();
    engine.attach(handle.clone()).await;

    let (stop, stopped) = watch::channel(false);
    let access = access(&config)?;
    let gateway = Arc::new(Gateway::new(engine.clone(), handle, open.journal.clone(), addresses, access.clone()));
    let mut tasks = tokio::task::JoinSet::new();
    {
        let (engine, stopped) = (engine.clone(), stopped.clone());
        tasks.spawn(async move {
            engine.run(telling, stopped).await;
            "engine"
        });
    }
    if let (Some(control), Some(access)) = (&config.control, access) {
        let server = Server::bind(control.bind, access, gateway.clone(), Limits::default()).await?;
        let stopped = stopped.clone();
        tasks.spawn(async move {
            if let Err(error) = server.serve(until(stopped)).await {
                tracing::error!(%error, "The management interface ended.");
            }
            "control"
        });
    }
    if let Some(endpoint) = &config.metrics {
        let (endpoint, stopped) = (metrics::Endpoint::bind(endpoint).await?, stopped.clone());
        let (source, counts) = (gateway.clone(), record.counts());
        tasks.spawn(async move {
            let serving = endpoint.serve(source, counts, until(stopped.clone()));
            // Without a limit, a reader that never finishes its request would keep the gateway from stopping.
            let over = async {
                until(stopped).await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                served = serving => if let Err(error) = served {
                    tracing::error!(%error, "The metrics endpoint ended.");
                },
                () = over => {}
            }
            "metrics"
        });
    }
    let uplink = match uplink_parts {
        Some((uplink, outbox)) => {
            let outbox = Arc::new(DurableOutbox(outbox));
            let handle = Uplink::spawn(uplink.link, outbox, Arc::new(UplinkSink(record.clone())))?;
            engine.lock().await.watch_uplink(handle.status());
            Some(handle)
        }
        None => None,
    };
    record.record(Event::new(Code::GatewayStarted, clock::now()).principal("gateway"));
    systemd::ready();
    say(&banner);
    say(&format!("cordon is ready: {}\n", config.gateway.name));

    let failed = attend(&mut signals, &mut broker, &engine, &gateway, &mut tasks).await;

    systemd::stopping();
    record.record(Event::new(Code::GatewayStopping, clock::now()).principal("gateway"));
    let in_order = async {
        broker.stop(DEADLINE).await;
        stop.send(true).ok();
        if let Some(uplink) = uplink {
            uplink.shutdown(DEADLINE).await;
        }
        while tasks.join_next().await.is_some() {}
        drop((gateway, engine, feed));
        open.close().await;
    };
    tokio::select! {
        () = in_order => {}
        () = signals.stop() => tracing::warn!("A second signal ends the process at once."),
    }
    failed.map_or(Ok(()), |what| Err(anyhow!("{what} failed; start the gateway again")))
}

/// Waits for signals while everything runs. Returns what failed, if something did.
async fn attend(
    signals: &mut Signals,
    broker: &mut Broker,
    engine: &Engine,
    gateway: &Gateway,
    tasks: &mut tokio::task::JoinSet<&'static str>,
) -> Option<&'static str> {
    let period = systemd::watchdog();
    let mut watchdog = tokio::time::interval(period.unwrap_or(Duration::from_secs(3600)));
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => return None,
                Signal::Reload => if let Err(error) = gateway.reload_as("signal", "SIGHUP").await {
                    tracing::error!(%error, "The changed configuration was not taken over.");
                },
            },
            () = broker.failed() => return Some("the broker"),
            Some(ended) = tasks.join_next() => {
                tracing::error!(?ended, "A task ended that should run for ever.");
                return Some("a part of the gateway");
            }
            _ = watchdog.tick(), if period.is_some() => {
                // Alive is who can still judge and deliver: every worker answers, and the engine's lock is free.
                if tokio::time::timeout(DEADLINE, async { drop(engine.lock().await); gateway.ping().await }).await.is_ok() {
                    systemd::alive();
                }
            }
        }
    }
}

fn login_limits(config: &Config) -> LoginLimits {
    LoginLimits {
        failures: config.login.failures,
        within: config.login.window,
        first: config.login.refusal,
        longest: config.login.max_refusal,
        ..LoginLimits::default()
    }
}

fn access(config: &Config) -> Result<Option<Arc<Access>>> {
    let Some(control) = &config.control else { return Ok(None) };
    let read = |path: &std::path::Path| fs::read(path).with_context(|| path.display().to_string());
    let identity = Identity {
        certificates: read(&control.certificate)?,
        key: read(&control.key)?,
        operator_authorities: read(&control.client_ca)?,
    };
    Ok(Some(Arc::new(Access::new(&identity, operators(config))?)))
}

/// The operators of the configuration.
pub(crate) fn operators(config: &Config) -> Operators {
    Operators { by_name: config.operators.iter().map(|operator| (operator.name.clone(), operator.role)).collect() }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is as good as told.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Writes to standard output; a closed pipe is no reason to stop serving.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// Says on standard error why the gateway does not serve.
fn complain(text: &str) {
    let mut out = std::io::stderr().lock();
    writeln!(out, "cordon: {text}").ok();
}

struct UplinkSink(Record);

impl cordon_uplink::Sink for UplinkSink {
    fn now(&self) -> cordon_core::time::Now {
        clock::now()
    }

    fn record(&self, event: Event) {
        self.0.record(event);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    Stop,
    Reload,
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

// === impl Signals ===

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}
