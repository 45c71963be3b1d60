//! The door of a quarantine: the topics through which a thing can be put right.

use crate::policy::Action;

/// Whether a quarantined `thing` may still do this: connect, and use its own shadows and jobs.
pub(super) fn is_open(action: Action, resource: &str, thing: &str) -> bool {
    action == Action::Connect || is_own_remediation(resource, thing)
}

/// Whether a topic or filter lies wholly under the thing's own shadow or jobs topics. The leading levels are compared
/// letter by letter, so a wildcard can only stand behind them.
fn is_own_remediation(resource: &str, thing: &str) -> bool {
    !thing.is_empty()
        && resource
            .strip_prefix("$aws/things/")
            .and_then(|rest| rest.strip_prefix(thing))
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| rest.starts_with("shadow/") || rest.starts_with("jobs/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_things_own_shadow_and_jobs_stay_open() {
        for (resource, open) in [
            ("$aws/things/press-01/shadow/update", true),
            ("$aws/things/press-01/shadow/update/delta", true),
            ("$aws/things/press-01/shadow/name/config/get", true),
            ("$aws/things/press-01/shadow/#", true),
            ("$aws/things/press-01/jobs/+/get", true),
            ("$aws/things/press-01/jobs/notify", true),
            ("$aws/things/press-01/shadow", false),
            ("$aws/things/press-01/#", false),
            ("$aws/things/+/shadow/#", false),
            ("$aws/things/press-012/shadow/update", false),
            ("$aws/things/press-02/shadow/update", false),
            ("$aws/things/press-01/defender/metrics/json", false),
            ("$aws/things//shadow/update", false),
            ("$share/g/$aws/things/press-01/shadow/#", false),
            ("#", false),
            ("plant/press-01", false),
        ] {
            assert_eq!(is_open(Action::Subscribe, resource, "press-01"), open, "{resource}");
        }
        assert!(is_open(Action::Connect, "press-01", "press-01"));
        assert!(!is_open(Action::Publish, "$aws/things//shadow/update", ""));
    }
}
