//! A client's byte stream: TCP, or TLS over it.
//!
//! TLS is driven here by hand, not by an adapter, because the connection changes its runtime when the client is
//! admitted, and because a worker must be able to write to it from the task that has the message.

mod unsent;

use bytes::BytesMut;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use rustls::ServerConnection;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use unsent::Unsent;

/// Bytes read at once.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// The longest a client may go on sending after the last words.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// A connected client's stream with what waits to be written.
pub(crate) struct Stream {
    tcp: Arc<TcpStream>,
    tls: Option<Box<ServerConnection>>,
    out: Unsent,
    finish: Finish,
}

/// How far the end of a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    Open,
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
    /// So many bytes of plain text.
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

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(tcp: TcpStream, tls: Option<ServerConnection>) -> Self {
        let tls = tls.map(|mut tls| {
            tls.set_buffer_limit(None);
            Box::new(tls)
        });
        Self { tcp: Arc::new(tcp), tls, out: Unsent::default(), finish: Finish::Open }
    }

    /// Takes the stream apart, to be put together again on another runtime.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let tcp = Arc::into_inner(self.tcp).ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(Detached { tcp: tcp.into_std()?, tls: self.tls, out: self.out })
    }

    /// The socket, to wait on while the stream is not borrowed.
    pub(crate) fn socket(&self) -> Arc<TcpStream> {
        self.tcp.clone()
    }

    pub(crate) fn tls(&self) -> Option<&ServerConnection> {
        self.tls.as_deref()
    }

    /// Reads what is there into `scratch`.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Got> {
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
        self.out.len()
    }

    /// Whether something waits for the socket to take more.
    pub(crate) fn wants_write(&self) -> bool {
        !self.out.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            while !self.out.is_empty() {
                match self.tcp.try_write(self.out.rest()) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => self.out.take(n),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        };
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut Ready(&self.tcp)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            if self.out.is_empty() {
                return Ok(());
            }
            let chunk = self.out.len().min(SCRATCH);
            tls.writer().write_all(&self.out.rest()[..chunk])?;
            self.out.take(chunk);
        }
    }

    /// Withdraws the packets that were not begun to be sent and that `keep` does not keep.
    pub(crate) fn withdraw(&mut self, keep: impl FnMut(&[u8]) -> bool) {
        self.out.withdraw(keep);
    }

    /// Writes what waits and, once nothing does, closes this direction. Returns whether that is done.
    pub(crate) fn finish(&mut self) -> io::Result<bool> {
        match self.finish {
            Finish::Done => return Ok(true),
            Finish::Aborted => return Err(io::ErrorKind::ConnectionAborted.into()),
            Finish::Open | Finish::Notified => self.flush()?,
        }
        if self.wants_write() {
            return Ok(false);
        }
        if self.finish == Finish::Open
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
    out: Unsent,
}

// === impl Detached ===

impl Detached {
    /// Puts the stream together on the present runtime.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        let tcp = Arc::new(TcpStream::from_std(self.tcp)?);
        Ok(Stream { tcp, tls: self.tls, out: self.out, finish: Finish::Open })
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
