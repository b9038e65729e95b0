//! The controller's phases, and what moves it from one to the next.
//!
//! ```text
//!            several guesses agree                 arrival, congestion or backlog, held
//!  Unknown ────────────────────────▶ Armed ───────────────────────────────────────▶ Burst
//!     │                                ▲                                              │ ▲
//!     │                                └── arrival below release, or nothing left ────┘ │
//!     │                                    to divert, held                              │
//!     └───────────────────── congestion, held: what was kept is the capacity ───────────┘
//! ```

use super::burst::Burst;
use super::capacity::{Capacity, DIVERT_COST};
use super::hold::{Changes, Hold};
use super::moment::Moment;
use super::policy::Policy;
use super::sight::Sight;
use super::units::RecordsPerSecond;

/// A diverted share up to this counts as nothing: it is a token bucket's edge, not a spike.
pub(crate) const HARDLY: f64 = 0.01;
/// An arrival of so many times what the lane has lately been seen to take is no fluctuation.
const SURGE: f64 = 4.0;
/// An armed valve is given at least this many times what the lane recently took without congestion, so
/// that a capacity estimated too low cannot divert ordinary load.
const HEADROOM: f64 = 1.1;
/// However much is diverted, the lane is left this share of its capacity, unless it is congested. A worker that is full all the same is filled
/// by something else: the just-in-time compiler of a cold one, a neighbour. To ease it further would only keep the lane from warming up.
pub(crate) const LEAST_BESIDE: f64 = 0.3;

/// What the controller is about, and why.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum Phase {
    /// The lane's capacity is not known, and nothing is diverted.
    Unknown(Unknown),
    /// The capacity is known. The valve diverts by itself what exceeds its local rate.
    Armed(Armed),
    /// A spike is being diverted.
    Burst(Burst),
}

/// Learning what the lane can take.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Unknown {
    /// Far more arrives than ever did, and the output is short of room.
    surging: Hold,
    reason: String,
}

/// Waiting for a spike.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Armed {
    /// The arrival exceeds the local rate.
    above: Hold,
    /// The backlog at the source is too long.
    lagging: Hold,
    reason: String,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Unknown(Unknown {
            surging: Hold::default(),
            reason: "the capacity of the local lane is not known yet".into(),
        })
    }
}

impl Phase {
    /// Why, in one sentence.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Unknown(unknown) => &unknown.reason,
            Self::Armed(armed) => &armed.reason,
            Self::Burst(burst) => &burst.reason,
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
            Self::Unknown(_) => None,
            Self::Armed(_) => armed_rate(policy, capacity, now),
            Self::Burst(burst) => Some(burst.local_rate(policy, capacity, now)),
        }
    }

    /// The phase after what was just seen.
    pub(crate) fn next(
        self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        changes: &mut Changes,
        now: Moment,
    ) -> Self {
        let next = match self {
            Self::Unknown(unknown) => unknown.next(policy, sight, capacity, now),
            Self::Armed(armed) => armed.next(policy, sight, capacity, now),
            Self::Burst(burst) => return burst.next(policy, sight, capacity, changes, now),
        };
        match next {
            Self::Burst(burst) if sight.warming => Self::Burst(burst.cold()),
            Self::Burst(_) => {
                changes.engaged(now);
                next
            }
            _ => next,
        }
    }
}

impl Unknown {
    fn next(
        mut self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        now: Moment,
    ) -> Phase {
        if let Some(run) = &sight.congested {
            let what = format!(
                "local output congested {} of {} ms while it took {}",
                run.unavailable,
                run.span.as_millis(),
                run.kept
            );
            if sight.warming {
                // It will soon take more; how much it takes now says nothing.
                let reason = format!("{what}, and is still warming up");
                return Phase::Burst(Burst::new(run.kept, now, false, reason));
            }
            if sight.has_room {
                capacity.first(run.kept, now);
            } else {
                capacity.measured(run.kept, now, policy);
            }
            let known = capacity.rate().unwrap_or_default();
            let reason = format!("{what}: capacity {known}");
            return Phase::Burst(Burst::new(run.kept.min(known), now, true, reason));
        }
        if capacity.rate().is_some() {
            return Phase::Armed(Armed::default().say(policy, sight, capacity, now));
        }
        // A lane that was never seen busy may be slow to fill its output all the time: source and lane take
        // turns on one processor. So an arrival beyond all that was ever seen needs less congestion, and for
        // half the time only.
        let usual = capacity.shown(now);
        let surges = usual > RecordsPerSecond::ZERO
            && sight.arrival > usual.times(SURGE)
            && sight.unavailable.get() >= policy.release_back_pressure;
        self.surging.see(surges, now);
        if self
            .surging
            .lasted(policy.engage_back_pressure_hold / 2, now)
        {
            let reason = format!(
                "arrival {} > {SURGE} × {usual}, what it was before, and local output congested {}",
                sight.arrival, sight.unavailable
            );
            return Phase::Burst(Burst::new(sight.kept, now, false, reason));
        }
        Phase::Unknown(self)
    }
}

