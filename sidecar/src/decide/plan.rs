//! What the whole valve is to do, and each subtask's part of it.

use spillway_core::directive::{Directive, Mode};

use super::State;
use super::allocate;
use super::budget::BoundBy;
use super::decision::Budget;
use super::moment::Moment;
use super::observation::CloudLane;
use super::phase::Phase;
use super::policy::{Policy, PolicyMode};
use super::units::RecordsPerSecond;

/// What the whole valve is to do.
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// `None`: as much as it can.
    pub(crate) local_rate: Option<RecordsPerSecond>,
    pub(crate) divert: bool,
    pub(crate) credits: u32,
    pub(crate) bound_by: Option<Budget>,
    pub(crate) reason: String,
}

impl State {
    pub(crate) fn plan(&self, policy: &Policy, now: Moment) -> Plan {
        let wanted = self.wanted(policy, now);
        if wanted.divert {
            self.bounded(policy, wanted)
        } else {
            wanted
        }
    }

    /// What the phase and the cloud lane's state ask for, budgets aside.
    fn wanted(&self, policy: &Policy, now: Moment) -> Plan {
        let local = |reason: String| Plan {
            mode: Mode::Local,
            local_rate: None,
            divert: false,
            credits: 0,
            bound_by: None,
            reason,
        };
        let divert = |mode, local_rate: Option<RecordsPerSecond>, reason| {
            let CloudLane::Open { credits } = self.cloud else {
                return local(reason);
            };
            Plan {
                mode,
                local_rate,
                divert: true,
                credits,
                bound_by: None,
                reason,
            }
        };
        if policy.mode == PolicyMode::Local {
            return local("policy.mode is local: everything stays in the local lane".into());
        }
        if let CloudLane::Closed { reason } = &self.cloud {
            return local(reason.clone());
        }
        if policy.mode == PolicyMode::Burst {
            let reason = "policy.mode is burst: everything is diverted".into();
            return divert(Mode::Burst, Some(RecordsPerSecond::ZERO), reason);
        }
        let floor = RecordsPerSecond::new(policy.min_rate);
        let rate = self
            .phase
            .local_rate(policy, &self.capacity, now)
            .map(|rate| rate.max(floor));
        let reason = self.phase.reason().to_owned();
        match (&self.phase, rate) {
            (Phase::Unknown(_), _) | (_, None) => local(reason),
            (Phase::Armed(_), _) if !policy.armed => {
                local(format!("policy.armed is false: {reason}"))
            }
            (Phase::Armed(_), rate) => divert(Mode::Armed, rate, reason),
            // A lane that warms up is given all it can take, which also warms it up soonest; and so is one
            // that nothing is known of, until it shows how much that is. The valve diverts what finds no room.
            (Phase::Burst(_), _) if self.warming || self.capacity.rate().is_none() => {
                divert(Mode::Burst, None, reason)
            }
            (Phase::Burst(burst), Some(rate)) => {
                let now = burst.describe(policy, rate);
                divert(Mode::Burst, Some(rate), format!("{reason}; {now}"))
            }
        }
    }

    /// The plan within the budgets. What may not be diverted stays local, as far as possible by a higher
    /// local rate; credits are withheld only for the rest.
    fn bounded(&self, policy: &Policy, wanted: Plan) -> Plan {
        let mut plan = wanted;
        if let Some(most) = policy.max_concurrency
            && most < plan.credits
        {
            plan.credits = most;
            plan.bound_by = Some(Budget::Concurrency);
        }
        let Some(bound) = self.ledger.bound() else {
            return plan;
        };
        let rest = self.arrival().minus(bound.rate);
        let exhausted = self.ledger.exhausted().is_some();
        if !exhausted && plan.local_rate.is_none_or(|rate| rate >= rest) {
            return plan;
        }
        plan.local_rate = plan.local_rate.map(|rate| rate.max(rest));
        if exhausted {
            plan.credits = 0;
        }
        let why = match bound.by {
            BoundBy::Budget(budget) => {
                plan.bound_by = Some(budget);
                match budget {
                    Budget::Share => format!("max_diverted_share {:.2}", policy.max_diverted_share),
                    _ => format!(
                        "max_usd_per_hour, of which {} are spent",
                        self.spent_last_hour()
                    ),
                }
            }
            BoundBy::Drain => "what the backlog needs to be gone in time".into(),
        };
        plan.reason = format!("{}; at most {} by {why}", plan.reason, bound.rate);
        plan
    }

    /// One subtask's part of the plan.
    pub(crate) fn directive(&self, plan: &Plan, subtask: u32, policy: &Policy) -> Directive {
        let position = self.subtasks.keys().position(|known| *known == subtask);
        let (local_rate, credits) = match position {
            None => (None, 0),
            Some(index) => {
                let demands: Vec<RecordsPerSecond> = self
                    .subtasks
                    .values()
                    .map(|subtask| subtask.short.unwrap_or_default().received)
                    .collect();
                let rates = plan
                    .local_rate
                    .map(|rate| allocate::split_rate(rate, &demands));
                let credits = allocate::split_credits(plan.credits, &demands, rates.as_deref());
                (rates.map(|rates| rates[index]), credits[index])
            }
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
