//! Keeps the diverting within what the policy allows: money, a share of the records, and no more than a
//! backlog needs.
//!
//! Each bound is a rate of records. It is kept by an allowance, a bucket of records that fills at that
//! rate and is emptied by what the valve reports as diverted: while there is something in it the valve gets
//! its credits, else none. Whatever one credit too many let through is owed, so on average the bound
//! holds to the record.

use std::collections::VecDeque;
use std::time::Duration;

use super::decision::Budget;
use super::moment::Moment;
use super::policy::Policy;
use super::units::{RecordsPerSecond, Usd};

/// The policy's budget is per so long a time.
const HOUR: Duration = Duration::from_hours(1);
/// Spending is remembered in steps of this, so at most a minute too long.
const STEP: Duration = Duration::from_mins(1);
/// What is left of the hour's money may be spent at a rate that would use it up in this time: a short
/// spike gets twelve times the mean rate, and a long one less and less instead of all and then nothing.
const SPEND_OVER: Duration = Duration::from_mins(5);
/// What a record costs is averaged over so much diverting.
const PRICE_OVER: Duration = Duration::from_secs(30);
/// Before so many records were paid for, their price is not known.
const PRICED_RECORDS: f64 = 1000.0;
/// Unused allowance is kept for so long: the policy promises averages over some seconds.
const DEPTH: Duration = Duration::from_secs(5);
/// Overspent allowance is owed for at most so long: a bound that was tightened a good deal must not shut
/// the spillway for good.
const DEBT: Duration = Duration::from_mins(1);

/// What was spent, diverted and allowed so far.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ledger {
    /// The cloud lane's total when it was last told.
    total: Option<Usd>,
    /// What was spent in each step of the last hour, oldest first.
    steps: VecDeque<(Moment, f64)>,
    /// Money and records of late, old ones forgotten: their quotient is the price.
    recent_usd: f64,
    recent_records: f64,
    forgotten_at: Moment,
    /// Records that may be diverted at once; negative if too many were.
    allowance: f64,
    filled_at: Option<Moment>,
    /// The bound that the allowance was last filled by.
    bound: Option<Bound>,
}

/// No more than this may be diverted.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Bound {
    pub(crate) rate: RecordsPerSecond,
    pub(crate) by: BoundBy,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum BoundBy {
    /// A budget of the policy's.
    Budget(Budget),
    /// The backlog needs no more to be gone in time.
    Drain,
}

impl Ledger {
    /// One that is told all that the cloud lane costs, from its first cent on.
    pub(super) fn from_the_first_cent() -> Self {
        Self {
            total: Some(Usd::ZERO),
            ..Self::default()
        }
    }

    /// One that begins with what was spent in this one's last hour.
    pub(super) fn of_newcomer(&self) -> Self {
        Self {
            total: self.total,
            steps: self.steps.clone(),
            ..Self::default()
        }
    }

    /// The total that was last told.
    pub(super) fn total(&self) -> Usd {
        self.total.unwrap_or(Usd::ZERO)
    }

    /// The cloud lane has cost `total` so far. Of what it had cost before it was told the first time, it
    /// knows only what it was [begun with](Self::of_newcomer).
    pub(crate) fn spent(&mut self, total: Usd, now: Moment) {
        let before = self.total.replace(total).unwrap_or(total);
        // Less than before: the sidecar was started anew, and this is all that it has spent since.
        let usd = if total < before {
            total.get()
        } else {
            total.get() - before.get()
        };
        self.forget(now);
        self.recent_usd += usd;
        match self.steps.back_mut() {
            Some((since, sum)) if now.since(*since) < STEP => *sum += usd,
            _ => self.steps.push_back((now, usd)),
        }
    }

    /// So many records more were diverted.
    pub(crate) fn diverted(&mut self, records: u64, now: Moment) {
        self.forget(now);
        self.recent_records += records as f64;
        self.allowance -= records as f64;
    }

    fn forget(&mut self, now: Moment) {
        let elapsed = now.since(self.forgotten_at).as_secs_f64();
        let kept = (-elapsed / PRICE_OVER.as_secs_f64()).exp();
        self.recent_usd *= kept;
        self.recent_records *= kept;
        self.forgotten_at = now;
        while self
            .steps
            .front()
            .is_some_and(|(since, _)| now.since(*since) > HOUR)
        {
            self.steps.pop_front();
        }
    }

    /// What was spent in the last hour.
    pub(crate) fn last_hour(&self) -> Usd {
        Usd::new(self.steps.iter().map(|(_, usd)| usd).sum())
    }

    /// What a record costs, if that is known.
    fn price(&self) -> Option<f64> {
        let price = self.recent_usd / self.recent_records;
        (self.recent_records >= PRICED_RECORDS && price > 0.0).then_some(price)
    }

    /// What the policy's money and share allow of `arrival`, the tighter of both.
    fn budget(&self, policy: &Policy, arrival: RecordsPerSecond) -> Option<Bound> {
        let share = (policy.max_diverted_share < 1.0).then(|| Bound {
            rate: arrival.times(policy.max_diverted_share),
            by: BoundBy::Budget(Budget::Share),
        });
        let spend = policy.max_usd_per_hour.and_then(|most| {
            let left = (most - self.last_hour().get()).max(0.0);
            let rate = if left == 0.0 {
                RecordsPerSecond::ZERO
            } else {
                RecordsPerSecond::new(left / SPEND_OVER.as_secs_f64() / self.price()?)
            };
            let by = BoundBy::Budget(Budget::Spend);
            Some(Bound { rate, by })
        });
        tighter(share, spend)
    }

    /// Fills the allowance for the time since it was last filled, by the tightest of the policy's budgets
    /// and of `need`, what draining takes.
    pub(crate) fn fill(
        &mut self,
        policy: &Policy,
        arrival: RecordsPerSecond,
        need: Option<RecordsPerSecond>,
        now: Moment,
    ) {
        let need = need.map(|rate| Bound {
            rate,
            by: BoundBy::Drain,
        });
        self.bound = tighter(self.budget(policy, arrival), need);
        let elapsed = now.since(self.filled_at.replace(now).unwrap_or(now));
        let Some(bound) = self.bound else {
            self.allowance = 0.0;
            return;
        };
        let per_second = bound.rate.get();
        let filled = self.allowance + per_second * elapsed.as_secs_f64();
        self.allowance = filled.clamp(
            -per_second * DEBT.as_secs_f64(),
            per_second * DEPTH.as_secs_f64(),
        );
    }

    /// The bound that holds now, if one does.
    pub(crate) fn bound(&self) -> Option<Bound> {
        self.bound
    }

    /// Whether nothing may be diverted for the moment, and by which bound.
    pub(crate) fn exhausted(&self) -> Option<Bound> {
        self.bound.filter(|_| self.allowance <= 0.0)
    }
}

fn tighter(one: Option<Bound>, other: Option<Bound>) -> Option<Bound> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.rate < one.rate { other } else { one }),
        (one, other) => one.or(other),
    }
}