/// What an armed valve may keep.
pub(crate) fn armed_rate(
    policy: &Policy,
    capacity: &Capacity,
    now: Moment,
) -> Option<RecordsPerSecond> {
    capacity.generous(now).map(|rate| {
        rate.times(policy.engage_utilization)
            .max(capacity.shown(now).times(HEADROOM))
    })
}

impl Armed {
    /// Waiting again, after a spike that is over for this reason.
    pub(crate) fn after(reason: String) -> Self {
        Self {
            reason,
            ..Self::default()
        }
    }

    fn say(self, policy: &Policy, sight: &Sight, capacity: &Capacity, now: Moment) -> Self {
        let rate = armed_rate(policy, capacity, now).unwrap_or_default();
        let sign = if sight.arrival > rate { ">" } else { "≤" };
        Self {
            reason: format!("arrival {} {sign} {}", sight.arrival, share(rate, capacity)),
            ..self
        }
    }

    fn next(
        mut self,
        policy: &Policy,
        sight: &Sight,
        capacity: &mut Capacity,
        now: Moment,
    ) -> Phase {
        let Some(known) = capacity.rate() else {
            return Phase::default();
        };
        if let Some(run) = &sight.congested {
            if sight.warming || sight.has_room {
                // No evidence of what it can take.
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
            return Phase::Burst(Burst::new(run.kept.min(known), now, !sight.warming, reason));
        }
        let rate = armed_rate(policy, capacity, now).unwrap_or_default();
        self.above.see(sight.arrival > rate, now);
        if self.above.lasted(policy.engage_hold, now) {
            let held = self.above.span(now).unwrap_or_default();
            let reason = format!(
                "arrival {} > {} for {} ms",
                sight.arrival,
                share(rate, capacity),
                held.as_millis()
            );
            // What it has taken of this very spike, and had room for, it can take beside the diverting.
            let easily = sight.unavailable.get() < policy.release_back_pressure;
            let taken = if easily {
                sight.kept
            } else {
                RecordsPerSecond::ZERO
            };
            let beside = beside(known, sight.arrival).max(taken.min(known));
            return Phase::Burst(Burst::new(beside, now, false, reason));
        }
        let lag = sight.lag.unwrap_or_default();
        let soon = sight.alone.is_some_and(|alone| alone <= policy.drain_time);
        self.lagging.see(lag > policy.engage_lag && !soon, now);
        if self.lagging.lasted(policy.engage_lag_hold, now) {
            let held = self.lagging.span(now).unwrap_or_default();
            let alone = sight.alone.map_or("never be done with it".into(), |alone| {
                format!("take {:.0} s for it", alone.as_secs_f64())
            });
            let reason = format!(
                "backlog of {:.1} s > {:.1} s for {} ms, and the lane alone would {alone}, more than {:.0} s",
                lag.as_secs_f64(),
                policy.engage_lag.as_secs_f64(),
                held.as_millis(),
                policy.drain_time.as_secs_f64()
            );
            return Phase::Burst(Burst::new(known, now, false, reason));
        }
        Phase::Armed(self.say(policy, sight, capacity, now))
    }
}

/// `178 k/s = 0.90 × capacity 198 k/s`.
pub(crate) fn share(rate: RecordsPerSecond, capacity: &Capacity) -> String {
    let known = capacity.rate().unwrap_or_default();
    format!(
        "{rate} = {:.2} × capacity {known}",
        rate.get() / known.get().max(1.0)
    )
}

/// A first guess at what a lane of capacity `known` takes while the rest of `arrival` is diverted.
fn beside(known: RecordsPerSecond, arrival: RecordsPerSecond) -> RecordsPerSecond {
    let diverting = arrival.minus(known).times(DIVERT_COST);
    known.minus(diverting).max(known.times(LEAST_BESIDE))
}
