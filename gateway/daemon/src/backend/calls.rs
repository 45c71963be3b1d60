//! The calls of operators.

use super::{Gateway, answers, isolation_of};
use crate::clock;
use crate::engine::OrderError;
use cordon_control::{Backend, EventQuery, EventStream, Fault, Isolation, Question};
use cordon_core::event::Event;
use cordon_core::fleet::Selector;
use cordon_core::isolation::{Order, Origin, ReleaseError, Request};
use cordon_core::judge::Judge;
use cordon_core::policy::{Action, Principal};
use cordon_core::shadow::ShadowKey;
use cordon_core::time::Now;
use cordon_journal::{Filter, Order as Direction};
use cordon_mqtt::Auth;
use cordon_proto::v1;
use cordon_uplink::LinkState;
use futures::StreamExt as _;
use std::collections::BTreeMap;

impl Backend for Gateway {
    fn now(&self) -> Now {
        clock::now()
    }

    async fn audit(&self, event: Event) {
        self.engine.stores.record.durably(event).await;
    }

    async fn status(&self) -> Result<v1::StatusResponse, Fault> {
        let (meters, stats, health) = (self.broker.meters(), self.journal.stats(), self.journal.health());
        let knowledge = self.engine.lock().await;
        let now = clock::now();
        let registry = &knowledge.registry;
        let isolated = registry.things.values().filter(|thing| knowledge.orders.isolation(thing).level().is_some());
        let listeners = knowledge.config.listeners.iter().zip(&self.addresses);
        let degraded = health.failing.as_ref().map(|(_, error)| format!("the journal cannot write: {error}"));
        Ok(v1::StatusResponse {
            gateway: knowledge.config.gateway.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: Some(now.into()),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            degraded: degraded.into_iter().collect(),
            things: registry.things.len() as u64,
            connected: meters.connections.get(),
            sessions: meters.sessions.get(),
            active_orders: knowledge.orders.active().count() as u64,
            isolated_things: isolated.count() as u64,
            active_alarms: knowledge.alarms.active().count() as u64,
            open_findings: knowledge.open_findings().len() as u64,
            journal_last_seq: stats.last_seq.unwrap_or(0),
            journal_bytes: stats.bytes,
            journal_dropped: health.dropped.0.values().sum(),
            uplink: uplink(&knowledge),
            epoch: knowledge.epoch,
            listeners: listeners
                .map(|(listener, address)| v1::Listener {
                    name: listener.name.clone(),
                    address: address.to_string(),
                    tls: listener.tls.is_some(),
                    auth: listener.auth.name().to_owned(),
                })
                .collect(),
            messages_received: meters.messages_in.get(),
            messages_sent: meters.messages_out.get(),
            operator: String::new(),
            role: String::new(),
        })
    }

    async fn list_events(&self, query: EventQuery) -> Result<Vec<v1::RecordedEvent>, Fault> {
        let EventQuery { selection, since, until, after_seq, limit } = query;
        let forward = after_seq.is_some();
        // The journal takes one code; several are selected here, over a wider net.
        let single = (selection.codes.len() == 1).then(|| selection.codes[0].clone());
        let narrow = selection.codes.len() <= 1;
        let filter = Filter {
            since: since.map(|at| at.0),
            until: until.map(|at| at.0),
            after_seq,
            thing: selection.thing.clone(),
            client_id: selection.client_id.clone(),
            code: single,
            min_severity: selection.min_severity,
            limit: if narrow { limit } else { cordon_journal::MAX_QUERY_EVENTS },
            order: if forward { Direction::OldestFirst } else { Direction::NewestFirst },
            ..Filter::default()
        };
        let found = self.journal.query(filter).await.map_err(|error| Fault::Unavailable(error.to_string()))?;
        let mut events: Vec<v1::RecordedEvent> = found.into_iter().map(Into::into).collect();
        events.retain(|recorded| recorded.event.as_ref().is_some_and(|event| selection.selects(event)));
        events.truncate(limit);
        if !forward {
            events.reverse();
        }
        Ok(events)
    }

