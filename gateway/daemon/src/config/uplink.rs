//! `[uplink]`: the connection to AWS IoT Core.

use super::gateway::thing_name;
use super::source::{Section, Wrong, cut};
use cordon_uplink::{Config, ConfigError, Entry, Topics};
use std::time::Duration;

/// Where the gateway reports to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UplinkConfig {
    /// The connection.
    pub(crate) link: Config,
    /// Where summaries and alarms are published.
    pub(crate) topics: Topics,
    /// How often a summary is sent.
    pub(crate) summary_interval: Duration,
}

pub(super) fn read(section: Section<'_>, gateway: &str) -> Option<UplinkConfig> {
    if !section.is_given() {
        return None;
    }
    section.missing("endpoint", "\"<prefix>-ats.iot.<region>.amazonaws.com:8883\"");
    section.missing("ca", "\"uplink/ca.pem\"");
    section.missing("certificate", "\"uplink/cert.pem\"");
    section.missing("key", "\"uplink/key.pem\"");
    let (host, port) = section.parsed("endpoint", endpoint).unwrap_or_else(|| ("localhost".to_owned(), 8883));
    let client_id = section.parsed("client_id", thing_name).unwrap_or_else(|| gateway.to_owned());
    let files = ["ca", "certificate", "key"].map(|key| section.path(key).unwrap_or_default());
    let mut link = Config::new(host, port, client_id, files);
    let second = Duration::from_secs(1);
    link.keep_alive = section.duration("keep_alive", link.keep_alive, 5 * second..=1200 * second);
    link.publishes_per_second = section.number("publishes_per_second", link.publishes_per_second, 1..=100);
    link.bytes_per_second = section.size("bytes_per_second", link.bytes_per_second, 1000..=512_000);
    let rule = section.parsed("rule", rule_name);
    let mut topics = Topics::new(&link.gateway, rule.as_deref());
    if let Some(topic) = section.parsed("summary_topic", topic) {
        topics.summary = topic;
    }
    if let Some(topic) = section.parsed("alarm_topic", topic) {
        topics.alarm = topic;
    }
    let summary_interval = section.duration("summary_interval", 300 * second, second..=86_400 * second);
    if let Err(error) = link.check() {
        told_by_the_uplink(&section, &error);
    }
    section.finish();
    Some(UplinkConfig { link, topics, summary_interval })
}

/// The uplink knows best what it can do; what it refuses beyond the ranges above is the endpoint or the name.
fn told_by_the_uplink(section: &Section<'_>, error: &ConfigError) {
    let key = match error {
        ConfigError::OutOfRange { key: "gateway", .. } | ConfigError::Filter { .. } => "client_id",
        ConfigError::OutOfRange { .. } => "endpoint",
    };
    let (problem, help) = match error {
        ConfigError::OutOfRange { found, wanted, .. } => (format!("{found} does not do"), format!("write {wanted}")),
        ConfigError::Filter { filter, error } => {
            (format!("it leads to the filter {filter}: {error}"), "shorten it".into())
        }
    };
    section.wrong(key, Wrong::new(problem, help));
}

fn endpoint(text: &str) -> Result<(String, u16), Wrong> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "8883"));
    let port = port.parse().ok().filter(|port| *port != 0);
    match port {
        Some(port) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => {
            let help = "write a host and a port, \"<prefix>-ats.iot.<region>.amazonaws.com:8883\"";
            Err(Wrong::new(format!("\"{}\" is no endpoint", cut(text)), help))
        }
    }
}

/// A topic that AWS IoT Core takes.
fn topic(text: &str) -> Result<String, Wrong> {
    match Entry::check(text, &[]) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(Wrong::new(
            format!("\"{}\" is no topic: {error}", cut(text)),
            "write for example \"cordon/gw-01/summary\"",
        )),
    }
}

/// The name of an AWS IoT rule.
fn rule_name(text: &str) -> Result<String, Wrong> {
    let fits = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits {
        return Ok(text.to_owned());
    }
    let problem = format!("\"{}\" is no rule name", cut(text));
    Err(Wrong::new(problem, "write 1 to 128 characters of a-z A-Z 0-9 _"))
}
