//! A client's byte stream: TCP, TLS over it, and a WebSocket over either.
//!
//! TLS is driven here by hand, not by an adapter, because the connection changes its runtime when the client is
//! admitted, and because a worker must be able to write to it from the task that has the message.

mod unsent;
mod websocket;

use crate::codec::{ReasonCode, Violation};
use crate::config::WebSocketConfig;
use bytes::BytesMut;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use rustls::ServerConnection;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use unsent::Unsent;
use websocket::WebSocket;

pub(crate) use websocket::Breach;
#[cfg(feature = "fuzzing")]
pub(crate) use websocket::fuzzing::feed;

/// Bytes read at once.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// The longest a client may go on sending after the last words.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// A connected client's stream with what waits to be written.
pub(crate) struct Stream {
    tcp: Arc<TcpStream>,
    tls: Option<Box<ServerConnection>>,
    websocket: Option<Box<WebSocket>>,
    out: Unsent,
    finish: Finish,
    /// Bytes that the socket, or TLS in front of it, has taken, frames of WebSocket included.
    written: u64,
    /// Whether the socket has taken anything since that was asked.
    moved: bool,
}

/// How far the end of a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    Open,
    /// The WebSocket was closed.
    Closed,
    /// The TLS session said goodbye.
    Notified,
    /// Nothing more is sent.
    Done,
    /// The connection is reset, and what the peer has not got by now is lost to it.
    Aborted,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes of plain text. None came yet if it is 0; more may have arrived.
    Bytes(usize),
    /// Nothing yet: wait until readable.
    Nothing,
    /// The peer closed.
    End,
}

struct Ready<'a>(&'a TcpStream);

impl Read for Ready<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self.0, buffer)
    }
}

impl Write for Ready<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    /// TLS hands over its records in one call.
    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(records)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(
        tcp: Arc<TcpStream>,
        tls: Option<ServerConnection>,
        websocket: Option<Arc<WebSocketConfig>>,
    ) -> Self {
        let tls = tls.map(|mut tls| {
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        let websocket = websocket.map(|config| Box::new(WebSocket::new(config)));
        Self { tcp, tls, websocket, out: Unsent::default(), finish: Finish::Open, written: 0, moved: false }
    }

    /// Takes the stream apart, to be put together again on another runtime.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let tcp = Arc::into_inner(self.tcp).ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(Detached { tcp: tcp.into_std()?, tls: self.tls, websocket: self.websocket, out: self.out })
    }

    /// The socket, to wait on while the stream is not borrowed.
    pub(crate) fn socket(&self) -> Arc<TcpStream> {
        self.tcp.clone()
    }

    pub(crate) fn tls(&self) -> Option<&ServerConnection> {
        self.tls.as_deref()
    }

    /// Reads what is there into `scratch`. A broken rule of WebSocket is an error that holds a [`Breach`].
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Got> {
        let Some(websocket) = &mut self.websocket else { return self.read_beneath(scratch) };
        if websocket.is_over() {
            return websocket.take_fault().map_or(Ok(Got::End), |fault| Err(fault.into()));
        }
        match (self.read_beneath(scratch)?, &mut self.websocket) {
            (Got::Bytes(n), Some(websocket)) => Ok(Got::Bytes(websocket.take(&mut scratch[..n])?)),
            (got, _) => Ok(got),
        }
    }

    /// Whether the peer closed its WebSocket, or broke a rule of it, and the next read says so without the socket.
    pub(crate) fn is_over(&self) -> bool {
        self.websocket.as_ref().is_some_and(|websocket| websocket.is_over())
    }

    /// Reads what the peer sent, of which a WebSocket is made.
    fn read_beneath(&mut self, scratch: &mut [u8]) -> io::Result<Got> {
        let Some(tls) = &mut self.tls else { return got(receive(&self.tcp, scratch)) };
        loop {
            match tls.reader().read(scratch) {
                Ok(0) => return Ok(Got::End),
                Ok(n) => return Ok(Got::Bytes(n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Got::End),
                Err(error) => return Err(error),
            }
            match got(tls.read_tls(&mut Ready(&self.tcp)))? {
                Got::Bytes(_) => {
                    let state = tls.process_new_packets();
                    if let Err(error) = state {
                        // The peer is told why with an alert, as far as the socket takes it.
                        tls.write_tls(&mut Ready(&self.tcp)).ok();
                        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                    }
                }
                Got::Nothing => return Ok(Got::Nothing),
                Got::End => return Ok(Got::End),
            }
        }
    }

    /// The buffer that packets are encoded into; [`Stream::flush`] sends it.
    pub(crate) fn out(&mut self) -> &mut BytesMut {
        self.out.buffer()
    }

    /// Bytes not yet taken by the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len() + self.websocket.as_ref().map_or(0, |websocket| websocket.unsent())
    }

    /// Bytes written since the last call, before TLS, frames of WebSocket included.
    pub(crate) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Whether the socket has taken anything since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether something waits for the socket to take more.
    pub(crate) fn wants_write(&self) -> bool {
        !self.out.is_empty()
            || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
            || self.websocket.as_ref().is_some_and(|websocket| websocket.wants_write())
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(websocket) = &mut self.websocket else {
            let taken = write(&self.tcp, &mut self.tls, self.out.rest(), &mut self.moved)?;
            self.out.take(taken);
            self.written += taken as u64;
            return Ok(());
        };
        loop {
            let wire = websocket.wire(&mut self.out);
            let length = wire.len();
            let taken = write(&self.tcp, &mut self.tls, wire, &mut self.moved)?;
            websocket.sent(taken);
            self.written += taken as u64;
            if length == 0 || taken < length || self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
                return Ok(());
            }
        }
    }

    /// Withdraws the packets that were not begun to be sent and that `keep` does not keep.
    pub(crate) fn withdraw(&mut self, keep: impl FnMut(&[u8]) -> bool) {
        self.out.withdraw(keep);
    }

    /// Says why the stream will end, for the Close frame of a WebSocket. The first word counts.
    pub(crate) fn close_for(&mut self, reason: Option<ReasonCode>, why: Option<&str>) {
        self.websocket.iter_mut().for_each(|websocket| websocket.close_for(reason, why.unwrap_or_default()));
    }

    /// Writes what waits and, once nothing does, closes this direction. Returns whether that is done.
    pub(crate) fn finish(&mut self) -> io::Result<bool> {
        match self.finish {
            Finish::Done => return Ok(true),
            Finish::Aborted => return Err(io::ErrorKind::ConnectionAborted.into()),
            Finish::Open | Finish::Closed | Finish::Notified => self.flush()?,
        }
        if self.wants_write() {
            return Ok(false);
        }
        if self.finish == Finish::Open
            && let Some(websocket) = &mut self.websocket
        {
            websocket.close();
            self.finish = Finish::Closed;
            return self.finish();
        }
        if self.finish != Finish::Notified
            && let Some(tls) = &mut self.tls
        {
            tls.send_close_notify();
            self.finish = Finish::Notified;
            return self.finish();
        }
        // Reset would overtake what was just written; a half close lets the peer read it first.
        shutdown(self.tcp.as_raw_fd(), Shutdown::Write).ok();
        self.finish = Finish::Done;
        Ok(true)
    }

    /// Drops what was not sent, and what the system holds for the peer too: the close becomes a reset.
    pub(crate) fn abort(&mut self) {
        self.out.clear();
        self.websocket.iter_mut().for_each(|websocket| websocket.clear());
        self.tcp.set_zero_linger().ok();
        self.finish = Finish::Aborted;
    }
}

