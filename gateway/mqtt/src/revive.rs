//! From the store back into the front door, before anybody can connect: retained messages and sessions.
//!
//! A store that cannot be read, or records that cannot, keep nothing from starting; an event says what is missing.

use crate::broker::lane_of;
use crate::keeper::{Entry, Key, Saved, Store, load};
use crate::shared::{Shared, lock};
use cordon_core::event::{Code, Event};

/// Loads what the store holds. Returns the sessions of each of so many workers.
pub(crate) fn revive(shared: &Shared, store: &dyn Store, workers: usize) -> Vec<Vec<Saved>> {
    let mut lanes: Vec<Vec<Saved>> = (0..workers).map(|_| Vec::new()).collect();
    let Some(keeper) = &shared.keeper else { return lanes };
    let now = shared.now();
    let records = match store.load() {
        Ok(records) => records,
        Err(error) => {
            degraded(shared, format!("sessions and retained messages cannot be read ({error}); they begin anew"));
            return lanes;
        }
    };
    let loaded = load(records, keeper.boot(), now);
    if loaded.skipped > 0 {
        shared.meters.records_skipped.add(loaded.skipped);
        let skipped = loaded.skipped;
        degraded(
            shared,
            format!("{skipped} records of sessions and retained messages cannot be read; the rest is used"),
        );
    }
    shared.number_after(loaded.last_session, loaded.last_message);
    let mut stale = loaded.stale;
    {
        let mut retained = lock(&shared.retained);
        for message in &loaded.retained {
            if retained.set(message, now.mono).is_err() {
                stale.push(Entry::remove(Key::retained(message.topic())));
            }
        }
        // They are on record already.
        retained.take_log();
    }
    if !stale.is_empty() {
        keeper.hand(stale, false);
    }
    for saved in loaded.sessions {
        if let Some(lane) = lanes.get_mut(lane_of(&saved.session.client_id, workers)) {
            lane.push(saved);
        }
    }
    lanes
}

fn degraded(shared: &Shared, why: String) {
    tracing::error!("{why}.");
    shared.sink.event(Event::new(Code::GatewayDegraded, shared.now()).principal("gateway").reason(why));
}
