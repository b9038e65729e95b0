//! One subtask of the valve: its reports, made into rates.

use std::collections::VecDeque;
use std::time::Duration;

use spillway_core::ids::AttemptId;

use super::moment::Moment;
use super::observation::Reading;
use super::units::{RecordsPerSecond, Share};
use super::{LONG, SHORT};

/// How much of the past is kept. Long enough for the estimator's window, short enough to stay small.
const HISTORY: Duration = Duration::from_secs(3);
/// At most so many reports are kept, however quickly they come.
const MAX_SAMPLES: usize = 256;
/// A reporter's clock may differ from ours in pace by so much between two reports before we distrust it:
/// it was stepped, or the report was held up.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// The last reports of one subtask.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Subtask {
    attempt: AttemptId,
    sequence: u64,
    /// When the attempt's first record was heard of; until then, when it was last heard of. A lane warms up
    /// by working, not by waiting.
    pub(crate) since: Moment,
    /// When the last counted report came, on the controller's clock.
    pub(crate) heard_at: Moment,
    /// What flowed over the last two reports or so; `None` before the second report.
    pub(crate) short: Option<Flow>,
    /// The same over the last second, or as much of it as is known.
    pub(crate) long: Option<Flow>,
    /// Oldest first; never empty.
    samples: VecDeque<Sample>,
}

/// The counters at one point of the reporter's own time.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Sample {
    /// The reporter's time, counted from its first report.
    at: Duration,
    time_ms: i64,
    received: u64,
    to_local: u64,
    to_cloud: u64,
    unavailable_ms: u64,
}

/// What flowed through a subtask in a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Flow {
    pub(crate) span: Duration,
    pub(crate) received: RecordsPerSecond,
    pub(crate) kept: RecordsPerSecond,
    pub(crate) diverted: RecordsPerSecond,
    /// Share of the span in which the local output had no room.
    pub(crate) unavailable: Share,
}

impl Flow {
    fn between(earlier: &Sample, later: &Sample) -> Self {
        let span = later.at.saturating_sub(earlier.at);
        let rate = |from: u64, to: u64| RecordsPerSecond::of(to.saturating_sub(from), span);
        let unavailable = later.unavailable_ms.saturating_sub(earlier.unavailable_ms) as f64;
        Self {
            span,
            received: rate(earlier.received, later.received),
            kept: rate(earlier.to_local, later.to_local),
            diverted: rate(earlier.to_cloud, later.to_cloud),
            unavailable: if span.is_zero() {
                Share::ZERO
            } else {
                Share::new(unavailable / (span.as_secs_f64() * 1e3))
            },
        }
    }
}

impl Subtask {
    /// A subtask that has just reported for the first time.
    pub(crate) fn new(reading: &Reading, now: Moment) -> Self {
        Self {
            attempt: reading.attempt,
            sequence: reading.sequence,
            since: now,
            heard_at: now,
            short: None,
            long: None,
            samples: VecDeque::from([Sample::of(reading, Duration::ZERO)]),
        }
    }

    /// Takes in a report, and tells how many records it says were diverted since the last one. `None` if
    /// it is not newer than that, and so was not counted.
    ///
    /// A new attempt starts from nothing: its counters began at zero, and what it does in its first
    /// moments says nothing about the old one's rates.
    pub(crate) fn take(&mut self, reading: &Reading, now: Moment) -> Option<u64> {
        if reading.attempt != self.attempt {
            *self = Self::new(reading, now);
            return Some(reading.to_cloud);
        }
        if reading.sequence <= self.sequence {
            return None;
        }
        let last = self.last();
        let sample = Sample::of(reading, last.at + self.step_since(&last, reading, now));
        let fell = sample.is_behind(&last);
        if fell {
            // Counters of one attempt never fall. Whatever this is, rates across it would be made up.
            self.samples.clear();
        }
        self.samples.push_back(sample);
        while self.samples.len() > MAX_SAMPLES
            || (self.samples.len() > 2 && sample.at.saturating_sub(self.samples[1].at) > HISTORY)
        {
            self.samples.pop_front();
        }
        if last.received == 0 {
            self.since = now;
        }
        self.sequence = reading.sequence;
        self.heard_at = now;
        self.short = self.flow(SHORT);
        self.long = self.flow(LONG);
        // Whatever counters that fell are, they are not records diverted just now.
        let diverted = reading.to_cloud.saturating_sub(last.to_cloud);
        Some(if fell { 0 } else { diverted })
    }

    /// Time between two reports: by the reporter's clock, which is free of the network's delay, unless it
    /// cannot be right.
    fn step_since(&self, last: &Sample, reading: &Reading, now: Moment) -> Duration {
        let heard = now.since(self.heard_at);
        let told = u64::try_from(reading.time_ms.saturating_sub(last.time_ms))
            .map_or(Duration::ZERO, Duration::from_millis);
        if told.is_zero() || told.abs_diff(heard) > CLOCK_TOLERANCE {
            heard
        } else {
            told
        }
    }

    fn last(&self) -> Sample {
        // Every constructor puts one in, and `take` pushes after each `clear`.
        *self.samples.back().expect("a subtask has a sample")
    }

    /// What flowed in the last `window`, or in as much of it as is known. `None` before the second report.
    fn flow(&self, window: Duration) -> Option<Flow> {
        let last = self.last();
        let from = last.at.checked_sub(window);
        let earlier = self
            .samples
            .iter()
            .rev()
            .skip(1)
            .find(|sample| from.is_some_and(|from| sample.at <= from))
            .or_else(|| self.samples.front().filter(|_| self.samples.len() > 1))?;
        Some(Flow::between(earlier, &last)).filter(|flow| !flow.span.is_zero())
    }

    /// The unbroken run of congested intervals that ends now, if the last interval was congested: how
    /// long it is, and what was kept in it.
    ///
    /// While the output's buffers fill, more is kept than the lane can take. So the rate leaves out the
    /// run's first interval, unless it is the only one.
    pub(crate) fn congested(&self, threshold: Share) -> Option<Flow> {
        let mut run_start = self.samples.len() - 1;
        while run_start > 0
            && Flow::between(&self.samples[run_start - 1], &self.samples[run_start]).unavailable
                >= threshold
        {
            run_start -= 1;
        }
        let last = self.samples.len() - 1;
        if run_start == last {
            return None;
        }
        let full_from = if run_start + 1 < last {
            run_start + 1
        } else {
            run_start
        };
        let whole = Flow::between(&self.samples[run_start], &self.samples[last]);
        let full = Flow::between(&self.samples[full_from], &self.samples[last]);
        (!full.span.is_zero()).then_some(Flow {
            span: whole.span,
            unavailable: whole.unavailable,
            ..full
        })
    }
}

impl Sample {
    fn of(reading: &Reading, at: Duration) -> Self {
        Self {
            at,
            time_ms: reading.time_ms,
            received: reading.received,
            to_local: reading.to_local,
            to_cloud: reading.to_cloud,
            unavailable_ms: reading.unavailable_ms,
        }
    }

    /// Whether a counter that can only rise has fallen since `earlier`.
    fn is_behind(&self, earlier: &Self) -> bool {
        self.received < earlier.received
            || self.to_local < earlier.to_local
            || self.unavailable_ms < earlier.unavailable_ms
    }
}
