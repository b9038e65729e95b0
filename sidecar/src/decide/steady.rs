//! Since when the load has been about the same.

use std::time::Duration;

use super::moment::Moment;
use super::units::RecordsPerSecond;

/// Rates count as about the same while the highest is at most this many times the lowest.
const ALIKE: f64 = 1.25;

/// The rates since the load last changed.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Steady {
    since: Moment,
    low: RecordsPerSecond,
    high: RecordsPerSecond,
}

impl Steady {
    /// The rate over the last second.
    pub(crate) fn see(&mut self, rate: RecordsPerSecond, now: Moment) {
        let (low, high) = (self.low.min(rate), self.high.max(rate));
        if high <= low.times(ALIKE) {
            (self.low, self.high) = (low, high);
        } else {
            *self = Self {
                since: now,
                low: rate,
                high: rate,
            };
        }
    }

    /// Whether it has been about the same for so long.
    pub(crate) fn for_as_long_as(&self, span: Duration, now: Moment) -> bool {
        now.since(self.since) >= span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_steady_since_it_last_rose_or_fell_by_a_quarter() {
        let mut steady = Steady::default();
        let mut steady_at = |s: u64, rate: f64| {
            let now = Moment::at(Duration::from_secs(s));
            steady.see(RecordsPerSecond::new(rate), now);
            steady.for_as_long_as(Duration::from_secs(3), now)
        };
        let rates = [100.0, 110.0, 90.0, 100.0, 130.0, 130.0, 120.0, 120.0];
        let found: Vec<bool> = (10..)
            .zip(rates)
            .map(|(second, rate)| steady_at(second, rate))
            .collect();
        assert_eq!(
            found,
            [false, false, false, true, false, false, false, true]
        );
    }
}
