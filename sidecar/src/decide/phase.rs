//! The controller's phases, and what moves it from one to the next.
//!
//! ```text
//!            several guesses agree                 arrival above engage, or congestion, held
//!  Unknown ────────────────────────▶ Armed ───────────────────────────────────────▶ Burst
//!     │                                ▲                                              │ ▲
//!     │                                └── arrival below release, or nothing left ────┘ │
//!     │                                    to divert, held                              │
//!     └───────────────────── congestion, held: what was kept is the capacity ───────────┘
//! ```

use std::time::Duration;

use super::capacity::Capacity;
use super::moment::Moment;
use super::policy::Policy;
use super::subtask::Flow;
use super::units::{RecordsPerSecond, Share};

/// A diverted share up to this counts as nothing: it is a token bucket's edge, not a spike.
pub(crate) const HARDLY: f64 = 0.01;
/// A share diverted up to this, over a second, does not keep a spike open. When a window fires, the lane
/// pauses for some ten milliseconds; what finds no room meanwhile is diverted at any ordinary load.
const TRICKLE: f64 = 0.05;
/// An armed valve is given at least this many times what the lane recently took without congestion, so
/// that a capacity estimated too low cannot divert ordinary load.
const HEADROOM: f64 = 1.1;
/// The same while the capacity is only guessed. At low load a guess is far too low, as it puts down to the
/// records what the worker spends anyway (checkpoints, metrics, compiling). Being too generous costs
/// little: the valve diverts what finds no room, and a spike of several times the load still empties its
/// bucket within milliseconds.
const GUESSED_HEADROOM: f64 = 2.0;
/// After congestion the local rate is left alone for so long before it is raised. Raising it at once
/// would congest the lane every second or so.
const PAUSE_AFTER_CONGESTION: Duration = Duration::from_secs(5);
/// The same once the arrival is below what the lane takes by itself.
const PAUSE_AFTER_SPIKE: Duration = Duration::from_millis(500);
/// The same at the start of a spike, when the lane has not been congested.
const PAUSE_AT_START: Duration = Duration::from_secs(1);
/// Each step up that goes well doubles the next one, up to this many times: a rate that is far too low
/// (a stall, a lane that was warming up) is left within seconds.
const MAX_DOUBLINGS: u32 = 3;
/// A worker that uses this share of its processors has none to spare: source, valve and lane take turns,
/// and records wait at the source, where no counter of the valve shows it.
const FULL: f64 = 0.95;
/// Below this share there is room for more in the local lane; between the two it is left alone.
const ROOMY: f64 = 0.9;
/// What the local rate is multiplied by when the processor is full.
const EASE: f64 = 0.85;
/// A worker's processor share is an average over about a second, so the effect of a change is seen only
/// after as long.
const PROCESSOR_LAG: Duration = Duration::from_millis(1_200);
/// What diverting a record is taken to cost the worker, relative to processing it, until the lane has
/// shown what it takes beside the diverting. `experiments/first-burst` measures it.
const DIVERT_COST: f64 = 0.1;
/// However much is diverted, the first guess leaves the lane this share of its capacity.
const LEAST_BESIDE: f64 = 0.3;

/// What the controller sees of the whole valve at a moment.
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
    /// Set if the local output has been congested for at least the policy's `engage_hold`; `kept` is then
    /// what the lane took meanwhile.
    pub(crate) congested: Option<Flow>,
}

/// What the controller is about, and why.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum Phase {
    /// The lane's capacity is not known, and nothing is diverted.
    Unknown { reason: String },
    /// The capacity is known. The valve diverts by itself what exceeds its local rate.
    Armed {
        /// Since when the arrival has exceeded it.
        above_since: Option<Moment>,
        reason: String,
    },
    /// A spike is being diverted.
    Burst {
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
        /// Since when the arrival has been low.
        low_since: Option<Moment>,
        /// Since when nothing has had to be diverted.
        calm_since: Option<Moment>,
        reason: String,
    },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Unknown {
            reason: "the capacity of the local lane is not known yet".into(),
        }
    }
}

