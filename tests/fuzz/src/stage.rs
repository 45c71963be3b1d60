//! A broker on the loopback, started once, and what scripts are played with.

use crate::script::{Act, CONNECTIONS, Script};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::Bench;

#[path = "../../../gateway/mqtt/tests/broker/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the broker")]
mod support;

/// After this long without an answer the broker hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays a script, and then sees that the broker still serves somebody else. Panics if it does not.
pub fn play(script: &Script) {
    let address = address();
    let mut connections: [Option<(TcpStream, bool)>; CONNECTIONS] = [const { None }; CONNECTIONS];
    for step in script.steps.iter().take(64) {
        let place = &mut connections[usize::from(step.connection) % CONNECTIONS];
        if matches!(step.act, Act::Renew) {
            part(place.take());
            continue;
        }
        let (socket, v5) = place.get_or_insert_with(|| (connect(address), true));
        if let Act::Packet(packet) | Act::Part(packet, _) = &step.act {
            *v5 = packet.speaks_v5().unwrap_or(*v5);
        }
        // The broker may have closed already.
        socket.write_all(&step.act.write(*v5)).ok();
        if matches!(step.act, Act::Read) {
            socket.set_nonblocking(true).ok();
            socket.read(&mut [0; 4096]).ok();
            socket.set_nonblocking(false).ok();
        }
    }
    connections.into_iter().for_each(part);
    clear(address);
    serve_somebody_else(address);
}

fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // Small limits, so that scripts reach them.
        let limits = cordon_mqtt::Limits {
            max_packet_size: 4096,
            max_inflight: 4,
            max_queued_messages: 8,
            max_queued_bytes: 4096,
            max_subscriptions: 4,
            max_retained: 4,
            ..cordon_mqtt::Limits::default()
        };
        let bench = runtime.block_on(Bench::with(limits));
        let address = bench.address;
        // Both live as long as the process.
        std::mem::forget((bench, runtime));
        address
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the broker accepts");
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Ends a connection: the broker must take everything and close.
fn part(connection: Option<(TcpStream, bool)>) {
    let Some((mut socket, _)) = connection else { return };
    socket.shutdown(Shutdown::Write).ok();
    let mut scratch = [0; 4096];
    loop {
        match socket.read(&mut scratch) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("the broker does not close a connection that its client has closed")
            }
            Err(_) => return,
        }
    }
}

/// Ends the sessions of the script, so that the next one finds nothing of it but retained messages.
fn clear(address: SocketAddr) {
    for client in 0..CONNECTIONS {
        let mut socket = connect(address);
        socket.write_all(&greeting(&format!("c{client}"))).unwrap();
        expect(&mut socket, &[0x20, 2, 0, 0]);
        socket.write_all(&[0xE0, 0]).unwrap();
        part(Some((socket, false)));
    }
}

/// A client that minds its own business gets what it publishes.
fn serve_somebody_else(address: SocketAddr) {
    static ROUND: AtomicU64 = AtomicU64::new(0);
    let topic = format!("health/{:016x}", ROUND.fetch_add(1, Ordering::Relaxed));
    let field = [&[0, topic.len() as u8], topic.as_bytes()].concat();
    let mut socket = connect(address);
    socket.write_all(&greeting("health")).unwrap();
    expect(&mut socket, &[0x20, 2, 0, 0]);
    socket.write_all(&[&[0x82, field.len() as u8 + 3, 0, 1][..], &field, &[0]].concat()).unwrap();
    expect(&mut socket, &[0x90, 3, 0, 1, 0]);
    let message = [&[0x30, field.len() as u8 + 2][..], &field, b"ok"].concat();
    socket.write_all(&message).unwrap();
    expect(&mut socket, &message);
    socket.write_all(&[0xE0, 0]).unwrap();
    part(Some((socket, false)));
}

/// CONNECT of MQTT 3.1.1 with a clean session.
fn greeting(id: &str) -> Vec<u8> {
    [&[0x10, 12 + id.len() as u8, 0, 4][..], b"MQTT", &[4, 2, 0, 0, 0, id.len() as u8], id.as_bytes()].concat()
}

fn expect(socket: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    socket.read_exact(&mut got).expect("the broker answers a healthy client");
    assert_eq!(got, bytes, "the broker gives a healthy client the wrong answer");
}
