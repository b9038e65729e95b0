//! Decides how much of the arriving load stays in the local lane.
//!
//! Everything here is pure: `(state, observation, now) → (state, decision)`. There is no clock, no I/O
//! and no randomness, so that a recorded trace replays to the same decisions, and a simulation runs the
//! very code that steers a real job.
//!
//! The controller is in one of three [phases](phase): the capacity of the local lane is not known; it is
//! known and the valve is *armed*, which means that it diverts by itself whatever exceeds its local rate;
//! or a spike is being diverted, and the local rate follows what the lane can take beside that.

mod allocate;
mod capacity;
mod decision;
mod moment;
mod observation;
mod phase;
mod policy;
mod subtask;
mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use spillway_core::directive::{Directive, Mode};

pub use decision::{Budget, CapacityEstimate, Decision};
pub use moment::Moment;
pub use observation::{CloudLane, LaneLoad, Observation, Reading};
pub use policy::{Policy, PolicyMode};
pub use units::{NotAQuantity, RecordsPerSecond, Share, Usd};

use capacity::Capacity;
use phase::{Phase, Sight};
use subtask::{Flow, Subtask};

/// Arrival is averaged over this time: two reports, so that one that came late does not look like a gap.
const SHORT: Duration = Duration::from_millis(200);
/// What a lane is believed to take without congestion it has to have taken for so long: longer than it
/// takes to fill the network buffers.
const LONG: Duration = Duration::from_secs(1);
/// Up to this share of time without room, the local output counts as uncongested.
const CALM: f64 = 0.1;
/// A new attempt's lane is not as quick as it will be: its JVM has yet to compile the hot code.
const WARM_UP: Duration = Duration::from_secs(5);
/// A sensor's observation says nothing about now when it is older than this.
const LANE_STALE: Duration = Duration::from_secs(2);
/// A longer lag is told as this: a day.
const MAX_LAG_S: f64 = 86_400.0;
/// No more subtasks than this are kept apart; reports of further ones are answered with `local`.
pub const MAX_SUBTASKS: usize = 4096;

/// All that the controller of one valve remembers. It can be written down, so that a trace may begin while
/// a valve is being steered; what is in it is nobody else's business.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct State {
    subtasks: BTreeMap<u32, Subtask>,
    capacity: Capacity,
    phase: Phase,
    lane: Option<(Moment, LaneLoad)>,
    /// Since when the engine's own metrics have shown back-pressure at the valve.
    back_pressured_since: Option<Moment>,
    /// Whether an attempt is so young that its lane is not yet as quick as it will be.
    warming: bool,
    cloud: CloudLane,
    /// All that the cloud lane has cost so far.
    spent: Usd,
    mode: Mode,
    reason: String,
}

impl Default for State {
    fn default() -> Self {
        Self {
            subtasks: BTreeMap::new(),
            capacity: Capacity::default(),
            phase: Phase::default(),
            lane: None,
            back_pressured_since: None,
            warming: false,
            cloud: CloudLane::Closed {
                reason: "the cloud lane has not been looked at yet".into(),
            },
            spent: Usd::ZERO,
            mode: Mode::Local,
            reason: "nothing has been observed yet".into(),
        }
    }
}

