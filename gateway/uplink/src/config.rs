//! What the uplink is told: where to, as whom, and how fast.

use crate::entry::{EntryError, check_topic};
use std::path::PathBuf;
use std::time::Duration;

/// The most unacknowledged publishes AWS IoT Core allows on one connection.
pub const MAX_WINDOW: usize = 100;

/// The most filters AWS IoT Core takes in one SUBSCRIBE packet.
pub(crate) const FILTERS_PER_SUBSCRIBE: usize = 8;

/// The most subscriptions AWS IoT Core allows on one connection.
const MAX_SUBSCRIPTIONS: usize = 50;

/// How the uplink connects and delivers. [`Config::new`] gives the defaults; change the fields, then spawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The endpoint's DNS name or IPv4 address, for example `abc-ats.iot.eu-central-1.amazonaws.com`.
    pub host: String,
    /// The endpoint's port: 8883, or 443, which is spoken to with the ALPN name `x-amzn-mqtt-ca`.
    pub port: u16,
    /// The gateway's thing name, which is also its client id.
    pub gateway: String,
    /// PEM file with the authorities that the endpoint's certificate may come from.
    pub ca: PathBuf,
    /// PEM file with the gateway's certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the gateway's private key.
    pub key: PathBuf,
    /// Keep-alive; 5 s to 1,200 s (AWS raises what is below 30 s). Default 60 s.
    pub keep_alive: Duration,
    /// How long name resolution, TCP, TLS and CONNACK may take in all. Default 20 s.
    pub connect_timeout: Duration,
    /// How long an acknowledgement may take before the link counts as dead. Default 30 s.
    pub ack_timeout: Duration,
    /// How long the far side keeps the session after a disconnect; at most 7 days. Default 1 h.
    pub session_expiry: Duration,
    /// Topic filters to subscribe to; at most 50.
    pub subscriptions: Vec<String>,
    /// Unacknowledged publishes at a time; 1 to 100. Default 50.
    pub window: usize,
    /// Publishes per second, on average; bursts of half a second's worth. Default 50.
    pub publishes_per_second: u32,
    /// Payload and topic bytes per second, on average. Default 256,000.
    pub bytes_per_second: u32,
    /// How often an entry that the far side refuses, but not for good, is tried again. Default 5.
    pub max_retries: u32,
    /// The ceiling of the pause after the first failure; it doubles with each further one. Default 2 s.
    pub first_pause: Duration,
    /// The highest ceiling of the pause. Default 120 s.
    pub longest_pause: Duration,
    /// How long a link must have held for the pauses to start small again. Default 30 s.
    pub healthy_after: Duration,
    /// How long to stay away after another connection has taken the client id over. Default 5 min.
    pub takeover_pause: Duration,
}

/// Where summaries and alarms are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// For the summary of each interval.
    pub summary: String,
    /// For each alarm.
    pub alarm: String,
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value is outside what the uplink or AWS IoT Core can do.
    #[error("uplink.{key} is {found}; write {wanted}")]
    OutOfRange {
        /// The field of [`Config`].
        key: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// A topic filter that AWS IoT Core does not take.
    #[error("uplink.subscriptions has `{filter}`: {error}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        error: EntryError,
    },
}

// === impl Config ===

