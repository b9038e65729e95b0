//! A spike is being diverted: how much stays local meanwhile, and when it is over.

use std::time::Duration;

use super::SHORT;
use super::capacity::Capacity;
use super::hold::{Changes, Hold};
use super::moment::Moment;
use super::phase::{Armed, HARDLY, LEAST_BESIDE, Phase, armed_rate};
use super::policy::Policy;
use super::sight::{FULL, Sight};
use super::units::RecordsPerSecond;

/// A share diverted up to this, over a second, does not keep a spike open. When a window fires, the lane
/// pauses for some ten milliseconds; what finds no room meanwhile is diverted at any ordinary load.
pub(crate) const TRICKLE: f64 = 0.05;
/// An arrival that the lane takes as a whole, although it is not below release, must stay for so long until the
/// mode says so. Diverting has ended by then anyhow; a load that swings around the threshold comes back before.
const SETTLED: Duration = Duration::from_secs(10);
/// After congestion the local rate is left alone for so long before it is raised, unless the engine shows that the lane
/// has ample room. Raising it at once would congest the lane every second or so.
const PAUSE_AFTER_CONGESTION: Duration = Duration::from_secs(5);
/// The same once the arrival is below what the lane takes by itself.
const PAUSE_AFTER_SPIKE: Duration = Duration::from_millis(500);
/// The same at the start of a spike, when the lane has not been congested.
const PAUSE_AT_START: Duration = Duration::from_secs(1);
/// Each step up that goes well doubles the next one, up to this many times: a rate that is far too low
/// (a stall, a lane that was warming up) is left within seconds.
const MAX_DOUBLINGS: u32 = 3;
/// Below this share of its processors a worker has room for more in the local lane; between the two it is left alone.
const ROOMY: f64 = 0.9;
/// Below this one, and if no task of the lane is that busy either, it has so much that the rate is raised sooner, and not by
/// the smallest steps first: what congested the lane was a stall (a window that fired, the just-in-time compiler, source and
/// lane taking turns), and is over.
const AMPLE: f64 = 0.75;
/// What the first step up is then doubled by.
const AMPLE_DOUBLINGS: u32 = 2;
/// What the local rate is multiplied by when the processor is full.
const EASE: f64 = 0.85;
/// A worker's processor share is an average over about a second, so the effect of a change is seen only
/// after as long.
const PROCESSOR_LAG: Duration = Duration::from_millis(1_200);

/// What is remembered of a spike.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Burst {
    /// What the lane can take beside the diverting, which costs processor time too.
    beside: RecordsPerSecond,
    /// When `beside` was last changed.
    changed_at: Moment,
    /// When the lane was last seen congested; a lane that is warming up does not count.
    congested_at: Option<Moment>,
    /// When the spike began.
    began_at: Moment,
    /// Steps up since the lane was last congested.
    steps: u32,
    /// The arrival is low.
    low: Hold,
    /// Nothing has to be diverted.
    calm: Hold,
    /// The local output has room.
    eased: Hold,
    /// The backlog at the source is short.
    caught_up: Hold,
    /// The spike is over, but the mode must not change again so soon.
    over: bool,
    /// It began with a lane that was warming up: such a start is no spike, and its changes of mode are not
    /// counted.
    cold: bool,
    pub(crate) reason: String,
}

impl Burst {
    pub(crate) fn new(
        beside: RecordsPerSecond,
        now: Moment,
        congested: bool,
        reason: String,
    ) -> Self {
        Self {
            beside,
            changed_at: now,
            congested_at: congested.then_some(now),
            began_at: now,
            steps: 0,
            low: Hold::default(),
            calm: Hold::default(),
            eased: Hold::default(),
            caught_up: Hold::default(),
            over: false,
            cold: false,
            reason,
        }
    }

    /// The same with a lane that is warming up.
    pub(crate) fn cold(self) -> Self {
        Self { cold: true, ..self }
    }

    /// What stays local.
    pub(crate) fn local_rate(
        &self,
        policy: &Policy,
        capacity: &Capacity,
        now: Moment,
    ) -> RecordsPerSecond {
        let rate = self.beside.times(policy.target_utilization);
        if self.over {
            armed_rate(policy, capacity, now).unwrap_or(rate)
        } else {
            rate
        }
    }

    /// What is done about it now, `rate` staying local.
    pub(crate) fn describe(&self, policy: &Policy, rate: RecordsPerSecond) -> String {
        if self.over {
            format!("over by now, but the mode has just changed; {rate} may stay local")
        } else {
            let share = policy.target_utilization;
            format!("now {rate} stay local, {share:.2} of what the lane takes")
        }
    }

    /// The phase after what was just seen.
    pub(crate) fn next(
        mut self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        changes: &mut Changes,
        now: Moment,
    ) -> Phase {
        let known = capacity.rate().unwrap_or(self.beside);
        let over = self.over(policy, sight, known, now);
        self.over = over.is_some();
        let settled = self.low.lasted(policy.release_hold, now) || self.calm.lasted(SETTLED, now);
        if let Some(reason) = over
            && settled
            && (self.cold || changes.release(now))
        {
            return match capacity.rate() {
                Some(_) => Phase::Armed(Armed::after(reason)),
                None => Phase::default(),
            };
        }
        self.steer(policy, sight, known, capacity, now);
        Phase::Burst(self)
    }

