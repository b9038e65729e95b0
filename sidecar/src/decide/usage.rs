//! What a record costs the lane's busiest part, told apart from what that part spends anyway.
//!
//! A worker at rest is not idle: checkpoints, metrics, timers and flushes take processor time that no
//! record causes. Putting it down to the records makes the capacity look far too small at low load. So
//! utilisation is taken to be `fixed + cost × rate`, a line through all that was seen lately; the
//! capacity is where the line reaches 1.

use std::time::Duration;

use super::moment::Moment;
use super::units::{RecordsPerSecond, Share};

/// Observations fade with this time constant: long enough for loads of a minute ago to show the slope,
/// short enough to follow a lane that gets quicker or slower.
const MEMORY: Duration = Duration::from_secs(30);
/// A saturation fades more slowly: it is the best that is known, and rare.
const SATURATION_MEMORY: Duration = Duration::from_mins(10);
/// Utilisations of one second scatter around the line by this: the engine's counters are read up to one
/// fetch too early or too late, and windows fire and checkpoints come in between.
const SCATTER: f64 = 0.08;
/// The same for a saturation, which is known to be at 1.
const SATURATION_SCATTER: f64 = 0.02;
/// An estimate is needed before there were so many seconds' observations: they may all be of an outlier.
const ENOUGH: f64 = 2.5;
/// The line is no better than this, however well it fits: what a record costs depends on the load.
/// `experiments/deciding/capacity.py` shows by how much.
const MODEL_ERROR: f64 = 0.1;

/// What is known of the fixed part before anything was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prior {
    /// The likeliest share.
    pub(crate) fixed: f64,
    /// By how much it may be off (standard deviation).
    pub(crate) error: f64,
}

impl Prior {
    /// The same part of a worker with so many processors instead of one.
    pub(crate) fn of_cores(self, cores: u32) -> Self {
        Self {
            fixed: self.fixed / f64::from(cores.max(1)),
            ..self
        }
    }
}

/// The line, as sums that fade.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Usage {
    at: Moment,
    /// Rates are divided by this, the first one seen, so that the sums are of a size.
    unit: f64,
    /// Weight of all observations, in seconds' worth.
    n: f64,
    /// Weighted sums of rate, rate², utilisation, and rate × utilisation.
    x: f64,
    xx: f64,
    y: f64,
    xy: f64,
    saturated: Option<(Moment, f64)>,
}

/// A capacity read off the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Guess {
    pub(crate) rate: RecordsPerSecond,
    /// By what factor it may be off, as the standard deviation of its natural logarithm.
    pub(crate) error: f64,
}

impl Usage {
    /// The part was `utilization` busy while the lane took `rate`, for `span`.
    pub(crate) fn see(
        &mut self,
        rate: RecordsPerSecond,
        utilization: Share,
        span: Duration,
        now: Moment,
    ) {
        self.fade(now);
        if self.unit == 0.0 {
            self.unit = rate.get().max(1.0);
        }
        let (x, y) = (rate.get() / self.unit, utilization.get());
        let weight = span.as_secs_f64().min(MEMORY.as_secs_f64());
        self.n += weight;
        self.x += weight * x;
        self.xx += weight * x * x;
        self.y += weight * y;
        self.xy += weight * x * y;
    }

    /// The lane was saturated at `rate`: there the line is at 1.
    pub(crate) fn saturated(&mut self, rate: RecordsPerSecond, now: Moment) {
        if self.unit == 0.0 {
            self.unit = rate.get().max(1.0);
        }
        self.saturated = Some((now, rate.get() / self.unit));
    }

    /// The part was full at `rate`, for `span`, give or take `doubt` as a share of the rate: it counts for as much less as it
    /// scatters more than others.
    pub(crate) fn full(&mut self, rate: RecordsPerSecond, doubt: f64, span: Duration, now: Moment) {
        let weight = SCATTER * SCATTER / (SCATTER * SCATTER + doubt * doubt);
        self.see(rate, Share::new(1.0), span.mul_f64(weight), now);
    }

    /// The lane took `rate`, so where it was saturated at less it no longer would be.
    pub(crate) fn at_least(&mut self, rate: RecordsPerSecond) {
        if let Some((_, x)) = &mut self.saturated {
            *x = x.max(rate.get() / self.unit);
        }
    }

    fn fade(&mut self, now: Moment) {
        let kept = (-now.since(self.at).as_secs_f64() / MEMORY.as_secs_f64()).exp();
        for sum in [
            &mut self.n,
            &mut self.x,
            &mut self.xx,
            &mut self.y,
            &mut self.xy,
        ] {
            *sum *= kept;
        }
        self.at = now;
    }

