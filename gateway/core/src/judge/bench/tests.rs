#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use super::*;
use crate::event::Code;
use crate::fleet::Registry;
use crate::isolation::{OrderBook, Origin, Request};
use crate::policy::Policy;
use crate::time::Now;
use std::collections::BTreeMap;

const FLEET: &str = r#"
[[group]]
name = "line-1"
policies = ["line"]

[[thing]]
name = "press-01"
groups = ["line-1"]
policies = ["device"]
attributes = { firmware = "1.2.0" }

[[thing]]
name = "pump-01"
policies = ["device", "lost"]
"#;

fn policies() -> BTreeMap<String, Arc<Policy>> {
    let allow = |name: &str, action: &str, resource: &str| {
        let json = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Sid":"Open","Effect":"Allow","Action":"{action}","Resource":"{resource}"}}}}"#
        );
        (name.to_owned(), Arc::new(Policy::parse(name, &json).unwrap()))
    };
    [
        allow("device", "iot:*", "*"),
        allow("line", "iot:Publish", "arn:aws:iot:*:*:topic/line-1/*"),
        allow("workshop", "iot:*", "*"),
    ]
    .into()
}

fn rulebook(orders: &[(&str, Level, &[&str])]) -> Rulebook {
    let registry = Registry::from_toml(FLEET).unwrap();
    let mut book = OrderBook::new();
    for (selector, level, block) in orders {
        let request = Request {
            selector: selector.parse().unwrap(),
            level: *level,
            block: block.iter().map(|filter| (*filter).to_owned()).collect(),
            reason: "odd traffic".into(),
            author: "operator:ada".into(),
            origin: Origin::Operator,
            duration: None,
        };
        book.issue(request, &registry, Now::for_test(0)).unwrap();
    }
    Rulebook {
        epoch: 1,
        registry: Arc::new(registry),
        policies: Arc::new(policies()),
        orders: book.snapshot(),
        ..Rulebook::default()
    }
}

fn judge_of(rulebook: &Rulebook, name: &str) -> Judge {
    let principal = Principal::Certificate { common_name: name.into(), fingerprint: "00".into() };
    Judge::new(rulebook, &rulebook.subject(principal, name, Some(name), None, false, false))
}

fn anonymous(rulebook: &Rulebook, client_id: &str, listener: &str) -> Judge {
    let principal = Principal::Anonymous { listener: listener.into() };
    Judge::new(rulebook, &rulebook.subject(principal, client_id, None, None, false, false))
}

#[test]
fn an_act_that_policies_allow_is_permitted() {
    let judge = judge_of(&rulebook(&[]), "press-01");
    assert_eq!(judge.judge(Action::Publish, "plant/a").map(|permit| permit.action()), Ok(Action::Publish));
    assert_eq!(judge.isolation_level(), None);
}

#[test]
fn isolation_speaks_before_reserved_topics_and_those_before_policies() {
    let cut = judge_of(&rulebook(&[("thing:press-01", Level::Quarantine, &[])]), "press-01");
    let denied = cut.judge(Action::Publish, "$SYS/x").unwrap_err();
    assert_eq!((denied.reason, denied.rule.as_str()), (Reason::Isolated(Level::Quarantine), "iso-1"));
    assert_eq!(denied.code(), Code::IsolationCut);
    let open = judge_of(&rulebook(&[]), "press-01");
    let denied = open.judge(Action::Publish, "$SYS/x").unwrap_err();
    assert_eq!((denied.reason, denied.code()), (Reason::ReservedTopic, Code::AuthzPublishDenied));
}

#[test]
fn a_quarantine_leaves_the_door_open_but_not_the_services_side_of_it() {
    let judge = judge_of(&rulebook(&[("version:<1.3.0", Level::Quarantine, &[])]), "press-01");
    for (action, resource, pass) in [
        (Action::Connect, "press-01", true),
        (Action::Publish, "$aws/things/press-01/shadow/update", true),
        (Action::Subscribe, "$aws/things/press-01/shadow/update/delta", true),
        (Action::Receive, "$aws/things/press-01/shadow/update/delta", true),
        (Action::Publish, "$aws/things/press-01/shadow/update/delta", false),
        (Action::Publish, "plant/a", false),
        (Action::Receive, "plant/a", false),
        (Action::Subscribe, "#", false),
    ] {
        assert_eq!(judge.judge(action, resource).is_ok(), pass, "{action} {resource}");
    }
    assert!(
        judge_of(&rulebook(&[("thing:press-01", Level::Disconnect, &[])]), "press-01")
            .judge(Action::Connect, "press-01")
            .is_err()
    );
}

#[test]
fn an_audit_order_tells_and_does_not_cut() {
    let judge = judge_of(&rulebook(&[("group:line-1", Level::Audit, &["plant/#"])]), "press-01");
    assert!(judge.judge(Action::Publish, "plant/a").is_ok());
    assert_eq!(judge.would_cut(Action::Publish, "plant/a"), Some("iso-1"));
    assert_eq!(judge.would_cut(Action::Publish, "other"), None);
}

#[test]
fn messages_under_way_from_a_cut_thing_are_cut() {
    let rulebook =
        rulebook(&[("thing:press-01", Level::Restrict, &["plant/#"]), ("thing:guest", Level::Quarantine, &[])]);
    assert_eq!(rulebook.sender_cut("press-01", "plant/a").map(|denied| denied.rule), Some("iso-1".into()));
    assert_eq!(rulebook.sender_cut("press-01", "other"), None);
    assert_eq!(rulebook.sender_cut("pump-01", "plant/a"), None);
    assert!(rulebook.sender_cut("guest", "a").is_some(), "things that are not registered can be cut by name");
}

