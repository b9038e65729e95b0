//! What the controller sees of the whole valve at a moment, from all its subtasks and the engine.

use std::time::Duration;

use super::burst::TRICKLE;
use super::capacity::DIVERT_COST;
use super::moment::Moment;
use super::observation::LaneLoad;
use super::phase;
use super::policy::Policy;
use super::subtask::Flow;
use super::units::{RecordsPerSecond, Share};
use super::{LONG, State};

/// Up to this share of time without room, the local output counts as uncongested.
const CALM: f64 = 0.1;
/// An arrival over the last two reports up to this many times that over the last second is steady.
const STEADY: f64 = 1.25;
/// A worker that uses this share of its processors has none to spare: source, valve and lane take turns,
/// and records wait at the source, where no counter of the valve shows it. Saturated ones were measured at
/// 0.99 to 1.0, and one at 82 % of its capacity at 0.89 (`experiments/deciding`).
pub(crate) const FULL: f64 = 0.95;
/// A diverting that costs the worker up to this share of what the keeping does is told apart from it well enough: half of
/// that, which it may be off by, is a tenth of the whole.
const LITTLE: f64 = 0.25;
/// From this share on of what the lane is given it takes all of it.
const TAKES_ALL: f64 = 0.9;
/// A new attempt's lane is not as quick as it will be: its JVM has yet to compile the hot code.
const WARM_UP: Duration = Duration::from_secs(5);
/// A sensor's observation says nothing about now when it is older than this.
const LANE_STALE: Duration = Duration::from_secs(2);

/// The whole valve, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    pub(crate) arrival: RecordsPerSecond,
    pub(crate) kept: RecordsPerSecond,
    pub(crate) diverted: RecordsPerSecond,
    pub(crate) unavailable: Share,
    /// What was kept over the last second.
    pub(crate) kept_long: RecordsPerSecond,
    /// What was diverted over the last second.
    pub(crate) diverted_long: RecordsPerSecond,
    /// A subtask's attempt is so young that its lane is not yet as quick as it will be.
    pub(crate) warming: bool,
    /// Share of its processors that the busiest worker used over the last second or so; `None` if not
    /// known.
    pub(crate) worker_cpu: Option<Share>,
    /// Share of time that the busiest of the lane's tasks was busy; `None` if not known.
    pub(crate) lane_busy: Option<Share>,
    /// Set if the local output has been congested for at least the policy's
    /// `engage_back_pressure_hold`; `kept` is then what the lane took meanwhile.
    pub(crate) congested: Option<Flow>,
    /// The engine shows that the lane has room: congestion then comes from source and lane taking turns
    /// on a processor, or from a stall, and what was kept is less than the capacity.
    pub(crate) has_room: bool,
    /// How long the lane alone would take for the backlog at the source, were nothing else to arrive.
    pub(crate) lag: Option<Duration>,
    /// The same beside what arrives; `None` if never.
    pub(crate) alone: Option<Duration>,
    /// A bound keeps the valve from diverting all that the lane cannot take.
    pub(crate) bounded: bool,
}

impl State {
    pub(crate) fn sight(&self, policy: &Policy, now: Moment) -> Sight {
        let arrival = self.arrival();
        let mut sight = Sight {
            arrival,
            kept: self.short(|flow| flow.kept),
            diverted: self.short(|flow| flow.diverted),
            unavailable: self.unavailable(|subtask| subtask.short),
            kept_long: self.long(|flow| flow.kept),
            diverted_long: self.long(|flow| flow.diverted),
            warming: self
                .subtasks
                .values()
                .any(|subtask| now.since(subtask.since) < WARM_UP),
            worker_cpu: self.fresh_lane(now).and_then(|(_, load)| load.worker_cpu),
            lane_busy: self
                .fresh_lane(now)
                .and_then(|(_, load)| load.downstream_busy),
            congested: None,
            has_room: self.has_room(arrival, now),
            lag: self.lag(now),
            alone: self
                .capacity
                .rate()
                .and_then(|capacity| self.drain.alone(capacity, arrival, now)),
            bounded: self.ledger.exhausted().is_some(),
        };
        sight.congested = self
            .congested_by_reports(policy, &sight)
            .or_else(|| self.congested_by_engine(policy, &sight, now));
        sight
    }

    /// Only while the load is steady does an average over the last second say anything about now.
    fn has_room(&self, arrival: RecordsPerSecond, now: Moment) -> bool {
        let steady = arrival <= self.long(|flow| flow.received).times(STEADY);
        steady
            && self
                .fresh_lane(now)
                .and_then(|(_, load)| load.utilization())
                .is_some_and(|share| share.get() < FULL)
    }

    fn fresh_lane(&self, now: Moment) -> Option<&(Moment, LaneLoad)> {
        self.lane
            .as_ref()
            .filter(|(at, load)| now.since(*at).saturating_add(load.age) <= LANE_STALE)
    }

