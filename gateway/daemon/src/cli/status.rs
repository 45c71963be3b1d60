//! `cordon status`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::output::Output;
use super::table::{Cell, Tone};
use clap::Args;
use cordon_proto::v1::{Listener, StatusRequest, StatusResponse, UplinkStatus};
use serde::Serialize;

/// Say how the gateway is.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  cordon status\n  cordon status --output json | jq .active_alarms")]
pub(crate) struct StatusArgs {}

#[derive(Serialize)]
struct View {
    gateway: String,
    version: String,
    time: Option<String>,
    clock_trusted: bool,
    uptime_ms: u64,
    degraded: Vec<String>,
    things: u64,
    connected: u64,
    sessions: u64,
    active_orders: u64,
    isolated_things: u64,
    active_alarms: u64,
    open_findings: u64,
    journal_last_seq: u64,
    journal_bytes: u64,
    journal_dropped: u64,
    uplink: Option<Uplink>,
    epoch: u64,
    listeners: Vec<Door>,
    messages_received: u64,
    messages_sent: u64,
    operator: String,
    role: String,
}

#[derive(Serialize)]
struct Uplink {
    connected: bool,
    endpoint: String,
    outbox_entries: u64,
    outbox_bytes: u64,
    outbox_dropped: u64,
    reason: String,
}

#[derive(Serialize)]
struct Door {
    name: String,
    address: String,
    tls: bool,
    auth: String,
}

pub(crate) async fn run(_: StatusArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let status = gateway.status(call(StatusRequest {})).await?.into_inner();
    if out.is_json() { out.json(&View::from(status)) } else { out.pairs(&rows(&status)) }
}

fn rows(status: &StatusResponse) -> Vec<(&'static str, Cell)> {
    let health = if status.degraded.is_empty() {
        Cell::toned("well", Tone::Good)
    } else {
        Cell::toned(status.degraded.join("\n"), Tone::Bad)
    };
    let count = |value: u64, tone| if value == 0 { Cell::from("none") } else { Cell::toned(value.to_string(), tone) };
    let clock = match &status.now {
        Some(now) if !now.trusted => Cell::toned(format!("{} (not synchronised)", clock::utc(now.unix_ms)), Tone::Warn),
        now => clock::shown(now.as_ref()).into(),
    };
    let isolation = match status.active_orders {
        0 => Cell::from("none"),
        orders => Cell::toned(format!("{orders} in force, {} things", status.isolated_things), Tone::Warn),
    };
    let mut journal = format!("{} events, {}", status.journal_last_seq, bytes(status.journal_bytes));
    if status.journal_dropped > 0 {
        journal += &format!(", {} dropped", status.journal_dropped);
    }
    let doors: Vec<String> = status.listeners.iter().map(door).collect();
    vec![
        ("Gateway", format!("{} (cordon {})", status.gateway, status.version).into()),
        ("State", health),
        ("Running for", clock::human(status.uptime_ms).into()),
        ("Clock", clock),
        ("Listeners", Cell::list(&doors)),
        (
            "Things",
            format!("{} registered, {} connected, {} sessions", status.things, status.connected, status.sessions)
                .into(),
        ),
        ("Messages", format!("{} received, {} sent", status.messages_received, status.messages_sent).into()),
        ("Orders", isolation),
        ("Alarms", count(status.active_alarms, Tone::Bad)),
        ("Findings", count(status.open_findings, Tone::Warn)),
        ("Journal", journal.into()),
        ("Uplink", uplink(status.uplink.as_ref())),
        ("You are", format!("{} ({})", status.operator, status.role).into()),
    ]
}

fn door(listener: &Listener) -> String {
    let tls = if listener.tls { "TLS" } else { "no TLS" };
    format!("{} {} ({tls}, {})", listener.name, listener.address, listener.auth)
}

fn uplink(status: Option<&UplinkStatus>) -> Cell {
    let Some(uplink) = status else { return "not configured".into() };
    let outbox = match uplink.outbox_entries {
        0 => "outbox empty".to_owned(),
        entries => format!("{entries} waiting, {}", bytes(uplink.outbox_bytes)),
    };
    let dropped =
        if uplink.outbox_dropped > 0 { format!(", {} dropped", uplink.outbox_dropped) } else { String::new() };
    if uplink.connected {
        Cell::toned(format!("connected to {}, {outbox}{dropped}", uplink.endpoint), Tone::Good)
    } else {
        Cell::toned(format!("not connected: {}; {outbox}{dropped}", uplink.reason), Tone::Warn)
    }
}

/// A size in bytes, for people.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut tenths, mut unit) = (count, 0, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = (whole % 1024) * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    if unit == 0 { format!("{whole} B") } else { format!("{whole}.{tenths} {}", UNITS[unit]) }
}

// === impl View ===

impl From<StatusResponse> for View {
    fn from(status: StatusResponse) -> Self {
        Self {
            time: clock::machine(status.now.as_ref()),
            clock_trusted: status.now.is_some_and(|now| now.trusted),
            gateway: status.gateway,
            version: status.version,
            uptime_ms: status.uptime_ms,
            degraded: status.degraded,
            things: status.things,
            connected: status.connected,
            sessions: status.sessions,
            active_orders: status.active_orders,
            isolated_things: status.isolated_things,
            active_alarms: status.active_alarms,
            open_findings: status.open_findings,
            journal_last_seq: status.journal_last_seq,
            journal_bytes: status.journal_bytes,
            journal_dropped: status.journal_dropped,
            uplink: status.uplink.map(|uplink| Uplink {
                connected: uplink.connected,
                endpoint: uplink.endpoint,
                outbox_entries: uplink.outbox_entries,
                outbox_bytes: uplink.outbox_bytes,
                outbox_dropped: uplink.outbox_dropped,
                reason: uplink.reason,
            }),
            epoch: status.epoch,
            listeners: status
                .listeners
                .into_iter()
                .map(|door| Door { name: door.name, address: door.address, tls: door.tls, auth: door.auth })
                .collect(),
            messages_received: status.messages_received,
            messages_sent: status.messages_sent,
            operator: status.operator,
            role: status.role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        for (count, shown) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_600_000, "1.5 MiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(bytes(count), shown);
        }
    }
}
