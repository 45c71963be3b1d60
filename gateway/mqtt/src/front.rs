//! From accept to CONNECT: TLS handshake, the first packet, and who the client is. Then the client goes to its worker.
//!
//! Each connection does this in its own task, under one deadline. Whatever goes wrong is answered as far as the protocol
//! allows, and is one event with the peer's address.

mod crowd;

pub(crate) use crowd::{TOO_MUCH, refuse_crowd, refuse_source, with_violations};

use crate::auth::{self, Identity, PasswordError};
use crate::broker::Lanes;
use crate::codec::{self, Connect, ConnectRefused, ReasonCode, Version, Violation};
use crate::config::Auth;
use crate::connack;
use crate::listener::Listener;
use crate::session::{ConnectedAs, Origin};
use crate::shared::{Shared, lock};
use crate::sources::Guest;
use crate::stream::{Breach, Got, SCRATCH, Stream, farewell};
use crate::tls;
use crate::worker::{Admission, Command};
use bytes::{Buf, BytesMut};
use cordon_core::event::{Code, Event};
use cordon_core::policy::{Action, Principal};
use crowd::{Pending, part, tell_displaced};
use rustls::ServerConnection;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::net::TcpStream;

/// What a user name or client id may show of itself in an event.
const SHOWN: usize = 128;

/// Why a connection did not become a client.
enum Refused {
    /// The connection ended, or was never more than a probe: nothing to tell.
    Silently,
    /// TLS failed.
    Tls(rustls::Error),
    /// A web page of this origin, which the listener does not admit.
    Origin(String),
    /// The first packet was not an acceptable CONNECT.
    Packet(Option<Answer>, Violation),
    /// The client was understood and is not accepted.
    Client { answer: Answer, code: ReasonCode, event: Box<Event> },
}

/// What a CONNACK to a client must keep to.
#[derive(Debug, Clone, Copy)]
struct Answer {
    version: Version,
    /// The largest packet the client takes, in bytes, if it said so.
    max_packet: Option<u32>,
}

/// Serves a new connection until it is a client or refused.
pub(crate) async fn greet(
    tcp: Arc<TcpStream>,
    peer: SocketAddr,
    listener: Arc<Listener>,
    shared: Arc<Shared>,
    lanes: Lanes,
    pending: Pending,
    guest: Guest,
) {
    let Some(mut stream) = open(tcp, &listener) else { return };
    let mut buffer = BytesMut::new();
    let time = listener.connect_timeout();
    let meeting = meet(&mut stream, &mut buffer, peer, &listener, &shared, &pending);
    let met = tokio::select! {
        biased;
        met = tokio::time::timeout(time, meeting) => met,
        () = pending.displaced() => return tell_displaced(&shared, &listener, peer),
    };
    match met {
        Ok(Ok((connect, identity))) => {
            let (persistent, will) = (connect.session_expiry > 0, connect.will.is_some());
            let place = listener.place(guest).map_err(|mut guest| guest.excuse());
            let Ok(place) = place else {
                let event = event(&shared, &listener, peer, Code::LimitReached).client_id(shown(&connect.client_id));
                let event =
                    event.rule("listener.max_connections").reason("the listener serves as many clients as it may");
                let answer = Answer { version: connect.version, max_packet: connect.max_packet };
                return part(refuse(&shared, stream, Some(answer), ReasonCode::ServerBusy, event), &pending).await;
            };
            let origin = Origin {
                listener: listener.name.clone(),
                policies: if listener.auth == Auth::Anonymous { listener.policies.clone() } else { Arc::from([]) },
                peer,
                version: connect.version,
                since: shared.now(),
                persistent,
                will,
                acknowledge: listener.acknowledge,
            };
            // From here on nobody else may hold the socket.
            drop(pending);
            let lane = lanes.of(&connect.client_id);
            let Ok(stream) = stream.detach() else { return };
            // An empty buffer still holds memory, for as long as the client stays.
            let leftover = if buffer.is_empty() { BytesMut::new() } else { buffer };
            let admission = Admission { stream, connect, identity, origin, leftover, place };
            lane.send(Command::Admit(Box::new(admission))).await.ok();
        }
        Ok(Err(refused)) => part(turn_away(&shared, &listener, peer, stream, refused, guest), &pending).await,
        Err(_) => {
            let event = event(&shared, &listener, peer, Code::ProtocolTimeout).rule("listener.connect_timeout");
            let event = event.reason(format!("no complete CONNECT within {time:?}"));
            part(refuse(&shared, stream, None, ReasonCode::KeepAliveTimeout, event), &pending).await;
        }
    }
}

