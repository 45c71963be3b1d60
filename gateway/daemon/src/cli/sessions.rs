//! `cordon sessions` and `cordon disconnect`.

use super::clock;
use super::connect::{Client, call};
use super::failure::Failure;
use super::orders::{NO_REASON, level_name, level_tone};
use super::output::Output;
use super::table::{Cell, Record, Tone, harmless};
use clap::Args;
use cordon_proto::v1::{DisconnectRequest, ListSessionsRequest, Session};
use serde::Serialize;

/// List MQTT sessions by client id.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  cordon sessions\n  cordon sessions --all --output json | jq 'select(.queued > 0)'"
)]
pub(crate) struct SessionsArgs {
    /// Also sessions whose client is not connected.
    #[arg(long)]
    all: bool,
}

/// End a client's connection. Its session stays, and it may connect again; `cordon isolate` keeps it out.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  cordon disconnect press-01 --reason \"let it log in anew\"")]
pub(crate) struct DisconnectArgs {
    /// The client id; `cordon sessions` lists them.
    client_id: String,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", default_value = NO_REASON)]
    reason: String,
}

#[derive(Serialize)]
struct View {
    client_id: String,
    thing: Option<String>,
    principal: String,
    peer: String,
    listener: String,
    protocol: String,
    connected: bool,
    since: Option<String>,
    persistent: bool,
    subscriptions: u64,
    queued: u64,
    received: u64,
    sent: u64,
    isolation: Option<&'static str>,
    #[serde(skip)]
    shown: String,
}

#[derive(Serialize)]
struct Ended {
    client_id: String,
    disconnected: bool,
}

pub(crate) async fn list(args: SessionsArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = ListSessionsRequest { include_disconnected: args.all };
    let mut sessions = gateway.list_sessions(call(request)).await?.into_inner();
    let mut views = Vec::new();
    while let Some(session) = sessions.message().await? {
        views.push(View::from(session));
    }
    let none =
        if args.all { "No sessions." } else { "No client is connected. `cordon sessions --all` lists the rest." };
    out.records(&views, none)
}

pub(crate) async fn disconnect(args: DisconnectArgs, gateway: &mut Client, out: &mut Output) -> Result<(), Failure> {
    let request = DisconnectRequest { client_id: args.client_id.clone(), reason: args.reason };
    gateway.disconnect(call(request)).await?;
    if out.is_json() {
        return out.json(&Ended { client_id: args.client_id, disconnected: true });
    }
    out.line(&harmless(&format!("{} was disconnected; it may connect again.", args.client_id)))
}

// === impl View ===

impl From<Session> for View {
    fn from(session: Session) -> Self {
        Self {
            shown: clock::shown(session.since.as_ref()),
            isolation: Some(level_name(session.isolation())).filter(|name| *name != "-"),
            client_id: session.client_id,
            thing: session.thing,
            principal: session.principal,
            peer: session.peer,
            listener: session.listener,
            protocol: session.protocol,
            connected: session.connected,
            since: clock::machine(session.since.as_ref()),
            persistent: session.persistent,
            subscriptions: session.subscriptions,
            queued: session.queued,
            received: session.received,
            sent: session.sent,
        }
    }
}

impl Record for View {
    const COLUMNS: &'static [&'static str] =
        &["CLIENT, PRINCIPAL", "FROM, SINCE", "MQTT", "IN/OUT", "QUEUE", "ISOLATION"];
    const WHOLE: &'static [usize] = &[1, 2, 3, 4, 5];

    fn cells(&self) -> Vec<Cell> {
        let from = if self.connected { self.peer.as_str() } else { "not connected" };
        let level = self.isolation.unwrap_or("-");
        vec![
            Cell::list(&[self.client_id.clone(), self.principal.clone()]),
            Cell::toned(format!("{from}\n{}", self.shown), if self.connected { Tone::Plain } else { Tone::Dim }),
            self.protocol.clone().into(),
            format!("{}/{}", self.received, self.sent).into(),
            Cell::toned(self.queued.to_string(), if self.queued > 0 { Tone::Warn } else { Tone::Plain }),
            Cell::toned(level, level_tone(level)),
        ]
    }
}
