//! Taking a changed configuration over: all of it or nothing.

use super::{Engine, Knowledge, restore};
use crate::check;
use crate::config::{Config, ConfigError, Rules};
use cordon_core::event::{Code, Event};
use cordon_core::time::Now;
use cordon_mqtt::{Credentials, ListenerConfig};
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
    /// Reads the configuration anew and takes over what changed: things, passwords, policies, profiles, baselines,
    /// certificates and the limits that keep clients fair to each other. Returns what was read, in words.
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
        let kept = self.config.listeners.iter().zip(&config.listeners);
        config.listeners = kept.map(|(kept, changed)| kept.taking(changed)).collect();
        config.control.clone_from(&self.config.control);
        config.metrics.clone_from(&self.config.metrics);
        let credentials = Arc::new(Credentials::new(rules.passwords).map_err(ReloadError::Random)?);
        if let Some(broker) = self.broker().cloned() {
            let tls = broker.clone();
            let reloaded = tokio::task::spawn_blocking(move || tls.reload_tls()).await;
            reloaded.map_err(|error| ReloadError::Reader(error.to_string()))??;
            broker.set_credentials(credentials);
            broker.set_limits(&config.limits);
            broker.set_listeners(&config.listeners);
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
    let (before, after) = (listeners(old), listeners(new));
    let same = |(before, after): (&ListenerConfig, &ListenerConfig)| before.taking(after) == *after;
    let listeners_changed = before.len() != after.len() || !before.iter().zip(&after).all(same);
    let control = |config: &Config| config.control.as_ref().map(|control| control.bind);
    let metrics = |config: &Config| config.metrics.as_ref().map(|metrics| metrics.bind);
    [
        ("[gateway] name", old.gateway.name != new.gateway.name),
        ("[gateway] data_dir", old.gateway.data_dir != new.gateway.data_dir),
        ("[[listener]]", listeners_changed),
        ("[control] bind", !moved && control(old) != control(new)),
        ("[metrics] bind", !moved && metrics(old) != metrics(new)),
        ("[limits]", old.limits.taking(&new.limits) != new.limits),
        ("[login]", old.login != new.login),
        ("[journal]", old.journal != new.journal),
        ("[outbox]", old.outbox != new.outbox),
        ("[uplink]", old.uplink != new.uplink),
        ("[log]", old.log != new.log),
    ]
    .into_iter()
    .find_map(|(part, changed)| changed.then_some(part))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;
    use std::path::Path;

    fn config(listener: &str, rest: &str) -> Config {
        let text = format!(
            "[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:1883\"\nauth = \"password\"\n{listener}\n{rest}\n"
        );
        Config::parse(&text, Path::new("/etc/cordon/cordon.toml")).unwrap()
    }

    #[test]
    fn limits_between_clients_change_without_a_restart_and_what_clients_were_told_does_not() {
        let old = config("", "");
        for (listener, rest, part) in [
            ("max_pending = 9\nmax_pending_per_address = 9\nmax_connections = 9\nconnect_timeout = \"9s\"", "", None),
            ("", "[limits]\nmax_packets_per_second = 9\nmax_bytes_per_second = 9999\nmax_topics = 9", None),
            ("", "[limits]\nwrite_timeout = \"9s\"\n[sources]\nmax_connections = 9\nexempt = []", None),
            ("", "[limits]\nmax_packet_size = \"9KiB\"", Some("[limits]")),
            ("", "[limits]\nmax_topics = 9\nworkers = 2", Some("[limits]")),
            ("transport = \"websocket\"\nmax_pending = 9", "", Some("[[listener]]")),
            ("[[listener]]\nname = \"b\"\nbind = \"127.0.0.1:1\"\nauth = \"password\"", "", Some("[[listener]]")),
        ] {
            assert_eq!(fixed_part_changed(&old, &config(listener, rest)), part, "{listener}{rest}");
        }
    }
}
