//! From errors of rumqttc, rustls and the system to a [`Loss`].

use super::{Loss, LossKind};
use rustls::{CertificateError, Error as TlsError};
use std::io::{Error, ErrorKind};

/// What an I/O error says about the end of a connection.
pub(super) fn io(error: &Error) -> Loss {
    if let Some(tls) = inner_tls(error) {
        return tls_error(tls);
    }
    let kind = match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => LossKind::Closed,
        _ => LossKind::Network,
    };
    Loss::new(kind, error.to_string())
}

pub(super) fn tls_error(error: &TlsError) -> Loss {
    let text = match error {
        TlsError::AlertReceived(alert) => format!("the far side does not accept the gateway: TLS alert {alert:?}"),
        TlsError::InvalidCertificate(problem) => format!("the far side's certificate {}", say(problem)),
        other => format!("TLS failed: {other}"),
    };
    Loss::new(LossKind::Tls, text)
}

/// Without the times and names that rustls adds, so that the same problem is told in the same words each time.
fn say(problem: &CertificateError) -> String {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is the gateway's clock right?".to_owned()
        }
        CertificateError::UnknownIssuer => "comes from no authority in the configured `ca` file".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is not for the configured host".to_owned()
        }
        other => format!("is not acceptable: {other}"),
    }
}

/// What rumqttc's own TLS error says.
pub(super) fn tls(error: &rumqttc::TlsError) -> Loss {
    match error {
        rumqttc::TlsError::Io(error) => io(error),
        rumqttc::TlsError::TLS(error) => tls_error(error),
        other => Loss::new(LossKind::Tls, other.to_string()),
    }
}

/// rustls travels inside of an I/O error.
fn inner_tls(error: &Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;

    #[test]
    fn a_tls_alert_is_told_apart_from_a_dead_network() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let loss = io(&Error::new(ErrorKind::InvalidData, alert));
        assert_eq!(loss.kind, LossKind::Tls);
        assert!(loss.text.contains("does not accept the gateway"), "{}", loss.text);
        assert_eq!(io(&Error::from(ErrorKind::ConnectionReset)).kind, LossKind::Closed);
        assert_eq!(io(&Error::from(ErrorKind::ConnectionRefused)).kind, LossKind::Network);
    }
}
