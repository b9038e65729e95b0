//! Decides how much of the arriving load stays in the local lane.
//!
//! Everything here is pure: `(state, observation, now) → (state, decision)`. There is no clock, no I/O
//! and no randomness, so that a recorded trace replays to the same decisions, and a simulation runs the
//! very code that steers a real job.
//!
//! The controller is in one of three [phases](phase): the capacity of the local lane is not known; it is
//! known and the valve is *armed*, which means that it diverts by itself whatever exceeds its local rate;
//! or a spike is being diverted, and the local rate follows what the lane can take beside that.
//!
//! `docs/controller.md` has every formula and where each constant comes from.

mod allocate;
mod budget;
mod burst;
mod capacity;
mod decision;
mod drain;
mod hold;
mod moment;
mod observation;
mod phase;
mod plan;
mod policy;
mod sight;
mod spending;
mod steady;
mod subtask;
mod units;
mod usage;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use spillway_core::directive::Mode;

pub use decision::{Budget, CapacityEstimate, Decision};
pub use moment::Moment;
pub use observation::{CloudLane, LaneLoad, Observation, Reading};
pub use policy::{Policy, PolicyMode};
pub(crate) use spending::Spending;
pub use units::{NotAQuantity, RecordsPerSecond, Share, Usd};

use budget::Ledger;
use capacity::Capacity;
use drain::Drain;
use hold::Changes;
use phase::Phase;
use steady::Steady;
use subtask::Subtask;

/// Arrival is averaged over this time: two reports, so that one that came late does not look like a gap.
const SHORT: Duration = Duration::from_millis(200);
/// What a lane is believed to take without congestion it has to have taken for so long: longer than it
/// takes to fill the network buffers.
const LONG: Duration = Duration::from_secs(1);
/// A longer lag is told as this: a day.
const MAX_LAG_S: f64 = 86_400.0;
/// No more subtasks than this are kept apart; reports of further ones are answered with `local`.
pub const MAX_SUBTASKS: usize = 4096;

/// All that the controller of one valve remembers. It can be written down, so that a trace may begin while
/// a valve is being steered; what is in it is nobody else's business.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct State {
    subtasks: BTreeMap<u32, Subtask>,
    /// Of the valve, by the last report that was counted. A job that is rescaled is silent for longer than its
    /// subtasks are remembered.
    #[serde(default)]
    parallelism: Option<u32>,
    /// Since when it keeps about the same.
    #[serde(default)]
    steady: Steady,
    capacity: Capacity,
    phase: Phase,
    changes: Changes,
    ledger: Ledger,
    drain: Drain,
    lane: Option<(Moment, LaneLoad)>,
    /// Since when the engine's own metrics have shown back-pressure at the valve.
    back_pressured_since: Option<Moment>,
    /// Whether an attempt is so young that its lane is not yet as quick as it will be.
    warming: bool,
    cloud: CloudLane,
    mode: Mode,
    reason: String,
}

impl Default for State {
    fn default() -> Self {
        Self {
            subtasks: BTreeMap::new(),
            parallelism: None,
            steady: Steady::default(),
            capacity: Capacity::default(),
            phase: Phase::default(),
            changes: Changes::default(),
            ledger: Ledger::default(),
            drain: Drain::default(),
            lane: None,
            back_pressured_since: None,
            warming: false,
            cloud: CloudLane::Closed {
                reason: "the cloud lane has not been looked at yet".into(),
            },
            mode: Mode::Local,
            reason: "nothing has been observed yet".into(),
        }
    }
}

/// Takes in one observation and decides.
///
/// `now` never runs backwards from one call to the next.
pub fn decide(
    policy: &Policy,
    mut state: State,
    observation: &Observation,
    now: Moment,
) -> (State, Decision) {
    let (reporter, counted) = match observation {
        Observation::Report { subtask, reading } => {
            (Some(*subtask), state.take(*subtask, reading, now))
        }
        Observation::Lane(load) => {
            state.look(policy, load, now);
            (None, true)
        }
        Observation::Cloud(cloud) => {
            state.cloud = cloud.clone();
            (None, true)
        }
        Observation::Spent { usd } => {
            state.ledger.spent(*usd, now);
            (None, true)
        }
    };
    state
        .subtasks
        .retain(|_, subtask| now.since(subtask.heard_at) <= policy.lease);
    if counted {
        state.think(policy, observation, now);
    }
    let before = state.mode;
    let plan = state.plan(policy, now);
    state.mode = plan.mode;
    state.reason.clone_from(&plan.reason);
    let decision = Decision {
        directive: reporter.map(|subtask| state.directive(&plan, subtask, policy)),
        mode: plan.mode,
        mode_changed: plan.mode != before,
        counted,
        local_rate: plan.local_rate,
        divert: plan.divert,
        credits: plan.credits,
        arrival: state.arrival(),
        capacity: state.capacity_estimate(now),
        utilization: state.utilization(),
        lag: state.lag(now),
        bound_by: plan.bound_by,
        reason: plan.reason,
    };
    (state, decision)
}

