//! The server over real sockets and real TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::*;
use crate::access::{Operators, Role};
use crate::backend::Isolation;
use crate::testing::{Credentials, Fake, Pki};
use cordon_core::event::{Code, Event};
use cordon_proto::v1::gateway_client::GatewayClient;
use cordon_proto::v1::{self, IsolateRequest, Level, ReleaseRequest, StatusRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::health_client::HealthClient;

struct Site {
    pki: Pki,
    address: SocketAddr,
    access: Arc<Access>,
    backend: Arc<Fake>,
    events: mpsc::UnboundedReceiver<Event>,
    orders: mpsc::UnboundedReceiver<Isolation>,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<Result<(), ServeError>>,
}

impl Site {
    async fn open() -> Self {
        Self::open_with(Limits::default(), |_| {}).await
    }

    async fn open_with(limits: Limits, prepare: impl FnOnce(&mut Fake)) -> Self {
        let pki = Pki::new();
        let by_name = [("vera", Role::Viewer), ("otto", Role::Operator), ("ada", Role::Admin)];
        let operators = Operators { by_name: by_name.map(|(name, role)| (name.to_owned(), role)).into() };
        let access = Arc::new(Access::new(&pki.server_identity(), operators).unwrap());
        let (mut fake, events, orders) = Fake::new();
        prepare(&mut fake);
        let backend = Arc::new(fake);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any, access.clone(), backend.clone(), limits).await.unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { pki, address, access, backend, events, orders, stop: Some(stop), served }
    }

    async fn channel(&self, credentials: Option<Credentials>) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pki.ca_pem()));
        if let Some(Credentials { certificate, key }) = credentials {
            tls = tls.identity(tonic::transport::Identity::from_pem(certificate, key));
        }
        Endpoint::from_shared(format!("https://{}", self.address)).unwrap().tls_config(tls).unwrap().connect().await
    }

    async fn client(&self, name: &str) -> GatewayClient<Channel> {
        GatewayClient::new(self.channel(Some(self.pki.operator(name))).await.unwrap())
    }

    /// Whether a call with these credentials is answered by the gateway; if not, what the client sees.
    async fn answers(&self, credentials: Option<Credentials>) -> Result<(), String> {
        let channel = self.channel(credentials).await.map_err(|error| root(&error))?;
        GatewayClient::new(channel).status(StatusRequest {}).await.map(|_| ()).map_err(|error| root(&error))
    }

    async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap()
    }
}

fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

fn quarantine(thing: &str) -> IsolateRequest {
    IsolateRequest {
        selector: format!("thing:{thing}"),
        level: Level::Quarantine.into(),
        reason: "behaves oddly".into(),
        duration_ms: Some(600_000),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_operator_is_answered_and_told_who_it_is() {
    let site = Site::open().await;
    let status = site.client("vera").await.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.operator.as_str(), status.role.as_str()), ("vera", "viewer"));
}

#[tokio::test]
async fn without_a_valid_certificate_nothing_answers_and_the_refusal_is_recorded() {
    let mut site = Site::open().await;
    let foreign = Pki::new().operator("ada");
    let expired = site.pki.expired_operator("ada");
    for (credentials, alert, why) in [
        (None, "CertificateRequired", "no client certificate"),
        (Some(foreign), "DecryptError", "not signed by the operator authority"),
        (Some(expired), "CertificateExpired", "has expired"),
    ] {
        let seen = site.answers(credentials).await.unwrap_err();
        assert!(seen.contains(alert), "{why}: the client sees {seen}");
        let event = site.event().await;
        assert_eq!(event.code, Code::OperatorRefused);
        assert!(event.peer.is_some_and(|peer| peer.ip() == site.address.ip()));
        assert!(event.reason.as_ref().is_some_and(|reason| reason.contains(why)), "{event:?}");
    }
    site.answers(Some(site.pki.operator("ada"))).await.unwrap();
}

#[tokio::test]
async fn garbage_and_silence_on_the_port_are_recorded_and_hold_nobody_up() {
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let mut site = Site::open_with(limits, |_| {}).await;
    let mut silent = TcpStream::connect(site.address).await.unwrap();
    let mut garbage = TcpStream::connect(site.address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n").await.unwrap();
    site.answers(Some(site.pki.operator("vera"))).await.unwrap();

    let mut reasons = [site.event().await, site.event().await].map(|event| event.reason.unwrap());
    reasons.sort();
    assert!(reasons[0].contains("took longer"), "{reasons:?}");
    assert_eq!(reasons[1], "what arrived is not TLS");
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0, "the silent connection was closed");
}

#[tokio::test]
async fn one_address_that_opens_connections_and_says_nothing_is_refused_at_its_limit() {
    let limits = Limits { handshakes_per_address: 2, ..Limits::default() };
    let mut site = Site::open_with(limits, |_| {}).await;
    let _silent = [TcpStream::connect(site.address).await.unwrap(), TcpStream::connect(site.address).await.unwrap()];
    let _third = TcpStream::connect(site.address).await.unwrap();
    let event = site.event().await;
    assert!(event.reason.is_some_and(|reason| reason.contains("too many connections")));
}

