//! What the gateway knows, in the words of the management interface.

use cordon_core::comply::{Finding, FindingState};
use cordon_core::detect::{Alarm, AlarmState, Source};
use cordon_core::fleet::Registry;
use cordon_core::isolation::{How, Level, Order, Origin};
use cordon_core::time::Now;
use cordon_mqtt::SessionInfo;
use cordon_proto::v1;

pub(super) fn level(level: Option<Level>) -> i32 {
    let level = match level {
        None => v1::Level::Unspecified,
        Some(Level::Audit) => v1::Level::Audit,
        Some(Level::Restrict) => v1::Level::Restrict,
        Some(Level::Quarantine) => v1::Level::Quarantine,
        Some(Level::Disconnect) => v1::Level::Disconnect,
    };
    level as i32
}

pub(super) fn order(order: &Order, registry: &Registry, now: Now) -> v1::Order {
    let left = order.time_left(now).filter(|_| order.is_active());
    v1::Order {
        id: order.id.clone(),
        selector: order.selector.to_string(),
        level: level(Some(order.level)),
        block: order.block.clone(),
        reason: order.reason.clone(),
        author: order.author.clone(),
        automatic: matches!(order.origin, Origin::Automatic { .. }),
        created: Some(order.created.into()),
        expires_unix_ms: order.expires.map(|expires| expires.unix.0),
        remaining_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        ended: order.ended.as_ref().map(|ended| {
            let (expired, by, reason) = match &ended.how {
                How::Expired => (true, String::new(), String::new()),
                How::Released { by, reason } => (false, by.clone(), reason.clone()),
            };
            v1::OrderEnd { at: Some(ended.at.into()), expired, by, reason }
        }),
        things: registry.select(&order.selector).count() as u64,
    }
}

pub(super) fn alarm(alarm: &Alarm) -> v1::Alarm {
    v1::Alarm {
        id: alarm.id.clone(),
        source: match &alarm.source {
            Source::Behavior { profile, behavior } => format!("behavior {profile}/{behavior}"),
            Source::Login { key } => format!("login {key}"),
        },
        thing: alarm.thing.clone(),
        address: alarm.address.map(|address| address.to_string()),
        metric: alarm.metric.clone(),
        seen: alarm.seen,
        normal: alarm.normal.clone(),
        raised: Some(alarm.started.into()),
        cleared: alarm.cleared.map(Into::into),
        note: match alarm.state {
            AlarmState::AlarmInvalidated => "what it was raised for does not apply any more".to_owned(),
            AlarmState::InAlarm | AlarmState::AlarmCleared => String::new(),
        },
    }
}

pub(super) fn finding(finding: &Finding, now: Now) -> v1::Finding {
    let running = finding.state == FindingState::Open;
    let left = finding.left.saturating_sub(now.mono.since(finding.since.mono));
    v1::Finding {
        id: finding.id.clone(),
        thing: finding.thing.clone(),
        baseline: finding.baseline.clone(),
        deviations: finding
            .deviations
            .iter()
            .map(|deviation| v1::Deviation {
                path: deviation.path.clone(),
                found: deviation.found.clone(),
                wanted: deviation.wanted.clone(),
            })
            .collect(),
        state: finding.state.to_string(),
        opened: Some(finding.opened.into()),
        closed: finding.state.is_closed().then(|| finding.since.into()),
        deadline_in_ms: running.then(|| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        attempts: finding.attempts,
        order: finding.order.clone(),
    }
}

pub(super) fn session(session: &SessionInfo) -> v1::Session {
    v1::Session {
        client_id: session.client_id.clone(),
        thing: session.thing.clone(),
        principal: session.principal.clone(),
        peer: session.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        listener: session.listener.clone(),
        protocol: session.version.to_owned(),
        connected: session.peer.is_some(),
        since: Some(session.since.into()),
        persistent: session.persistent,
        subscriptions: session.subscriptions.len() as u64,
        queued: session.queued as u64,
        received: session.received_from,
        sent: session.sent_to,
        isolation: level(session.isolation),
    }
}
