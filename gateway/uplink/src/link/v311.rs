//! A link that speaks MQTT 3.1.1, for endpoints that do not know MQTT 5.
//!
//! What is lost with it: PUBACK and DISCONNECT have no reasons, so that a refused publish shows as a closed connection.

use super::{Heard, Link, Loss, LossKind, MAX_PACKET_BYTES, NotTaken, Requests, classify};
use crate::config::Config;
use crate::reason::describe_v311_return;
use bytes::Bytes;
use rumqttc::mqttbytes::Error as CodecError;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, MqttOptions, NetworkOptions, Outgoing,
    QoS, StateError, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) fn dial(config: Arc<Config>) -> Link {
    let (client, mut event_loop) = AsyncClient::new(options(&config), super::request_room(&config));
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(config.connect_timeout.as_secs());
    event_loop.set_network_options(network);
    super::link(Box::new(Client(client)), |tell| drive(event_loop, config, tell))
}

struct Client(AsyncClient);

// === impl Client ===

impl Requests for Client {
    fn publish(&self, topic: &str, payload: Bytes) -> Result<(), NotTaken> {
        self.0.try_publish(topic, QoS::AtLeastOnce, false, payload).map_err(|_| NotTaken)
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), NotTaken> {
        let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        self.0.try_subscribe_many(filters).map_err(|_| NotTaken)
    }

    fn disconnect(&self) -> Result<(), NotTaken> {
        self.0.try_disconnect().map_err(|_| NotTaken)
    }
}

fn options(config: &Config) -> MqttOptions {
    let limit = usize::try_from(MAX_PACKET_BYTES).unwrap_or(usize::MAX);
    let mut options = MqttOptions::new(&config.gateway, &config.host, config.port);
    options
        .set_keep_alive(config.keep_alive)
        .set_clean_session(false)
        .set_max_packet_size(limit, limit)
        .set_inflight(super::inflight(config));
    options
}

async fn drive(mut event_loop: EventLoop, config: Arc<Config>, tell: mpsc::Sender<Heard>) {
    let loss = match super::load_tls(config).await {
        Ok(tls) => {
            event_loop.mqtt_options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
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
        Event::Incoming(Incoming::ConnAck(ack)) => {
            Heard::Connected { session_present: ack.session_present, receive_max: None, max_packet: None }
        }
        Event::Incoming(Incoming::SubAck(ack)) => {
            let code = |reason| match reason {
                SubscribeReasonCode::Success(qos) => qos as u8,
                SubscribeReasonCode::Failure => 128,
            };
            Heard::Subscribed { reasons: ack.return_codes.into_iter().map(code).collect() }
        }
        Event::Incoming(Incoming::PubAck(ack)) => Heard::Answered { pkid: ack.pkid, code: 0 },
        Event::Incoming(Incoming::Publish(publish)) => {
            Heard::Message { topic: publish.topic, payload: publish.payload }
        }
        Event::Outgoing(Outgoing::Publish(pkid)) => Heard::Sent { pkid },
        Event::Outgoing(Outgoing::Disconnect) => Heard::Goodbye,
        _ => return None,
    })
}

fn classify(error: &ConnectionError) -> Loss {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let kind = match code {
                ConnectReturnCode::RefusedProtocolVersion => LossKind::VersionRefused,
                _ => LossKind::ConnectRefused,
            };
            Loss::new(kind, describe_v311_return(*code as u8))
        }
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            Loss::new(LossKind::Network, "no answer within the time to connect")
        }
        ConnectionError::Tls(error) => classify::tls(error),
        ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error) | StateError::Deserialization(CodecError::Io(error))) => {
            classify::io(error)
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Loss::new(LossKind::Closed, "the far side closed the connection")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Loss::new(LossKind::Network, "no answer to a ping within the keep-alive")
        }
        ConnectionError::RequestsDone => Loss::new(LossKind::Fault, "the link was left without requests"),
        other => Loss::new(LossKind::Protocol, other.to_string()),
    }
}
