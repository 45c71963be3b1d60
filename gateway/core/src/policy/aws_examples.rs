//! Decisions on policies as AWS documents them, and the known traps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::{Action, Compiled, Outcome, Policy, Principal, Subject};
use crate::fleet::Thing;
use std::sync::Arc;

fn policy(statements: &str) -> Arc<Policy> {
    let json = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Arc::new(Policy::parse("device", &json).unwrap_or_else(|error| panic!("{error}")))
}

/// One statement on resources of any region and account.
fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"arn:aws:iot:*:*:{resource}"}}"#)
}

fn conditioned(effect: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"iot:*","Resource":"*","Condition":{condition}}}"#)
}

fn press(policies: Vec<Arc<Policy>>) -> Subject {
    let thing = Thing {
        thing_type: Some("press".into()),
        attributes: [("site", "west"), ("floor", "3"), ("odd", "a+b")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        ..Thing::named("press-01")
    };
    Subject {
        client_id: "press-01".into(),
        thing: Some(Arc::new(thing)),
        principal: Principal::Certificate { common_name: "press-01".into(), fingerprint: "00".into() },
        source_ip: Some("10.1.2.3".parse().unwrap()),
        persistent: false,
        last_will: false,
        policies,
    }
}

/// `A` allowed, `D` explicitly denied, `-` not allowed.
fn decide(subject: &Subject, action: Action, resource: &str) -> char {
    match Compiled::new(subject).evaluate(action, resource) {
        Outcome::Allowed { .. } => 'A',
        Outcome::ExplicitDeny { .. } => 'D',
        Outcome::ImplicitDeny => '-',
    }
}

#[test]
fn actions_are_checked_against_their_own_type_of_resource() {
    let subject = press(vec![policy(
        &[
            statement("Allow", "iot:Connect", "client/${iot:Connection.Thing.ThingName}"),
            statement("Allow", "iot:Publish", "topic/plant/${iot:ClientId}/*"),
            statement("Allow", "iot:Subscribe", "topicfilter/plant/*/cmd/#"),
            statement("Allow", "iot:Receive", "topic/plant/*"),
            statement("Deny", "iot:Receive", "topic/plant/secret/*"),
        ]
        .join(","),
    )]);
    for (action, resource, decision) in [
        (Action::Connect, "press-01", 'A'),
        (Action::Connect, "press-02", '-'),
        (Action::Publish, "plant/press-01/temperature", 'A'),
        (Action::Publish, "plant/press-01", '-'),
        (Action::Publish, "plant/press-02/temperature", '-'),
        (Action::RetainPublish, "plant/press-01/temperature", '-'),
        (Action::Subscribe, "plant/press-01/cmd/#", 'A'),
        (Action::Subscribe, "plant/+/cmd/#", 'A'),
        (Action::Subscribe, "plant/press-01/cmd/start", '-'),
        (Action::Receive, "plant/press-02/cmd/start", 'A'),
        (Action::Receive, "plant/secret/cmd/start", 'D'),
        (Action::Receive, "other", '-'),
    ] {
        assert_eq!(decide(&subject, action, resource), decision, "{action} {resource}");
    }
}

#[test]
fn a_narrow_deny_on_subscribe_does_not_stop_a_wide_filter_but_receive_does() {
    let subscribe_only = [
        statement("Allow", "iot:Subscribe", "topicfilter/a/*"),
        statement("Deny", "iot:Subscribe", "topicfilter/a/secret/*"),
        statement("Allow", "iot:Receive", "topic/a/*"),
    ];
    let subject = press(vec![policy(&subscribe_only.join(","))]);
    assert_eq!(decide(&subject, Action::Subscribe, "a/secret/x"), 'D');
    assert_eq!(decide(&subject, Action::Subscribe, "a/#"), 'A');
    assert_eq!(decide(&subject, Action::Receive, "a/secret/x"), 'A');
    let both = policy(&statement("Deny", "iot:Receive", "topic/a/secret/*"));
    let subject = press(vec![policy(&subscribe_only.join(",")), both]);
    assert_eq!(decide(&subject, Action::Receive, "a/secret/x"), 'D');
    assert_eq!(decide(&subject, Action::Receive, "a/open"), 'A');
}

#[test]
fn a_variable_without_a_value_never_opens_a_way() {
    let topic = "topic/${iot:Connection.Thing.Attributes[zone]}/x";
    for (effect, key, decision) in [
        ("Allow", "Resource", '-'),
        ("Deny", "Resource", 'D'),
        ("Allow", "NotResource", '-'),
        ("Deny", "NotResource", 'D'),
    ] {
        let named = format!(r#"{{"Effect":"{effect}","Action":"iot:Publish","{key}":"arn:aws:iot:*:*:{topic}"}}"#);
        let allow = statement("Allow", "iot:Publish", "topic/*");
        let subject = press(vec![policy(&if effect == "Deny" { format!("{allow},{named}") } else { named })]);
        assert_eq!(decide(&subject, Action::Publish, "north/x"), decision, "{effect} {key}");
    }
}

#[test]
fn a_deny_with_an_unresolved_variable_covers_its_values_and_nothing_else() {
    let json = [
        statement("Allow", "iot:Publish", "topic/*"),
        statement("Deny", "iot:Publish", "topic/zones/${iot:Connection.Thing.Attributes[zone]}/x"),
    ];
    let subject = press(vec![policy(&json.join(","))]);
    assert_eq!(decide(&subject, Action::Publish, "zones/any/x"), 'D');
    assert_eq!(decide(&subject, Action::Publish, "zones/any/y"), 'A');
}

#[test]
fn a_hostile_client_id_is_never_put_into_a_pattern() {
    for id in ["+", "#", "*", "a/b", "a?", "$x", "a+", ""] {
        let connect = [
            statement("Allow", "iot:Connect", "client/*"),
            statement("Allow", "iot:Subscribe", "topicfilter/x/${iot:ClientId}/y"),
            statement("Deny", "iot:Publish", "topic/x/${iot:ClientId}"),
            statement("Allow", "iot:Publish", "topic/*"),
        ];
        let subject = Subject { client_id: id.into(), ..press(vec![policy(&connect.join(","))]) };
        assert_eq!(decide(&subject, Action::Subscribe, &format!("x/{id}/y")), '-', "{id}");
        assert_eq!(decide(&subject, Action::Publish, &format!("x/{id}")), 'D', "{id}");
    }
}

#[test]
fn every_variable_takes_its_value_from_the_session() {
    for (variable, value) in [
        ("iot:ClientId", "press-01"),
        ("IOT:CLIENTID", "press-01"),
        ("iot:Connection.Thing.ThingName", "press-01"),
        ("iot:Connection.Thing.ThingTypeName", "press"),
        ("iot:Connection.Thing.Attributes[site]", "west"),
        ("iot:Connection.Thing.IsAttached", "true"),
        ("iot:Certificate.Subject.CommonName", "press-01"),
        ("aws:SourceIp", "10.1.2.3"),
    ] {
        let subject = press(vec![policy(&statement("Allow", "iot:Publish", &format!("topic/${{{variable}}}")))]);
        assert_eq!(decide(&subject, Action::Publish, value), 'A', "{variable}");
        assert_eq!(decide(&subject, Action::Publish, &format!("${{{variable}}}")), '-', "{variable}");
    }
    let odd = press(vec![policy(&statement("Allow", "iot:Publish", "topic/${iot:Connection.Thing.Attributes[odd]}"))]);
    assert_eq!(decide(&odd, Action::Publish, "a+b"), '-');
}

#[test]
fn conditions_hold_as_iam_says() {
    for (condition, allowed) in [
        (r#"{"StringEquals":{"iot:ClientId":"press-01"}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":["x","press-01"]}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":"press-*"}}"#, false),
        (r#"{"StringLike":{"iot:ClientId":"press-*"}}"#, true),
        (r#"{"StringNotLike":{"iot:ClientId":["pump-*","press-*"]}}"#, false),
        (r#"{"StringNotEquals":{"iot:ClientId":["x","y"]}}"#, true),
        (r#"{"StringEqualsIgnoreCase":{"iot:ClientId":"PRESS-01"}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":"${iot:Connection.Thing.ThingName}"}}"#, true),
        (r#"{"StringEquals":{"iot:ClientId":"press-01","iot:Connection.Thing.Attributes[site]":"east"}}"#, false),
        (r#"{"StringEquals":{"iot:ClientId":"press-01"},"Bool":{"iot:Connection.Thing.IsAttached":true}}"#, true),
        (r#"{"Bool":{"iot:Connection.Thing.IsAttached":["false"]}}"#, false),
        (r#"{"StringEquals":{"iot:Connection.Thing.Attributes[zone]":"a"}}"#, false),
        (r#"{"StringNotEquals":{"iot:Connection.Thing.Attributes[zone]":"a"}}"#, true),
        (r#"{"StringEqualsIfExists":{"iot:Connection.Thing.Attributes[zone]":"a"}}"#, true),
        (r#"{"StringEqualsIfExists":{"iot:Connection.Thing.Attributes[site]":"a"}}"#, false),
        (r#"{"StringNotEquals":{"iot:ClientId":"${iot:Connection.Thing.Attributes[zone]}"}}"#, false),
        (r#"{"Null":{"iot:Connection.Thing.Attributes[zone]":"true"}}"#, true),
        (r#"{"Null":{"iot:Connection.Thing.Attributes[site]":true}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":["192.168.0.0/16","10.0.0.0/8"]}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, false),
        (r#"{"NumericLessThan":{"iot:Connection.Thing.Attributes[floor]":10}}"#, true),
        (r#"{"NumericGreaterThanEquals":{"iot:Connection.Thing.Attributes[floor]":"3.5"}}"#, false),
        (r#"{"NumericNotEquals":{"iot:Connection.Thing.Attributes[site]":"1"}}"#, false),
        ("{}", true),
    ] {
        let subject = press(vec![policy(&conditioned("Allow", condition))]);
        assert_eq!(decide(&subject, Action::Publish, "t"), if allowed { 'A' } else { '-' }, "{condition}");
    }
}

#[test]
fn a_deny_whose_condition_cannot_be_decided_holds() {
    let undecided = r#"{"StringEquals":{"iot:ClientId":"${iot:Connection.Thing.Attributes[zone]}"}}"#;
    let subject = press(vec![policy(&format!("{},{}", conditioned("Allow", "{}"), conditioned("Deny", undecided)))]);
    assert_eq!(decide(&subject, Action::Publish, "t"), 'D');
}

#[test]
fn connect_attributes_follow_the_documented_patterns() {
    let unconditioned = conditioned("Allow", "{}");
    let when = |effect: &str, operator: &str, values: &str| {
        conditioned(effect, &format!(r#"{{"{operator}":{{"iot:ConnectAttributes":{values}}}}}"#))
    };
    // Decisions for: plain, persistent, with a will, both.
    for (statements, decisions) in [
        (unconditioned.clone(), "AAAA"),
        (when("Allow", "ForAllValues:StringEquals", r#"["PersistentConnect"]"#), "AA--"),
        (when("Allow", "ForAllValues:StringEquals", r#"["PersistentConnect","LastWill"]"#), "AAAA"),
        (when("Allow", "ForAllValues:StringEquals", "[]"), "A---"),
        (when("Allow", "ForAnyValue:StringEquals", r#"["PersistentConnect"]"#), "-A-A"),
        (when("Allow", "ForAllValues:StringNotEquals", r#"["PersistentConnect"]"#), "A-A-"),
        (format!("{unconditioned},{}", when("Deny", "ForAnyValue:StringEquals", r#"["PersistentConnect"]"#)), "ADAD"),
    ] {
        let attached = policy(&statements);
        let found: String = [(false, false), (true, false), (false, true), (true, true)]
            .map(|(persistent, last_will)| {
                let subject = Subject { persistent, last_will, ..press(vec![Arc::clone(&attached)]) };
                decide(&subject, Action::Connect, "press-01")
            })
            .iter()
            .collect();
        assert_eq!(found, decisions, "{statements}");
    }
}

#[test]
fn connect_attributes_say_nothing_about_other_acts() {
    let only = r#"{"ForAnyValue:StringEquals":{"iot:ConnectAttributes":["PersistentConnect"]}}"#;
    let subject = Subject { persistent: true, ..press(vec![policy(&conditioned("Allow", only))]) };
    assert_eq!(decide(&subject, Action::Connect, "press-01"), 'A');
    assert_eq!(decide(&subject, Action::Publish, "t"), '-');
}

#[test]
fn a_shared_subscription_is_judged_whole_and_bare() {
    let allow_bare = statement("Allow", "iot:Subscribe", "topicfilter/jobs/*");
    let allow_whole = statement("Allow", "iot:Subscribe", "topicfilter/$share/g/*");
    let deny_bare = statement("Deny", "iot:Subscribe", "topicfilter/jobs/secret");
    let deny_whole = statement("Deny", "iot:Subscribe", "topicfilter/$share/*");
    let all_but = r#"{"Effect":"Allow","Action":"iot:Subscribe","NotResource":"arn:aws:iot:*:*:topicfilter/jobs/*"}"#;
    for (statements, filter, decision) in [
        (allow_bare.clone(), "$share/g/jobs/a", 'A'),
        (allow_whole.clone(), "$share/g/jobs/a", 'A'),
        (allow_whole.clone(), "$share/h/jobs/a", '-'),
        (format!("{allow_whole},{deny_bare}"), "$share/g/jobs/secret", 'D'),
        (format!("{allow_bare},{deny_whole}"), "$share/g/jobs/a", 'D'),
        (format!("{allow_bare},{deny_whole}"), "jobs/a", 'A'),
        (all_but.to_owned(), "$share/g/jobs/a", '-'),
        (all_but.to_owned(), "$share/g/open", 'A'),
    ] {
        assert_eq!(
            decide(&press(vec![policy(&statements)]), Action::Subscribe, filter),
            decision,
            "{statements} {filter}"
        );
    }
}

#[test]
fn decisions_name_the_statement_that_made_them() {
    let statements = format!(
        r#"{},{{"Sid":"NoSecrets","Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/secret"}}"#,
        statement("Allow", "iot:Publish", "topic/*")
    );
    let subject = press(vec![policy(&statements)]);
    let compiled = Compiled::new(&subject);
    assert_eq!(compiled.evaluate(Action::Publish, "a"), Outcome::Allowed { rule: "policy device statement 1" });
    assert_eq!(
        compiled.evaluate(Action::Publish, "secret"),
        Outcome::ExplicitDeny { rule: "policy device statement NoSecrets" }
    );
    assert_eq!(compiled.matching(Action::Publish, "secret").count(), 2);
    assert_eq!(compiled.implicit_rule(), "no statement of policy device allows it");
    assert_eq!(Compiled::new(&press(vec![])).implicit_rule(), "no policy is attached");
}

#[test]
fn what_a_session_keeps_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Compiled>();
    shared::<Policy>();
    shared::<Subject>();
}
