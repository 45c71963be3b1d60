//! A link that speaks MQTT 5.
//!
//! A limit of rumqttc 0.25: a DISCONNECT that consists of its reason only, without a property length, is passed over. The
//! end of the connection then shows without the reason.

use super::{Heard, Link, Loss, LossKind, MAX_PACKET_BYTES, NotTaken, Requests, classify};
use crate::config::Config;
use crate::reason::describe;
use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnectReturnCode, Filter, PubAckReason, SubscribeReasonCode as SubReason};
use rumqttc::v5::mqttbytes::{Error as CodecError, QoS};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) fn dial(config: Arc<Config>) -> Link {
    let (client, event_loop) = AsyncClient::new(options(&config), super::request_room(&config));
    super::link(Box::new(Client(client)), |tell| drive(event_loop, config, tell))
}

struct Client(AsyncClient);

// === impl Client ===

impl Requests for Client {
    fn publish(&self, topic: &str, payload: Bytes) -> Result<(), NotTaken> {
        self.0.try_publish(topic, QoS::AtLeastOnce, false, payload).map_err(|_| NotTaken)
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), NotTaken> {
        let filters = filters.iter().map(|filter| Filter::new(filter, QoS::AtLeastOnce));
        self.0.try_subscribe_many(filters).map_err(|_| NotTaken)
    }

    fn disconnect(&self) -> Result<(), NotTaken> {
        self.0.try_disconnect().map_err(|_| NotTaken)
    }
}

fn options(config: &Config) -> MqttOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    let seconds = |duration: std::time::Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    let mut options = MqttOptions::new(&config.gateway, &config.host, config.port);
    options
        .set_keep_alive(config.keep_alive)
        .set_clean_start(false)
        .set_connection_timeout(config.connect_timeout.as_secs())
        .set_session_expiry_interval(Some(seconds(config.session_expiry)))
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_outgoing_inflight_upper_limit(super::inflight(config))
        .set_network_options(network);
    options
}

async fn drive(mut event_loop: EventLoop, config: Arc<Config>, tell: mpsc::Sender<Heard>) {
    let loss = match super::load_tls(config).await {
        Ok(tls) => {
            event_loop.options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
            loop {
                match event_loop.poll().await {
                    Ok(event) => {
                        if !pass_on(event, &tell).await {
                            return;
                        }
                    }
                    Err(error) => break classify(&error),
                }
            }
        }
        Err(loss) => loss,
    };
    // What was read together with the end comes before it: answers in it count.
    for event in std::mem::take(&mut event_loop.state.events) {
        if !pass_on(event, &tell).await {
            return;
        }
    }
    // A receiver that is gone does not want to know.
    let _ = tell.send(Heard::Lost(loss)).await;
}

/// False if nobody listens any more.
async fn pass_on(event: Event, tell: &mpsc::Sender<Heard>) -> bool {
    match translate(event) {
        Some(heard) => tell.send(heard).await.is_ok(),
        None => true,
    }
}

fn translate(event: Event) -> Option<Heard> {
    Some(match event {
        Event::Incoming(Incoming::ConnAck(ConnAck { session_present, properties, .. })) => Heard::Connected {
            session_present,
            receive_max: properties.as_ref().and_then(|properties| properties.receive_max),
            max_packet: properties.as_ref().and_then(|properties| properties.max_packet_size),
        },
        Event::Incoming(Incoming::SubAck(ack)) => {
            Heard::Subscribed { reasons: ack.return_codes.into_iter().map(suback_code).collect() }
        }
        Event::Incoming(Incoming::PubAck(ack)) => Heard::Answered { pkid: ack.pkid, code: puback_code(ack.reason) },
        Event::Incoming(Incoming::Publish(publish)) => {
            Heard::Message { topic: String::from_utf8_lossy(&publish.topic).into_owned(), payload: publish.payload }
        }
        Event::Outgoing(Outgoing::Publish(pkid)) => Heard::Sent { pkid },
        Event::Outgoing(Outgoing::Disconnect) => Heard::Goodbye,
        _ => return None,
    })
}

fn classify(error: &ConnectionError) -> Loss {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let number = connack_code(*code);
            let kind = if number == 132 { LossKind::VersionRefused } else { LossKind::ConnectRefused };
            Loss::new(kind, describe(number))
        }
        ConnectionError::Timeout(_) => Loss::new(LossKind::Network, "no answer within the time to connect"),
        ConnectionError::Tls(error) => classify::tls(error),
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => classify::io(error),
        ConnectionError::MqttState(StateError::Deserialization(CodecError::Io(error))) => classify::io(error),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Loss::new(LossKind::Closed, "the far side closed the connection")
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            let code = *reason_code as u8;
            let said = reason_string.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
            Loss::new(LossKind::Disconnected(code), format!("{}{said}", describe(code)))
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Loss::new(LossKind::Network, "no answer to a ping within the keep-alive")
        }
        ConnectionError::RequestsDone => Loss::new(LossKind::Fault, "the link was left without requests"),
        other => Loss::new(LossKind::Protocol, other.to_string()),
    }
}

fn connack_code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::MalformedPacket => 129,
        ConnectReturnCode::ProtocolError => 130,
        ConnectReturnCode::ImplementationSpecificError => 131,
        ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => 132,
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => 133,
        ConnectReturnCode::BadUserNamePassword => 134,
        ConnectReturnCode::NotAuthorized => 135,
        ConnectReturnCode::ServerUnavailable | ConnectReturnCode::ServiceUnavailable => 136,
        ConnectReturnCode::ServerBusy => 137,
        ConnectReturnCode::Banned => 138,
        ConnectReturnCode::BadAuthenticationMethod => 140,
        ConnectReturnCode::TopicNameInvalid => 144,
        ConnectReturnCode::PacketTooLarge => 149,
        ConnectReturnCode::QuotaExceeded => 151,
        ConnectReturnCode::PayloadFormatInvalid => 153,
        ConnectReturnCode::RetainNotSupported => 154,
        ConnectReturnCode::QoSNotSupported => 155,
        ConnectReturnCode::UseAnotherServer => 156,
        ConnectReturnCode::ServerMoved => 157,
        ConnectReturnCode::ConnectionRateExceeded => 159,
        ConnectReturnCode::UnspecifiedError => 128,
    }
}

fn puback_code(reason: PubAckReason) -> u8 {
    match reason {
        PubAckReason::Success => 0,
        PubAckReason::NoMatchingSubscribers => 16,
        PubAckReason::UnspecifiedError => 128,
        PubAckReason::ImplementationSpecificError => 131,
        PubAckReason::NotAuthorized => 135,
        PubAckReason::TopicNameInvalid => 144,
        PubAckReason::PacketIdentifierInUse => 145,
        PubAckReason::QuotaExceeded => 151,
        PubAckReason::PayloadFormatInvalid => 153,
    }
}

fn suback_code(reason: SubReason) -> u8 {
    match reason {
        SubReason::Success(QoS::AtMostOnce) => 0,
        SubReason::Success(QoS::AtLeastOnce) => 1,
        SubReason::Success(QoS::ExactlyOnce) => 2,
        SubReason::Failure | SubReason::Unspecified => 128,
        SubReason::ImplementationSpecific => 131,
        SubReason::NotAuthorized => 135,
        SubReason::TopicFilterInvalid => 143,
        SubReason::PkidInUse => 145,
        SubReason::QuotaExceeded => 151,
        SubReason::SharedSubscriptionsNotSupported => 158,
        SubReason::SubscriptionIdNotSupported => 161,
        SubReason::WildcardSubscriptionsNotSupported => 162,
    }
}