fn open(tcp: Arc<TcpStream>, listener: &Listener) -> Option<Stream> {
    let websocket = listener.websocket.clone();
    match listener.tls.load_full() {
        None => Some(Stream::new(tcp, None, websocket)),
        Some(config) => Some(Stream::new(tcp, Some(ServerConnection::new(config).ok()?), websocket)),
    }
}

async fn meet(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    peer: SocketAddr,
    listener: &Listener,
    shared: &Shared,
    pending: &Pending,
) -> Result<(ConnectedAs, Identity), Refused> {
    // Nothing is to be done before it speaks.
    stream.socket().peek(&mut [0]).await.map_err(|_| Refused::Silently)?;
    pending.heard();
    let length = first_packet(stream, buffer, shared.limits.max_packet_size).await?;
    pending.served();
    let (connected, mut identity) = {
        let connect = codec::decode_connect(&buffer[..length])
            .map_err(|refused| Refused::Packet(answer_to(&refused), refused.violation))?;
        let identity = identify(stream, &connect, peer, listener, shared).await?;
        (ConnectedAs::new(&connect), identity)
    };
    buffer.advance(length);
    shared.meters.connects.add(1);
    shared.meters.packets_in.add(1);
    shared.meters.bytes_in.add(length as u64);
    let connected = name(connected, &identity).ok_or(Refused::Silently)?;
    if connected.assigned && matches!(identity.principal, Principal::Anonymous { .. }) {
        // An order must reach the messages of this client too.
        identity.thing = Some(connected.client_id.clone());
    }
    if shared.rulebook().registry.get(&connected.client_id).is_some()
        && identity.thing.as_deref() != Some(connected.client_id.as_str())
    {
        let mut event =
            event(shared, listener, peer, Code::AuthnClientIdForeign).client_id(connected.client_id.as_str());
        event = event.principal(identity.principal.to_string()).action(Action::Connect.name());
        event.thing.clone_from(&identity.thing);
        event = event.reason("the client id is the name of another thing").resource(connected.client_id.as_str());
        event = event.rule("the name of a registered thing is nobody else's client id");
        let answer = Answer { version: connected.version, max_packet: connected.max_packet };
        return Err(Refused::Client { answer, code: ReasonCode::ClientIdentifierNotValid, event: Box::new(event) });
    }
    Ok((connected, identity))
}

/// Reads until the first packet is whole. Returns its length.
async fn first_packet(stream: &mut Stream, buffer: &mut BytesMut, limit: u32) -> Result<usize, Refused> {
    let socket = stream.socket();
    let mut scratch = vec![0; SCRATCH.min(8 * 1024)];
    loop {
        match codec::frame(buffer, limit) {
            Ok(Some(frame)) if frame.total_len <= buffer.len() => return Ok(frame.total_len),
            Ok(Some(frame)) if frame.kind != codec::PacketType::Connect => return Ok(buffer.len()),
            Ok(_) => {}
            Err(violation) => {
                // Too large a CONNECT is not read whole, but its start may say in which version to answer.
                let answer = codec::version_told(buffer).map(|version| Answer { version, max_packet: None });
                return Err(Refused::Packet(answer, violation));
            }
        }
        let got = stream.read(&mut scratch).map_err(failure)?;
        stream.flush().map_err(|_| Refused::Silently)?;
        match got {
            // Frames without payload could go on for ever.
            Got::Bytes(0) => tokio::task::yield_now().await,
            Got::Bytes(n) => buffer.extend_from_slice(&scratch[..n]),
            Got::End => {
                let shaking = stream.tls().is_some_and(|tls| tls.is_handshaking());
                let why = rustls::Error::General("the client closed the connection during the handshake".to_owned());
                return Err(if shaking { Refused::Tls(why) } else { Refused::Silently });
            }
            Got::Nothing if stream.wants_write() => {
                tokio::select! {
                    ready = socket.readable() => ready,
                    ready = socket.writable() => ready,
                }
                .map_err(|_| Refused::Silently)?;
            }
            Got::Nothing => socket.readable().await.map_err(|_| Refused::Silently)?,
        }
    }
}

