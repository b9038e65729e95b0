//! How fast money is being spent.

use std::collections::VecDeque;
use std::time::Duration;

use crate::decide::Moment;

/// Over so long a time. A cloud lane's cost comes in batches; over a minute they even out.
const WINDOW: Duration = Duration::from_mins(1);
/// Over less than this nothing is said: a single batch would look like a fortune.
const SHORTEST: Duration = Duration::from_secs(5);

/// What had been spent when, over the last minute.
#[derive(Debug, Default)]
pub(crate) struct Spend {
    seen: VecDeque<(Moment, f64)>,
}

impl Spend {
    /// `usd` had been spent in all by `now`.
    pub(crate) fn note(&mut self, usd: f64, now: Moment) {
        // The newest that is older than the window is kept: it is where the window begins.
        while self
            .seen
            .get(1)
            .is_some_and(|(at, _)| now.since(*at) >= WINDOW)
        {
            self.seen.pop_front();
        }
        self.seen.push_back((now, usd));
    }

    /// USD an hour, if `usd` have been spent in all by `now`. `None` in the first seconds.
    pub(crate) fn per_hour(&self, usd: f64, now: Moment) -> Option<f64> {
        let (since, before) = self.seen.front()?;
        let span = now.since(*since);
        (span >= SHORTEST).then(|| (usd - before).max(0.0) / span.as_secs_f64() * 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    #[test]
    fn a_steady_spend_is_told_by_the_hour_and_forgotten_after_a_minute() {
        let mut spend = Spend::default();
        assert_eq!(spend.per_hour(0.0, at(0)), None);
        for second in 0..=100 {
            spend.note(second as f64 * 0.001, at(second));
        }
        let hourly = spend.per_hour(0.1, at(100)).unwrap();
        assert!((hourly - 3.6).abs() < 1e-9, "{hourly}");
        for second in 101..=200 {
            spend.note(0.1, at(second));
        }
        assert_eq!(spend.per_hour(0.1, at(200)), Some(0.0));
    }

    #[test]
    fn the_first_seconds_say_nothing() {
        let mut spend = Spend::default();
        spend.note(0.0, at(10));
        assert_eq!(spend.per_hour(0.01, at(14)), None);
        assert!(spend.per_hour(0.01, at(15)).is_some());
    }
}