    async fn follow_events(&self, after_seq: Option<u64>) -> Result<EventStream, Fault> {
        let follower = match after_seq {
            Some(seq) => self.journal.follow_after(seq),
            None => self.journal.follow(),
        };
        let stream = futures::stream::unfold(follower, |mut follower| async move {
            match follower.next().await {
                Ok(Some(recorded)) => Some((Ok(recorded.into()), follower)),
                Ok(None) => None,
                Err(error) => Some((Err(Fault::Unavailable(error.to_string())), follower)),
            }
        });
        Ok(stream.boxed())
    }

    async fn verify_journal(&self) -> Result<v1::VerifyJournalResponse, Fault> {
        let report = self.journal.verify().await.map_err(|error| Fault::Unavailable(error.to_string()))?;
        let problem = report.broken.map(|broken| format!("event {}: {}", broken.seq, broken.what));
        Ok(v1::VerifyJournalResponse {
            intact: problem.is_none(),
            blocks: report.blocks,
            events: report.events,
            first_seq: report.first_seq.unwrap_or(0),
            last_seq: report.last_seq.unwrap_or(0),
            problems: problem.into_iter().collect(),
        })
    }

    async fn list_alarms(&self, include_past: bool, limit: usize) -> Result<Vec<v1::Alarm>, Fault> {
        let knowledge = self.engine.lock().await;
        let past = knowledge.alarms.past().filter(|_| include_past);
        let mut alarms: Vec<_> = knowledge.alarms.active().chain(past).collect();
        alarms.sort_by_key(|alarm| (alarm.cleared.is_some(), std::cmp::Reverse(alarm.started.unix)));
        Ok(alarms.into_iter().take(limit).map(answers::alarm).collect())
    }

