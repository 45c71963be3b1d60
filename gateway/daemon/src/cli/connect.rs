//! The connection to the gateway.

use super::context::Context;
use super::failure::Failure;
use super::global::Global;
use cordon_proto::v1::gateway_client::GatewayClient;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// A connected client.
pub(crate) type Client = GatewayClient<Channel>;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call may take; a little longer than the gateway itself allows, so that its answer arrives.
const CALL_TIMEOUT: Duration = Duration::from_secs(35);

/// The largest message taken; lists come item by item, so this is one item.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Connects to the gateway that the options and the surroundings name.
pub(crate) async fn connect(global: &Global) -> Result<Client, Failure> {
    let context = Context::find(global, Context::own_file().as_deref())?;
    connect_to(&context).await
}

/// A request with the usual time limit.
pub(crate) fn call<T>(message: T) -> Request<T> {
    call_within(message, CALL_TIMEOUT)
}

/// A request that may take up to `limit`.
pub(crate) fn call_within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

async fn connect_to(context: &Context) -> Result<Client, Failure> {
    let Context { endpoint, ca, cert, key } = context;
    let ca = Certificate::from_pem(read("the gateway's authority", "ca", ca)?);
    let identity =
        Identity::from_pem(read("the operator certificate", "cert", cert)?, read("the operator key", "key", key)?);
    let tls = ClientTlsConfig::new().ca_certificate(ca).identity(identity);
    let unusable = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        Failure::Usage(format!(
            "the files {}, {} and {} cannot be used: {error}: {cause}; check that they are PEM files and that the key \
             belongs to the certificate",
            context.ca.display(),
            context.cert.display(),
            context.key.display()
        ))
    };
    let channel = Endpoint::from_shared(format!("https://{endpoint}"))
        .map_err(|_| Failure::Usage(format!("`{endpoint}` is no endpoint; write HOST:PORT")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .tls_config(tls)
        .map_err(unusable)?
        .connect()
        .await
        .map_err(|error| Failure::connecting(endpoint, &error))?;
    Ok(GatewayClient::new(channel).max_decoding_message_size(MESSAGE_BYTES))
}

fn read(what: &str, option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::Usage(format!("cannot read {what} {}: {error}; give another file with --{option}", path.display()))
    })
}