/// Says the last words of a stream that nobody else writes to, and closes it so that they arrive.
pub(crate) async fn farewell(mut stream: Stream) {
    let socket = stream.socket();
    part(&socket, || stream.finish()).await;
}

/// Calls `finish` until it is done. Then reads and drops what the peer still sends, because unread bytes would turn the
/// close into a reset that overtakes the last words. Whoever goes on sending is cut off.
pub(crate) async fn part(socket: &TcpStream, mut finish: impl FnMut() -> io::Result<bool>) {
    let parting = async {
        while !finish()? {
            socket.writable().await?;
        }
        let mut dropped = vec![0; 4096];
        loop {
            socket.readable().await?;
            match socket.try_read(&mut dropped) {
                Ok(0) => return Ok(()),
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    let _: Result<io::Result<()>, _> = tokio::time::timeout(LINGER, parting).await;
}

/// A stream between two runtimes.
pub(crate) struct Detached {
    tcp: std::net::TcpStream,
    tls: Option<Box<ServerConnection>>,
    websocket: Option<Box<WebSocket>>,
    out: Unsent,
}

// === impl Detached ===

impl Detached {
    /// Puts the stream together on the present runtime.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        let tcp = Arc::new(TcpStream::from_std(self.tcp)?);
        let (finish, written, moved) = (Finish::Open, 0, false);
        Ok(Stream { tcp, tls: self.tls, websocket: self.websocket, out: self.out, finish, written, moved })
    }
}

/// The rule of WebSocket behind a failed read, if one was broken.
pub(crate) fn violation(error: io::Error) -> Option<Violation> {
    match error.downcast() {
        Ok(Breach::Violation(violation)) => Some(violation),
        _ => None,
    }
}

/// Writes as much as the socket takes; over TLS also what was encrypted before. Returns how many of `bytes` are on their
/// way.
fn write(
    tcp: &TcpStream,
    tls: &mut Option<Box<ServerConnection>>,
    bytes: &[u8],
    moved: &mut bool,
) -> io::Result<usize> {
    let mut taken = 0;
    let Some(tls) = tls else {
        while taken < bytes.len() {
            match tcp.try_write(&bytes[taken..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    taken += n;
                    *moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        return Ok(taken);
    };
    loop {
        while tls.wants_write() {
            match tls.write_tls(&mut Ready(tcp)) {
                Ok(_) => *moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
        if taken == bytes.len() {
            return Ok(taken);
        }
        let chunk = (bytes.len() - taken).min(SCRATCH);
        tls.writer().write_all(&bytes[taken..taken + chunk])?;
        taken += chunk;
    }
}

fn got(result: io::Result<usize>) -> io::Result<Got> {
    match result {
        Ok(0) => Ok(Got::End),
        Ok(n) => Ok(Got::Bytes(n)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Got::Nothing),
        Err(error) => Err(error),
    }
}

/// Reads what is there. A read that did not fill the buffer has emptied the socket: the next one waits for the system to
/// say that there is more, instead of asking in vain.
fn receive(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut short = None;
    let read = tcp.try_io(Interest::READABLE, || {
        let count = recv(tcp.as_raw_fd(), buffer, MsgFlags::empty())?;
        if count == 0 || count == buffer.len() {
            return Ok(count);
        }
        short = Some(count);
        Err(io::ErrorKind::WouldBlock.into())
    });
    short.map_or(read, Ok)
}
