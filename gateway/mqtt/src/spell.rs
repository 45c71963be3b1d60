//! Telling of something that lasts: when it begins, once a minute while it goes on, and when it is over.

use cordon_core::time::Mono;
use std::time::Duration;

/// How often what goes on is told.
const EVERY: Duration = Duration::from_secs(60);
/// How long it must not be met to be over.
const QUIET: Duration = Duration::from_secs(10);

/// Something that may last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spell(Option<Course>);

#[derive(Debug, Clone, Copy)]
struct Course {
    met: Mono,
    told: Mono,
    /// How often it was met since it was told.
    more: u64,
}

// === impl Spell ===

impl Spell {
    /// It is met. Returns whether it begins with this, and is to be told.
    pub(crate) fn met(&mut self, now: Mono) -> bool {
        match &mut self.0 {
            Some(course) => {
                course.met = now;
                course.more += 1;
                false
            }
            none => {
                *none = Some(Course { met: now, told: now, more: 0 });
                true
            }
        }
    }

    /// How often it was met since it was told, when that is to be told. To be asked now and then.
    pub(crate) fn due(&mut self, now: Mono) -> Option<u64> {
        let course = self.0.as_mut()?;
        let over = now.since(course.met) >= QUIET;
        if !over && now.since(course.told) < EVERY {
            return None;
        }
        course.told = now;
        let more = std::mem::take(&mut course.more);
        if over {
            self.0 = None;
        }
        (more > 0).then_some(more)
    }

    /// Ends it. Returns how often it was met since it was told, if it was.
    pub(crate) fn finish(&mut self) -> Option<u64> {
        self.0.take().map(|course| course.more).filter(|more| *more > 0)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_when_it_begins_each_minute_and_when_it_is_over() {
        let (mut spell, mut told) = (Spell::default(), Vec::new());
        for second in 0..150_u64 {
            let now = Mono(second * 1000);
            if second < 130 && spell.met(now) {
                told.push((second, 1));
            }
            told.extend(spell.due(now).map(|more| (second, more)));
        }
        assert_eq!(told, [(0, 1), (60, 60), (120, 60), (139, 9)]);
        assert!(spell.is_over());
    }

    #[test]
    fn what_happened_once_is_told_once() {
        let mut spell = Spell::default();
        assert!(spell.met(Mono(0)));
        assert_eq!((spell.due(Mono(5000)), spell.due(Mono(10_000))), (None, None));
        assert!(spell.met(Mono(10_001)));
        assert_eq!(spell.finish(), None);
        spell.met(Mono(0));
        spell.met(Mono(1));
        assert_eq!(spell.finish(), Some(1));
    }
}
