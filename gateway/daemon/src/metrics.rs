//! The metrics endpoint: `GET /metrics` in the Prometheus (OpenMetrics) text format, `GET /live` and `GET /ready`.
//!
//! Plain HTTP without any identification, so it is meant for this machine or a guarded network. Reading it costs a
//! snapshot of counters and never waits for the message path. Names and label values are fixed in number: no name of a
//! thing, client or address is ever a label.

mod events;
mod page;
mod process;

pub(crate) use events::EventCounts;
pub(crate) use process::resident_bytes;

use crate::config::MetricsConfig;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What the gateway is at one moment, in numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// The front door's meters, as [`cordon_mqtt::Meters::all`] gives them.
    pub(crate) meters: Vec<(&'static str, &'static str, u64)>,
    /// Alarms that are up.
    pub(crate) active_alarms: u64,
    /// Isolation orders in force.
    pub(crate) active_orders: u64,
    /// Findings that are open.
    pub(crate) open_findings: u64,
    /// Entries that wait for the uplink.
    pub(crate) outbox_entries: u64,
    /// The bytes of those entries.
    pub(crate) outbox_bytes: u64,
    /// Whether the uplink is connected; `None` when there is none.
    pub(crate) uplink_connected: Option<bool>,
    /// What the journal uses on disk, in bytes.
    pub(crate) journal_bytes: u64,
    /// The sequence number of the last event.
    pub(crate) journal_last_seq: u64,
    /// Events that were dropped because the journal's queue was full.
    pub(crate) journal_dropped: u64,
}

/// Where the numbers come from. Neither method may block.
pub(crate) trait Source: Send + Sync + 'static {
    /// The numbers now.
    fn snapshot(&self) -> Snapshot;

    /// Whether clients are served.
    ///
    /// # Errors
    /// Why not, in words.
    fn ready(&self) -> Result<(), String>;
}

/// The endpoint, with its port open.
#[derive(Debug)]
pub(crate) struct Endpoint {
    socket: TcpListener,
}

/// The address of the metrics endpoint cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("the metrics endpoint cannot listen on {address}: {error}; free the port or change `metrics.bind`")]
pub(crate) struct BindError {
    address: SocketAddr,
    error: io::Error,
}

#[derive(Clone)]
struct Shared {
    source: Arc<dyn Source>,
    events: Arc<EventCounts>,
}

// === impl Endpoint ===

impl Endpoint {
    /// Opens the port, or any free one if it is 0.
    ///
    /// # Errors
    /// [`BindError`] when the address is taken or not this machine's.
    pub(crate) async fn bind(config: &MetricsConfig) -> Result<Self, BindError> {
        let failed = |error| BindError { address: config.bind, error };
        Ok(Self { socket: TcpListener::bind(config.bind).await.map_err(failed)? })
    }

    /// Serves until `stop` is done; answers that are under way are finished.
    ///
    /// # Errors
    /// When the socket fails for good.
    pub(crate) async fn serve(
        self,
        source: Arc<dyn Source>,
        events: Arc<EventCounts>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/live", get(|| async { "alive\n" }))
            .route("/ready", get(ready))
            .with_state(Shared { source, events });
        axum::serve(self.socket, routes).with_graceful_shutdown(stop).await
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match page::render(shared.source.snapshot(), shared.events.by_family()) {
        Ok(text) => ([(header::CONTENT_TYPE, page::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(shared): State<Shared>) -> Response {
    match shared.source.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail loudly")]
    use super::*;
    use cordon_core::event::{Code, Event};
    use cordon_core::time::Now;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    #[derive(Default)]
    struct Fixed(AtomicBool);

    impl Source for Fixed {
        fn snapshot(&self) -> Snapshot {
            let meters = vec![("connections", "Connected clients.", 7), ("messages_in", "Messages published.", 42)];
            Snapshot { meters, active_orders: 2, uplink_connected: Some(false), ..Snapshot::default() }
        }

        fn ready(&self) -> Result<(), String> {
            if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err("no listener is open".to_owned()) }
        }
    }

    async fn open() -> (Endpoint, SocketAddr) {
        let endpoint = Endpoint::bind(&MetricsConfig { bind: "127.0.0.1:0".parse().unwrap() }).await.unwrap();
        let address = endpoint.socket.local_addr().unwrap();
        (endpoint, address)
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_endpoint_shows_the_numbers_and_ends_when_told() {
        let (source, events) = (Arc::new(Fixed::default()), Arc::new(EventCounts::default()));
        events.count(&Event::new(Code::AuthzPublishDenied, Now::for_test(0)));
        let (endpoint, address) = open().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(endpoint.serve(source.clone(), events, async { drop(stopped.await) }));
        let page = get(address, "/metrics").await;
        for line in [
            "HTTP/1.1 200",
            "cordon_connections 7",
            "cordon_messages_in_total 42",
            "cordon_active_orders 2",
            "cordon_uplink_connected 0",
            "cordon_events_total{family=\"AUTHZ\",severity=\"warning\"} 1",
            "process_resident_memory_bytes ",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
        let not_yet = get(address, "/ready").await;
        assert!(
            not_yet.starts_with("HTTP/1.1 503") && not_yet.ends_with("not ready: no listener is open\n"),
            "{not_yet}"
        );
        source.0.store(true, Ordering::Relaxed);
        assert!(get(address, "/ready").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let (_taken, address) = open().await;
        let error = Endpoint::bind(&MetricsConfig { bind: address }).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.ends_with("change `metrics.bind`"), "{error}");
    }
}
