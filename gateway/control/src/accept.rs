//! The accept loop: from a TCP connection to one whose operator is known, or to a recorded refusal.
//!
//! The loop only ever waits for the socket. Each handshake runs in its own task, under a deadline, with a place out of a
//! bounded number of places as a whole and for one address; who finds no place is refused at once.

mod connection;
mod doors;

pub(crate) use connection::{Connection, Peer};

use crate::access::Access;
use crate::backend::Backend;
use crate::refusals::{Refusals, WINDOW};
use crate::server::Limits;
use crate::tls;
use doors::Doors;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the loop rests when the system has no more file descriptors or memory for a connection.
const REST: Duration = Duration::from_millis(100);

/// How long a refused peer has to take the TLS alert that says why.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what a refused peer has already sent is read.
const LEFT_UNREAD: u64 = 64 * 1024;

/// All that a handshake needs.
pub(crate) struct Acceptor<B> {
    access: Arc<Access>,
    refusals: Arc<Refusals<B>>,
    handshake_timeout: Duration,
    doors: Arc<Doors>,
    places: Arc<Semaphore>,
    accepted: mpsc::Sender<Connection>,
    tasks: TaskTracker,
}

// === impl Acceptor ===

impl<B: Backend> Acceptor<B> {
    /// An acceptor and the connections it lets in.
    pub(crate) fn new(
        access: Arc<Access>,
        refusals: Arc<Refusals<B>>,
        limits: &Limits,
        tasks: TaskTracker,
    ) -> (Self, mpsc::Receiver<Connection>) {
        // A connection is sent with its place in hand, so the channel never fills.
        let (accepted, connections) = mpsc::channel(limits.connections.max(1));
        let acceptor = Self {
            access,
            refusals,
            handshake_timeout: limits.handshake_timeout,
            doors: Arc::new(Doors::new(limits.handshakes, limits.handshakes_per_address)),
            places: Arc::new(Semaphore::new(limits.connections)),
            accepted,
            tasks,
        };
        (acceptor, connections)
    }

    /// Accepts on `listener` until `stop`.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut windows = interval(WINDOW);
        windows.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = windows.tick() => this.refusals.flush(),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => this.clone().welcome(stream, peer, &stop),
                    Err(error) => {
                        tracing::warn!(%error, "the control port could not accept a connection");
                        sleep(REST).await;
                    }
                },
            }
        }
        this.refusals.flush();
    }

    fn welcome(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, stop: &CancellationToken) {
        let Some(door) = self.doors.enter(peer.ip()) else {
            self.refusals.report(peer, "too many connections are in their handshake");
            return;
        };
        let stop = stop.clone();
        self.tasks.clone().spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                result = self.handshake(stream, peer) => {
                    if let Err(reason) = result {
                        self.refusals.report(peer, reason);
                    }
                }
            }
            drop(door);
        });
    }

    async fn handshake(&self, stream: TcpStream, address: SocketAddr) -> Result<(), String> {
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let acceptor = TlsAcceptor::from(self.access.tls());
        let shaken = timeout(self.handshake_timeout, acceptor.accept(stream).into_fallible())
            .await
            .map_err(|_| format!("the handshake took longer than {} s", self.handshake_timeout.as_secs()))?;
        let stream = match shaken {
            Ok(stream) => stream,
            Err((error, stream)) => {
                self.refusals.report(address, tls::explain(&error));
                let _ = timeout(LINGER, part(stream)).await;
                return Ok(());
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = certificate
            .and_then(tls::common_name)
            .ok_or("the client certificate has no common name, or more than one")?;
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| format!("operator {name}: too many operators are connected"))?;
        let peer = Peer { name: name.into(), address };
        // The receiver is gone only when the server has stopped.
        let _ = self.accepted.send(Connection::new(stream, peer, place)).await;
        Ok(())
    }
}

/// Closes a refused connection so that the peer gets the alert: closing with bytes unread would reset the connection, and
/// a client with TLS 1.3 has sent its first request by then.
async fn part(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LEFT_UNREAD), &mut tokio::io::sink()).await?;
    Ok(())
}
