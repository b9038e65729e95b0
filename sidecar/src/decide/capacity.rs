//! What the local lane can take, when nothing is diverted.
//!
//! Three kinds of evidence, in order of weight: what was kept while the output was congested is the
//! capacity; what was kept without congestion is less than it; and what was kept divided by how busy the
//! lane was is a guess, which is believed only when several agree.

use std::collections::VecDeque;
use std::time::Duration;

use super::decision::CapacityEstimate;
use super::moment::Moment;
use super::policy::Policy;
use super::units::{RecordsPerSecond, Share};

/// Guesses are compared over this time.
const GUESS_WINDOW: Duration = Duration::from_secs(2);
/// At least so many guesses must agree: at the sensor's usual 200 ms, one second's worth.
const GUESSES: usize = 5;
/// Guesses agree if the highest is at most e^0.5 = 1.65 times the lowest. Measured utilisations of a
/// steady load scatter by about a fifth.
const GUESS_SPREAD: f64 = 0.5;
/// A measured capacity is moved by guesses this many times more slowly than a guessed one.
const MEASURED_WEIGHT: f64 = 10.0;
/// A measured capacity is taken to be right within this share: what saturated lanes have shown scatters so.
const MEASURED_ERROR: f64 = 0.1;
/// The same for a guessed one, downwards; upwards it may be off by as many times more.
const GUESSED_ERROR: f64 = 0.5;
/// For so long an uncongested rate counts as shown.
const SHOWN_FOR: Duration = Duration::from_secs(30);

/// The estimate and what it rests on.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Capacity {
    estimate: Option<Estimate>,
    /// Natural logarithms of the last guesses: a factor of two too high and too low weigh the same.
    guesses: VecDeque<(Moment, f64)>,
    shown: Option<(Moment, RecordsPerSecond)>,
}

#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Estimate {
    rate: RecordsPerSecond,
    basis: Basis,
    at: Moment,
}

/// What an estimate rests on, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Basis {
    /// A utilisation.
    Guessed,
    /// Saturation.
    Measured,
}

impl Capacity {
    /// The capacity, if it is known.
    pub(crate) fn rate(&self) -> Option<RecordsPerSecond> {
        self.estimate.map(|estimate| estimate.rate)
    }

    /// The capacity with its bounds.
    pub(crate) fn estimate(&self, _now: Moment) -> Option<CapacityEstimate> {
        let estimate = self.estimate?;
        let measured = estimate.basis == Basis::Measured;
        let error = if measured {
            MEASURED_ERROR
        } else {
            GUESSED_ERROR
        };
        Some(CapacityEstimate {
            rate: estimate.rate,
            low: estimate.rate.times(1.0 - error),
            high: estimate.rate.times(1.0 / (1.0 - error)),
            measured,
        })
    }

    /// Whether the lane has been seen saturated, rather than guessed at.
    pub(crate) fn is_measured(&self) -> bool {
        self.estimate
            .is_some_and(|estimate| estimate.basis == Basis::Measured)
    }

    /// The rate that the lane recently took without congestion and without diverting.
    pub(crate) fn shown(&self, now: Moment) -> RecordsPerSecond {
        match self.shown {
            Some((at, rate)) if now.since(at) <= SHOWN_FOR => rate,
            _ => RecordsPerSecond::ZERO,
        }
    }

    /// The lane was saturated and nothing was diverted: `kept` is what it can take. A lane that has just
    /// shown that it can take more has stalled rather than shrunk, so the estimate does not fall below that.
    pub(crate) fn measured(&mut self, kept: RecordsPerSecond, now: Moment, policy: &Policy) {
        let floor = self.shown(now).max(RecordsPerSecond::new(policy.min_rate));
        let rate = kept.max(floor);
        let rate = match self.estimate {
            Some(old) if old.basis == Basis::Measured => {
                RecordsPerSecond::new(f64::midpoint(old.rate.get(), rate.get()))
            }
            _ => rate,
        };
        let basis = Basis::Measured;
        self.estimate = Some(Estimate {
            rate,
            basis,
            at: now,
        });
    }

    /// The lane was congested while something was diverted too, which costs the lane processor time when
    /// both share one. So `kept` is less than the capacity: go a quarter of the way.
    pub(crate) fn congested_below(&mut self, kept: RecordsPerSecond, now: Moment) {
        let shown = self.shown(now);
        if let Some(estimate) = &mut self.estimate
            && kept < estimate.rate
        {
            let lower = estimate.rate.get() - 0.25 * (estimate.rate.get() - kept.get());
            estimate.rate = RecordsPerSecond::new(lower).max(shown);
            estimate.at = now;
        }
    }

    /// The lane took `kept` for a second, whatever else was going on, so its capacity is no less.
    pub(crate) fn at_least(&mut self, kept: RecordsPerSecond) {
        if let Some(estimate) = &mut self.estimate {
            estimate.rate = estimate.rate.max(kept);
        }
    }

    /// The lane took `kept` for a second without congestion, and nothing was diverted.
    pub(crate) fn ordinary(&mut self, kept: RecordsPerSecond, now: Moment) {
        if kept >= self.shown(now) {
            self.shown = Some((now, kept));
        }
    }

