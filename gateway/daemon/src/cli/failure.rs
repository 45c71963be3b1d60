//! Why a client command did not do what it was asked, and with which exit code it says so.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use tonic::{Code, Status};

/// Why a client command failed. The text says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something failed, or the gateway refused it (exit code 1).
    #[error("{0}")]
    Failed(String),
    /// The command line, the context file or the operator's files are not usable (2).
    #[error("{0}")]
    Usage(String),
    /// No gateway that can be trusted was reached (3).
    #[error("{0}")]
    Unreachable(String),
    /// The gateway does not let this operator do it (4).
    #[error("{0}")]
    NotPermitted(String),
    /// Whoever reads the output has gone; nothing to say (0).
    #[error("standard output was closed")]
    OutputClosed,
}

// === impl Failure ===

impl Failure {
    /// The exit code that tells scripts what happened.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::NotPermitted(_) => 4,
        }
    }

    /// A connection to `endpoint` that could not be made.
    pub(crate) fn connecting(endpoint: &str, error: &(dyn Error + 'static)) -> Self {
        if let Some(refused) = Self::refused_identity(error) {
            return refused;
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Self::Unreachable(format!(
                "the gateway at {endpoint} is not trusted: {tls}; check --endpoint, and that --ca is the authority of \
                 this gateway"
            ));
        }
        let help = match find::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => "nothing listens there; is the gateway running (`cordon serve`)?",
            Some(io::ErrorKind::TimedOut) => "it did not answer; check the address and the network between",
            _ => "check the address and that the gateway is running",
        };
        Self::Unreachable(format!("cannot reach the gateway at {endpoint}: {}; {help}", root(error)))
    }

    /// The gateway ended the TLS handshake because of our certificate. With TLS 1.3 this may show as late as the first
    /// call.
    fn refused_identity(error: &(dyn Error + 'static)) -> Option<Self> {
        // HTTP/2 keeps only the text of an I/O error.
        let said = root(error);
        let alert = said.strip_prefix("received fatal alert: ")?;
        Some(Self::NotPermitted(format!(
            "the gateway refused the operator certificate ({alert}); check --cert and --key: the certificate must be \
             signed by the gateway's operator authority and not have expired"
        )))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // Statuses that the gateway sent have no source; those that the transport made do.
        if let Some(source) = status.source() {
            return Self::refused_identity(source).unwrap_or_else(|| {
                Self::Unreachable(format!("the connection to the gateway broke: {}; try again", root(source)))
            });
        }
        let message = status.message().to_owned();
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => Self::NotPermitted(message),
            Code::Unimplemented => {
                Self::Failed(format!("this gateway does not know the call ({message}); update the gateway"))
            }
            _ if message.is_empty() => Self::Failed(format!("the gateway answered {:?}", status.code())),
            _ => Self::Failed(message),
        }
    }
}

/// The first error of type `E` in the chain that begins with `error`; looks into I/O errors too.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<E>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The last error of the chain, in words: what went wrong first.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    // An I/O error shows what it wraps as itself.
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_fail_has_its_exit_code() {
        for (status, code) in [
            (Status::permission_denied("no"), 4),
            (Status::unauthenticated("no"), 4),
            (Status::not_found("no order"), 1),
            (Status::invalid_argument("`level`"), 1),
            (Status::unavailable("journal is set aside"), 1),
            (Status::unimplemented(""), 1),
        ] {
            let said = status.message().to_owned();
            let failure = Failure::from(status);
            assert_eq!(failure.code(), code, "{failure}");
            assert!(failure.to_string().contains(&said), "{failure}");
        }
    }

    #[test]
    fn a_connection_that_fails_says_whose_side_it_is_on() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let failure = Failure::connecting("127.0.0.1:7443", &refused);
        assert_eq!(failure.code(), 3);
        assert!(failure.to_string().contains("is the gateway running"), "{failure}");

        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let failure = Failure::connecting("127.0.0.1:7443", &io::Error::other(alert));
        assert_eq!(failure.code(), 4, "{failure}");

        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let failure = Failure::connecting("127.0.0.1:7443", &io::Error::other(unknown));
        assert_eq!(failure.code(), 3);
        assert!(failure.to_string().contains("--ca"), "{failure}");
    }
}
