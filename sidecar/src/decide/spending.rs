//! What the cloud lane has cost in the last hour, apart from any valve.
//!
//! Each controller keeps its own account of that hour, so that a trace of it replays by itself. A valve that
//! is new, or that comes back after it was forgotten, must not begin with an empty one: the hour's budget
//! would be spent again.

use super::State;
use super::budget::Ledger;
use super::moment::Moment;
use super::units::Usd;

/// The hour's account of one sidecar.
#[derive(Debug)]
pub(crate) struct Spending {
    ledger: Ledger,
}

impl Default for Spending {
    fn default() -> Self {
        Self {
            ledger: Ledger::from_the_first_cent(),
        }
    }
}

impl Spending {
    /// The cloud lane has cost `total` so far. Gives the most that was ever told: two threads may read the
    /// total in one order and come here in the other, and less than before would be taken for a restart.
    pub(crate) fn note(&mut self, total: Usd, now: Moment) -> Usd {
        let before = self.ledger.total();
        let total = if total < before { before } else { total };
        self.ledger.spent(total, now);
        total
    }

    /// What the controller of a new valve has to know; `None` if nothing was spent.
    pub(crate) fn newcomer(&self) -> Option<State> {
        (self.ledger.last_hour() > Usd::ZERO).then(|| State {
            ledger: self.ledger.of_newcomer(),
            ..State::default()
        })
    }
}
