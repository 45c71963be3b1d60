//! The server: its limits, how it starts and how it stops.

use crate::accept::Acceptor;
use crate::access::Access;
use crate::backend::Backend;
use crate::refusals::Refusals;
use crate::service::{Desk, services};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What one server takes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connected operators.
    pub connections: usize,
    /// Connections in their handshake.
    pub handshakes: usize,
    /// Connections in their handshake from one address.
    pub handshakes_per_address: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Calls at once on one connection.
    pub calls_per_connection: u32,
    /// Followers of events, over all connections.
    pub followers: usize,
    /// How long a call may take before its caller gets an answer; checking the journal is exempt.
    pub call_timeout: Duration,
    /// The largest request, in bytes.
    pub request_bytes: usize,
    /// How often a silent connection is probed; one that does not answer for as long again is closed.
    pub keepalive: Duration,
    /// How long calls under way may take to end when the server stops.
    pub grace: Duration,
}

/// The gRPC server, bound and ready to serve.
#[derive(Debug)]
pub struct Server<B> {
    listener: TcpListener,
    address: SocketAddr,
    access: Arc<Access>,
    backend: Arc<B>,
    limits: Limits,
}

/// The control port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for operators on {address}: {source}; {}", bind_help(.source))]
pub struct BindError {
    /// The address of the configuration.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The server ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The services cannot be put together; an error in the build.
    #[error("the gRPC services cannot be described: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The gRPC server failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            handshakes: 64,
            handshakes_per_address: 16,
            handshake_timeout: Duration::from_secs(10),
            calls_per_connection: 32,
            followers: 64,
            call_timeout: Duration::from_secs(30),
            request_bytes: 256 * 1024,
            keepalive: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

// === impl Server ===

impl<B: Backend> Server<B> {
    /// Opens the control port.
    ///
    /// # Errors
    /// The address cannot be listened on; the error says what to do.
    pub async fn bind(
        address: SocketAddr,
        access: Arc<Access>,
        backend: Arc<B>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|source| BindError { address, source })?;
        Ok(Self { listener, address, access, backend, limits })
    }

    /// The address it listens on; with the port that the system chose where the configuration said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes, then lets calls under way end within the grace time. Streams of events end at
    /// once, with UNAVAILABLE. Returns when every audit event has been handed over.
    ///
    /// # Errors
    /// The server failed before it was asked to stop.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let Self { listener, address: _, access, backend, limits } = self;
        let stop = CancellationToken::new();
        // Whichever way this function is left, accept loop and streams end.
        let _stop_on_drop = stop.clone().drop_guard();
        let tasks = TaskTracker::new();
        let refusals = Arc::new(Refusals::new(backend.clone(), tasks.clone()));
        let desk = Desk::new(backend, access.clone(), refusals.clone(), &limits, tasks.clone(), stop.clone());
        let (health, router) = services(Arc::new(desk), &limits)?;
        let (acceptor, connections) = Acceptor::new(access, refusals, &limits, tasks.clone());
        tasks.spawn(acceptor.run(listener, stop.clone()));

        let incoming = ReceiverStream::new(connections).map(Ok::<_, Infallible>);
        let serving = router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        tokio::pin!(serving);
        tokio::select! {
            result = &mut serving => return Ok(result?),
            () = shutdown => {}
        }
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        stop.cancel();
        tasks.close();
        let ended = timeout(limits.grace, async {
            let result = serving.await;
            tasks.wait().await;
            result
        });
        match ended.await {
            Ok(result) => Ok(result?),
            Err(_) => {
                tracing::warn!("operators' calls did not end within the grace time");
                Ok(())
            }
        }
    }
}

fn bind_help(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop what uses this port, or set another one in `[control] bind`",
        io::ErrorKind::AddrNotAvailable => "no interface has this address; set one that exists in `[control] bind`",
        io::ErrorKind::PermissionDenied => "set a port from 1024 on in `[control] bind`",
        _ => "check `[control] bind`",
    }
}

#[cfg(test)]
mod tests;
