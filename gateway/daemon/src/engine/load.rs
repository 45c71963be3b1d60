//! Load averages in the manner of Mosquitto: how much happens in a minute, as means over the last 1, 5 and 15 minutes
//! that weigh what is longer ago exponentially less.

use std::time::Duration;

/// The times that are averaged over, with their names in topics.
pub(super) const SPANS: [(&str, Duration); 3] =
    [("1min", Duration::from_secs(60)), ("5min", Duration::from_secs(5 * 60)), ("15min", Duration::from_secs(15 * 60))];

/// The load of one thing that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Load {
    count: u64,
    /// Per minute, one for each of [`SPANS`]; `None` before an interval is over.
    means: Option<[f64; 3]>,
}

// === impl Load ===

impl Load {
    /// The load of something whose count is this so far.
    pub(super) fn from(count: u64) -> Self {
        Self { count, means: None }
    }

    /// Takes in a count, `elapsed` after the one before. The first interval is the mean of all spans.
    pub(super) fn update(&mut self, count: u64, elapsed: Duration) {
        let secs = elapsed.as_secs_f64();
        if secs <= 0.0 {
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "a mean is not exact")]
        let rate = count.saturating_sub(self.count) as f64 * 60.0 / secs;
        self.count = count;
        let before = self.means.unwrap_or([rate; 3]);
        let mean = |at: usize| {
            let kept = (-secs / SPANS[at].1.as_secs_f64()).exp();
            rate + kept * (before[at] - rate)
        };
        self.means = Some([mean(0), mean(1), mean(2)]);
    }

    /// The means, in the order of [`SPANS`].
    pub(super) fn means(&self) -> [f64; 3] {
        self.means.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(load: &Load) -> [String; 3] {
        load.means().map(|mean| format!("{mean:.2}"))
    }

    #[test]
    fn means_follow_the_rate_the_shorter_the_span_the_faster() {
        let mut load = Load::from(1000);
        assert_eq!(rounded(&load), ["0.00", "0.00", "0.00"]);
        let mut count = 1000;
        for (more, means) in [
            (10, ["60.00", "60.00", "60.00"]),
            (10, ["60.00", "60.00", "60.00"]),
            (0, ["50.79", "58.03", "59.34"]),
            (0, ["42.99", "56.13", "58.68"]),
            (100, ["128.50", "73.96", "64.66"]),
        ] {
            count += more;
            load.update(count, Duration::from_secs(10));
            assert_eq!(rounded(&load), means, "{more} more");
        }
    }

    #[test]
    fn an_interval_that_took_longer_weighs_more() {
        let (mut often, mut once) = (Load::from(0), Load::from(0));
        for load in [&mut often, &mut once] {
            load.update(60, Duration::from_secs(60));
        }
        (0..6).for_each(|_| often.update(60, Duration::from_secs(10)));
        once.update(60, Duration::from_secs(60));
        assert_eq!(rounded(&often), rounded(&once));
        assert_eq!(rounded(&once), ["22.07", "49.12", "56.13"]);
    }

    #[test]
    fn no_time_and_a_count_that_went_back_do_no_harm() {
        let mut load = Load::from(10);
        load.update(20, Duration::ZERO);
        assert_eq!(rounded(&load), ["0.00", "0.00", "0.00"]);
        load.update(5, Duration::from_secs(10));
        assert_eq!(rounded(&load), ["0.00", "0.00", "0.00"]);
    }
}