    /// Congested, if those subtasks are that carry most of the load.
    fn congested_by_reports(&self, policy: &Policy, sight: &Sight) -> Option<Flow> {
        let (mut congested, mut all, mut kept) = (0.0, 0.0, RecordsPerSecond::ZERO);
        let mut span = Duration::MAX;
        for subtask in self.subtasks.values() {
            let Some(flow) = subtask.short else {
                continue;
            };
            let weight = flow.received.get() + 1.0;
            all += weight;
            match subtask.congested(Share::new(policy.engage_back_pressure)) {
                Some(run) if run.span >= policy.engage_back_pressure_hold => {
                    congested += weight;
                    kept = kept.plus(run.kept);
                    span = span.min(run.span);
                }
                _ => kept = kept.plus(flow.kept),
            }
        }
        (congested > 0.5 * all).then_some(Flow {
            span,
            received: sight.arrival,
            kept,
            diverted: sight.diverted,
            unavailable: sight.unavailable,
        })
    }

    fn congested_by_engine(&self, policy: &Policy, sight: &Sight, now: Moment) -> Option<Flow> {
        let span = now.since(self.back_pressured_since?);
        let (_, load) = self.fresh_lane(now)?;
        (span >= policy.engage_back_pressure_hold).then_some(Flow {
            span,
            received: sight.arrival,
            kept: sight.kept,
            diverted: sight.diverted,
            unavailable: load.valve_back_pressured.unwrap_or_default(),
        })
    }

    /// The sum over all subtasks, over the last two reports or so.
    pub(crate) fn short(&self, of: impl Fn(&Flow) -> RecordsPerSecond) -> RecordsPerSecond {
        self.subtasks
            .values()
            .filter_map(|subtask| subtask.short.as_ref())
            .fold(RecordsPerSecond::ZERO, |sum, flow| sum.plus(of(flow)))
    }

    /// The same over the last second.
    pub(crate) fn long(&self, of: impl Fn(&Flow) -> RecordsPerSecond) -> RecordsPerSecond {
        self.subtasks
            .values()
            .filter_map(|subtask| subtask.long.as_ref())
            .fold(RecordsPerSecond::ZERO, |sum, flow| sum.plus(of(flow)))
    }

    /// Share of time without room in the local output, weighted by what each subtask receives.
    fn unavailable(&self, flow: impl Fn(&super::Subtask) -> Option<Flow>) -> Share {
        let (mut sum, mut all) = (0.0, 0.0);
        for flow in self.subtasks.values().filter_map(flow) {
            let weight = flow.received.get() + 1.0;
            sum += weight * flow.unavailable.get();
            all += weight;
        }
        Share::new(if all > 0.0 { sum / all } else { 0.0 })
    }

    /// What the last second has shown the lane can take.
    pub(crate) fn show(&mut self, sight: &Sight, now: Moment) {
        let whole = |subtask: &super::Subtask| subtask.long.is_some_and(|flow| flow.span >= LONG);
        if !self.subtasks.values().all(whole) {
            return;
        }
        self.steady.see(sight.kept_long, now);
        self.capacity.at_least(sight.kept_long);
        let calm = sight.congested.is_none()
            && self.back_pressured_since.is_none()
            && self.unavailable(|subtask| subtask.long).get() < CALM;
        if calm && sight.diverted_long <= sight.kept_long.times(phase::HARDLY) {
            self.capacity.ordinary(sight.kept_long, now);
        }
    }

    /// Learns from how busy the lane is. Not from one that is saturated, which tells more by itself; and beside a diverting, which
    /// costs the worker processor time, only as far as that is little, or the worker full. What the engine tells of a minute ago says
    /// something about what is kept now only if as much has been kept since then.
    pub(crate) fn learn(&mut self, policy: &Policy, load: &LaneLoad, sight: &Sight, now: Moment) {
        let diverting = sight.diverted_long > sight.kept_long.times(phase::HARDLY);
        let told = load
            .age
            .saturating_add(load.window.max(load.worker_cpu_window));
        if load.age > LANE_STALE && !self.steady.for_as_long_as(told, now) {
            return;
        }
        let (kept, diverted) = (sight.kept_long, sight.diverted_long);
        let beside = diverted.times(DIVERT_COST);
        let full = load.worker_cpu.is_some_and(|cpu| cpu.get() >= FULL);
        let told_apart = !diverting || (!full && beside <= kept.times(LITTLE));
        if sight.congested.is_none() && told_apart {
            self.capacity.see(kept.plus(beside), load, now, policy);
        }
        // A lane that takes all that it is given, or for which next to nothing is left over, may be able to take more: then
        // something else fills the worker.
        let given = self.phase.local_rate(policy, &self.capacity, now);
        let limits = diverted > kept.times(TRICKLE)
            && given.is_none_or(|given| kept < given.times(TAKES_ALL));
        let span = load.worker_cpu_window;
        if full && limits && !span.is_zero() && !sight.warming {
            self.capacity.full(kept, diverted, span, now, policy);
        }
    }
}
