//! From the state store back into knowledge, before the first listener opens.

use super::{Knowledge, Stores, put};
use crate::config::{Config, Rules};
use crate::engine::summary::Tally;
use cordon_core::comply::{Baseline, Finding, Remediation, Step};
use cordon_core::detect::{Alarm, AlarmBook, AlarmState, Detector};
use cordon_core::event::{Code, Event};
use cordon_core::fleet::Registry;
use cordon_core::isolation::{Limits, Order, OrderBook};
use cordon_core::shadow::{Shadow, ShadowKey, ShadowLimits, ShadowStore};
use cordon_core::time::Now;
use cordon_journal::{Bucket, Change};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Under which key the boot that orders were stored in is kept.
const BOOT: &str = "boot";

/// Builds the knowledge. What cannot be read is an event, and the rest is used.
pub(super) fn knowledge(config: Config, rules: Rules, stores: Stores, clock: fn() -> Now, boot_id: &str) -> Knowledge {
    let now = clock();
    let registry = registry(rules.registry, &stores, now);
    let same_boot = is_same_boot(&stores, boot_id);
    let (orders, mut changes) = orders(&config, &stores, boot_id, same_boot, now);
    let mut detector = Detector::new();
    detector.set_profiles(rules.profiles);
    let (alarms, ended) = alarms(&mut detector, &registry, &stores, now);
    for alarm in &ended {
        changes.extend(put(Bucket::Alarms, &alarm.id, alarm));
    }
    let mut shadows = ShadowStore::new(ShadowLimits::default());
    shadows.restore(records::<Shadow>(&stores, Bucket::Shadows, now).into_iter().filter_map(|(key, shadow)| {
        let key: ShadowKey = key.parse().ok()?;
        Some((key, shadow))
    }));
    let (remediation, steps) = remediation(rules.baselines, &registry, &stores, same_boot, now);
    if let Err(error) = stores.state.apply_blocking(changes) {
        stores.record.record(degraded(now, format!("the state store cannot write: {error}; check the disk")));
    }
    Knowledge {
        config,
        registry: Arc::new(registry),
        policies: Arc::new(rules.policies),
        epoch: 1,
        orders,
        detector,
        alarms,
        remediation,
        seen: BTreeMap::new(),
        due: steps,
        shadows,
        tally: Tally::new(now),
        sys: super::sys::SysTree::new(now),
        broker: None,
        stores,
        clock,
    }
}

/// The configured fleet with the firmware versions that its things reported.
pub(super) fn registry(mut registry: Registry, stores: &Stores, now: Now) -> Registry {
    for (name, version) in records::<String>(stores, Bucket::Registry, now) {
        if let Some(thing) = registry.things.get_mut(&name) {
            thing.reported_firmware = Some(version);
        }
    }
    registry
}

pub(super) fn limits(config: &Config) -> Limits {
    Limits { max_automatic_fraction: f64::from(config.isolation.max_automatic_percent) / 100.0 }
}

/// Whether what is stored was stored on this boot of the machine, so that its monotonic times hold.
fn is_same_boot(stores: &Stores, boot_id: &str) -> bool {
    let last_boot = stores.state.get_blocking(Bucket::Meta, BOOT).ok().flatten();
    last_boot.is_some_and(|last| last == boot_id.as_bytes())
}

fn remediation(
    baselines: Vec<Baseline>,
    registry: &Registry,
    stores: &Stores,
    same_boot: bool,
    now: Now,
) -> (Remediation, Vec<Step>) {
    let mut remediation = Remediation::new();
    let mut steps = remediation.set_baselines(baselines, registry, now);
    let findings = records::<Finding>(stores, Bucket::Findings, now).into_iter().map(|(_, finding)| finding);
    steps.extend(remediation.restore(findings, registry, now, same_boot));
    (remediation, steps)
}

fn orders(config: &Config, stores: &Stores, boot_id: &str, same_boot: bool, now: Now) -> (OrderBook, Vec<Change>) {
    let stored = records::<Order>(stores, Bucket::Orders, now);
    let mut book = OrderBook::restore(stored.into_iter().map(|(_, order)| order), now, same_boot);
    book.configure(limits(config), config.gateway.break_glass.clone());
    let mut changes = Vec::new();
    if !same_boot {
        // Their monotonic times are of the boot before; both change in one step.
        changes.extend(book.all().flat_map(|order| put(Bucket::Orders, &order.id, order)));
        changes.push(Change::Put(Bucket::Meta, BOOT.to_owned(), boot_id.as_bytes().to_vec()));
    }
    (book, changes)
}

fn alarms(detector: &mut Detector, registry: &Registry, stores: &Stores, now: Now) -> (AlarmBook, Vec<Alarm>) {
    let stored = records::<Alarm>(stores, Bucket::Alarms, now);
    let mut book = AlarmBook::new();
    let mut ended = book.restore(stored.into_iter().map(|(_, alarm)| alarm), now);
    let active: Vec<Alarm> = book.active().cloned().collect();
    for id in detector.resume(&active, registry, now) {
        ended.extend(book.end(&id, AlarmState::AlarmInvalidated, now));
    }
    (book, ended)
}

fn records<T: DeserializeOwned>(stores: &Stores, bucket: Bucket, now: Now) -> Vec<(String, T)> {
    let listed = stores.state.list_json_blocking::<T>(bucket).unwrap_or_else(|error| {
        stores.record.record(degraded(now, format!("stored {bucket:?} cannot be read: {error}")));
        Vec::new()
    });
    let whole = listed.into_iter().filter_map(|(key, record)| match record {
        Ok(record) => Some((key, record)),
        Err(error) => {
            stores.record.record(degraded(now, format!("stored {bucket:?} `{key}` cannot be read: {error}")));
            None
        }
    });
    whole.collect()
}

fn degraded(now: Now, reason: String) -> Event {
    Event::new(Code::GatewayDegraded, now).principal("gateway").reason(reason)
}
