//! Policy documents: what is accepted can be judged, and a judgement names the policy that made it.
#![no_main]

use cordon_core::fleet::Thing;
use cordon_core::policy::{Action, Compiled, Outcome, Policy, Principal, Subject};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|json: &str| {
    let policy = match Policy::parse("fuzz", json) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(error.to_string().len() < 2000, "{error}");
            return;
        }
    };
    drop(policy.hints());
    let mut thing = Thing::named("press-01");
    thing.attributes.insert("site".to_owned(), "west".to_owned());
    let subject = Subject {
        client_id: "press-01".to_owned(),
        thing: Some(Arc::new(thing)),
        principal: Principal::User("press-01".to_owned()),
        source_ip: Some([10, 0, 0, 1].into()),
        persistent: true,
        last_will: false,
        policies: vec![Arc::new(policy)],
    };
    let compiled = Compiled::new(&subject);
    for action in Action::ALL {
        for resource in
            ["press-01", "plant/press-01/state", "plant/#", "$share/g/plant/+", "$aws/things/press-01/shadow/get"]
        {
            match compiled.evaluate(action, resource) {
                Outcome::Allowed { rule } | Outcome::ExplicitDeny { rule } => assert!(rule.starts_with("policy fuzz")),
                Outcome::ImplicitDeny => {}
            }
        }
    }
});
