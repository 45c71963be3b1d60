//! Every window of every thing.

use super::violation::Log;
use super::window::{Rule, Window};
use super::{Agenda, Alarm, AlarmState, Metric, SecurityProfile, Source, Violation, Watch};
use crate::fleet::{Registry, Selector, Thing};
use crate::time::{Mono, Now};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The most things that are counted at the same time. Further ones are not counted until others are quiet;
/// [`Detector::overflow`] says how often that happened.
pub const MAX_THINGS: usize = 65_536;

/// Counts what things do and says when that stops or starts being normal.
///
/// Drive it with [`Detector::observe`] and, at [`Detector::poll_timeout`], [`Detector::handle_timeout`]; then take
/// everything from [`Detector::poll_event`]. Time must not run backwards; if it does, nothing is counted twice.
#[derive(Debug, Default)]
pub struct Detector {
    attached: Vec<Attached>,
    /// Rises with every change of profiles or fleet; a thing that is behind is matched anew before it is counted.
    generation: u64,
    enlisted: u64,
    things: BTreeMap<String, Tracked>,
    agenda: Agenda<String>,
    events: VecDeque<Violation>,
    issued: u64,
    overflow: u64,
}

#[derive(Debug)]
struct Attached {
    rules: Vec<Arc<Rule>>,
    targets: Vec<Selector>,
}

#[derive(Debug, Default)]
struct Tracked {
    generation: u64,
    windows: Vec<Window>,
}

// === impl Detector ===

impl Detector {
    /// A detector without profiles.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts these profiles, each with what it is about, in place of all before. A behavior that stays the same goes on
    /// counting; an alarm of one that is gone or changed becomes invalid.
    pub fn set_profiles(&mut self, profiles: Vec<(SecurityProfile, Vec<Selector>)>) {
        self.attached = profiles.into_iter().map(|(profile, targets)| Attached::new(&profile, targets)).collect();
        self.generation += 1;
        let rules: Vec<_> = self.attached.iter().flat_map(|attached| &attached.rules).cloned().collect();
        for (thing, tracked) in &mut self.things {
            let known = |window: &Window| rules.iter().any(|rule| rule.counts_like(&window.rule));
            let (kept, gone) = std::mem::take(&mut tracked.windows).into_iter().partition(known);
            tracked.windows = kept;
            invalidate(thing, gone, &mut self.events);
        }
    }

    /// Has every thing matched anew, after the fleet has changed.
    pub fn fleet_changed(&mut self) {
        self.generation += 1;
    }

