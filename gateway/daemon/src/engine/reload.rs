//! Taking a changed configuration over: all of it or nothing.

use super::{Engine, Knowledge, restore};
use crate::check;
use crate::config::{Config, ConfigError, Rules};
use cordon_core::event::{Code, Event};
use cordon_core::time::Now;
use cordon_mqtt::Credentials;
use std::sync::Arc;

/// Why a changed configuration was not taken over. The one before it stays in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    /// It has mistakes.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what only a restart can change.
    #[error("{0} cannot change while the gateway runs; restart it, or undo the change")]
    NeedsRestart(&'static str),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] cordon_mqtt::TlsError),
    /// Reading the files ended unexpectedly.
    #[error("the configuration could not be read: {0}")]
    Reader(String),
    /// The system's random source failed.
    #[error("the passwords cannot be taken over: {0}")]
    Random(getrandom::Error),
}

// === impl Engine ===

impl Engine {
    /// Reads the configuration anew and takes over what changed: things, passwords, policies, profiles, baselines and
    /// certificates. Returns what was read, in words.
    pub(crate) async fn reload(&self, by: &str, reason: &str) -> Result<(Config, Vec<String>), ReloadError> {
        let file = self.lock().await.config.file.clone();
        let read = tokio::task::spawn_blocking(move || check::load(&file).map_err(ReloadError::from));
        let read = read.await.unwrap_or_else(|error| Err(ReloadError::Reader(error.to_string())));
        let now = (self.clock)();
        let mut knowledge = self.lock().await;
        let result = match read {
            Ok((config, rules)) => knowledge.reload(config, rules, now).await,
            Err(error) => Err(error),
        };
        let event = match &result {
            Ok((_, parts)) => Event::new(Code::GatewayReloaded, now).reason(reason).detail("parts", parts.join(", ")),
            Err(error) => Event::new(Code::GatewayReloadRefused, now).reason(error.to_string()),
        };
        knowledge.record_durably(event.principal(by)).await;
        result
    }

    /// Records that a changed configuration was not taken over.
    pub(crate) async fn reload_refused(&self, by: &str, reason: &str) {
        let event = Event::new(Code::GatewayReloadRefused, (self.clock)()).principal(by).reason(reason);
        self.lock().await.record_durably(event).await;
    }
}

// === impl Knowledge ===

impl Knowledge {
    async fn reload(
        &mut self,
        mut config: Config,
        rules: Rules,
        now: Now,
    ) -> Result<(Config, Vec<String>), ReloadError> {
        if let Some(part) = fixed_part_changed(&self.config, &config) {
            return Err(ReloadError::NeedsRestart(part));
        }
        // Ports given on the command line stay.
        config.listeners.clone_from(&self.config.listeners);
        config.control.clone_from(&self.config.control);
        config.metrics.clone_from(&self.config.metrics);
        let credentials = Arc::new(Credentials::new(rules.passwords).map_err(ReloadError::Random)?);
        if let Some(broker) = self.broker().cloned() {
            let tls = broker.clone();
            let reloaded = tokio::task::spawn_blocking(move || tls.reload_tls()).await;
            reloaded.map_err(|error| ReloadError::Reader(error.to_string()))??;
            broker.set_credentials(credentials);
        }
        let parts = vec![
            format!("{} things", rules.registry.things.len()),
            format!("{} policies", rules.policies.len()),
            format!("{} profiles", rules.profiles.len()),
            format!("{} baselines", rules.baselines.len()),
            "certificates".to_owned(),
        ];
        self.registry = Arc::new(restore::registry(rules.registry, &self.stores, now));
        self.policies = Arc::new(rules.policies);
        self.orders.configure(restore::limits(&config), config.gateway.break_glass.clone());
        self.detector.set_profiles(rules.profiles);
        self.detector.fleet_changed();
        let registry = self.registry.clone();
        let steps = self.remediation.set_baselines(rules.baselines, &registry, now);
        self.config = config.clone();
        self.enforce().await;
        self.carry_out(steps, now).await;
        self.assess_all(now).await;
        self.raise_violations(now).await;
        Ok((config, parts))
    }
}

/// The part of the configuration that differs and that only a restart can change.
fn fixed_part_changed(old: &Config, new: &Config) -> Option<&'static str> {
    // Ports that the command line moved are not where the file says, and stay.
    let moved = old.ports_moved;
    let listeners = |config: &Config| {
        let mut listeners = config.listeners.clone();
        listeners.iter_mut().filter(|_| moved).for_each(|listener| listener.bind.set_port(0));
        listeners
    };
    let control = |config: &Config| config.control.as_ref().map(|control| control.bind);
    let metrics = |config: &Config| config.metrics.as_ref().map(|metrics| metrics.bind);
    [
        ("[gateway] name", old.gateway.name != new.gateway.name),
        ("[gateway] data_dir", old.gateway.data_dir != new.gateway.data_dir),
        ("[[listener]]", listeners(old) != listeners(new)),
        ("[control] bind", !moved && control(old) != control(new)),
        ("[metrics] bind", !moved && metrics(old) != metrics(new)),
        ("[limits]", old.limits != new.limits),
        ("[login]", old.login != new.login),
        ("[journal]", old.journal != new.journal),
        ("[outbox]", old.outbox != new.outbox),
        ("[uplink]", old.uplink != new.uplink),
        ("[log]", old.log != new.log),
    ]
    .into_iter()
    .find_map(|(part, changed)| changed.then_some(part))
}
