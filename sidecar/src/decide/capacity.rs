//! What the local lane can take, when nothing is diverted, and how sure that is.
//!
//! Three kinds of evidence, in order of weight: what was kept while the output was congested is the
//! capacity; what was kept without congestion is less than it; and [how busy](super::usage) the lane was
//! while it kept what it kept tells where it would be full.

use std::time::Duration;

use super::decision::CapacityEstimate;
use super::moment::Moment;
use super::observation::LaneLoad;
use super::policy::Policy;
use super::units::{RecordsPerSecond, Share};
use super::usage::{Guess, Prior, Usage};

/// Utilisations are taken in by the second: shorter ones scatter too much.
const SAMPLE: Duration = Duration::from_secs(1);
/// A processor share that comes without saying for how long it holds is taken in as rarely as this, so that
/// none is taken in twice that says so in between.
const UNDATED_SAMPLE: Duration = Duration::from_millis(1500);
/// What a worker with one processor spends of it anyway, as far as one can know beforehand: measured for
/// Flink 2.2 with a warm JVM, see `experiments/deciding/README.md`.
const WORKER: Prior = Prior {
    fixed: 0.3,
    error: 0.1,
};
/// The same of a task's own thread: Flink counts it busy only when it works on something.
const TASK: Prior = Prior {
    fixed: 0.02,
    error: 0.02,
};
/// A guess that may be off by more than this (as a natural logarithm: a factor of 2.7) is none.
const MAX_ERROR: f64 = 1.0;
/// What a saturated lane takes scatters by this share from one second to the next.
const MEASURED_ERROR: f64 = 0.05;
/// Beside a diverting it takes less, by a third at the height of `experiments/first-burst`'s spike.
const BESIDE_ERROR: f64 = 0.3;
/// What diverting a record is taken to cost the worker, relative to processing it. `experiments/first-burst` measures it.
pub(crate) const DIVERT_COST: f64 = 0.1;
/// By what share of itself that may be off (standard deviation): the simulated one is half of it, other codecs may cost more.
const DIVERT_COST_ERROR: f64 = 0.5;
/// A measured capacity is moved by guesses this many times more slowly than a guessed one.
const MEASURED_WEIGHT: f64 = 10.0;
/// By how much a capacity may have drifted a minute after there was evidence of it, as a share; in the
/// manner of a random walk, so by twice that after four minutes.
const DRIFT: f64 = 0.1;
/// The bounds hold nine times in ten: 1.64 standard deviations of a normal distribution.
const BOUNDS: f64 = 1.64;
/// An armed valve is given at most this many times a guessed capacity. Being too generous costs little:
/// the valve diverts what finds no room, and a spike still empties its bucket within milliseconds.
const MOST_GENEROUS: f64 = 2.0;
/// For so long an uncongested rate counts as shown.
const SHOWN_FOR: Duration = Duration::from_secs(30);

/// The estimate and what it rests on.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Capacity {
    estimate: Option<Estimate>,
    worker: Usage,
    worker_at: Moment,
    /// The worker's processors; 0 if that is not known, which counts as one.
    cores: u32,
    task: Usage,
    /// The busy share of the busiest task times the time it is of, since the last sample.
    task_busy: (f64, Duration),
    shown: Option<(Moment, RecordsPerSecond)>,
}

#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Estimate {
    rate: RecordsPerSecond,
    /// Standard deviation of its natural logarithm at `at`.
    error: f64,
    /// Whether the lane has been seen saturated.
    measured: bool,
    at: Moment,
}

impl Estimate {
    /// The standard deviation by now: evidence ages.
    fn error(&self, now: Moment) -> f64 {
        let minutes = now.since(self.at).as_secs_f64() / 60.0;
        (self.error * self.error + DRIFT * DRIFT * minutes)
            .sqrt()
            .min(MAX_ERROR)
    }
}

impl Capacity {
    /// The capacity, if it is known.
    pub(crate) fn rate(&self) -> Option<RecordsPerSecond> {
        self.estimate.map(|estimate| estimate.rate)
    }

    /// The capacity with its bounds.
    pub(crate) fn estimate(&self, now: Moment) -> Option<CapacityEstimate> {
        let estimate = self.estimate?;
        let factor = (BOUNDS * estimate.error(now)).exp();
        Some(CapacityEstimate {
            rate: estimate.rate,
            // What was shown a moment ago needs no inference.
            low: estimate.rate.times(1.0 / factor).max(self.shown(now)),
            high: estimate.rate.times(factor),
            measured: estimate.measured,
        })
    }