    /// Takes up the alarms that were active before a restart, and gives the ids of those whose thing or behavior is no
    /// longer there.
    pub fn resume<'a>(
        &mut self,
        active: impl IntoIterator<Item = &'a Alarm>,
        registry: &Registry,
        now: Now,
    ) -> Vec<String> {
        let mut gone = Vec::new();
        for alarm in active {
            let Source::Behavior { profile, behavior } = &alarm.source else { continue };
            let thing = alarm.thing.as_deref().and_then(|name| registry.get(name));
            let found = thing.is_some_and(|thing| {
                let windows = self.track(thing, now.mono).into_iter().flat_map(|tracked| &mut tracked.windows);
                let same = |window: &&mut Window| window.rule.profile == *profile && window.rule.behavior == *behavior;
                let window = windows.into_iter().find(same);
                window.map(|window| window.resume(&alarm.id, now.mono)).is_some()
            });
            match thing.filter(|_| found) {
                Some(thing) => self.settle(&thing.name),
                None => gone.push(alarm.id.clone()),
            }
        }
        gone
    }

    /// Counts `count` more of `metric` for `thing`. For a client that is no registered thing, give
    /// [`Thing::named`] of it, and only after it has been let in, so that strangers cannot fill the table.
    pub fn observe(&mut self, thing: &Thing, metric: Metric, count: u64, now: Now) {
        if count == 0 {
            return;
        }
        if self.track(thing, now.mono).is_none() {
            return;
        }
        self.drive(&thing.name, now, |window, log| {
            if window.rule.metric == metric {
                window.add(count, log);
            }
        });
        self.settle(&thing.name);
    }

    /// Ends the windows that are over, and takes over changes of profiles and fleet.
    pub fn handle_timeout(&mut self, now: Now, registry: &Registry) {
        if self.enlisted != self.generation {
            self.enlist(registry, now.mono);
        }
        while let Some(thing) = self.agenda.pop(now.mono) {
            self.drive(&thing, now, Window::roll);
            self.settle(&thing);
        }
    }

    /// When [`Detector::handle_timeout`] has something to do; a time that has passed means at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        if self.enlisted == self.generation { self.agenda.next() } else { Some(Mono(0)) }
    }

    /// The next change of an alarm, oldest first.
    pub fn poll_event(&mut self) -> Option<Violation> {
        self.events.pop_front()
    }

    /// How many observations were not counted because [`MAX_THINGS`] things were being counted.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The thing's windows, matched to the profiles in force; `None` if there is nothing to count or no room.
    fn track(&mut self, thing: &Thing, now: Mono) -> Option<&mut Tracked> {
        let current = self.things.get(&thing.name).is_some_and(|tracked| tracked.generation == self.generation);
        if !current {
            let rules = self.rules_for(thing);
            if !rules.is_empty() && !self.things.contains_key(&thing.name) && self.things.len() >= MAX_THINGS {
                self.overflow = self.overflow.saturating_add(1);
                return None;
            }
            self.rematch(&thing.name, rules, now);
        }
        self.things.get_mut(&thing.name)
    }

    fn rules_for(&self, thing: &Thing) -> Vec<Arc<Rule>> {
        let about = |attached: &&Attached| attached.targets.iter().any(|target| target.matches(thing));
        self.attached.iter().filter(about).flat_map(|attached| &attached.rules).cloned().collect()
    }

    fn rematch(&mut self, thing: &str, rules: Vec<Arc<Rule>>, now: Mono) {
        let mut old = self.things.remove(thing).unwrap_or_default().windows;
        let windows: Vec<_> = rules
            .into_iter()
            .map(|rule| match old.iter().position(|window| window.rule.counts_like(&rule)) {
                Some(index) => old.swap_remove(index).under(rule),
                None => Window::new(rule, now),
            })
            .collect();
        invalidate(thing, old, &mut self.events);
        if windows.is_empty() {
            self.agenda.set(&thing.to_owned(), None);
        } else {
            self.things.insert(thing.to_owned(), Tracked { generation: self.generation, windows });
        }
    }

    /// Matches every counted thing, and begins to count those from which something is expected.
    fn enlist(&mut self, registry: &Registry, now: Mono) {
        self.enlisted = self.generation;
        let counted: Vec<_> = self.things.keys().cloned().collect();
        for name in counted {
            let rules = registry.get(&name).map(|thing| self.rules_for(thing)).unwrap_or_default();
            self.rematch(&name, rules, now);
            self.settle(&name);
        }
        if !self.attached.iter().flat_map(|attached| &attached.rules).any(|rule| rule.is_lower_bound()) {
            return;
        }
        for thing in registry.things.values() {
            if self.rules_for(thing).iter().any(|rule| rule.is_lower_bound()) && self.track(thing, now).is_some() {
                self.settle(&thing.name);
            }
        }
    }

    /// Sets when the thing is next looked at, or forgets it when nothing is left to wait for.
    fn settle(&mut self, thing: &str) {
        let wake = self.things.get(thing).and_then(|tracked| tracked.windows.iter().filter_map(Window::wake).min());
        let waits_to_speak = |window: &Window| window.rule.is_lower_bound();
        let keep = self.things.get(thing).is_some_and(|tracked| tracked.windows.iter().any(waits_to_speak));
        if wake.is_none() && !keep {
            self.things.remove(thing);
        }
        self.agenda.set(&thing.to_owned(), wake);
    }

    fn drive(&mut self, thing: &str, now: Now, mut act: impl FnMut(&mut Window, &mut Log<'_>)) {
        let Some(tracked) = self.things.get_mut(thing) else { return };
        let mut log = Log { thing, now, issued: &mut self.issued, events: &mut self.events };
        for window in &mut tracked.windows {
            act(window, &mut log);
        }
    }
}

// === impl Attached ===

impl Attached {
    fn new(profile: &SecurityProfile, targets: Vec<Selector>) -> Self {
        let rules = profile.behaviors.iter().filter_map(|behavior| match behavior.watch {
            Watch::Count { metric, criterion } => Some(Arc::new(Rule {
                profile: profile.name.clone(),
                behavior: behavior.name.clone(),
                metric,
                criterion,
                suppressed: behavior.suppress_alerts,
            })),
            Watch::Unsupported { .. } => None,
        });
        Self { rules: rules.collect(), targets }
    }
}

fn invalidate(thing: &str, windows: Vec<Window>, events: &mut VecDeque<Violation>) {
    for window in windows {
        if let Some(id) = &window.alarm {
            let event = AlarmState::AlarmInvalidated;
            events.push_back(Violation::of(thing, &window.rule, id.clone(), event, window.count()));
        }
    }
}

#[cfg(test)]
mod tests;
