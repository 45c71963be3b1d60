//! The reason codes of MQTT 5 (2.4) and what becomes of them in MQTT 3.

use super::QoS;

macro_rules! reason_codes {
    ($($variant:ident = $value:literal $name:literal;)*) => {
        /// A reason code of MQTT 5 (section 2.4). Code 0x00 has one variant for its three names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode { $(#[doc = $name] $variant = $value),* }

        impl ReasonCode {
            /// Every code, in rising order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code with this value; none when the standard does not define it.
            #[inline]
            #[must_use]
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$variant),)* _ => None }
            }

            /// The name the standard gives it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

reason_codes! {
    Success = 0x00 "Success";
    GrantedQoS1 = 0x01 "Granted QoS 1";
    GrantedQoS2 = 0x02 "Granted QoS 2";
    DisconnectWithWillMessage = 0x04 "Disconnect with Will Message";
    NoMatchingSubscribers = 0x10 "No matching subscribers";
    NoSubscriptionExisted = 0x11 "No subscription existed";
    ContinueAuthentication = 0x18 "Continue authentication";
    ReAuthenticate = 0x19 "Re-authenticate";
    UnspecifiedError = 0x80 "Unspecified error";
    MalformedPacket = 0x81 "Malformed Packet";
    ProtocolError = 0x82 "Protocol Error";
    ImplementationSpecificError = 0x83 "Implementation specific error";
    UnsupportedProtocolVersion = 0x84 "Unsupported Protocol Version";
    ClientIdentifierNotValid = 0x85 "Client Identifier not valid";
    BadUserNameOrPassword = 0x86 "Bad User Name or Password";
    NotAuthorized = 0x87 "Not authorized";
    ServerUnavailable = 0x88 "Server unavailable";
    ServerBusy = 0x89 "Server busy";
    Banned = 0x8A "Banned";
    ServerShuttingDown = 0x8B "Server shutting down";
    BadAuthenticationMethod = 0x8C "Bad authentication method";
    KeepAliveTimeout = 0x8D "Keep Alive timeout";
    SessionTakenOver = 0x8E "Session taken over";
    TopicFilterInvalid = 0x8F "Topic Filter invalid";
    TopicNameInvalid = 0x90 "Topic Name invalid";
    PacketIdentifierInUse = 0x91 "Packet Identifier in use";
    PacketIdentifierNotFound = 0x92 "Packet Identifier not found";
    ReceiveMaximumExceeded = 0x93 "Receive Maximum exceeded";
    TopicAliasInvalid = 0x94 "Topic Alias invalid";
    PacketTooLarge = 0x95 "Packet too large";
    MessageRateTooHigh = 0x96 "Message rate too high";
    QuotaExceeded = 0x97 "Quota exceeded";
    AdministrativeAction = 0x98 "Administrative action";
    PayloadFormatInvalid = 0x99 "Payload format invalid";
    RetainNotSupported = 0x9A "Retain not supported";
    QoSNotSupported = 0x9B "QoS not supported";
    UseAnotherServer = 0x9C "Use another server";
    ServerMoved = 0x9D "Server moved";
    SharedSubscriptionsNotSupported = 0x9E "Shared Subscriptions not supported";
    ConnectionRateExceeded = 0x9F "Connection rate exceeded";
    MaximumConnectTime = 0xA0 "Maximum connect time";
    SubscriptionIdentifiersNotSupported = 0xA1 "Subscription Identifiers not supported";
    WildcardSubscriptionsNotSupported = 0xA2 "Wildcard Subscriptions not supported";
}

// === impl ReasonCode ===

impl ReasonCode {
    /// The code on the wire of MQTT 5.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Whether the code reports a failure (0x80 and above).
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.value() >= 0x80
    }

    /// The SUBACK code that grants `qos`.
    #[must_use]
    pub const fn granted(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Success,
            QoS::AtLeastOnce => Self::GrantedQoS1,
            QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// The return code of a CONNACK in MQTT 3.1.1 (table 3.1). None when no return code fits: the server then closes
    /// without a CONNACK (MQTT-3.2.2-6 of MQTT 3.1.1).
    #[must_use]
    pub const fn connack_v3(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedProtocolVersion => Some(1),
            Self::ClientIdentifierNotValid => Some(2),
            Self::UnspecifiedError
            | Self::ImplementationSpecificError
            | Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => Some(4),
            Self::NotAuthorized | Self::Banned | Self::AdministrativeAction => Some(5),
            _ => None,
        }
    }
}
