//! A client's byte stream: TCP, or TLS over it.
//!
//! TLS is driven here by hand, not by an adapter, because the connection changes its runtime when the client is
//! admitted, and because a worker must be able to write to it from the task that has the message.

use bytes::{Buf, BytesMut};
use nix::sys::socket::{Shutdown, shutdown};
use rustls::ServerConnection;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes read at once.
pub(crate) const SCRATCH: usize = 64 * 1024;
/// The longest a client may go on sending after the last words.
const LINGER: Duration = Duration::from_secs(1);

/// A connected client's stream with what waits to be written.
pub(crate) struct Stream {
    tcp: Arc<TcpStream>,
    tls: Option<Box<ServerConnection>>,
    out: BytesMut,
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
        self.0.try_read(buffer)
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
        Self { tcp: Arc::new(tcp), tls, out: BytesMut::new() }
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
        let Some(tls) = &mut self.tls else { return got(self.tcp.try_read(scratch)) };
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
        &mut self.out
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
                match self.tcp.try_write(&self.out) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => self.out.advance(n),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            self.out = BytesMut::new();
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
                self.out = BytesMut::new();
                return Ok(());
            }
            let chunk = self.out.len().min(SCRATCH);
            tls.writer().write_all(&self.out[..chunk])?;
            self.out.advance(chunk);
        }
    }

    /// Ends the stream politely, as far as the socket takes it.
    pub(crate) fn close(&mut self) {
        self.flush().ok();
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush().ok();
        // Reset would overtake what was just written; a half close lets the peer read it first.
        shutdown(self.tcp.as_raw_fd(), Shutdown::Write).ok();
    }
}

/// Says the last words and closes so that they arrive: what is queued is written, and what the peer still sends is read
/// and dropped for a moment, because unread bytes would turn the close into a reset that overtakes them.
pub(crate) async fn farewell(mut stream: Stream) {
    let socket = stream.socket();
    let parting = async {
        while stream.flush().is_ok() && stream.wants_write() {
            if socket.writable().await.is_err() {
                return;
            }
        }
        stream.close();
        let mut dropped = [0; 1024];
        while socket.readable().await.is_ok() {
            match socket.try_read(&mut dropped) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    // Whoever goes on sending is cut off.
    tokio::time::timeout(LINGER, parting).await.ok();
}

/// A stream between two runtimes.
pub(crate) struct Detached {
    tcp: std::net::TcpStream,
    tls: Option<Box<ServerConnection>>,
    out: BytesMut,
}

// === impl Detached ===

impl Detached {
    /// Puts the stream together on the present runtime.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        Ok(Stream { tcp: Arc::new(TcpStream::from_std(self.tcp)?), tls: self.tls, out: self.out })
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