fn answer_to(refused: &ConnectRefused) -> Option<Answer> {
    let max_packet = refused.maximum_packet_size.map(NonZeroU32::get);
    refused.answer.map(|version| Answer { version, max_packet })
}

fn failure(error: std::io::Error) -> Refused {
    match error.downcast() {
        Ok(Breach::Violation(violation)) => Refused::Packet(None, violation),
        Ok(Breach::Origin(origin)) => Refused::Origin(origin),
        Err(error) => error.downcast().map_or(Refused::Silently, Refused::Tls),
    }
}

/// Finds out who the client is, by the listener's rule.
async fn identify(
    stream: &Stream,
    connect: &Connect<'_>,
    peer: SocketAddr,
    listener: &Listener,
    shared: &Shared,
) -> Result<Identity, Refused> {
    let start = |code| {
        let mut event = event(shared, listener, peer, code).action(Action::Connect.name());
        event = event.client_id(shown(connect.client_id)).resource(shown(connect.client_id));
        event = event.rule(format!("listener {}: auth = {}", listener.name, listener.auth.name()));
        match connect.username {
            Some(user) => event.principal(format!("user:{}", shown(user))),
            None => event,
        }
    };
    let max_packet = connect.properties.maximum_packet_size.map(NonZeroU32::get);
    let answer = Answer { version: connect.version, max_packet };
    let refuse = |code, event: Event| Refused::Client { answer, code, event: Box::new(event) };
    if connect.properties.authentication_method.is_some() {
        let event =
            start(Code::AuthnNoCredentials).reason("extended authentication is not offered").rule("MQTT-4.12.0-1");
        return Err(refuse(ReasonCode::BadAuthenticationMethod, event));
    }
    match listener.auth {
        Auth::Anonymous => {
            let principal = Principal::Anonymous { listener: listener.name.to_string() };
            let thing = (!connect.client_id.is_empty()).then(|| connect.client_id.to_owned());
            Ok(Identity { principal, thing })
        }
        Auth::Certificate => by_certificate(stream, shared)
            .map_err(|(code, why)| refuse(ReasonCode::NotAuthorized, start(code).reason(why))),
        Auth::Password => {
            let now = shared.now();
            let held = lock(&shared.guard).check(peer.ip(), connect.username, now.mono);
            if let Err(refusal) = held {
                let seconds = refusal.until.since(now.mono).as_secs().max(1);
                let event = start(Code::AuthnRefusedTemporarily).rule(refusal.key.to_string());
                let event = event.reason(format!("refused for another {seconds} s after failed logins"));
                return Err(refuse(ReasonCode::Banned, event));
            }
            let (Some(user), Some(password)) = (connect.username, connect.password) else {
                let event = start(Code::AuthnNoCredentials).reason("the listener asks for a user name and a password");
                fail(shared, peer, connect.username);
                return Err(refuse(ReasonCode::BadUserNameOrPassword, event));
            };
            let checked = shared.credentials.load_full().check(user, password).await;
            let thing = shared.rulebook().registry.by_username(user).map(|thing| thing.name.clone());
            let (code, why) = match (checked, thing) {
                (Ok(()), Some(thing)) => {
                    lock(&shared.guard).success(peer.ip(), Some(user), shared.now().mono);
                    return Ok(Identity { principal: Principal::User(user.to_owned()), thing: Some(thing) });
                }
                (Err(PasswordError::Wrong), _) => (Code::AuthnBadPassword, "the password is wrong"),
                (Err(PasswordError::UnknownUser) | Ok(()), _) => {
                    (Code::AuthnUnknownUser, "no thing has this user name")
                }
            };
            fail(shared, peer, Some(user));
            Err(refuse(ReasonCode::BadUserNameOrPassword, start(code).reason(why)))
        }
    }
}

