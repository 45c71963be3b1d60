//! A connection's task: it reads, hands what was read to the session, and writes what the socket would not take at once.

use super::Worker;
use crate::session::{Connection, Ending, Session};
use crate::stream::Got;
use bytes::BytesMut;
use std::rc::Rc;

/// Reads in a row before other connections get a turn.
const READS: usize = 4;

enum Read {
    More,
    Dry,
}

// === impl Worker ===

impl Worker {
    /// Serves a connection until it ends.
    pub(super) async fn serve(self: Rc<Self>, session: Rc<Session>, connection: Rc<Connection>, mut partial: BytesMut) {
        let first = if partial.is_empty() { Ok(()) } else { self.take(&session, &connection, &mut partial) };
        let ending = match first {
            Ok(()) => self.converse(&session, &connection, &mut partial).await,
            Err(ending) => ending,
        };
        self.leave(&session, &connection, ending);
    }

    async fn converse(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        partial: &mut BytesMut,
    ) -> Ending {
        let socket = connection.socket.clone();
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
            tokio::select! {
                biased;
                () = connection.wake.notified() => {}
                ready = socket.writable(), if writing => if ready.is_err() { return Ending::Lost },
                ready = socket.readable() => {
                    if ready.is_err() {
                        return Ending::Lost;
                    }
                    for _ in 0..READS {
                        self.shared.flow.room().await;
                        if connection.is_ending() {
                            break;
                        }
                        match self.read(session, connection, partial) {
                            Ok(Read::More) => {}
                            Ok(Read::Dry) => break,
                            Err(ending) => return ending,
                        }
                    }
                    self.write_all();
                }
            }
        }
    }

    /// Reads once and processes what came.
    fn read(
        self: &Rc<Self>,
        session: &Rc<Session>,
        connection: &Rc<Connection>,
        partial: &mut BytesMut,
    ) -> Result<Read, Ending> {
        let mut scratch = self.scratch.take();
        let got = connection.stream.borrow_mut().read(&mut scratch);
        let result = match got {
            Ok(Got::Bytes(n)) if partial.is_empty() => {
                let whole = self.process(session, connection, &scratch[..n]);
                whole.map(|used| {
                    partial.extend_from_slice(&scratch[used..n]);
                    Read::More
                })
            }
            Ok(Got::Bytes(n)) => {
                partial.extend_from_slice(&scratch[..n]);
                self.take(session, connection, partial).map(|()| Read::More)
            }
            Ok(Got::Nothing) => Ok(Read::Dry),
            Ok(Got::End) | Err(_) => Err(Ending::Lost),
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
    ) -> Result<(), Ending> {
        let used = self.process(session, connection, partial)?;
        if used == partial.len() {
            *partial = BytesMut::new();
        } else {
            bytes::Buf::advance(partial, used);
        }
        Ok(())
    }
}
