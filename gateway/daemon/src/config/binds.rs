//! Addresses that collide: two services on one port, or two listeners of one name.

use super::{Config, Problem};
use std::net::SocketAddr;

/// Every name and address that is used a second time.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut taken: Vec<(String, SocketAddr)> = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let place = format!("listener {}: ", listener.name);
        if !listener.name.is_empty() && config.listeners[..index].iter().any(|before| before.name == listener.name) {
            let help = "give each listener a name of its own";
            problems.push(config.problem(&format!("{place}name"), "this name is given twice", help));
        }
        take(config, &mut taken, &mut problems, format!("{place}bind"), listener.bind);
    }
    if let Some(control) = &config.control {
        take(config, &mut taken, &mut problems, "control.bind".to_owned(), control.bind);
    }
    if let Some(metrics) = &config.metrics {
        take(config, &mut taken, &mut problems, "metrics.bind".to_owned(), metrics.bind);
    }
    problems
}

fn take(
    config: &Config,
    taken: &mut Vec<(String, SocketAddr)>,
    problems: &mut Vec<Problem>,
    key: String,
    bind: SocketAddr,
) {
    if let Some((other, _)) = taken.iter().find(|(_, other)| collide(*other, bind)) {
        let other = other.trim_end_matches(".bind").trim_end_matches(": bind");
        let problem = format!("{bind} is already taken by {other}");
        problems.push(config.problem(&key, problem, "give each its own port"));
    }
    taken.push((key, bind));
}

/// Whether the system would refuse to listen on both. Port 0 means any free port.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let open = |address: SocketAddr| address.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || open(a) || open(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail loudly")]
    use super::*;

    #[test]
    fn addresses_collide_as_the_system_sees_it() {
        for (a, b, both) in [
            ("127.0.0.1:1883", "127.0.0.1:1883", true),
            ("127.0.0.1:1883", "127.0.0.1:8883", false),
            ("127.0.0.1:1883", "127.0.0.2:1883", false),
            ("0.0.0.0:1883", "127.0.0.1:1883", true),
            ("127.0.0.1:1883", "[::]:1883", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(collide(a.parse().unwrap(), b.parse().unwrap()), both, "{a} {b}");
        }
    }
}