    /// What the capacity may be on the generous side: measured, itself; guessed, its upper bound.
    pub(crate) fn generous(&self, now: Moment) -> Option<RecordsPerSecond> {
        let estimate = self.estimate?;
        let factor = if estimate.measured {
            1.0
        } else {
            (BOUNDS * estimate.error(now)).exp().min(MOST_GENEROUS)
        };
        Some(estimate.rate.times(factor))
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
            Some(old) if old.measured => {
                RecordsPerSecond::new(f64::midpoint(old.rate.get(), rate.get()))
            }
            _ => rate,
        };
        self.worker.saturated(rate, now);
        self.task.saturated(rate, now);
        self.estimate = Some(Estimate {
            rate,
            error: MEASURED_ERROR,
            measured: true,
            at: now,
        });
    }

    /// The lane was congested at `kept` beside a diverting, and nothing else is known of it: it is no less,
    /// nor less than what it took lately, and perhaps a good deal more, since the diverting costs it processor
    /// time.
    pub(crate) fn first(&mut self, kept: RecordsPerSecond, now: Moment) {
        let rate = kept.max(self.shown(now));
        self.estimate.get_or_insert(Estimate {
            rate,
            error: BESIDE_ERROR,
            measured: false,
            at: now,
        });
    }

    /// The worker was full for `span` while it kept `kept` and diverted `diverted`: without the latter it would have kept
    /// as much more as that costs it.
    pub(crate) fn full(
        &mut self,
        kept: RecordsPerSecond,
        diverted: RecordsPerSecond,
        span: Duration,
        now: Moment,
        policy: &Policy,
    ) {
        let beside = diverted.times(DIVERT_COST);
        let rate = kept.plus(beside);
        let doubt = DIVERT_COST_ERROR * beside.get() / rate.get().max(1.0);
        self.worker.full(rate, doubt, span, now);
        let error = doubt.hypot(MEASURED_ERROR);
        self.follow(Guess { rate, error }, 1.0, now, policy);
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
        self.worker.at_least(kept);
        self.task.at_least(kept);
    }

    /// The lane took `kept` for a second without congestion, and nothing was diverted.
    pub(crate) fn ordinary(&mut self, kept: RecordsPerSecond, now: Moment) {
        if kept >= self.shown(now) {
            self.shown = Some((now, kept));
        }
    }

    /// The lane took `kept` over the last second, nothing was diverted, and the engine shows how busy
    /// that kept it.
    pub(crate) fn see(
        &mut self,
        kept: RecordsPerSecond,
        load: &LaneLoad,
        now: Moment,
        policy: &Policy,
    ) {
        // A worker without work compiles, loads and waits: the line is no better for it.
        if kept.get() < policy.min_rate {
            return;
        }
        let mut news = false;
        self.cores = load.worker_cores.unwrap_or(self.cores);
        if let Some(cpu) = load.worker_cpu {
            let dated = !load.worker_cpu_window.is_zero();
            if dated || now.since(self.worker_at) >= UNDATED_SAMPLE {
                let span = if dated {
                    load.worker_cpu_window
                } else {
                    SAMPLE
                };
                self.worker.see(kept, cpu, span, now);
                self.worker_at = now;
                news = true;
            }
        }
        if let Some(busy) = load.downstream_busy {
            let (sum, span) = &mut self.task_busy;
            *sum += busy.get() * load.window.as_secs_f64();
            *span = span.saturating_add(load.window);
            if *span >= SAMPLE {
                let share = Share::new(*sum / span.as_secs_f64());
                self.task.see(kept, share, *span, now);
                self.task_busy = (0.0, Duration::ZERO);
                news = true;
            }
        }
        let telling = load
            .utilization()
            .is_some_and(|share| share.get() >= policy.min_utilization);
        if news
            && telling
            && let Some(guess) = self.guess(now)
        {
            let measured = self.estimate.is_some_and(|estimate| estimate.measured);
            let slower = if measured { MEASURED_WEIGHT } else { 1.0 };
            self.follow(guess, slower, now, policy);
        }
    }

    /// The part that would be full first.
    fn guess(&self, now: Moment) -> Option<Guess> {
        let guesses = [
            self.worker.guess(WORKER.of_cores(self.cores), now),
            self.task.guess(TASK, now),
        ];
        guesses
            .into_iter()
            .flatten()
            .min_by(|one, other| one.rate.get().total_cmp(&other.rate.get()))
            .filter(|guess| guess.error <= MAX_ERROR)
    }

    /// Goes some of the way to a guess: all of it at first, later with the policy's time constant times `slower`.
    fn follow(&mut self, guess: Guess, slower: f64, now: Moment, policy: &Policy) {
        let (rate, error, measured) = match self.estimate {
            None => (guess.rate, guess.error, false),
            Some(old) => {
                // After a gap the old estimate is that much older, but one guess does not outweigh it.
                let step = now.since(old.at).min(2 * SAMPLE).as_secs_f64();
                let weight = 1.0 - (-step / (policy.smoothing.as_secs_f64() * slower)).exp();
                let from = old.rate.get().max(1.0).ln();
                let to = guess.rate.get().max(1.0).ln();
                let rate = RecordsPerSecond::new((from + weight * (to - from)).exp());
                // No surer than the better of the two: both may be wrong the same way.
                let error = old.error(now).min(guess.error);
                (rate, error, old.measured)
            }
        };
        self.estimate = Some(Estimate {
            rate: rate.max(self.shown(now)),
            error,
            measured,
            at: now,
        });
    }
}

#[cfg(test)]
#[path = "tests/capacity.rs"]
mod tests;
