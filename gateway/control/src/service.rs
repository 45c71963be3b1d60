//! The services behind the door.
//!
//! [`Desk`] is what every call shares: who asks, may they, record it. [`gateway`] is the `Gateway` service itself;
//! [`ask`] turns requests into checked arguments.

mod ask;
mod desk;
mod gateway;
mod stream;

pub(crate) use desk::Desk;

use crate::backend::Backend;
use crate::server::{Limits, ServeError};
use cordon_proto::FILE_DESCRIPTOR_SET;
use cordon_proto::v1::gateway_server::GatewayServer;
use gateway::GatewayService;
use std::sync::Arc;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::Router;
use tonic_health::server::HealthReporter;

/// HTTP/2 header bytes of one request; metadata has no use here.
const HEADER_BYTES: u32 = 16 * 1024;

/// The routes of the gateway, health and reflection services; all of them ask `desk` who is calling.
pub(crate) fn services<B: Backend>(
    desk: Arc<Desk<B>>,
    limits: &Limits,
) -> Result<(HealthReporter, Router), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let gateway = GatewayServer::new(GatewayService::new(desk.clone()))
        .max_decoding_message_size(limits.request_bytes)
        .max_encoding_message_size(16 * 1024 * 1024);

    let router = tonic::transport::Server::builder()
        .max_concurrent_streams(limits.calls_per_connection)
        .concurrency_limit_per_connection(limits.calls_per_connection as usize)
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive))
        .http2_max_header_list_size(HEADER_BYTES)
        .add_service(gateway)
        .add_service(InterceptedService::new(health, desk.gate("cordon:Health")))
        .add_service(InterceptedService::new(reflection, desk.gate("cordon:Reflection")));
    Ok((reporter, router))
}
