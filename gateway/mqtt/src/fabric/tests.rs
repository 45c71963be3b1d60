#![allow(clippy::unwrap_used, reason = "tests fail loudly")]
use super::*;
use crate::codec::QoS;
use crate::envelope::Letter;
use cordon_core::judge;
use cordon_core::policy::Action;

fn message(number: u64) -> Envelope {
    let letter = Letter {
        qos: QoS::AtLeastOnce,
        retain: false,
        publisher: 0,
        thing: "",
        epoch: 0,
        expires: None,
        topic: "plant/größe",
        properties: &[],
        payload: &number.to_be_bytes(),
    };
    Envelope::seal(&letter, number, &[], judge::judge_gateway(Action::Publish, "plant"))
}

struct Rig {
    flow: Arc<Flow>,
    senders: Vec<FabricTx>,
    receivers: Vec<FabricRx>,
}

impl Rig {
    fn new(workers: usize) -> Self {
        let flow = Arc::new(Flow::new(workers));
        (0..workers).for_each(|lane| flow.set_filters(lane, 1));
        let senders = (0..=workers).map(|source| FabricTx::new(source, flow.clone())).collect();
        let mut rig = Self { flow, senders, receivers: Vec::new() };
        rig.renew();
        rig
    }

    fn renew(&mut self) {
        self.receivers.clear();
        let links = start(&self.flow).unwrap();
        for (sender, (tx, rx)) in self.senders.iter_mut().zip(links.workers) {
            self.receivers.push(rx);
            sender.plug(tx);
        }
        self.senders.last_mut().unwrap().plug(links.services);
    }

    fn send(&mut self, source: usize, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| self.senders[source].push(&message(number)));
        self.senders[source].hand();
    }

    async fn take(&mut self, lane: usize, count: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.receivers[lane].next().await.unwrap().number());
        }
        numbers
    }

    async fn kill_router(&mut self) {
        self.senders[0].poison();
        for receiver in &mut self.receivers {
            while receiver.next().await.is_ok() {}
        }
    }
}

#[tokio::test]
async fn what_is_sent_arrives_once_in_order_and_not_at_its_own_sender() {
    let mut rig = Rig::new(2);
    rig.send(0, 0..500);
    rig.send(2, 500..501);
    assert_eq!(rig.take(0, 1).await, [500], "the services reach every worker; a worker does not reach itself");
    let mut numbers = rig.take(1, 501).await;
    numbers.retain(|number| *number < 500);
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    assert_eq!(rig.flow.progress(), [None, None]);
}

#[tokio::test]
async fn a_dead_router_loses_nothing_and_repeats_nothing() {
    let mut rig = Rig::new(2);
    rig.send(2, 0..10);
    assert_eq!(rig.take(1, 4).await, [0, 1, 2, 3]);
    rig.kill_router().await;
    let taken = rig.flow.taken(1, 2);
    rig.send(2, 10..20);
    rig.renew();
    assert_eq!(rig.take(1, 20 - taken).await, (taken..20).collect::<Vec<_>>());
    rig.send(0, 20..21);
    assert_eq!(rig.take(1, 1).await, [20]);
}

#[tokio::test]
async fn who_sends_keeps_only_what_was_not_taken() {
    let mut rig = Rig::new(2);
    for round in 0..100 {
        rig.send(0, round * 10..round * 10 + 10);
        rig.take(1, 10).await;
    }
    rig.send(0, 1000..1001);
    assert_eq!(rig.senders[0].pending[1].iter().count(), 1);
}
