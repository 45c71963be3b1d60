//! `[[listener]]`: where devices connect, and how they show who they are.

use super::gateway::thing_name;
use super::source::{Section, Wrong};
use super::transport;
use cordon_mqtt::{Acknowledge, Auth, ListenerConfig, TlsFiles};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const AUTHS: [(&str, Auth); 3] =
    [("certificate", Auth::Certificate), ("password", Auth::Password), ("anonymous", Auth::Anonymous)];

const ACKNOWLEDGES: [(&str, Acknowledge); 2] = [("disk", Acknowledge::Disk), ("memory", Acknowledge::Memory)];

/// Reads every listener. One that is wrong is told and comes back with defaults.
pub(super) fn read(root: &Section<'_>) -> Vec<ListenerConfig> {
    if !root.has("listener") {
        root.missing("listener", "[[listener]] with name, bind and auth: without one no device can connect");
    }
    root.sections("listener").into_iter().map(listener).collect()
}

fn listener(section: Section<'_>) -> ListenerConfig {
    section.missing("name", "\"plain\"");
    section.missing("bind", "\"127.0.0.1:1883\"");
    section.missing("auth", "\"certificate\", \"password\" or \"anonymous\"");
    let auth = section.choice("auth", &AUTHS);
    let config = ListenerConfig {
        name: section.parsed("name", thing_name).unwrap_or_default(),
        bind: section.parsed("bind", address).unwrap_or_else(unbound),
        transport: transport::read(&section),
        tls: tls(&section, auth),
        auth: auth.unwrap_or(Auth::Certificate),
        policies: section.list("policies", policy_name),
        max_connections: section.number("max_connections", 10_000, 1..=1_000_000),
        max_pending: section.number("max_pending", 512, 1..=65_536),
        max_pending_per_address: section.number("max_pending_per_address", 256, 1..=65_536),
        acknowledge: section.choice("acknowledge", &ACKNOWLEDGES).unwrap_or_default(),
        connect_timeout: section.duration(
            "connect_timeout",
            Duration::from_secs(10),
            Duration::from_secs(1)..=Duration::from_secs(300),
        ),
    };
    if let Some(auth) = auth {
        identify(&section, &config, auth);
    }
    section.finish();
    config
}

/// What the way to identify clients asks for and rules out.
fn identify(section: &Section<'_>, config: &ListenerConfig, auth: Auth) {
    let reachable = !config.bind.ip().is_loopback();
    match auth {
        Auth::Certificate if config.tls.is_none() => {
            let help = "add [listener.tls] with certificate, key and client_ca";
            section.wrong("auth", Wrong::new("\"certificate\" needs TLS", help));
        }
        Auth::Anonymous if !section.has("policies") => {
            let help = "write policies = [\"...\"], the policies that its clients are under";
            section.wrong("auth", Wrong::new("\"anonymous\" needs policies", help));
        }
        Auth::Anonymous if reachable => {
            let problem = "anyone who reaches this address can be any thing";
            section.warn("auth", Wrong::new(problem, "bind to 127.0.0.1, or identify clients"));
        }
        Auth::Password if reachable && config.tls.is_none() => {
            let problem = "passwords cross the network in plain text";
            section.warn("bind", Wrong::new(problem, "add [listener.tls], or bind to 127.0.0.1"));
        }
        _ => {}
    }
    if auth != Auth::Anonymous && section.has("policies") {
        let help = "take it out; a thing's policies stand in the fleet file";
        section.wrong("policies", Wrong::new("only a listener with auth = \"anonymous\" has policies", help));
    }
}

fn tls(section: &Section<'_>, auth: Option<Auth>) -> Option<TlsFiles> {
    let tls = section.section("tls");
    if !tls.is_given() {
        return None;
    }
    tls.missing("certificate", "\"tls/server.pem\"");
    tls.missing("key", "\"tls/server.key\"");
    let files = TlsFiles {
        certificate: tls.path("certificate").unwrap_or_default(),
        key: tls.path("key").unwrap_or_default(),
        client_ca: tls.path("client_ca"),
        crl: tls.path("crl"),
    };
    match auth {
        Some(Auth::Certificate) => tls.missing("client_ca", "\"ca.pem\", the authorities of the devices"),
        Some(_) => {
            for key in ["client_ca", "crl"] {
                if tls.has(key) {
                    let problem = "only auth = \"certificate\" looks at client certificates";
                    tls.warn(key, Wrong::new(problem, "take it out, or change auth"));
                }
            }
        }
        None => {}
    }
    tls.finish();
    Some(files)
}

/// An address to listen on.
pub(super) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let problem = format!("\"{}\" is no address", super::source::cut(text));
        Wrong::new(problem, "write an IP address and a port: \"127.0.0.1:1883\", \"0.0.0.0:1883\" or \"[::]:1883\"")
    })
}

fn policy_name(text: &str) -> Result<String, Wrong> {
    if cordon_core::policy::is_valid_policy_name(text) {
        return Ok(text.to_owned());
    }
    let problem = format!("\"{}\" is no policy name", super::source::cut(text));
    Err(Wrong::new(problem, "write 1 to 128 characters of a-z A-Z 0-9 _ + = , . @ -"))
}

/// Stands in for an address that does not parse; port 0 collides with nothing.
pub(super) fn unbound() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