    /// The lane kept `kept` at `utilization`, uncongested and with nothing diverted.
    pub(crate) fn guess(
        &mut self,
        kept: RecordsPerSecond,
        utilization: Share,
        now: Moment,
        policy: &Policy,
    ) {
        if utilization.get() < policy.min_utilization || kept.get() < policy.min_rate {
            return;
        }
        self.guesses
            .push_back((now, (kept.get() / utilization.get()).ln()));
        while self.guesses.len() > 64
            || self
                .guesses
                .front()
                .is_some_and(|(at, _)| now.since(*at) > GUESS_WINDOW)
        {
            self.guesses.pop_front();
        }
        let Some(guess) = self.agreed() else { return };
        let old = self.estimate.unwrap_or(Estimate {
            rate: RecordsPerSecond::new(guess.exp()),
            basis: Basis::Guessed,
            at: now,
        });
        let slower = if old.basis == Basis::Measured {
            MEASURED_WEIGHT
        } else {
            1.0
        };
        // After a gap the old estimate is that much older, but one guess does not outweigh it: the step
        // counts at most the window over which guesses agreed.
        let step = now.since(old.at).min(GUESS_WINDOW).as_secs_f64();
        let weight = 1.0 - (-step / (policy.smoothing.as_secs_f64() * slower)).exp();
        let from = old.rate.get().max(1.0).ln();
        let rate =
            RecordsPerSecond::new((from + weight * (guess - from)).exp()).max(self.shown(now));
        self.estimate = Some(Estimate {
            rate,
            at: now,
            ..old
        });
    }

    /// The median of the last guesses, if there are enough and they agree.
    fn agreed(&self) -> Option<f64> {
        if self.guesses.len() < GUESSES {
            return None;
        }
        let mut sorted: Vec<f64> = self.guesses.iter().map(|(_, guess)| *guess).collect();
        sorted.sort_by(f64::total_cmp);
        let spread = sorted[sorted.len() - 1] - sorted[0];
        (spread <= GUESS_SPREAD).then(|| sorted[sorted.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn rate(value: f64) -> RecordsPerSecond {
        RecordsPerSecond::new(value)
    }

    #[test]
    fn a_capacity_is_believed_once_five_guesses_agree() {
        let mut capacity = Capacity::default();
        for tick in 0..4 {
            capacity.guess(
                rate(100_000.0),
                Share::new(0.5),
                at(tick * 200),
                &Policy::default(),
            );
            assert_eq!(capacity.rate(), None);
        }
        capacity.guess(
            rate(100_000.0),
            Share::new(0.5),
            at(800),
            &Policy::default(),
        );
        let estimate = capacity.rate().unwrap().get();
        assert!((estimate - 200_000.0).abs() < 1.0, "{estimate}");
    }

    #[test]
    fn one_outlier_among_the_guesses_keeps_the_estimate_where_it_is() {
        let mut capacity = Capacity::default();
        for tick in 0..5 {
            capacity.guess(
                rate(100_000.0),
                Share::new(0.5),
                at(tick * 200),
                &Policy::default(),
            );
        }
        let before = capacity.rate();
        capacity.guess(
            rate(100_000.0),
            Share::new(1.0),
            at(1000),
            &Policy::default(),
        );
        assert_eq!(capacity.rate(), before);
    }

    #[test]
    fn an_idle_lane_gives_no_guess() {
        let mut capacity = Capacity::default();
        for tick in 0..20 {
            capacity.guess(
                rate(100_000.0),
                Share::new(0.1),
                at(tick * 200),
                &Policy::default(),
            );
            capacity.guess(
                rate(10.0),
                Share::new(0.9),
                at(tick * 200),
                &Policy::default(),
            );
        }
        assert_eq!(capacity.rate(), None);
    }

    #[test]
    fn a_stall_does_not_pull_the_capacity_below_what_was_just_shown() {
        let mut capacity = Capacity::default();
        capacity.ordinary(rate(50_000.0), at(0));
        capacity.measured(RecordsPerSecond::ZERO, at(5_000), &Policy::default());
        assert_eq!(capacity.rate(), Some(rate(50_000.0)));
    }

    #[test]
    fn what_was_shown_long_ago_does_not_hold_the_capacity_up() {
        let mut capacity = Capacity::default();
        capacity.ordinary(rate(50_000.0), at(0));
        capacity.measured(rate(20_000.0), at(60_000), &Policy::default());
        assert_eq!(capacity.rate(), Some(rate(20_000.0)));
    }

    #[test]
    fn what_the_lane_took_for_a_second_it_can_take() {
        let mut capacity = Capacity::default();
        capacity.at_least(rate(90_000.0));
        assert_eq!(capacity.rate(), None, "a lower bound alone is no estimate");
        capacity.measured(rate(50_000.0), at(0), &Policy::default());
        capacity.at_least(rate(90_000.0));
        assert_eq!(capacity.rate(), Some(rate(90_000.0)));
    }

    #[test]
    fn a_measured_capacity_outweighs_guesses() {
        let mut capacity = Capacity::default();
        capacity.measured(rate(200_000.0), at(0), &Policy::default());
        for tick in 1..=10 {
            capacity.guess(
                rate(50_000.0),
                Share::new(0.5),
                at(tick * 200),
                &Policy::default(),
            );
        }
        let estimate = capacity.rate().unwrap().get();
        assert!(estimate > 180_000.0, "{estimate}");
    }
}