fn by_certificate(stream: &Stream, shared: &Shared) -> Result<Identity, (Code, String)> {
    let certificate = stream.tls().and_then(|tls| tls.peer_certificates()?.first());
    let Some(der) = certificate else {
        return Err((Code::AuthnCertificateRefused, "the client presented no certificate".to_owned()));
    };
    let fingerprint = auth::fingerprint(der);
    let common_name = auth::common_name(der).unwrap_or_default();
    let thing = shared.rulebook().registry.by_certificate(&common_name, &fingerprint).map(|thing| thing.name.clone());
    match thing {
        Some(thing) => {
            Ok(Identity { principal: Principal::Certificate { common_name, fingerprint }, thing: Some(thing) })
        }
        None => Err((
            Code::AuthnCertificateUnknown,
            format!("no thing has the certificate with common name `{}`", shown(&common_name)),
        )),
    }
}

/// Gives a client without an id one that says which thing it is.
fn name(mut connect: ConnectedAs, identity: &Identity) -> Option<ConnectedAs> {
    if connect.client_id.is_empty() {
        let mut random = [0; 8];
        getrandom::fill(&mut random).ok()?;
        let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let thing = identity.thing.as_deref().unwrap_or("auto");
        connect.client_id = format!("{thing}-{suffix}");
        connect.assigned = true;
    }
    Some(connect)
}

/// Counts a failed login, and tells when it was one too many.
fn fail(shared: &Shared, peer: SocketAddr, user: Option<&str>) {
    let refusal = lock(&shared.guard).failure(peer.ip(), user, shared.now().mono);
    if let Some(refusal) = refusal {
        shared.sink.login_refused(refusal, peer);
    }
}

async fn turn_away(
    shared: &Shared,
    listener: &Listener,
    peer: SocketAddr,
    stream: Stream,
    refused: Refused,
    guest: Guest,
) {
    match refused {
        Refused::Silently => {}
        Refused::Tls(error) => {
            let (why, certificate) = tls::describe(&error);
            let code = if certificate { Code::AuthnCertificateRefused } else { Code::AuthnTlsFailed };
            let event = event(shared, listener, peer, code).action(Action::Connect.name()).reason(why);
            let event = event.rule(format!("listener {}: tls", listener.name));
            refuse(shared, stream, None, ReasonCode::NotAuthorized, event).await;
        }
        Refused::Origin(origin) => {
            let event = event(shared, listener, peer, Code::AuthnOriginRefused).action(Action::Connect.name());
            let event = event.reason(format!("pages of `{origin}` are not admitted")).rule("listener.origins");
            refuse(shared, stream, None, ReasonCode::NotAuthorized, event).await;
        }
        Refused::Packet(answer, violation) => {
            let event = with_violations(event(shared, listener, peer, Code::ProtocolViolation), guest.violated());
            let event = event.rule(violation.rule).reason(violation.detail);
            shared.meters.violations.add(1);
            refuse(shared, stream, answer, violation.reason, event).await;
        }
        Refused::Client { answer, code, event } => refuse(shared, stream, Some(answer), code, *event).await,
    }
}

/// Answers with a CONNACK if there is a version to answer in, records, and closes so that the answer arrives.
async fn refuse(shared: &Shared, mut stream: Stream, answer: Option<Answer>, code: ReasonCode, event: Event) {
    if let Some(Answer { version, max_packet }) = answer {
        let told = match event.code {
            // The peer is not told which of the two is wrong, so that names cannot be probed.
            Code::AuthnUnknownUser | Code::AuthnBadPassword => Some("the user name or the password is wrong"),
            _ => event.reason.as_deref(),
        };
        connack::refuse(stream.out(), version, code, told, max_packet);
    }
    stream.close_for(Some(code), None);
    shared.meters.connects_refused.add(1);
    note(shared, event);
    farewell(stream).await;
}

fn note(shared: &Shared, event: Event) {
    let event = lock(&shared.refusals).note(event);
    event.into_iter().for_each(|event| shared.sink.event(event));
}

fn event(shared: &Shared, listener: &Listener, peer: SocketAddr, code: Code) -> Event {
    Event::new(code, shared.now()).peer(peer).listener(&*listener.name)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
