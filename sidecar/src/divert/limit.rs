//! How many invocations may be under way at once: as many as are allowed, fewer while the cloud shows
//! that it has less to give.
//!
//! Two signs are heeded. A **throttled** attempt says so outright: the limit falls to a part of what was
//! under way, once for each round of attempts (AIMD, as TCP does; RFC 9438 for the factor). A **rising
//! latency** says it more softly: attempts are compared with the quickest of their size in the last half
//! minute, as Netflix' concurrency-limits does with its gradient, because a batch of 4 MB takes longer
//! than one of 40 KB also in an idle cloud. A cold start is no sign of anything.
//!
//! The limit starts at the maximum, and not low as TCP does: a spike has to be absorbed within
//! milliseconds, and Lambda's answer to too much is a clean 429 that costs nothing.
//!
//! Pure: it is told what time it is.

use std::time::Duration;

use crate::decide::Moment;

/// What is left of the limit after throttling (CUBIC's β, RFC 9438 section 4.6).
const THROTTLED: f64 = 0.7;
/// So many times the minimum is taken for the cloud's own unsteadiness. Netflix' Gradient2 takes 1.5; here
/// the time includes sending some megabytes through a link that batches share.
const TOLERANCE: f64 = 2.0;
/// The least that is left of the limit after one round of slow answers (Netflix' Gradient2).
const SLOWEST: f64 = 0.5;
/// By how much a round's verdict moves the limit (Netflix' Gradient2).
const SMOOTHING: f64 = 0.2;
/// A round is at least so long …
const ROUND: Duration = Duration::from_millis(100);
/// … and holds at least so many answers: fewer say more about a batch than about the cloud.
const ROUND_ANSWERS: u32 = 5;
/// The minimum is that of the last one to two of these.
const FLOOR_WINDOW: Duration = Duration::from_secs(15);
/// After throttling, the limit stays below what was refused for so long; then it steps beyond it, further
/// each time that is not refused.
const PROBE_PAUSE: Duration = Duration::from_secs(2);
/// After so long without an attempt, what was learnt of a cloud that is shared with others is out of date.
const FORGET: Duration = Duration::from_secs(30);
/// Sizes are told apart by powers of two up to this one, far above any payload.
pub(crate) const SIZES: usize = 32;

/// What came of an attempt, as far as it says something about the cloud's capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered by an instance that was there already, or not in time, which took at least so long.
    Took {
        /// From the first byte sent to the answer.
        time: Duration,
        /// Bytes sent.
        bytes: usize,
    },
    /// Refused for want of capacity.
    Throttled {
        /// Whether it is invocations at once that there were too many of, and not in a second.
        at_once: bool,
        /// How long not to ask for more.
        retry_after: Option<Duration>,
    },
    /// Says nothing about capacity: a cold start, a failure of another kind.
    Other,
}

/// The limit, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limiter {
    max: f64,
    limit: f64,
    /// What was refused, and until when the limit stays below it.
    ceiling: Option<Ceiling>,
    /// When the limit was last lowered for throttling: the refusal of an attempt that had begun by then is
    /// no news.
    lowered_at: Option<Moment>,
    floors: [Floor; SIZES],
    round: Round,
    last_ended: Moment,
    under_way: u32,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ceiling {
    limit: f64,
    until: Moment,
    /// By how much it will be lifted then.
    step: f64,
}

/// The quickest answer of a size, in this window and the one before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Floor {
    window: u64,
    now: Option<Duration>,
    before: Option<Duration>,
}

/// Answers since the limit was last thought over.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Round {
    since: Moment,
    answers: u32,
    /// Sum of minimum / latency.
    quickness: f64,
    most_under_way: u32,
}

impl Limiter {
    /// Nothing is known yet: all of `max` may be used.
    pub(crate) fn new(max: u32) -> Self {
        let max = f64::from(max.max(1));
        Self {
            max,
            limit: max,
            ceiling: None,
            lowered_at: None,
            floors: [Floor::default(); SIZES],
            round: Round::default(),
            last_ended: Moment::default(),
            under_way: 0,
            reason: String::new(),
        }
    }

    /// How many invocations may be under way; at least one.
    pub(crate) fn limit(&self) -> u32 {
        // From 1 to `max`, which came from a u32.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = self.limit as u32;
        whole
    }

    /// Batches that the valves may have under way, of which `queue` wait while the limit is at its maximum. The
    /// queue shrinks with the limit, or batches would wait in it for longer than their deadline.
    pub(crate) fn credits(&self, queue: u32) -> u32 {
        let waiting = u64::from(queue) * u64::from(self.limit());
        let waiting = waiting.div_ceil(u64::from(self.whole_max()));
        // At most `queue`, because the limit is at most the maximum.
        let waiting = u32::try_from(waiting).unwrap_or(queue);
        self.limit().saturating_add(waiting)
    }

