//! Stops asking a cloud that does not answer, and notices when it does again.
//!
//! Without it every batch of a spike would sit out its deadline before it is bounced. Throttling does not
//! open the breaker: a throttled cloud works, only not for all.

use std::time::Duration;

use crate::decide::Moment;

/// After so many failed attempts in a row, without a success in between, the cloud counts as down.
const FAILURES: u32 = 5;
/// The first time-out; it doubles while attempts keep failing.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest: after the cloud is back, diverting resumes no later than this.
const LONGEST_REST: Duration = Duration::from_secs(4);

/// Whether the cloud lane works, judged by what came of the last attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breaker {
    state: State,
    failures: u32,
    rest: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Working,
    /// Nothing is sent until then.
    Resting {
        until: Moment,
        why: String,
    },
}

/// What the breaker lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything.
    Open,
    /// A single batch, to see whether the cloud is back.
    Trial,
    /// Nothing, for this long.
    Shut { rest: Duration, why: String },
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Working,
            failures: 0,
            rest: FIRST_REST,
        }
    }
}

impl Breaker {
    /// What may pass now.
    pub(crate) fn gate(&self, now: Moment) -> Gate {
        match &self.state {
            State::Working => Gate::Open,
            State::Resting { until, .. } if now >= *until => Gate::Trial,
            State::Resting { until, why } => Gate::Shut {
                rest: until.since(now),
                why: why.clone(),
            },
        }
    }

    /// An attempt succeeded.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// An attempt failed. `lasting`: trying again soon is of no use. True if this shut the gate.
    pub(crate) fn failed(&mut self, why: &str, lasting: bool, now: Moment) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.gate(now) {
            // Attempts that were under way when the gate was shut say nothing new.
            Gate::Shut { .. } => false,
            Gate::Open if self.failures < FAILURES && !lasting => false,
            Gate::Open | Gate::Trial => {
                self.state = State::Resting {
                    until: now.plus(self.rest),
                    why: why.to_owned(),
                };
                self.rest = (self.rest * 2).min(LONGEST_REST);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn shut(now: Moment) -> Breaker {
        let mut breaker = Breaker::default();
        while !breaker.failed("reset", false, now) {}
        breaker
    }

    #[test]
    fn five_failures_in_a_row_shut_the_gate() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failed("reset", false, at(0)));
        }
        assert_eq!(breaker.gate(at(0)), Gate::Open);
        assert!(breaker.failed("reset", false, at(0)));
        let rest = Duration::from_millis(400);
        assert_eq!(
            breaker.gate(at(100)),
            Gate::Shut {
                rest,
                why: "reset".into()
            }
        );
    }

    #[test]
    fn a_success_in_between_keeps_the_gate_open() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            for _ in 0..4 {
                assert!(!breaker.failed("reset", false, at(0)));
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.gate(at(0)), Gate::Open);
    }

    #[test]
    fn a_lasting_failure_shuts_it_at_once() {
        assert!(Breaker::default().failed("no such function", true, at(0)));
    }

    #[test]
    fn after_the_rest_one_trial_decides() {
        let breaker = shut(at(0));
        assert_eq!(breaker.gate(at(500)), Gate::Trial);

        let mut back = breaker.clone();
        back.succeeded();
        assert_eq!(back.gate(at(500)), Gate::Open);

        let mut down = breaker;
        assert!(down.failed("reset", false, at(500)));
        assert_eq!(
            down.gate(at(1_400)),
            Gate::Shut {
                rest: Duration::from_millis(100),
                why: "reset".into()
            }
        );
    }

    #[test]
    fn it_never_rests_longer_than_four_seconds() {
        let mut breaker = shut(at(0));
        let mut now = at(0);
        for _ in 0..20 {
            now = now.plus(LONGEST_REST);
            assert_eq!(breaker.gate(now), Gate::Trial);
            breaker.failed("reset", false, now);
        }
    }
}
