//! How often the job is looked at.
//!
//! A look is not free: the `JobManager` asks every worker for all its metrics, which costs a busy job some
//! of its throughput. It is worth that only while it may change a decision.

use std::time::Duration;

use crate::decide::Moment;

/// Time between two looks that change no decision. They keep `/v1/status` and readiness true, and the
/// metrics of the `JobManager` warm: it throws away what nobody has asked for.
const RELAXED: Duration = Duration::from_secs(2);

/// Says when a look is due.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    looked_at: Option<Moment>,
}

impl Pace {
    /// Looks every `interval` while they matter.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            looked_at: None,
        }
    }

    /// Whether to look now. `matters`: would a decision rest on it? Asked every interval, so that the pace
    /// picks up at once when it does.
    pub(crate) fn due(&mut self, now: Moment, matters: bool) -> bool {
        // Half an interval is allowed for ticks that come a little early.
        let pause = if matters {
            self.interval / 2
        } else {
            RELAXED.max(self.interval).saturating_sub(self.interval / 2)
        };
        let due = self.looked_at.is_none_or(|at| now.since(at) >= pause);
        if due {
            self.looked_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of the ticks, every 200 ms, the job is looked at.
    fn looks(pace: &mut Pace, ticks: std::ops::Range<u64>, matters: bool) -> Vec<u64> {
        ticks
            .map(|tick| tick * 200)
            .filter(|ms| pace.due(Moment::at(Duration::from_millis(*ms)), matters))
            .collect()
    }

    #[test]
    fn a_look_that_changes_nothing_is_taken_every_two_seconds() {
        let mut pace = Pace::new(Duration::from_millis(200));
        assert_eq!(looks(&mut pace, 0..31, false), [0, 2_000, 4_000, 6_000]);
    }

    #[test]
    fn the_pace_picks_up_with_the_first_tick_that_matters() {
        let mut pace = Pace::new(Duration::from_millis(200));
        assert_eq!(looks(&mut pace, 0..3, false), [0]);
        assert_eq!(looks(&mut pace, 3..6, true), [600, 800, 1_000]);
    }

    #[test]
    fn an_interval_longer_than_the_relaxed_one_is_kept() {
        let mut pace = Pace::new(Duration::from_mins(1));
        let minutes: Vec<_> = (0..3u64)
            .filter(|minute| pace.due(Moment::at(Duration::from_mins(*minute)), false))
            .collect();
        assert_eq!(minutes, [0, 1, 2]);
    }
}
