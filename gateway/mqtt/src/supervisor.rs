//! Looks after the router: when its thread has died, or it has stopped moving messages, a fresh one takes over. Sessions
//! carry on; no client is disconnected and no message is lost.

use crate::broker::Lanes;
use crate::fabric::{self, FabricTx, Links};
use crate::shared::{Shared, lock};
use crate::worker::Command;
use cordon_core::event::{Code, Event};
use futures::FutureExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often it is looked whether messages move.
const LOOK: Duration = Duration::from_secs(1);
/// Looks in a row without movement, with messages on their way, after which a router counts as stuck.
const STUCK: u32 = 5;
/// How long to wait before a router that could not be started is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the supervisor works with.
pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lanes: Lanes,
    pub(crate) services: Arc<Mutex<FabricTx>>,
}

/// Notices when messages are on their way to a lane and none arrives.
#[derive(Debug, Default)]
struct Watch {
    seen: Vec<Option<u64>>,
    still: u32,
}

// === impl Watch ===

impl Watch {
    /// Takes a look. Returns whether the router counts as stuck.
    fn is_stuck(&mut self, progress: Vec<Option<u64>>) -> bool {
        let still = progress.iter().zip(&self.seen).any(|(now, before)| now.is_some() && now == before);
        self.still = if still { self.still + 1 } else { 0 };
        self.seen = progress;
        self.still >= STUCK
    }
}

// === impl Supervisor ===

impl Supervisor {
    /// Looks after the router until the task is aborted.
    pub(crate) async fn run(self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::default();
        loop {
            let why = tokio::select! {
                () = self.shared.flow.lost() => "its thread has ended",
                _ = look.tick() => {
                    lock(&self.services).hand();
                    if !watch.is_stuck(self.shared.flow.progress()) {
                        continue;
                    }
                    "it has stopped moving messages"
                }
            };
            watch = Watch::default();
            self.renew(why).await;
        }
    }

    /// Puts a fresh router in the place of the old one.
    async fn renew(&self, why: &str) {
        // Everybody lets go first: what is sent again must not also come out of the old router.
        self.lanes.ask_all(Command::Unplug).await;
        lock(&self.services).unplug();
        // Both ends of a link may have told of the same death.
        self.shared.flow.lost().now_or_never();
        let links = loop {
            let flow = self.shared.flow.clone();
            match tokio::task::spawn_blocking(move || fabric::start(&flow)).await {
                Ok(Ok(links)) => break links,
                _ => tokio::time::sleep(AGAIN).await,
            }
        };
        self.shared.meters.routers_replaced.add(1);
        let event = Event::new(Code::GatewayRouterReplaced, self.shared.now());
        self.shared.sink.event(event.reason(why).rule("the message router is supervised"));
        let Links { workers, services } = links;
        lock(&self.services).plug(services);
        self.lanes.plug(workers).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lane_with_messages_and_without_movement_is_stuck() {
        let mut watch = Watch::default();
        for _ in 0..2 * STUCK {
            assert!(!watch.is_stuck(vec![None, None]), "an idle router is not stuck");
        }
        for count in 0..2 * u64::from(STUCK) {
            assert!(!watch.is_stuck(vec![None, Some(count)]), "a busy router is not stuck");
        }
        let mut stuck = 0;
        while !watch.is_stuck(vec![Some(7), None]) {
            stuck += 1;
            assert!(stuck <= STUCK);
        }
        assert_eq!(stuck, STUCK);
    }
}
