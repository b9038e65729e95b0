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
/// An armed valve is given at least this many times what the lane recently took without congestion, so
/// that a capacity guessed too low cannot divert ordinary load.
const HEADROOM: f64 = 1.1;
/// At the start of a spike and after congestion the local rate is left alone for so long before it is
/// raised. Raising it at once would congest the lane every second or so.
const PROBE_PAUSE: Duration = Duration::from_secs(5);

/// What the controller sees of the whole valve at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    pub(crate) arrival: RecordsPerSecond,
    pub(crate) kept: RecordsPerSecond,
    pub(crate) diverted: RecordsPerSecond,
    pub(crate) unavailable: Share,
    /// Set if the local output has been congested for at least the policy's `engage_hold`; `kept` is then
    /// what the lane took meanwhile.
    pub(crate) congested: Option<Flow>,
}

/// What the controller is about, and why.
#[derive(Debug, Clone)]
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
        /// When the lane was last seen congested, or else when the spike began.
        congested_at: Moment,
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
                rate.times(policy.engage_utilization)
                    .max(capacity.shown(now).times(HEADROOM))
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
            capacity.measured(run.kept, now, policy);
            let known = capacity.rate().unwrap_or_default();
            let reason = format!(
                "local output congested {} of {} ms while it took {}: capacity {known}",
                run.unavailable,
                run.span.as_millis(),
                run.kept
            );
            return Self::burst(known, now, reason);
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
            if run.diverted <= run.kept.times(HARDLY) {
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
            return Self::burst(run.kept.min(known), now, reason);
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
        Self::burst(known, now, reason)
    }

    fn burst(beside: RecordsPerSecond, now: Moment, reason: String) -> Self {
        Self::Burst {
            beside,
            changed_at: now,
            congested_at: now,
            low_since: None,
            calm_since: None,
            reason,
        }
    }

    #[expect(clippy::wrong_self_convention)] // "from this phase", not a conversion
    fn from_burst(
        self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        now: Moment,
    ) -> Self {
        let Self::Burst {
            mut beside,
            mut changed_at,
            mut congested_at,
            low_since,
            calm_since,
            reason,
        } = self
        else {
            return self;
        };
        let known = capacity.rate().unwrap_or(beside);
        let low = sight.arrival < known.times(policy.release_utilization);
        let low_since = low.then(|| low_since.unwrap_or(now));
        let calm = sight.congested.is_none() && sight.diverted <= sight.arrival.times(HARDLY);
        let calm_since = calm.then(|| calm_since.unwrap_or(now));
        let held = |since: Option<Moment>| {
            since.is_some_and(|since| now.since(since) >= policy.release_hold)
        };
        if (held(low_since) && sight.congested.is_none()) || held(calm_since) {
            return Self::armed(policy, sight, capacity, now, None);
        }

        if let Some(run) = &sight.congested {
            congested_at = now;
            // Wait until the last change can have had its effect on what is now seen.
            if now.since(changed_at) >= policy.engage_hold.max(super::SHORT) {
                beside = lowered(beside, run.kept, policy);
                changed_at = now;
            }
        } else if may_probe(policy, sight, beside, changed_at, congested_at, now) {
            beside = raised(beside, known, policy);
            changed_at = now;
        }
        Self::Burst {
            beside,
            changed_at,
            congested_at,
            low_since,
            calm_since,
            reason,
        }
    }
}

/// The lane took `kept` while it was congested: that is what it can take, quickly believed, but not more
/// than halved at once, since one stall is no trend.
fn lowered(beside: RecordsPerSecond, kept: RecordsPerSecond, policy: &Policy) -> RecordsPerSecond {
    beside
        .min(kept)
        .max(beside.times(0.5))
        .max(RecordsPerSecond::new(policy.min_rate))
}

/// One step up. Steps are relative to the capacity, so that the way back from a stall is not longer the
/// deeper it was. The known capacity does not bound it: it may have been guessed too low, and then the
/// spike would never seem to end.
fn raised(beside: RecordsPerSecond, known: RecordsPerSecond, policy: &Policy) -> RecordsPerSecond {
    beside.plus(known.max(beside).times(policy.probe_step))
}

/// Whether the lane has shown that it can take all it is given, and something is left to give.
fn may_probe(
    policy: &Policy,
    sight: &Sight,
    beside: RecordsPerSecond,
    changed_at: Moment,
    congested_at: Moment,
    now: Moment,
) -> bool {
    let given = beside.times(policy.target_utilization);
    now.since(changed_at) >= policy.probe_interval
        && now.since(congested_at) >= PROBE_PAUSE
        && sight.unavailable.get() < 0.5 * policy.back_pressure_threshold
        && sight.kept >= given.times(0.8)
        && sight.diverted > sight.arrival.times(HARDLY)
}
