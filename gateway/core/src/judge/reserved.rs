//! Reserved topics: those that begin with `$`. A device has its part in some and only the service speaks on the others.
//! What the gateway tells about itself under `$SYS` is for the readers that the configuration names.

use crate::policy::{Action, bare_filter};
use crate::topic;

const CLIENT_ONLY: &str = "reserved topics: only a client's requests may be published there";
const NOBODY_SUBSCRIBES: &str = "reserved topics: what is published to a rule goes to that rule alone";
const FOR_READERS: &str = "sys.readers: $SYS is for operators, and no selector there names this client";

/// The rule that forbids the act whatever policies say, if one does. `reads_sys` tells whether the client may see `$SYS`
/// as far as its policies allow.
pub(super) fn forbids(action: Action, resource: &str, reads_sys: bool) -> Option<&'static str> {
    match action {
        Action::Connect => None,
        Action::Publish | Action::RetainPublish => {
            (resource.starts_with('$') && !is_client_request(resource)).then_some(CLIENT_ONLY)
        }
        Action::Subscribe | Action::Receive => {
            let bare = if action == Action::Subscribe { bare_filter(resource) } else { resource };
            if topic::is_sys(bare) {
                return (!reads_sys).then_some(FOR_READERS);
            }
            bare.starts_with("$aws/rules/").then_some(NOBODY_SUBSCRIBES)
        }
    }
}

/// Whether a topic is one of those that AWS IoT has clients publish to: shadow, jobs and Device Defender requests, and
/// Basic Ingest.
fn is_client_request(topic: &str) -> bool {
    let Some(rest) = topic.strip_prefix("$aws/") else { return false };
    let mut levels = rest.split('/');
    match levels.next() {
        Some("rules") => levels.next().is_some_and(|rule| !rule.is_empty()),
        Some("things") => {
            let named = levels.next().is_some_and(|thing| !thing.is_empty());
            named && is_thing_request(levels)
        }
        _ => false,
    }
}

fn is_thing_request<'t>(mut levels: impl Iterator<Item = &'t str>) -> bool {
    let service = levels.next();
    let (one, two, three, end) = (levels.next(), levels.next(), levels.next(), levels.next());
    let is_operation = |level| matches!(level, Some("update" | "get" | "delete"));
    match (service, one, two, three, end) {
        (Some("shadow"), operation, None, None, None) => is_operation(operation),
        (Some("shadow"), Some("name"), Some(shadow), operation, None) => !shadow.is_empty() && is_operation(operation),
        (Some("jobs"), Some("get" | "start-next"), None, None, None) => true,
        (Some("jobs"), Some(job), Some("get" | "update"), None, None) => !job.is_empty(),
        (Some("defender"), Some("metrics"), Some("json" | "cbor"), None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_publish_their_requests_and_never_the_answers() {
        for (topic, open) in [
            ("plant/a", true),
            ("a/$aws/x", true),
            ("$aws/things/t/shadow/update", true),
            ("$aws/things/t/shadow/get", true),
            ("$aws/things/t/shadow/name/config/delete", true),
            ("$aws/things/t/shadow/update/accepted", false),
            ("$aws/things/t/shadow/update/rejected", false),
            ("$aws/things/t/shadow/update/delta", false),
            ("$aws/things/t/shadow/update/documents", false),
            ("$aws/things/t/shadow/name/config/update/delta", false),
            ("$aws/things/t/shadow/name/config", false),
            ("$aws/things/t/shadow/name//update", false),
            ("$aws/things/t/shadow", false),
            ("$aws/things//shadow/update", false),
            ("$aws/things/t/jobs/get", true),
            ("$aws/things/t/jobs/start-next", true),
            ("$aws/things/t/jobs/job-7/get", true),
            ("$aws/things/t/jobs/job-7/update", true),
            ("$aws/things/t/jobs/$next/get", true),
            ("$aws/things/t/jobs/job-7/update/accepted", false),
            ("$aws/things/t/jobs/notify", false),
            ("$aws/things/t/jobs/notify-next", false),
            ("$aws/things/t/jobs/get/accepted", false),
            ("$aws/things/t/defender/metrics/json", true),
            ("$aws/things/t/defender/metrics/cbor", true),
            ("$aws/things/t/defender/metrics/json/accepted", false),
            ("$aws/rules/ingest/plant/a", true),
            ("$aws/rules/", false),
            ("$aws/events/presence/connected/t", false),
            ("$aws/certificates/create/json", false),
            ("$aws", false),
            ("$SYS/broker/version", false),
            ("$share/g/a", false),
            ("$other", false),
        ] {
            for reads_sys in [true, false] {
                assert_eq!(forbids(Action::Publish, topic, reads_sys).is_none(), open, "{topic}");
                assert_eq!(forbids(Action::RetainPublish, topic, reads_sys).is_none(), open, "{topic}");
            }
        }
    }

    #[test]
    fn answers_may_be_subscribed_to_but_rules_may_not() {
        for (filter, open) in [
            ("$aws/things/t/shadow/update/accepted", true),
            ("$aws/things/t/#", true),
            ("$aws/events/presence/connected/+", true),
            ("$SYSTEM/#", true),
            ("$aws/rules/ingest/#", false),
            ("$share/g/$aws/rules/ingest/#", false),
        ] {
            for reads_sys in [true, false] {
                assert_eq!(forbids(Action::Subscribe, filter, reads_sys).is_none(), open, "{filter}");
            }
        }
        assert!(forbids(Action::Receive, "$aws/rules/ingest/a", true).is_some());
    }

    #[test]
    fn the_gateways_own_tree_is_for_its_readers() {
        for filter in ["$SYS", "$SYS/#", "$SYS/+/uptime", "$share/g/$SYS/#", "$SYS/broker/uptime"] {
            assert_eq!(forbids(Action::Subscribe, filter, true), None, "{filter}");
            assert_eq!(forbids(Action::Subscribe, filter, false), Some(FOR_READERS), "{filter}");
        }
        assert_eq!(forbids(Action::Receive, "$SYS/broker/uptime", true), None);
        assert_eq!(forbids(Action::Receive, "$SYS/broker/uptime", false), Some(FOR_READERS));
        for filter in ["#", "+/broker/uptime", "a/$SYS"] {
            assert_eq!(forbids(Action::Subscribe, filter, false), None, "{filter} selects nothing under $SYS");
        }
    }
}