    /// Why the limit is below the maximum; empty if it is not.
    pub(crate) fn reason(&self) -> &str {
        if self.is_unbounded() {
            ""
        } else {
            &self.reason
        }
    }

    /// Invocations that are under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way
    }

    /// An attempt is about to be made.
    pub(crate) fn began(&mut self, now: Moment) {
        if self.under_way == 0 && now.since(self.last_ended) > FORGET {
            self.limit = self.max;
            self.ceiling = None;
        }
        self.under_way = self.under_way.saturating_add(1);
        self.round.most_under_way = self.round.most_under_way.max(self.under_way);
    }

    /// The attempt that began at `begun` is over.
    pub(crate) fn ended(&mut self, begun: Moment, outcome: Outcome, now: Moment) {
        let under_way = self.under_way;
        self.under_way = self.under_way.saturating_sub(1);
        self.last_ended = now;
        match outcome {
            Outcome::Took { time, bytes } => {
                let floor = self.floors[size_class(bytes)].take_in(time, now);
                self.round.answers += 1;
                self.round.quickness += floor.as_secs_f64() / time.as_secs_f64().max(1e-9);
                self.think(now);
            }
            Outcome::Throttled {
                at_once,
                retry_after,
            } => self.throttled(begun, under_way, at_once, retry_after, now),
            Outcome::Other => {}
        }
    }

    fn throttled(
        &mut self,
        begun: Moment,
        under_way: u32,
        at_once: bool,
        retry_after: Option<Duration>,
        now: Moment,
    ) {
        let pause = PROBE_PAUSE.max(retry_after.unwrap_or_default());
        // One flood of attempts is refused many times for one reason.
        if self.lowered_at.is_some_and(|at| begun <= at) {
            return;
        }
        let used = self.limit.min(f64::from(under_way.max(1)));
        self.limit = (used * THROTTLED).max(1.0);
        let ceiling = if at_once {
            // All but the one that was refused had their place.
            (f64::from(under_way) - 1.0).max(1.0)
        } else {
            self.limit
        };
        self.ceiling = Some(Ceiling {
            limit: ceiling.max(self.limit),
            until: now.plus(pause),
            step: 1.0,
        });
        self.lowered_at = Some(now);
        self.round = Round {
            since: now,
            ..Round::default()
        };
        self.reason = format!("throttled with {under_way} invocations at once");
    }

    /// Looks at a round once it is full.
    fn think(&mut self, now: Moment) {
        let round = self.round;
        if round.answers < ROUND_ANSWERS || now.since(round.since) < ROUND {
            return;
        }
        self.round = Round {
            since: now,
            most_under_way: self.under_way,
            ..Round::default()
        };
        let quickness = round.quickness / f64::from(round.answers);
        let gradient = (TOLERANCE * quickness).clamp(SLOWEST, 1.0);
        // Room for a short queue, so that the limit grows while nothing is slow (Netflix' Gradient).
        let target = self.limit * gradient + self.limit.sqrt();
        let next = self.limit + SMOOTHING * (target - self.limit);
        if next > self.limit {
            // What is not used up says nothing about more of it.
            if f64::from(round.most_under_way) * 2.0 >= self.limit {
                self.limit = next.min(self.highest(now));
            }
        } else {
            self.limit = next.max(1.0);
            self.reason = format!("answers take {:.1} times their minimum", 1.0 / quickness);
        }
    }

    /// How far the limit may grow now.
    fn highest(&mut self, now: Moment) -> f64 {
        let Some(ceiling) = &mut self.ceiling else {
            return self.max;
        };
        if now >= ceiling.until && self.limit >= ceiling.limit {
            ceiling.limit += ceiling.step;
            ceiling.step *= 2.0;
            ceiling.until = now.plus(PROBE_PAUSE);
        }
        if ceiling.limit >= self.max {
            self.ceiling = None;
            return self.max;
        }
        ceiling.limit
    }

    /// Whether all that may be used can be: the cloud has shown no want of capacity.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.limit() >= self.whole_max()
    }

    fn whole_max(&self) -> u32 {
        // It came from a u32.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = self.max as u32;
        whole
    }
}

impl Floor {
    /// Takes in a latency and gives the minimum.
    fn take_in(&mut self, time: Duration, now: Moment) -> Duration {
        let window = now.elapsed().as_secs() / FLOOR_WINDOW.as_secs();
        if window != self.window {
            self.before = (window == self.window + 1).then_some(self.now).flatten();
            self.now = None;
            self.window = window;
        }
        let quickest = self.now.map_or(time, |quickest| quickest.min(time));
        self.now = Some(quickest);
        self.before.map_or(quickest, |before| before.min(quickest))
    }
}

/// Which power of two a size is nearest below.
pub(crate) fn size_class(bytes: usize) -> usize {
    let power = usize::BITS - bytes.leading_zeros();
    (power as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests;