    async fn list_findings(&self, include_closed: bool) -> Result<Vec<v1::Finding>, Fault> {
        let knowledge = self.engine.lock().await;
        let now = clock::now();
        let wanted = knowledge.remediation.findings().filter(|finding| include_closed || !finding.state.is_closed());
        let mut findings: Vec<_> = wanted.collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.opened.unix));
        Ok(findings.into_iter().map(|finding| answers::finding(finding, now)).collect())
    }

    async fn preview(&self, selector: Selector) -> Result<v1::IsolateResponse, Fault> {
        self.reach(&selector, None).await
    }

    async fn isolate(&self, order: Isolation) -> Result<v1::IsolateResponse, Fault> {
        let selector = order.selector.clone();
        let request = Request {
            selector: order.selector,
            level: order.level,
            block: order.block,
            reason: order.reason,
            author: order.author,
            origin: Origin::Operator,
            duration: order.lasts,
        };
        let given = self.engine.lock().await.isolate(request, clock::now()).await.map_err(fault)?;
        self.reach(&selector, Some(given)).await
    }

    async fn list_orders(&self, include_ended: bool) -> Result<Vec<v1::Order>, Fault> {
        let knowledge = self.engine.lock().await;
        let now = clock::now();
        let wanted = knowledge.orders.all().filter(|order| include_ended || order.is_active());
        let mut orders: Vec<_> = wanted.map(|order| answers::order(order, &knowledge.registry, now)).collect();
        orders.reverse();
        Ok(orders)
    }

    async fn release(&self, id: String, by: String, reason: String) -> Result<v1::Order, Fault> {
        let mut knowledge = self.engine.lock().await;
        let now = clock::now();
        let order = knowledge.release(&id, &by, &reason, now).await.map_err(fault)?;
        Ok(answers::order(&order, &knowledge.registry, now))
    }

    async fn list_things(&self, thing: Option<String>) -> Result<Vec<v1::Thing>, Fault> {
        let sessions = self.broker.sessions().await;
        let mut of_thing: BTreeMap<&str, &cordon_mqtt::SessionInfo> = BTreeMap::new();
        for session in &sessions {
            let Some(name) = session.thing.as_deref() else { continue };
            let known = of_thing.get(name).is_some_and(|known| known.peer.is_some());
            if !known || session.client_id == name && session.peer.is_some() {
                of_thing.insert(name, session);
            }
        }
        let knowledge = self.engine.lock().await;
        let wanted =
            knowledge.registry.things.values().filter(|found| thing.as_ref().is_none_or(|name| *name == found.name));
        let things: Vec<_> = wanted
            .map(|thing| {
                let (level, orders) = isolation_of(&knowledge, thing);
                let session = of_thing.get(thing.name.as_str());
                let groups = thing.groups.iter().filter_map(|name| knowledge.registry.groups.get(name));
                let policies = thing.policies.iter().chain(groups.flat_map(|group| &group.policies));
                v1::Thing {
                    name: thing.name.clone(),
                    thing_type: thing.thing_type.clone(),
                    groups: thing.groups.iter().cloned().collect(),
                    attributes: thing.attributes.clone().into_iter().collect(),
                    policies: policies.cloned().collect(),
                    firmware: thing.firmware().map(str::to_owned),
                    isolation: answers::level(level),
                    orders,
                    compliance: knowledge.compliance_of(&thing.name).to_owned(),
                    client_id: session
                        .filter(|session| session.peer.is_some())
                        .map(|session| session.client_id.clone()),
                    peer: session.and_then(|session| session.peer).map(|peer| peer.to_string()),
                    last_seen: knowledge
                        .seen
                        .get(&thing.name)
                        .copied()
                        .or(session.map(|session| session.since))
                        .map(Into::into),
                }
            })
            .collect();
        match thing {
            Some(name) if things.is_empty() => Err(Fault::NotFound(format!("there is no thing `{name}`"))),
            _ => Ok(things),
        }
    }

    async fn shadow(&self, thing: String, shadow_name: Option<String>) -> Result<String, Fault> {
        let knowledge = self.engine.lock().await;
        let key = ShadowKey::of(&thing, shadow_name.as_deref());
        let document = knowledge.shadows.get(&key, b"", clock::now());
        document.map(|document| document.to_string()).map_err(|rejected| Fault::NotFound(rejected.message))
    }

    async fn list_sessions(&self, include_disconnected: bool) -> Result<Vec<v1::Session>, Fault> {
        let sessions = self.broker.sessions().await;
        let wanted = sessions.iter().filter(|session| include_disconnected || session.peer.is_some());
        Ok(wanted.map(answers::session).collect())
    }

    async fn disconnect(&self, client_id: String, by: String, reason: String) -> Result<(), Fault> {
        if self.broker.disconnect(&client_id, &format!("{reason} ({by})")).await {
            return Ok(());
        }
        Err(Fault::NotFound(format!("no client is connected as `{client_id}`; `cordon sessions` lists them")))
    }

    async fn explain(&self, question: Question) -> Result<v1::ExplainResponse, Fault> {
        let sessions = self.broker.sessions().await;
        let knowledge = self.engine.lock().await;
        let wanted = question.client_id.as_deref().or(question.thing.as_deref());
        let session = sessions.iter().find(|session| Some(session.client_id.as_str()) == wanted);
        let name = question.thing.clone().or_else(|| session.and_then(|session| session.thing.clone()));
        let Some(name) = name else {
            return Err(Fault::NotFound("no such session; name a thing with --thing".to_owned()));
        };
        let client_id = question.client_id.unwrap_or_else(|| name.clone());
        let stranger = session.filter(|session| session.thing.as_ref() == Some(&name)).and_then(|session| {
            let listeners = &knowledge.config.listeners;
            listeners.iter().find(|listener| listener.name == session.listener && listener.auth == Auth::Anonymous)
        });
        let principal = match (stranger, knowledge.registry.get(&name)) {
            (Some(listener), _) => Principal::Anonymous { listener: listener.name.clone() },
            (None, Some(thing)) => match &thing.username {
                Some(user) => Principal::User(user.clone()),
                None => Principal::Certificate { common_name: name.clone(), fingerprint: String::new() },
            },
            (None, None) => {
                return Err(Fault::NotFound(format!("there is no thing `{name}`; `cordon things` lists them")));
            }
        };
        let action = match question.action {
            v1::Action::Publish => Action::Publish,
            v1::Action::Subscribe => Action::Subscribe,
            v1::Action::Receive => Action::Receive,
            v1::Action::RetainPublish => Action::RetainPublish,
            v1::Action::Connect | v1::Action::Unspecified => Action::Connect,
        };
        let resource = question.resource.unwrap_or_else(|| client_id.clone());
        let rulebook = knowledge.rulebook();
        let address = session.and_then(|session| session.peer).map(|peer| peer.ip());
        let shown = principal.to_string();
        let mut subject = rulebook.subject(principal, &client_id, Some(&name), address, false, false);
        if let Some(listener) = stranger.filter(|listener| !listener.policies.is_empty()) {
            subject.policies = rulebook.policies_named(listener.policies.iter().map(String::as_str));
        }
        let judge = Judge::new(&rulebook, &subject);
        let explanation = judge.explain(action, &resource);
        let would_be_cut_by = judge.would_cut(action, &resource).map(str::to_owned);
        let decision = match explanation.reason {
            None => "allowed".to_owned(),
            Some(reason) => format!("denied: {reason}"),
        };
        Ok(v1::ExplainResponse {
            allowed: explanation.allowed,
            decision,
            rule: explanation.rule,
            principal: shown,
            client_id,
            action: action.name().to_owned(),
            resource,
            statements: explanation.matching.into_iter().map(statement).collect(),
            would_be_cut_by,
        })
    }

    async fn reload(&self, by: String, reason: String) -> Result<Vec<String>, Fault> {
        self.reload_as(&by, &reason).await
    }
}