    /// Why the spike is over, if it is.
    fn over(
        &mut self,
        policy: &Policy,
        sight: &Sight,
        known: RecordsPerSecond,
        now: Moment,
    ) -> Option<String> {
        let uncongested = sight.congested.is_none();
        self.low
            .see(sight.arrival < known.times(policy.release_utilization), now);
        self.calm.see(
            uncongested && !sight.bounded && sight.diverted_long <= sight.kept_long.times(TRICKLE),
            now,
        );
        self.eased.see(
            uncongested && sight.unavailable.get() < policy.release_back_pressure,
            now,
        );
        self.caught_up
            .see(sight.lag.is_none_or(|lag| lag <= policy.release_lag), now);
        if !self.eased.lasted(policy.release_back_pressure_hold, now)
            || !self.caught_up.lasted(policy.release_lag_hold, now)
        {
            return None;
        }
        if self.low.lasted(policy.release_hold, now) {
            return Some(format!(
                "arrival {} < {:.2} × capacity {known} for {} ms",
                sight.arrival,
                policy.release_utilization,
                self.low.span(now).unwrap_or_default().as_millis()
            ));
        }
        self.calm.lasted(policy.release_hold, now).then(|| {
            format!(
                "of {} only {} had to be diverted for {} ms",
                sight.arrival,
                sight.diverted_long,
                self.calm.span(now).unwrap_or_default().as_millis()
            )
        })
    }

    /// Moves what stays local to what the lane can take beside the diverting.
    fn steer(
        &mut self,
        policy: &Policy,
        sight: &Sight,
        known: RecordsPerSecond,
        capacity: &mut Capacity,
        now: Moment,
    ) {
        if sight.warming {
            // It is given all that it can take, so that is what it takes beside the diverting; no less shall stay local afterwards.
            let taken = sight.kept_long.times(1.0 / policy.target_utilization);
            self.beside = self.beside.max(taken);
        }
        if let Some(run) = &sight.congested {
            self.steps = 0;
            if !sight.warming {
                self.congested_at = Some(now);
                capacity.first(run.kept, now);
            }
            // Wait until the last change can have had its effect on what is now seen.
            if now.since(self.changed_at) >= policy.engage_back_pressure_hold.max(SHORT) {
                self.beside = saturated(self.beside, run.kept, sight.kept_long, policy);
                self.changed_at = now;
            }
            return;
        }
        if sight.worker_cpu.is_some_and(|cpu| cpu.get() >= FULL) && !sight.warming {
            self.steps = 0;
            if now.since(self.changed_at) >= PROCESSOR_LAG {
                // Below that it is not the lane that fills the processor.
                let floor = known
                    .times(LEAST_BESIDE)
                    .max(RecordsPerSecond::new(policy.min_rate));
                self.beside = self.beside.times(EASE).max(floor.min(self.beside));
                self.changed_at = now;
            }
            return;
        }
        // The spike is over, or nearly: what made the lane slower, the diverting, is too.
        if self.beside < known
            && sight.arrival < known.times(policy.engage_utilization)
            && self
                .congested_at
                .is_none_or(|at| now.since(at) >= PAUSE_AFTER_SPIKE)
        {
            self.beside = known;
            self.changed_at = now;
            return;
        }
        let ample = sight.worker_cpu.is_some_and(|cpu| cpu.get() < AMPLE)
            && sight.lane_busy.is_none_or(|busy| busy.get() < ROOMY);
        let quiet_since = match self.congested_at {
            // An average over a second that began after the congestion.
            Some(at) if ample => at.plus(PROCESSOR_LAG),
            Some(at) => at.plus(PAUSE_AFTER_CONGESTION),
            None if ample => self.began_at.plus(PAUSE_AT_START / 2),
            None => self.began_at.plus(PAUSE_AT_START),
        };
        let given = self.beside.times(policy.target_utilization);
        // Raise it if the lane has shown that it can take all it is given, and something is left to give.
        if now >= quiet_since
            && sight.worker_cpu.is_none_or(|cpu| cpu.get() < ROOMY)
            && now.since(self.changed_at) >= policy.probe_interval
            && sight.unavailable.get() < policy.release_back_pressure
            && sight.kept >= given.times(0.8)
            && sight.diverted > sight.arrival.times(HARDLY)
        {
            let doublings = self.steps.max(if ample { AMPLE_DOUBLINGS } else { 0 });
            let step = policy.probe_step * f64::from(1_u32 << doublings.min(MAX_DOUBLINGS));
            self.beside = self.beside.plus(self.beside.times(step));
            self.steps += 1;
            self.changed_at = now;
        }
    }
}

/// The lane was congested: what it took then is what it can take beside the diverting. That is quickly
/// believed, but not more than halved at once, since one stall is no trend; and it is no less than what the
/// lane took over the last second, credits having run out perhaps.
fn saturated(
    beside: RecordsPerSecond,
    kept: RecordsPerSecond,
    kept_long: RecordsPerSecond,
    policy: &Policy,
) -> RecordsPerSecond {
    beside
        .min(kept)
        .max(beside.times(0.5))
        .max(kept_long)
        .max(RecordsPerSecond::new(policy.min_rate))
}