    /// Where the line reaches 1; `None` before enough was seen, or if it never does.
    ///
    /// Least squares with a normal prior on the fixed part (ridge regression, the static case of a Kalman
    /// filter): with one load only, the prior decides how the utilisation is split; with several, they do.
    pub(crate) fn guess(&self, known: Prior, now: Moment) -> Option<Guess> {
        if self.n < ENOUGH {
            return None;
        }
        let precision = 1.0 / (SCATTER * SCATTER);
        let prior = 1.0 / (known.error * known.error);
        // The normal equations of (fixed, cost).
        let mut ff = self.n * precision + prior;
        let mut fc = self.x * precision;
        let mut cc = self.xx * precision;
        let mut fy = self.y * precision + prior * known.fixed;
        let mut cy = self.xy * precision;
        if let Some((at, x)) = self.saturated {
            let age = now.since(at).as_secs_f64() / SATURATION_MEMORY.as_secs_f64();
            let weight = (-age).exp() / (SATURATION_SCATTER * SATURATION_SCATTER);
            ff += weight;
            fc += weight * x;
            cc += weight * x * x;
            fy += weight;
            cy += weight * x;
        }
        let determinant = ff * cc - fc * fc;
        // Positive but for rounding: the prior comes on top of what Cauchy and Schwarz ask for.
        if determinant <= 0.0 {
            return None;
        }
        let fixed = ((cc * fy - fc * cy) / determinant).clamp(0.0, 0.95);
        // With the fixed part cut to its range, the cost that fits best beside it.
        let cost = (cy - fc * fixed) / cc;
        if cost <= 0.0 {
            return None;
        }
        let rate = (1.0 - fixed) / cost;
        // Of ln rate = ln(1 - fixed) - ln cost, by the inverse of the matrix above.
        let (df, dc) = (-1.0 / (1.0 - fixed), -1.0 / cost);
        let variance = (cc * df * df - 2.0 * fc * df * dc + ff * dc * dc) / determinant;
        let error = (variance.max(0.0) + MODEL_ERROR * MODEL_ERROR).sqrt();
        (rate.is_finite() && error.is_finite()).then(|| Guess {
            rate: RecordsPerSecond::new(rate * self.unit),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIOR: Prior = Prior {
        fixed: 0.2,
        error: 0.1,
    };

    fn at(s: u64) -> Moment {
        Moment::at(Duration::from_secs(s))
    }

    /// A worker with this fixed share that takes 200 k/s, seen at these loads, 10 s each.
    fn seen(fixed: f64, loads: &[f64]) -> Guess {
        let mut usage = Usage::default();
        let mut second = 0;
        for load in loads {
            for _ in 0..10 {
                let rate = RecordsPerSecond::new(200_000.0 * load);
                let utilization = Share::new(fixed + (1.0 - fixed) * load);
                usage.see(rate, utilization, Duration::from_secs(1), at(second));
                second += 1;
            }
        }
        usage.guess(PRIOR, at(second)).unwrap()
    }

    fn within(guess: Guess, share: f64) -> bool {
        (guess.rate.get() / 200_000.0 - 1.0).abs() <= share
    }

    #[test]
    fn one_load_is_split_by_what_is_known_of_workers_in_general() {
        assert!(within(seen(0.2, &[0.5]), 0.001));
        assert!(within(seen(0.1, &[0.5]), 0.15));
        assert!(within(seen(0.3, &[0.5]), 0.15));
    }

    #[test]
    fn several_loads_show_the_fixed_part_whatever_was_thought_of_it() {
        for fixed in [0.05, 0.4] {
            let guess = seen(fixed, &[0.2, 0.5, 0.7]);
            assert!(within(guess, 0.08), "{fixed}: {guess:?}");
        }
    }

    #[test]
    fn the_nearer_to_saturation_the_surer() {
        let errors: Vec<f64> = [0.1, 0.3, 0.5, 0.9]
            .iter()
            .map(|load| seen(0.2, &[*load]).error)
            .collect();
        assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
    }

    #[test]
    fn a_saturation_pins_the_line() {
        let mut usage = Usage::default();
        usage.saturated(RecordsPerSecond::new(200_000.0), at(0));
        for second in 0..10 {
            let rate = RecordsPerSecond::new(60_000.0);
            usage.see(rate, Share::new(0.65), Duration::from_secs(1), at(second));
        }
        assert!(within(usage.guess(PRIOR, at(10)).unwrap(), 0.05));
    }

    #[test]
    fn a_lane_that_gets_slower_is_followed() {
        let mut usage = Usage::default();
        let rate = RecordsPerSecond::new(50_000.0);
        for second in 0..60 {
            usage.see(rate, Share::new(0.4), Duration::from_secs(1), at(second));
        }
        let before = usage.guess(PRIOR, at(60)).unwrap().rate.get();
        for second in 60..120 {
            usage.see(rate, Share::new(0.6), Duration::from_secs(1), at(second));
        }
        let after = usage.guess(PRIOR, at(120)).unwrap().rate.get();
        assert!((0.4..0.6).contains(&(after / before)), "{before} → {after}");
    }

    proptest! {
        #[test]
        fn whatever_is_seen_a_guess_is_a_number(
            seen in prop::collection::vec(
                (0.0..1e15_f64, 0.0..=1.0_f64, 0..10_000_u64, 0..100_u64, any::<bool>()), 1..60,
            ),
        ) {
            let mut usage = Usage::default();
            let mut now = 0;
            for (rate, utilization, span, later, saturated) in seen {
                now += later;
                let rate = RecordsPerSecond::new(rate);
                if saturated {
                    usage.saturated(rate, at(now));
                }
                usage.see(rate, Share::new(utilization), Duration::from_millis(span), at(now));
                if let Some(guess) = usage.guess(PRIOR, at(now)) {
                    prop_assert!(guess.rate.get().is_finite());
                    prop_assert!(guess.error.is_finite() && guess.error >= MODEL_ERROR, "{guess:?}");
                }
            }
        }
    }
}
