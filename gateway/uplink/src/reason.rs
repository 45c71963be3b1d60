//! MQTT reason codes (MQTT 5.0, section 2.4) in words, and what each means for an entry.

/// What a PUBACK reason means for the entry that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The far side has it.
    Accepted,
    /// Too much for the moment: try again later, for as long as it takes.
    Later,
    /// Not as things stand: an operator may change that, so try again some times.
    Refused,
    /// Never.
    Impossible,
}

/// How an entry fares that is answered with this PUBACK reason.
pub(crate) fn answer(code: u8) -> Answer {
    match code {
        ..128 => Answer::Accepted,
        // Packet identifier in use, quota exceeded.
        145 | 151 => Answer::Later,
        // Topic name invalid, payload format invalid.
        144 | 153 => Answer::Impossible,
        _ => Answer::Refused,
    }
}

/// Whether a DISCONNECT with this reason may be the answer to what the gateway has just sent.
pub(crate) fn blames_a_packet(code: u8) -> bool {
    matches!(code, 128..=131 | 135 | 144 | 148 | 149 | 153..=155)
}

/// A code in words, for example `135 not authorized`.
pub(crate) fn describe(code: u8) -> String {
    let words = match code {
        0 => "success",
        16 => "no matching subscribers",
        128 => "unspecified error",
        129 => "malformed packet",
        130 => "protocol error",
        131 => "implementation specific error",
        132 => "unsupported protocol version",
        133 => "client identifier not valid",
        134 => "bad user name or password",
        135 => "not authorized",
        136 => "server unavailable",
        137 => "server busy",
        138 => "banned",
        139 => "server shutting down",
        140 => "bad authentication method",
        141 => "keep alive timeout",
        142 => "session taken over",
        143 => "topic filter invalid",
        144 => "topic name invalid",
        145 => "packet identifier in use",
        147 => "receive maximum exceeded",
        148 => "topic alias invalid",
        149 => "packet too large",
        150 => "message rate too high",
        151 => "quota exceeded",
        152 => "administrative action",
        153 => "payload format invalid",
        154 => "retain not supported",
        155 => "QoS not supported",
        156 => "use another server",
        157 => "server moved",
        158 => "shared subscriptions not supported",
        159 => "connection rate exceeded",
        160 => "maximum connect time",
        161 => "subscription identifiers not supported",
        162 => "wildcard subscriptions not supported",
        _ => "unknown reason",
    };
    format!("{code} {words}")
}

/// A CONNACK return code of MQTT 3.1.1 (section 3.2.2.3) in words.
pub(crate) fn describe_v311_return(code: u8) -> String {
    let words = match code {
        1 => "unacceptable protocol version",
        2 => "identifier rejected",
        3 => "server unavailable",
        4 => "bad user name or password",
        5 => "not authorized",
        _ => "unknown return code",
    };
    format!("{code} {words}")
}
