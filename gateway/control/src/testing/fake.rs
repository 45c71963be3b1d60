//! A gateway that answers with next to nothing and keeps what it was asked.

use crate::backend::{Backend, EventQuery, EventStream, Fault, Isolation, Question};
use cordon_core::event::Event;
use cordon_core::fleet::Selector;
use cordon_core::time::Now;
use cordon_proto::v1;
use futures::{StreamExt as _, stream};
use tokio::sync::{Notify, mpsc};

pub(crate) struct Fake {
    audits: mpsc::UnboundedSender<Event>,
    /// Orders that reached the gateway.
    isolated: mpsc::UnboundedSender<Isolation>,
    /// When set, orders that have reached the gateway wait for this.
    pub(crate) hold: Option<Notify>,
}

// === impl Fake ===

impl Fake {
    /// The fake, its audit events, and the orders that reach it.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Event>, mpsc::UnboundedReceiver<Isolation>) {
        let (audits, events) = mpsc::unbounded_channel();
        let (isolated, orders) = mpsc::unbounded_channel();
        (Self { audits, isolated, hold: None }, events, orders)
    }
}

fn event(seq: u64) -> v1::RecordedEvent {
    let event = Event::new(cordon_core::event::Code::GatewayStarted, Now::for_test(seq));
    v1::RecordedEvent { seq, event: Some(event.into()), boot_id: String::new() }
}

impl Backend for Fake {
    fn now(&self) -> Now {
        Now::for_test(0)
    }

    async fn audit(&self, event: Event) {
        let _ = self.audits.send(event);
    }

    async fn status(&self) -> Result<v1::StatusResponse, Fault> {
        Ok(v1::StatusResponse { gateway: "fake".into(), ..Default::default() })
    }

    async fn list_events(&self, query: EventQuery) -> Result<Vec<v1::RecordedEvent>, Fault> {
        Ok((1..=query.limit as u64).map(event).collect())
    }

    /// One event at once, then silence.
    async fn follow_events(&self, after_seq: Option<u64>) -> Result<EventStream, Fault> {
        Ok(stream::iter([Ok(event(after_seq.unwrap_or(0) + 1))]).chain(stream::pending()).boxed())
    }

    async fn verify_journal(&self) -> Result<v1::VerifyJournalResponse, Fault> {
        Ok(v1::VerifyJournalResponse { intact: true, ..Default::default() })
    }

    async fn list_alarms(&self, _: bool, _: usize) -> Result<Vec<v1::Alarm>, Fault> {
        Ok(Vec::new())
    }

    async fn list_findings(&self, _: bool) -> Result<Vec<v1::Finding>, Fault> {
        Ok(Vec::new())
    }

    async fn preview(&self, selector: Selector) -> Result<v1::IsolateResponse, Fault> {
        Ok(v1::IsolateResponse { things: vec![selector.to_string()], ..Default::default() })
    }

    async fn isolate(&self, order: Isolation) -> Result<v1::IsolateResponse, Fault> {
        let given = v1::Order { id: "iso-1".into(), author: order.author.clone(), ..Default::default() };
        let _ = self.isolated.send(order);
        if let Some(hold) = &self.hold {
            hold.notified().await;
        }
        Ok(v1::IsolateResponse { order: Some(given), ..Default::default() })
    }

    async fn list_orders(&self, _: bool) -> Result<Vec<v1::Order>, Fault> {
        Ok(Vec::new())
    }

    async fn release(&self, id: String, _: String, _: String) -> Result<v1::Order, Fault> {
        Err(Fault::NotFound(format!("there is no order {id}; `cordon orders` lists those in force")))
    }

    async fn list_things(&self, _: Option<String>) -> Result<Vec<v1::Thing>, Fault> {
        Ok(Vec::new())
    }

    async fn shadow(&self, _: String, _: Option<String>) -> Result<String, Fault> {
        Ok("{}".into())
    }

    async fn list_sessions(&self, _: bool) -> Result<Vec<v1::Session>, Fault> {
        Ok(Vec::new())
    }

    async fn disconnect(&self, _: String, _: String, _: String) -> Result<(), Fault> {
        Ok(())
    }

    async fn explain(&self, _: Question) -> Result<v1::ExplainResponse, Fault> {
        Ok(v1::ExplainResponse::default())
    }

    async fn reload(&self, _: String, _: String) -> Result<Vec<String>, Fault> {
        Ok(Vec::new())
    }
}