/// Takes in one observation and decides.
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
            state.look(policy, load.clone(), now);
            (None, true)
        }
        Observation::Cloud(cloud) => {
            state.cloud = cloud.clone();
            (None, true)
        }
        Observation::Spent { usd } => {
            state.spent = *usd;
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

/// What the whole valve is to do.
struct Plan {
    mode: Mode,
    /// `None`: as much as it can.
    local_rate: Option<RecordsPerSecond>,
    divert: bool,
    credits: u32,
    bound_by: Option<Budget>,
    reason: String,
}

impl State {
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
        self.total(SHORT, |flow| flow.received)
    }

    /// Arrival over capacity, if that is known.
    pub fn utilization(&self) -> Option<f64> {
        let capacity = self.capacity()?.get();
        Some(self.arrival().get() / capacity.max(1.0))
    }

    /// How long the local lane alone would take for what waits at the source, if that is known.
    pub fn lag(&self, now: Moment) -> Option<Duration> {
        let (at, load) = self.lane.as_ref()?;
        if now.since(*at) > LANE_STALE {
            return None;
        }
        let pending = load.pending_records? as f64;
        let seconds = pending / self.capacity()?.get().max(1.0);
        Some(Duration::from_secs_f64(seconds.min(MAX_LAG_S)))
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
        let flow = self.subtasks.get(&subtask)?.flow(LONG)?;
        Some((flow.received, flow.kept, flow.diverted))
    }

    fn take(&mut self, subtask: u32, reading: &Reading, now: Moment) -> bool {
        let full = self.subtasks.len() >= MAX_SUBTASKS;
        let Some(known) = self.subtasks.get_mut(&subtask) else {
            if !full {
                self.subtasks.insert(subtask, Subtask::new(reading, now));
            }
            return !full;
        };
        if known.parallelism != reading.parallelism {
            // The job was rescaled: what its lane could take says nothing about now.
            self.capacity = Capacity::default();
            self.phase = Phase::default();
        }
        known.take(reading, now)
    }

    fn look(&mut self, policy: &Policy, load: LaneLoad, now: Moment) {
        let pressed = load
            .valve_back_pressured
            .is_some_and(|share| share.get() >= policy.engage_back_pressure);
        self.back_pressured_since = match self.back_pressured_since {
            Some(since) if pressed => Some(since),
            // The share is an average over the window just past, so that is when it began.
            _ => pressed.then(|| Moment::at(now.elapsed().saturating_sub(load.window))),
        };
        self.lane = Some((now, load));
    }

    /// Moves the estimate and the phase by what was just observed.
    fn think(&mut self, policy: &Policy, observation: &Observation, now: Moment) {
        let sight = self.sight(policy, now);
        self.warming = sight.warming;
        match observation {
            Observation::Lane(load) => self.guess(policy, load, &sight, now),
            Observation::Report { .. } => self.show(&sight, now),
            Observation::Cloud(_) | Observation::Spent { .. } => {}
        }
        self.phase = std::mem::take(&mut self.phase).next(policy, &sight, &mut self.capacity, now);
    }

    /// The whole valve's flow, as far as it is known.
    fn sight(&self, policy: &Policy, now: Moment) -> Sight {
        let threshold = Share::new(policy.engage_back_pressure);
        let mut sight = Sight {
            arrival: self.total(SHORT, |flow| flow.received),
            kept: self.total(SHORT, |flow| flow.kept),
            diverted: self.total(SHORT, |flow| flow.diverted),
            unavailable: self.weighted(SHORT, |flow| flow.unavailable.get()),
            kept_long: self.total(LONG, |flow| flow.kept),
            diverted_long: self.total(LONG, |flow| flow.diverted),
            warming: self
                .subtasks
                .values()
                .any(|subtask| now.since(subtask.since) < WARM_UP),
            worker_cpu: self
                .lane
                .as_ref()
                .filter(|(at, _)| now.since(*at) <= LANE_STALE)
                .and_then(|(_, load)| load.worker_cpu),
            ..Sight::default()
        };
        // Congested, if those subtasks are that carry most of the load.
        let (mut congested, mut all, mut kept) = (0.0, 0.0, RecordsPerSecond::ZERO);
        let mut span = Duration::MAX;
        for subtask in self.subtasks.values() {
            let Some(flow) = subtask.flow(SHORT) else {
                continue;
            };
            let weight = flow.received.get() + 1.0;
            all += weight;
            match subtask.congested(threshold) {
                Some(run) if run.span >= policy.engage_hold => {
                    congested += weight;
                    kept = kept.plus(run.kept);
                    span = span.min(run.span);
                }
                _ => kept = kept.plus(flow.kept),
            }
        }
        if congested > 0.5 * all {
            sight.congested = Some(Flow {
                span,
                received: sight.arrival,
                kept,
                diverted: sight.diverted,
                unavailable: sight.unavailable,
            });
        } else if let (Some(since), Some((at, load))) = (self.back_pressured_since, &self.lane)
            && now.since(*at) <= LANE_STALE
            && now.since(since) >= policy.engage_hold
        {
            sight.congested = Some(Flow {
                span: now.since(since),
                received: sight.arrival,
                kept: sight.kept,
                diverted: sight.diverted,
                unavailable: load.valve_back_pressured.unwrap_or_default(),
            });
        }
        sight
    }

    fn total(&self, window: Duration, of: impl Fn(&Flow) -> RecordsPerSecond) -> RecordsPerSecond {
        self.subtasks
            .values()
            .filter_map(|subtask| subtask.flow(window))
            .fold(RecordsPerSecond::ZERO, |sum, flow| sum.plus(of(&flow)))
    }

    fn weighted(&self, window: Duration, of: impl Fn(&Flow) -> f64) -> Share {
        let (mut sum, mut all) = (0.0, 0.0);
        for flow in self
            .subtasks
            .values()
            .filter_map(|subtask| subtask.flow(window))
        {
            let weight = flow.received.get() + 1.0;
            sum += weight * of(&flow);
            all += weight;
        }
        Share::new(if all > 0.0 { sum / all } else { 0.0 })
    }

    /// What the last second has shown the lane can take.
    fn show(&mut self, sight: &Sight, now: Moment) {
        if !self
            .subtasks
            .values()
            .all(|subtask| subtask.flow(LONG).is_some_and(|flow| flow.span >= LONG))
        {
            return;
        }
        self.capacity.at_least(sight.kept_long);
        let calm = sight.congested.is_none()
            && self.back_pressured_since.is_none()
            && self.weighted(LONG, |flow| flow.unavailable.get()).get() < CALM;
        if calm && sight.diverted_long <= sight.kept_long.times(phase::HARDLY) {
            self.capacity.ordinary(sight.kept_long, now);
        }
    }

    /// Takes a guess at the capacity from a utilisation. Only from an undisturbed lane: diverting costs
    /// the worker processor time that a guess would put down to the lane.
    fn guess(&mut self, policy: &Policy, load: &LaneLoad, sight: &Sight, now: Moment) {
        let Some(utilization) = load.utilization() else {
            return;
        };
        let kept = self.total(LONG, |flow| flow.kept);
        let diverted = self.total(LONG, |flow| flow.diverted);
        let unavailable = self.weighted(LONG, |flow| flow.unavailable.get());
        if sight.congested.is_none()
            && unavailable.get() < CALM
            && diverted <= kept.times(phase::HARDLY)
        {
            self.capacity.guess(kept, utilization, now, policy);
        }
    }

    fn plan(&self, policy: &Policy, now: Moment) -> Plan {
        let local = |reason: String| Plan {
            mode: Mode::Local,
            local_rate: None,
            divert: false,
            credits: 0,
            bound_by: None,
            reason,
        };
        let offered = match (&policy.mode, &self.cloud) {
            (PolicyMode::Local, _) => {
                return local("policy.mode is local: everything stays in the local lane".into());
            }
            (_, CloudLane::Closed { reason }) => return local(reason.clone()),
            (_, CloudLane::Open { credits }) => *credits,
        };
        let credits = policy
            .max_concurrency
            .map_or(offered, |most| most.min(offered));
        let bound_by = (credits < offered).then_some(Budget::Concurrency);
        if policy.mode == PolicyMode::Burst {
            return Plan {
                mode: Mode::Burst,
                local_rate: Some(RecordsPerSecond::ZERO),
                divert: true,
                credits,
                bound_by,
                reason: "policy.mode is burst: everything is diverted".into(),
            };
        }
        let floor = RecordsPerSecond::new(policy.min_rate);
        match (
            &self.phase,
            self.phase.local_rate(policy, &self.capacity, now),
        ) {
            (Phase::Unknown { .. }, _) | (_, None) => local(self.phase.reason().to_owned()),
            (Phase::Armed { reason, .. }, _) if !policy.armed => {
                local(format!("policy.armed is false: {reason}"))
            }
            (Phase::Armed { reason, .. }, Some(rate)) => Plan {
                mode: Mode::Armed,
                local_rate: Some(rate.max(floor)),
                divert: true,
                credits,
                bound_by,
                reason: reason.clone(),
            },
            // A lane that warms up is given all it can take, which also warms it up soonest. The valve
            // diverts what finds no room.
            (Phase::Burst { reason, .. }, _) if self.warming => Plan {
                mode: Mode::Burst,
                local_rate: None,
                divert: true,
                credits,
                bound_by,
                reason: reason.clone(),
            },
            (Phase::Burst { reason, .. }, Some(rate)) => {
                let rate = rate.max(floor);
                let share = policy.target_utilization;
                Plan {
                    mode: Mode::Burst,
                    local_rate: Some(rate),
                    divert: true,
                    credits,
                    bound_by,
                    reason: format!(
                        "{reason}; now {rate} stay local, {share:.2} of what the lane takes"
                    ),
                }
            }
        }
    }

    /// One subtask's part of the plan.
    fn directive(&self, plan: &Plan, subtask: u32, policy: &Policy) -> Directive {
        let position = self.subtasks.keys().position(|known| *known == subtask);
        let demand = |of: fn(&Flow) -> RecordsPerSecond| -> Vec<RecordsPerSecond> {
            let flows = self
                .subtasks
                .values()
                .map(|subtask| subtask.flow(SHORT).unwrap_or_default());
            flows.map(|flow| of(&flow)).collect()
        };
        let (local_rate, credits) = match position {
            None => (None, 0),
            Some(index) => (
                plan.local_rate
                    .map(|rate| allocate::split_rate(rate, &demand(|flow| flow.received))[index]),
                allocate::split_credits(plan.credits, &demand(|flow| flow.received))[index],
            ),
        };
        // The policy's bound on the lease is below u32::MAX.
        let lease_ms = u32::try_from(policy.lease.as_millis()).unwrap_or(Directive::MAX_LEASE_MS);
        Directive {
            local_rate: local_rate.map(RecordsPerSecond::get),
            divert: plan.divert && position.is_some(),
            credits: credits.min(Directive::MAX_CREDITS),
            lease_ms: lease_ms.clamp(1, Directive::MAX_LEASE_MS),
            mode: plan.mode,
            reason: plan.reason.clone(),
        }
    }
}