impl Config {
    /// The defaults for the thing `gateway`, which subscribes to what AWS rejects of its shadow and to its jobs.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, gateway: impl Into<String>, files: [PathBuf; 3]) -> Self {
        let [ca, certificate, key] = files;
        let gateway = gateway.into();
        Self {
            host: host.into(),
            port,
            subscriptions: default_subscriptions(&gateway),
            gateway,
            ca,
            certificate,
            key,
            keep_alive: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(20),
            ack_timeout: Duration::from_secs(30),
            session_expiry: Duration::from_secs(3600),
            window: 50,
            publishes_per_second: 50,
            bytes_per_second: 256_000,
            max_retries: 5,
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(120),
            healthy_after: Duration::from_secs(30),
            takeover_pause: Duration::from_secs(300),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// The first field that cannot work, with what to write.
    pub fn check(&self) -> Result<(), ConfigError> {
        let secs = Duration::from_secs;
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '-');
        for (key, good, found, wanted) in [
            ("host", is_host(&self.host), self.host.clone(), "a DNS name or an IPv4 address"),
            ("port", self.port != 0, self.port.to_string(), "8883 or 443"),
            (
                "gateway",
                (1..=128).contains(&self.gateway.len()) && self.gateway.chars().all(name),
                self.gateway.clone(),
                "a thing name: 1 to 128 of a-z, A-Z, 0-9, `:`, `_`, `-`",
            ),
            ("keep_alive", within(self.keep_alive, 5, 1200), format!("{:?}", self.keep_alive), "5 s to 1200 s"),
            (
                "connect_timeout",
                within(self.connect_timeout, 1, 300),
                format!("{:?}", self.connect_timeout),
                "1 s to 300 s",
            ),
            ("ack_timeout", within(self.ack_timeout, 1, 3600), format!("{:?}", self.ack_timeout), "1 s to 3600 s"),
            (
                "session_expiry",
                self.session_expiry <= secs(7 * 86_400),
                format!("{:?}", self.session_expiry),
                "at most 7 days",
            ),
            ("window", (1..=MAX_WINDOW).contains(&self.window), self.window.to_string(), "1 to 100"),
            (
                "publishes_per_second",
                (1..=100).contains(&self.publishes_per_second),
                self.publishes_per_second.to_string(),
                "1 to 100",
            ),
            (
                "bytes_per_second",
                (1_000..=512_000).contains(&self.bytes_per_second),
                self.bytes_per_second.to_string(),
                "1000 to 512000",
            ),
            ("first_pause", self.first_pause >= secs(1), format!("{:?}", self.first_pause), "1 s or more"),
            (
                "longest_pause",
                self.longest_pause >= self.first_pause,
                format!("{:?}", self.longest_pause),
                "no less than first_pause",
            ),
            (
                "subscriptions",
                self.subscriptions.len() <= MAX_SUBSCRIPTIONS,
                self.subscriptions.len().to_string(),
                "at most 50 filters",
            ),
        ] {
            if !good {
                return Err(ConfigError::OutOfRange { key, found, wanted });
            }
        }
        for filter in &self.subscriptions {
            let checked = if cordon_core::topic::is_valid_filter(filter) {
                check_topic(filter)
            } else {
                Err(EntryError::TopicInvalid)
            };
            checked.map_err(|error| ConfigError::Filter { filter: filter.clone(), error })?;
        }
        Ok(())
    }
}

// === impl Topics ===

impl Topics {
    /// `cordon/<gateway>/summary` and `cordon/<gateway>/alarm`, straight to the rule `rule` (Basic Ingest) if there is
    /// one: `$aws/rules/<rule>/cordon/<gateway>/...`.
    #[must_use]
    pub fn new(gateway: &str, rule: Option<&str>) -> Self {
        let prefix = rule.map(|rule| format!("$aws/rules/{rule}/")).unwrap_or_default();
        Self { summary: format!("{prefix}cordon/{gateway}/summary"), alarm: format!("{prefix}cordon/{gateway}/alarm") }
    }
}

fn default_subscriptions(gateway: &str) -> Vec<String> {
    vec![
        format!("$aws/things/{gateway}/shadow/update/rejected"),
        format!("$aws/things/{gateway}/shadow/name/cordon/update/rejected"),
        format!("$aws/things/{gateway}/jobs/notify-next"),
    ]
}

/// An IPv6 address has colons, which rumqttc would take for the port's.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

fn within(value: Duration, least: u64, most: u64) -> bool {
    (Duration::from_secs(least)..=Duration::from_secs(most)).contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("localhost", 8883, "gw-1", Default::default())
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(config().check(), Ok(()));
    }

    #[test]
    fn each_value_out_of_range_is_refused_by_its_name() {
        type Change = fn(&mut Config);
        let table: [(&str, Change); 8] = [
            ("host", |c| c.host = "::1".into()),
            ("port", |c| c.port = 0),
            ("gateway", |c| c.gateway = "gw/1".into()),
            ("keep_alive", |c| c.keep_alive = Duration::ZERO),
            ("window", |c| c.window = 101),
            ("publishes_per_second", |c| c.publishes_per_second = 0),
            ("first_pause", |c| c.first_pause = Duration::from_millis(10)),
            ("subscriptions", |c| c.subscriptions = vec!["a".into(); 51]),
        ];
        for (field, change) in table {
            let mut config = config();
            change(&mut config);
            let found = config.check();
            assert!(matches!(found, Err(ConfigError::OutOfRange { key, .. }) if key == field), "{field}: {found:?}");
        }
    }

    #[test]
    fn a_filter_that_aws_does_not_take_is_refused() {
        let mut config = config();
        config.subscriptions = vec!["a/b/c/d/e/f/g/h/#".into()];
        assert!(matches!(config.check(), Err(ConfigError::Filter { .. })));
    }

    #[test]
    fn a_rule_makes_the_topics_basic_ingest() {
        assert_eq!(Topics::new("gw-1", None).summary, "cordon/gw-1/summary");
        assert_eq!(Topics::new("gw-1", Some("cordon_in")).alarm, "$aws/rules/cordon_in/cordon/gw-1/alarm");
    }
}
