//! The same over TLS, where bytes wait in more places.

use crate::support::{Bench, Hello, connect, listener, publish, subscribe};
use cordon_mqtt::{ListenerConfig, TlsFiles, Transport};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Tls {
    _files: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    certificate: CertificateDer<'static>,
}

/// Opens a TLS listener on the broker.
async fn open(bench: &mut Bench) -> Tls {
    open_for(bench, Transport::Tcp).await
}

/// Opens a TLS listener for what carries MQTT.
pub(crate) async fn open_for(bench: &mut Bench, transport: Transport) -> Tls {
    open_with(bench, transport, listener(None)).await
}

/// Opens a TLS listener that is otherwise like this one.
pub(crate) async fn open_with(bench: &mut Bench, transport: Transport, config: ListenerConfig) -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = TlsFiles { certificate, key, client_ca: None, crl: None };
    let address = bench.broker.listen(vec![ListenerConfig { transport, tls: Some(files), ..config }]).await.unwrap()[0];
    Tls { _files: folder, address, certificate: made.cert.der().clone() }
}

impl Tls {
    fn dial(&self) -> StreamOwned<ClientConnection, TcpStream> {
        self.dial_offering(&[])
    }

    /// Connects and offers these protocols over TLS (RFC 7301).
    pub(crate) fn dial_offering(&self, protocols: &[&str]) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tls = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        StreamOwned::new(tls, socket)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_came_in_one_record_with_connect_is_answered() {
    let mut bench = Bench::start().await;
    let tls = open(&mut bench).await;
    let mut stream = tls.dial();
    let mut record = connect(&Hello { id: "eager", v5: false, ..Hello::default() });
    let pings = (16 * 1024 - record.len()) / 2;
    record.extend([0xC0, 0].repeat(pings));
    stream.write_all(&record).unwrap();
    let mut answers = vec![0; 4 + 2 * pings];
    stream.read_exact(&mut answers).unwrap();
    assert_eq!(answers[..4], [0x20, 2, 0, 0]);
    assert!(answers[4..].chunks(2).all(|pong| pong == [0xD0, 0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_a_client_as_disconnect_and_close_notify() {
    let mut bench = Bench::start().await;
    let tls = open(&mut bench).await;
    let mut stream = tls.dial();
    stream.write_all(&connect(&Hello { id: "a", ..Hello::default() })).unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    stream.read_exact(&mut vec![0; usize::from(head[1])]).unwrap();
    bench.broker.stop(Duration::from_secs(5)).await;
    let mut last = Vec::new();
    stream.read_to_end(&mut last).expect("an orderly end of TLS");
    assert_eq!(last[..3], [0xE0, last[1], 0x8B]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_pass_whole_and_in_order() {
    let mut bench = Bench::start().await;
    let tls = open(&mut bench).await;
    let mut stream = tls.dial();
    stream.write_all(&connect(&Hello { id: "a", v5: false, ..Hello::default() })).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream.write_all(&subscribe("t", 0, false)).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    for round in 0..20_u8 {
        let message = publish("t", 0x30, None, &vec![round; 200_000], false);
        stream.write_all(&message).unwrap();
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stops_half_way_holds_nobody_up() {
    let mut bench = Bench::start().await;
    let tls = open(&mut bench).await;
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(tls.address).unwrap()).collect();
    let mut stream = tls.dial();
    stream.write_all(&connect(&Hello { id: "a", v5: false, ..Hello::default() })).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    silent.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    let waiting = silent
        .iter()
        .filter(|socket| (&mut &**socket).read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    assert_eq!(waiting.count(), 50);
}