#[tokio::test]
async fn a_viewer_may_preview_an_order_but_not_give_it() {
    let mut site = Site::open().await;
    let mut vera = site.client("vera").await;
    let refused = vera.isolate(quarantine("press-01")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert!(refused.message().contains("needs the role operator"), "{}", refused.message());
    let event = site.event().await;
    assert_eq!(event.code, Code::OperatorRefused);
    assert_eq!(event.principal.as_deref(), Some("operator:vera"));
    assert_eq!(event.action.as_deref(), Some("cordon:Isolate"));
    assert_eq!(event.resource.as_deref(), Some("thing:press-01"));
    assert!(event.peer.is_some());

    let preview = IsolateRequest { dry_run: true, ..quarantine("press-01") };
    assert_eq!(vera.isolate(preview).await.unwrap().into_inner().things, ["thing:press-01"]);
    assert!(site.orders.try_recv().is_err(), "nothing was ordered");
}

#[tokio::test]
async fn a_changing_call_is_recorded_with_who_what_and_why() {
    let mut site = Site::open().await;
    let mut otto = site.client("otto").await;
    let order = otto.isolate(quarantine("press-01")).await.unwrap().into_inner().order.unwrap();
    assert_eq!(order.author, "operator:otto");
    let event = site.event().await;
    assert_eq!(event.code, Code::OperatorActed);
    assert_eq!(event.principal.as_deref(), Some("operator:otto"));
    assert_eq!(event.resource.as_deref(), Some("thing:press-01"));
    assert_eq!(event.reason.as_deref(), Some("behaves oddly"));
    for (name, value) in [("level", "quarantine"), ("for", "10m"), ("outcome", "done"), ("role", "operator")] {
        assert_eq!(event.details.get(name).map(String::as_str), Some(value), "{name}");
    }

    let release = ReleaseRequest { id: "iso-9".into(), reason: "all clear".into() };
    let missing = otto.release(release).await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
    assert!(site.event().await.details.get("outcome").is_some_and(|outcome| outcome.starts_with("failed: ")));
}

#[tokio::test]
async fn a_call_whose_caller_hangs_up_still_runs_to_its_end_and_is_recorded() {
    let mut site = Site::open_with(Limits::default(), |fake| fake.hold = Some(Notify::new())).await;
    let mut otto = site.client("otto").await;
    let call = tokio::spawn(async move { otto.isolate(quarantine("press-01")).await });
    let order = site.orders.recv().await.unwrap();
    assert_eq!(order.author, "operator:otto");
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
    site.backend.hold.as_ref().unwrap().notify_one();
    let event = site.event().await;
    assert_eq!(event.code, Code::OperatorActed);
    assert_eq!(event.details.get("outcome").map(String::as_str), Some("done"));
}

#[tokio::test]
async fn roles_can_be_given_and_taken_while_connections_stay() {
    let mut site = Site::open().await;
    let mut nina = site.client("nina").await;
    let unknown = nina.status(StatusRequest {}).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::PermissionDenied);
    assert!(unknown.message().contains("[[operator]]"), "{}", unknown.message());
    assert_eq!(site.event().await.code, Code::OperatorRefused);

    site.access.replace_operators(Operators { by_name: [("nina".to_owned(), Role::Admin)].into() });
    assert!(nina.reload(v1::ReloadRequest { reason: "new policies".into() }).await.is_ok());
    let mut ada = site.client("ada").await;
    assert!(ada.status(StatusRequest {}).await.is_err(), "ada's role was taken away");
}

#[tokio::test]
async fn health_and_reflection_ask_for_a_role_too() {
    let site = Site::open().await;
    let request = || tonic_health::pb::HealthCheckRequest { service: String::new() };
    let stranger = site.channel(Some(site.pki.operator("nobody"))).await.unwrap();
    let refused = HealthClient::new(stranger).check(request()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let viewer = site.channel(Some(site.pki.operator("vera"))).await.unwrap();
    assert!(HealthClient::new(viewer).check(request()).await.is_ok());
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let site = Site::open().await;
    let mut ada = site.client("ada").await;
    let huge = IsolateRequest { reason: "x".repeat(1024 * 1024), ..quarantine("press-01") };
    assert_eq!(ada.isolate(huge).await.unwrap_err().code(), tonic::Code::OutOfRange);
    assert!(ada.status(StatusRequest {}).await.is_ok());
}

#[tokio::test]
async fn stopping_ends_followers_with_a_reason_and_returns() {
    let mut site = Site::open().await;
    let mut vera = site.client("vera").await;
    let request = v1::FollowEventsRequest { after_seq: Some(41), ..Default::default() };
    let mut events = vera.follow_events(request).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().seq, 42);
    site.stop.take().unwrap().send(()).unwrap();
    let ended = events.message().await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unavailable);
    drop((events, vera));
    site.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(site.address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_list_longer_than_one_message_could_hold_arrives_whole() {
    let site = Site::open().await;
    let request = v1::ListEventsRequest { limit: 10_000, ..Default::default() };
    let mut events = site.client("vera").await.list_events(request).await.unwrap().into_inner();
    let mut count = 0;
    while events.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 10_000);
}

#[tokio::test]
async fn a_port_in_use_says_which_and_what_to_do() {
    let site = Site::open().await;
    let (fake, ..) = Fake::new();
    let taken = Server::bind(site.address, site.access.clone(), Arc::new(fake), Limits::default()).await;
    let said = taken.err().unwrap().to_string();
    assert!(said.contains(&site.address.to_string()) && said.contains("[control] bind"), "{said}");
}
