//! What is measured in each row, and what it is held against.

/// One figure of one row.
pub(crate) struct Measure {
    /// The row's name, as `run.sh` knows it.
    pub(crate) row: &'static str,
    /// The key in the result of a run.
    pub(crate) metric: &'static str,
    pub(crate) bars: &'static [Bar],
}

/// What Cordon's figure must reach.
pub(crate) enum Bar {
    /// At least so many times the other's.
    AtLeast(f64, &'static str),
    /// At most so many times the other's.
    AtMost(f64, &'static str),
    /// No more than this.
    Limit(f64),
}

use Bar::{AtLeast, AtMost, Limit};

const RUMQTTD: &str = "rumqttd";
const MOSQUITTO: &str = "mosquitto";
const FEW: &str = "cordon-few";
const RATE: &str = "deliveries_per_second";
const CPU: &str = "cpu_us_per_delivery";

const fn measure(row: &'static str, metric: &'static str, bars: &'static [Bar]) -> Measure {
    Measure { row, metric, bars }
}

/// Every figure, in the order of the report.
pub(crate) const MEASURES: &[Measure] = &[
    measure("fan-in-qos0", RATE, &[AtLeast(1.3, RUMQTTD), AtLeast(5.0, MOSQUITTO)]),
    measure("fan-in-qos0", CPU, &[]),
    measure("fan-in-qos1", RATE, &[AtLeast(1.3, RUMQTTD), AtLeast(10.0, MOSQUITTO)]),
    measure("fan-in-qos1", CPU, &[]),
    measure("fan-in-qos2", RATE, &[AtLeast(5.0, MOSQUITTO)]),
    measure("fan-in-qos2", CPU, &[]),
    measure("fan-out-8", RATE, &[AtLeast(2.0, RUMQTTD), AtLeast(15.0, MOSQUITTO)]),
    measure("fan-out-8", CPU, &[]),
    measure("fan-out-100", RATE, &[AtLeast(2.0, RUMQTTD), AtLeast(15.0, MOSQUITTO)]),
    measure("fan-out-100", CPU, &[]),
    measure("paced-4x2000", CPU, &[AtMost(1.0, MOSQUITTO)]),
    measure("paced-4x2000", "p50_us", &[AtMost(1.5, MOSQUITTO)]),
    measure("paced-4x2000", "p99_us", &[AtMost(1.5, MOSQUITTO)]),
    measure("paced-50x20", CPU, &[AtMost(1.0, MOSQUITTO)]),
    measure("paced-50x20", "p50_us", &[AtMost(1.5, MOSQUITTO)]),
    measure("paced-50x20", "p99_us", &[AtMost(1.5, MOSQUITTO)]),
    measure("tls-throughput-qos0", RATE, &[AtLeast(1.5, MOSQUITTO)]),
    measure("tls-throughput-qos1", RATE, &[AtLeast(1.5, MOSQUITTO)]),
    measure("tls-handshakes", "per_second", &[AtLeast(1.0, MOSQUITTO)]),
    measure("tls-handshakes", "cpu_us_per_connection", &[]),
    measure("idle-plain", "kib_each", &[Limit(8.0)]),
    measure("idle-tls", "kib_each", &[Limit(24.0)]),
    measure("rules-qos0", RATE, &[AtLeast(0.95, FEW)]),
    measure("rules-qos1", RATE, &[AtLeast(0.95, FEW)]),
    measure("connect-plain", "per_second", &[AtLeast(0.8, MOSQUITTO)]),
    measure("connect-plain", "cpu_us_per_connection", &[]),
    measure("isolation", "thing_preview_ms", &[]),
    measure("isolation", "thing_answered_ms", &[Limit(1.0)]),
    measure("isolation", "thing_last_passed_ms", &[Limit(1.0)]),
    measure("isolation", "thing_leaked", &[Limit(0.0)]),
    measure("isolation", "group_preview_ms", &[]),
    measure("isolation", "group_answered_ms", &[Limit(50.0)]),
    measure("isolation", "group_last_passed_ms", &[Limit(50.0)]),
    measure("isolation", "group_leaked", &[Limit(0.0)]),
];

// === impl Bar ===

impl Bar {
    /// The broker that Cordon is held against, if any.
    pub(crate) fn peer(&self) -> Option<&'static str> {
        match self {
            AtLeast(_, peer) | AtMost(_, peer) => Some(peer),
            Limit(_) => None,
        }
    }

    /// Whether a ratio, or for a limit the figure itself, is good enough.
    pub(crate) fn is_met(&self, value: f64) -> bool {
        match self {
            AtLeast(bar, _) => value >= *bar,
            AtMost(bar, _) | Limit(bar) => value <= *bar,
        }
    }

    /// The bar in words: `>= 1.3 x rumqttd`.
    pub(crate) fn words(&self) -> String {
        match self {
            AtLeast(bar, peer) => format!(">= {bar} x {peer}"),
            AtMost(bar, peer) => format!("<= {bar} x {peer}"),
            Limit(bar) => format!("<= {bar}"),
        }
    }
}