impl Phase {
    /// Why, in one sentence.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Unknown { reason } | Self::Armed { reason, .. } | Self::Burst { reason, .. } => {
                reason
            }
        }
    }

    /// The local rate of the whole valve; `None` if the capacity is not known.
    pub(crate) fn local_rate(
        &self,
        policy: &Policy,
        capacity: &Capacity,
        now: Moment,
    ) -> Option<RecordsPerSecond> {
        match self {
            Self::Unknown { .. } => None,
            Self::Armed { .. } => capacity.rate().map(|rate| {
                let headroom = if capacity.is_measured() {
                    HEADROOM
                } else {
                    GUESSED_HEADROOM
                };
                rate.times(policy.engage_utilization)
                    .max(capacity.shown(now).times(headroom))
            }),
            Self::Burst { beside, .. } => Some(beside.times(policy.target_utilization)),
        }
    }

    /// The phase after what was just seen.
    pub(crate) fn next(
        self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        now: Moment,
    ) -> Self {
        match self {
            Self::Unknown { .. } => Self::from_unknown(policy, sight, capacity, now),
            Self::Armed { above_since, .. } => {
                Self::from_armed(policy, sight, capacity, now, above_since)
            }
            Self::Burst { .. } => self.from_burst(policy, sight, capacity, now),
        }
    }

    fn from_unknown(policy: &Policy, sight: &Sight, capacity: &mut Capacity, now: Moment) -> Self {
        if let Some(run) = &sight.congested {
            let what = format!(
                "local output congested {} of {} ms while it took {}",
                run.unavailable,
                run.span.as_millis(),
                run.kept
            );
            if sight.warming {
                // It will soon take more; how much it takes now says nothing.
                return Self::burst(
                    run.kept,
                    now,
                    false,
                    format!("{what}, and is still warming up"),
                );
            }
            capacity.measured(run.kept, now, policy);
            let known = capacity.rate().unwrap_or_default();
            let reason = format!("{what}: capacity {known}");
            return Self::burst(run.kept.min(known), now, true, reason);
        }
        match capacity.rate() {
            Some(_) => Self::armed(policy, sight, capacity, now, None),
            None => Self::default(),
        }
    }

    fn armed(
        policy: &Policy,
        sight: &Sight,
        capacity: &Capacity,
        now: Moment,
        above_since: Option<Moment>,
    ) -> Self {
        let known = capacity.rate().unwrap_or_default();
        let phase = Self::Armed {
            above_since,
            reason: String::new(),
        };
        let rate = phase.local_rate(policy, capacity, now).unwrap_or_default();
        let sign = if sight.arrival > rate { ">" } else { "≤" };
        let reason = format!(
            "arrival {} {sign} {rate} = {:.2} × capacity {known}",
            sight.arrival,
            rate.get() / known.get().max(1.0)
        );
        Self::Armed {
            above_since,
            reason,
        }
    }

    fn from_armed(
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        now: Moment,
        above_since: Option<Moment>,
    ) -> Self {
        let Some(known) = capacity.rate() else {
            return Self::default();
        };
        if let Some(run) = &sight.congested {
            if sight.warming {
                // As above: no evidence.
            } else if run.diverted <= run.kept.times(HARDLY) {
                capacity.measured(run.kept, now, policy);
            } else {
                capacity.congested_below(run.kept, now);
            }
            let reason = format!(
                "local output congested {} of {} ms although only {} of {} went there",
                run.unavailable,
                run.span.as_millis(),
                run.kept,
                run.received
            );
            return Self::burst(run.kept.min(known), now, !sight.warming, reason);
        }
        let armed = Self::Armed {
            above_since,
            reason: String::new(),
        };
        let rate = armed.local_rate(policy, capacity, now).unwrap_or_default();
        if sight.arrival <= rate {
            return Self::armed(policy, sight, capacity, now, None);
        }
        let since = above_since.unwrap_or(now);
        if now.since(since) < policy.engage_hold {
            return Self::armed(policy, sight, capacity, now, Some(since));
        }
        let reason = format!(
            "arrival {} > {rate} = {:.2} × capacity {known} for {} ms",
            sight.arrival,
            rate.get() / known.get().max(1.0),
            now.since(since).as_millis()
        );
        Self::burst(beside(known, sight.arrival), now, false, reason)
    }

    fn burst(beside: RecordsPerSecond, now: Moment, congested: bool, reason: String) -> Self {
        Self::Burst {
            beside,
            changed_at: now,
            congested_at: congested.then_some(now),
            began_at: now,
            steps: 0,
            low_since: None,
            calm_since: None,
            reason,
        }
    }

    #[expect(clippy::wrong_self_convention)] // "from this phase", not a conversion
    fn from_burst(
        mut self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        now: Moment,
    ) -> Self {
        let Self::Burst {
            beside,
            changed_at,
            congested_at,
            began_at,
            steps,
            low_since,
            calm_since,
            ..
        } = &mut self
        else {
            return self;
        };
        let known = capacity.rate().unwrap_or(*beside);
        let low = sight.arrival < known.times(policy.release_utilization);
        *low_since = low.then(|| low_since.unwrap_or(now));
        let calm =
            sight.congested.is_none() && sight.diverted_long <= sight.kept_long.times(TRICKLE);
        *calm_since = calm.then(|| calm_since.unwrap_or(now));
        let held = |since: &Option<Moment>| {
            since.is_some_and(|since| now.since(since) >= policy.release_hold)
        };
        if (held(low_since) && sight.congested.is_none()) || held(calm_since) {
            return match capacity.rate() {
                Some(_) => Self::armed(policy, sight, capacity, now, None),
                None => Self::default(),
            };
        }

        if let Some(run) = &sight.congested {
            *steps = 0;
            if !sight.warming {
                *congested_at = Some(now);
                if capacity.rate().is_none() {
                    capacity.measured(run.kept, now, policy);
                }
            }
            // Wait until the last change can have had its effect on what is now seen.
            if now.since(*changed_at) >= policy.engage_hold.max(super::SHORT) {
                *beside = saturated(*beside, run.kept, sight.kept_long, policy);
                *changed_at = now;
            }
            return self;
        }
        if sight.worker_cpu.is_some_and(|cpu| cpu.get() >= FULL) && !sight.warming {
            *steps = 0;
            if now.since(*changed_at) >= PROCESSOR_LAG {
                let floor = RecordsPerSecond::new(policy.min_rate);
                *beside = beside.times(EASE).max(floor);
                *changed_at = now;
            }
            return self;
        }
        // The spike is over, or nearly: what made the lane slower, the diverting, is too.
        if *beside < known
            && sight.arrival < known.times(policy.engage_utilization)
            && congested_at.is_none_or(|at| now.since(at) >= PAUSE_AFTER_SPIKE)
        {
            *beside = known;
            *changed_at = now;
            return self;
        }
        let quiet_since = match congested_at {
            Some(at) => at.plus(PAUSE_AFTER_CONGESTION),
            None => began_at.plus(PAUSE_AT_START),
        };
        let given = beside.times(policy.target_utilization);
        // Raise it if the lane has shown that it can take all it is given, and something is left to give.
        if now >= quiet_since
            && sight.worker_cpu.is_none_or(|cpu| cpu.get() < ROOMY)
            && now.since(*changed_at) >= policy.probe_interval
            && sight.unavailable.get() < 0.5 * policy.engage_back_pressure
            && sight.kept >= given.times(0.8)
            && sight.diverted > sight.arrival.times(HARDLY)
        {
            let step = policy.probe_step * f64::from(1_u32 << (*steps).min(MAX_DOUBLINGS));
            *beside = beside.plus(beside.times(step));
            *steps += 1;
            *changed_at = now;
        }
        self
    }
}

/// A first guess at what a lane of capacity `known` takes while the rest of `arrival` is diverted.
fn beside(known: RecordsPerSecond, arrival: RecordsPerSecond) -> RecordsPerSecond {
    let diverting = arrival.minus(known).times(DIVERT_COST);
    known.minus(diverting).max(known.times(LEAST_BESIDE))
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