impl State {
    /// Whether the cloud lane takes batches.
    pub(crate) fn could_divert(&self) -> bool {
        matches!(self.cloud, CloudLane::Open { .. })
    }

    /// The estimated capacity of the local lane.
    pub fn capacity(&self) -> Option<RecordsPerSecond> {
        self.capacity.rate()
    }

    /// The same, and how sure that is.
    pub fn capacity_estimate(&self, now: Moment) -> Option<CapacityEstimate> {
        self.capacity.estimate(now)
    }

    /// What arrives at all subtasks together.
    pub fn arrival(&self) -> RecordsPerSecond {
        self.short(|flow| flow.received)
    }

    /// Arrival over capacity, if that is known.
    pub fn utilization(&self) -> Option<f64> {
        let capacity = self.capacity()?.get();
        Some(self.arrival().get() / capacity.max(1.0))
    }

    /// How long the local lane alone would take for what waits at the source, if that is known.
    pub fn lag(&self, now: Moment) -> Option<Duration> {
        let seconds = self.drain.pending(now)? / self.capacity()?.get().max(1.0);
        Some(Duration::from_secs_f64(seconds.min(MAX_LAG_S)))
    }

    /// What was spent on the cloud lane in the last 60 minutes, as far as this valve has heard of it.
    pub fn spent_last_hour(&self) -> Usd {
        self.ledger.last_hour()
    }

    /// What the whole valve is about.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Why, in one sentence.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Rates of one subtask over the last moments: received, kept, put into batches. `None` until it has
    /// reported twice.
    pub fn rates(
        &self,
        subtask: u32,
    ) -> Option<(RecordsPerSecond, RecordsPerSecond, RecordsPerSecond)> {
        let flow = self.subtasks.get(&subtask)?.long?;
        Some((flow.received, flow.kept, flow.diverted))
    }

    fn take(&mut self, subtask: u32, reading: &Reading, now: Moment) -> bool {
        let full = self.subtasks.len() >= MAX_SUBTASKS;
        match self.subtasks.get_mut(&subtask) {
            Some(known) => {
                let Some(diverted) = known.take(reading, now) else {
                    return false;
                };
                self.ledger.diverted(diverted, now);
            }
            None if full => return false,
            None => {
                self.subtasks.insert(subtask, Subtask::new(reading, now));
            }
        }
        let before = self.parallelism.replace(reading.parallelism);
        if before.is_some_and(|parallelism| parallelism != reading.parallelism) {
            // The job was rescaled: what its lane could take says nothing about now.
            self.capacity = Capacity::default();
            self.phase = Phase::default();
        }
        true
    }

    fn look(&mut self, policy: &Policy, load: &LaneLoad, now: Moment) {
        let pressed = load
            .valve_back_pressured
            .is_some_and(|share| share.get() >= policy.engage_back_pressure);
        self.back_pressured_since = match self.back_pressured_since {
            Some(since) if pressed => Some(since),
            // The share is an average over the window just past, so that is when it began.
            _ => {
                let ago = load.window.saturating_add(load.age);
                pressed.then(|| Moment::at(now.elapsed().saturating_sub(ago)))
            }
        };
        self.drain.see(load.pending_records, now);
        self.lane = Some((now, load.clone()));
    }

    /// Moves the estimate and the phase by what was just observed.
    fn think(&mut self, policy: &Policy, observation: &Observation, now: Moment) {
        let sight = self.sight(policy, now);
        self.warming = sight.warming;
        match observation {
            Observation::Lane(load) => self.learn(policy, load, &sight, now),
            Observation::Report { .. } => self.show(&sight, now),
            Observation::Cloud(_) | Observation::Spent { .. } => {}
        }
        self.phase = std::mem::take(&mut self.phase).next(
            policy,
            &sight,
            &mut self.capacity,
            &mut self.changes,
            now,
        );
        self.bound(policy, &sight, now);
    }

    /// What may be diverted: the policy's budgets, and no more than a backlog needs.
    fn bound(&mut self, policy: &Policy, sight: &sight::Sight, now: Moment) {
        let diverting = matches!(self.phase, Phase::Burst(_)) && policy.mode == PolicyMode::Auto;
        let lag = sight.lag.unwrap_or_default();
        if !diverting || lag <= policy.release_lag {
            self.drain.end();
        } else if lag > policy.engage_lag {
            self.drain.begin(now);
        }
        let need = self.drain.need(policy, sight.arrival, sight.kept_long, now);
        self.ledger.fill(policy, sight.arrival, need, now);
    }
}
