//! A connection's task: it reads, hands what was read to the session, and writes what the socket would not take at once.

use super::Worker;
use super::pressure::Held;
use crate::session::{Connection, Ending, Session};
use crate::shared::shown;
use crate::stream::{Got, SCRATCH, part, violation};
use bytes::BytesMut;
use cordon_core::time::Mono;
use futures::FutureExt;
use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::Poll;
use tokio::net::TcpStream;

/// What a read left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// More may have arrived.
    More,
    /// Nothing has arrived any more.
    Nothing,
    /// Whole packets may wait that the connection's share did not suffice for.
    Packets,
}

// === impl Worker ===

impl Worker {
    /// Serves a connection until it ends, and until its last words are written.
    pub(super) async fn serve(self: Rc<Self>, session: Rc<Session>, connection: Rc<Connection>, mut partial: BytesMut) {
        let conversation = AssertUnwindSafe(self.converse(&session, &connection, &mut partial)).catch_unwind();
        // A fault in the processing of one client's packets ends this client only.
        let ending = conversation.await.unwrap_or_else(|_| {
            tracing::error!(client = %shown(&session.client_id), "A packet could not be processed.");
            self.scratch.replace(vec![0; SCRATCH]);
            Ending::ServerError
        });
        drop(partial);
        self.leave(&session, &connection, ending);
        drop(session);
        part(&connection.socket, || connection.stream.borrow_mut().finish()).await;
    }

    async fn converse(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        partial: &mut BytesMut,
    ) -> Ending {
        let socket = connection.socket.clone();
        // TLS may hold plain text that came with CONNECT, for which the socket will not become readable again.
        let mut left = Left::Packets;
        let mut held: Option<Held> = None;
        let mut paced: Option<Mono> = None;
        loop {
            if connection.over.get() {
                return Ending::Lost;
            }
            if let Some(ending) = connection.ending.take() {
                return ending;
            }
            if self.pump(session, connection).is_err() {
                return Ending::Lost;
            }
            let writing = connection.stream.borrow().wants_write();
            // Who does not read the answers is not listened to.
            let reading = connection.stream.borrow().unsent() <= 2 * self.shared.limits.max_unsent_bytes;
            let full = connection.answers.borrow().is_full();
            let listening = reading && held.is_none() && paced.is_none() && !full;
            // What is known already does not make the socket readable.
            let behind = left == Left::Packets || connection.stream.borrow().is_over();
            tokio::select! {
                biased;
                () = connection.wake.rung() => {}
                () = self.relieved_of(held.as_ref()), if held.is_some() => held = None,
                () = self.paced(paced), if paced.is_some() => paced = None,
                stirred = stirred(&socket, listening && !behind, writing) => match stirred {
                    Ok(true) => left = Left::More,
                    Ok(false) => {}
                    Err(_) => return Ending::Lost,
                },
                () = tokio::task::yield_now(), if listening && behind => {}
            }
            if listening && left != Left::Nothing {
                self.shared.flow.room(self.index).await;
                self.attend();
                if !connection.is_ending() {
                    left = match self.read(session, connection, partial) {
                        Ok(left) => left,
                        Err(ending) => return ending,
                    };
                }
                if left == Left::Packets {
                    held = self.held(session);
                    paced = self.throttled(session, connection, self.shared.now());
                }
            }
            self.write_all();
            if left == Left::More {
                // A socket that is known to be readable would not make this task wait: others would not get a turn, and
                // what arrives for them would not be noticed.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Processes what waits; if nothing does, reads once and processes what came.
    fn read(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        partial: &mut BytesMut,
    ) -> Result<Left, Ending> {
        if !partial.is_empty() && self.take(session, connection, partial)? == Left::Packets {
            return Ok(Left::Packets);
        }
        let mut scratch = self.scratch.take();
        let got = connection.stream.borrow_mut().read(&mut scratch);
        let result = match got {
            Ok(Got::Bytes(n)) if partial.is_empty() => {
                let done = self.process(session, connection, &scratch[..n]);
                done.map(|(used, behind)| {
                    partial.extend_from_slice(&scratch[used..n]);
                    if behind { Left::Packets } else { Left::More }
                })
            }
            Ok(Got::Bytes(n)) => {
                partial.extend_from_slice(&scratch[..n]);
                self.take(session, connection, partial)
            }
            Ok(Got::Nothing) => Ok(Left::Nothing),
            Ok(Got::End) => Err(Ending::Lost),
            Err(error) => Err(violation(error).map_or(Ending::Lost, Ending::Violation)),
        };
        self.scratch.replace(scratch);
        result
    }

    /// Processes the whole packets in `partial` and keeps the rest.
    fn take(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        partial: &mut BytesMut,
    ) -> Result<Left, Ending> {
        let (used, behind) = self.process(session, connection, partial)?;
        if used == partial.len() {
            *partial = BytesMut::new();
        } else {
            bytes::Buf::advance(partial, used);
        }
        Ok(if behind { Left::Packets } else { Left::More })
    }

    async fn relieved_of(&self, held: Option<&Held>) {
        if let Some(held) = held {
            self.relieved(held).await;
        }
    }
}

/// Waits until the socket can be read from, which is `true`, or written to, as far as either is wanted.
async fn stirred(socket: &TcpStream, reading: bool, writing: bool) -> io::Result<bool> {
    poll_fn(|context| {
        if writing && let Poll::Ready(ready) = socket.poll_write_ready(context) {
            return Poll::Ready(ready.map(|()| false));
        }
        if reading && let Poll::Ready(ready) = socket.poll_read_ready(context) {
            return Poll::Ready(ready.map(|()| true));
        }
        Poll::Pending
    })
    .await
}