#[test]
fn protected_things_are_not_cut() {
    let rulebook = Rulebook {
        protected: Arc::new(["press-01".to_owned()].into()),
        ..rulebook(&[("all", Level::Disconnect, &[])])
    };
    assert!(judge_of(&rulebook, "press-01").judge(Action::Publish, "a").is_ok());
    assert_eq!(rulebook.sender_cut("press-01", "a"), None);
    assert!(rulebook.sender_cut("pump-01", "a").is_some());
}

#[test]
fn an_anonymous_client_has_its_listeners_policy_and_never_the_things() {
    let rulebook = rulebook(&[("thing:guest-7", Level::Quarantine, &[])]);
    assert!(anonymous(&rulebook, "press-01", "workshop").judge(Action::Publish, "a").is_ok());
    let denied = anonymous(&rulebook, "press-01", "yard").judge(Action::Publish, "a").unwrap_err();
    assert_eq!((denied.reason, denied.rule.as_str()), (Reason::ExplicitDeny, "policy yard is not loaded"));
    let cut = anonymous(&rulebook, "guest-7", "workshop").judge(Action::Publish, "a").unwrap_err();
    assert_eq!(cut.reason, Reason::Isolated(Level::Quarantine));
}

#[test]
fn a_policy_that_is_not_loaded_closes_and_says_so() {
    let rulebook = rulebook(&[]);
    let denied = judge_of(&rulebook, "pump-01").judge(Action::Publish, "a").unwrap_err();
    assert_eq!(denied.rule, "policy lost is not loaded");
    assert_eq!(rulebook.missing_policies(), [("thing pump-01".to_owned(), "lost".to_owned())]);
}

#[test]
fn a_principal_without_a_thing_may_do_nothing_and_an_order_on_all_reaches_it() {
    let denied = judge_of(&rulebook(&[]), "stranger").judge(Action::Connect, "stranger").unwrap_err();
    assert_eq!((denied.reason, denied.rule.as_str()), (Reason::ImplicitDeny, "no policy is attached"));
    assert_eq!(denied.code(), Code::AuthzConnectDenied);
    let all = rulebook(&[("all", Level::Disconnect, &[])]);
    assert!(matches!(
        judge_of(&all, "stranger").judge(Action::Connect, "stranger").unwrap_err().reason,
        Reason::Isolated(_)
    ));
}

#[test]
fn the_gateway_is_never_isolated() {
    let rulebook = rulebook(&[("all", Level::Disconnect, &[])]);
    let subject = rulebook.subject(Principal::Gateway, "gateway", None, None, false, false);
    assert_eq!(Judge::new(&rulebook, &subject).isolation_level(), None);
    assert_eq!(super::super::judge_gateway(Action::Publish, "a").action(), Action::Publish);
}

#[test]
fn an_explanation_shows_the_decision_and_all_that_had_a_say() {
    let judge = judge_of(&rulebook(&[("thing:press-01", Level::Audit, &[])]), "press-01");
    let explained = judge.explain(Action::Publish, "line-1/a");
    assert!(explained.allowed);
    assert_eq!(explained.rule, "policy device statement Open");
    assert_eq!(explained.matching.len(), 2);
    assert_eq!(explained.orders, ["iso-1 audit"]);
    let shown = judge.explain(Action::Publish, "$SYS/x").to_string();
    assert!(shown.starts_with("denied: iot:Publish on `$SYS/x`, the topic is reserved"), "{shown}");
    assert!(serde_json::to_string(&explained).unwrap().contains("\"action\":\"iot:Publish\""));
}

#[test]
fn the_gateways_own_tree_is_for_proven_readers_whose_policies_allow_it() {
    let readers = |selectors: &[&str]| Rulebook {
        readers: Arc::new(selectors.iter().map(|selector| selector.parse().unwrap()).collect()),
        ..rulebook(&[])
    };
    let reads = |judge: &Judge| {
        let refused = |action, resource| judge.judge(action, resource).err().map(|denied| denied.reason);
        let subscribe = refused(Action::Subscribe, "$SYS/#");
        assert_eq!(subscribe, refused(Action::Receive, "$SYS/broker/uptime"));
        assert_eq!(subscribe, refused(Action::Subscribe, "$share/g/$SYS/#"));
        subscribe
    };
    for (selectors, press, pump) in [
        (&[][..], Some(Reason::ReservedTopic), Some(Reason::ReservedTopic)),
        (&["group:line-1"], None, Some(Reason::ReservedTopic)),
        // The reader's policies deny it all: one of them is not loaded.
        (&["thing:pump-01", "type:x"], Some(Reason::ReservedTopic), Some(Reason::ExplicitDeny)),
        (&["all"], None, Some(Reason::ExplicitDeny)),
    ] {
        let rulebook = readers(selectors);
        assert_eq!(reads(&judge_of(&rulebook, "press-01")), press, "{selectors:?}");
        assert_eq!(reads(&judge_of(&rulebook, "pump-01")), pump, "{selectors:?}");
    }
    let named = readers(&["thing:press-01", "group:line-1"]);
    let claimed = anonymous(&named, "press-01", "workshop");
    assert_eq!(reads(&claimed), Some(Reason::ReservedTopic), "nobody proved to be that thing");
    assert_eq!(reads(&anonymous(&readers(&["all"]), "press-01", "workshop")), None);
    let denied = claimed.judge(Action::Subscribe, "$SYS/#").unwrap_err();
    assert_eq!(denied.code(), Code::AuthzSubscribeDenied);
    let told = claimed.explain(Action::Subscribe, "$SYS/#");
    assert!(!told.allowed && told.rule.starts_with("sys.readers: "), "{told}");
}

#[test]
fn an_idle_judge_is_small_and_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Judge>();
    shared::<Rulebook>();
    assert!(size_of::<Judge>() <= 72, "{}", size_of::<Judge>());
}