// === impl Gateway ===

impl Gateway {
    /// What a selector selects, with the order that was given on it.
    async fn reach(&self, selector: &Selector, order: Option<Order>) -> Result<v1::IsolateResponse, Fault> {
        let sessions = self.broker.sessions().await;
        let knowledge = self.engine.lock().await;
        let registry = &knowledge.registry;
        let things = knowledge.orders.preview(selector, registry);
        let connected = sessions.iter().filter(|session| {
            let thing = session.thing.as_ref();
            session.peer.is_some()
                && thing.is_some_and(|name| things.contains(name) || *selector == Selector::Thing(name.clone()))
        });
        let selected = registry.select(selector).map(|thing| thing.name.clone());
        Ok(v1::IsolateResponse {
            order: order.map(|order| answers::order(&order, registry, clock::now())),
            sessions: connected.map(|session| session.client_id.clone()).collect(),
            protected: selected.filter(|name| knowledge.orders.protected().contains(name)).collect(),
            things,
        })
    }
}

fn statement(found: cordon_core::judge::Match) -> v1::MatchingStatement {
    let effect = format!("{:?}", found.effect);
    let named = found.rule.strip_prefix("policy ").and_then(|rest| rest.split_once(" statement "));
    let (policy, statement) = named.unwrap_or((found.rule.as_str(), ""));
    v1::MatchingStatement { policy: policy.to_owned(), statement: statement.to_owned(), effect }
}

fn uplink(knowledge: &crate::engine::Knowledge) -> Option<v1::UplinkStatus> {
    let (config, status) = (knowledge.config.uplink.as_ref()?, knowledge.uplink_status()?);
    let outbox = knowledge.outbox_status()?;
    let (connected, reason) = match status.link {
        LinkState::Connected { .. } => (true, String::new()),
        LinkState::Disconnected { reason, .. } => (false, reason),
        LinkState::Stopped => (false, "stopped".to_owned()),
    };
    Some(v1::UplinkStatus {
        connected,
        endpoint: format!("{}:{}", config.link.host, config.link.port),
        outbox_entries: outbox.entries as u64,
        outbox_bytes: outbox.bytes,
        outbox_dropped: outbox.dropped.values().sum(),
        reason,
    })
}

fn fault(error: OrderError) -> Fault {
    match error {
        OrderError::Issue(error) => Fault::Refused(error.to_string()),
        OrderError::Release(error @ ReleaseError::Unknown { .. }) => Fault::NotFound(error.to_string()),
        OrderError::Release(error) => Fault::Refused(error.to_string()),
        error @ OrderError::NotDurable { .. } => Fault::Unavailable(error.to_string()),
    }
}
