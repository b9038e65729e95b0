//! Stops asking a cloud that does not do its work, and notices when it does again.
//!
//! Without it every batch of a spike would sit out its deadline before it is bounced, and the job's
//! watermark with it. Each class of trouble is counted by itself, because it takes more to believe in some
//! than in others; any success clears all of them. While a circuit rests nothing is sent; then one batch
//! at a time is let through, a second apart, until one of them succeeds or fails.
//!
//! Pure: it is told what time it is.

use std::time::Duration;

use crate::decide::Moment;

/// The first rest; it doubles while trials keep failing.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest: with the trial, a valve's report and a batch's filling, diverting resumes within five
/// seconds after the cloud is back.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// A trial that has not come back after so long is followed by another: it may hang in a connection that
/// died with the cloud.
const TRIAL_AGAIN: Duration = Duration::from_secs(1);
/// The longest rest that the service may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// What is wrong, by what it takes to set it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// No capacity is left, for anyone: the limit on concurrency has not helped.
    Throttle,
    /// No answer, or none in the function's time.
    Timeout,
    /// The function fails, or answers nonsense.
    Function,
    /// A person has to set something right: rights, names, settings.
    Access,
    /// The service or the network is down.
    Unreachable,
}

impl Trouble {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Throttle,
        Self::Timeout,
        Self::Function,
        Self::Access,
        Self::Unreachable,
    ];

    /// The label `class` of the metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Timeout => "timeout",
            Self::Function => "function",
            Self::Access => "access",
            Self::Unreachable => "unreachable",
        }
    }

    /// What it is, for people.
    fn words(self) -> &'static str {
        match self {
            Self::Throttle => "attempts throttled",
            Self::Timeout => "attempts without an answer in time",
            Self::Function => "failures of the function",
            Self::Access => "refusals that someone has to set right",
            Self::Unreachable => "attempts that did not reach it",
        }
    }

    /// After so many in a row, without any success in between, the circuit opens.
    fn threshold(self) -> u32 {
        match self {
            // A throttled cloud works, only not for all: the limiter has first to have had its chance,
            // which takes it some rounds.
            Self::Throttle => 20,
            // Each has cost its batch the whole deadline.
            Self::Timeout => 3,
            // One batch that kills the function comes back several times before it is bounced.
            Self::Function => 8,
            // Trying again soon is of no use.
            Self::Access => 1,
            Self::Unreachable => 5,
        }
    }
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

/// A circuit as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Position {
    /// All is well.
    Closed,
    /// Trials are made.
    HalfOpen,
    /// Nothing is sent.
    Open,
}

/// Whether the cloud lane works, judged by what came of the last attempts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Breaker {
    circuits: [Circuit; Trouble::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Circuit {
    failures: u32,
    rest: Duration,
    tripped: Option<Tripped>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tripped {
    phase: Phase,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is sent before this.
    Resting(Moment),
    /// A trial is under way; another is let through at this time.
    Trying(Moment),
}

impl Phase {
    /// When something may pass.
    fn until(self) -> Moment {
        match self {
            Self::Resting(until) | Self::Trying(until) => until,
        }
    }

    fn rests(self, now: Moment) -> bool {
        matches!(self, Self::Resting(until) if now < until)
    }
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            failures: 0,
            rest: FIRST_REST,
            tripped: None,
        }
    }
}

impl Breaker {
    /// What may pass now. Asking changes nothing.
    pub(crate) fn gate(&self, now: Moment) -> Gate {
        let tripped = self.circuits.iter().filter_map(|c| c.tripped.as_ref());
        match tripped.max_by_key(|tripped| tripped.phase.until()) {
            None => Gate::Open,
            Some(tripped) if now >= tripped.phase.until() => Gate::Trial,
            Some(tripped) => Gate::Shut {
                rest: tripped.phase.until().since(now),
                why: tripped.why.clone(),
            },
        }
    }

    /// Like [`Self::gate`], but a trial is given out only once, until it is known or overdue.
    pub(crate) fn admit(&mut self, now: Moment) -> Gate {
        let gate = self.gate(now);
        if gate == Gate::Trial {
            for tripped in self.circuits.iter_mut().filter_map(|c| c.tripped.as_mut()) {
                tripped.phase = Phase::Trying(now.plus(TRIAL_AGAIN));
            }
        }
        gate
    }

    /// An attempt succeeded: the cloud can be reached, has capacity, and the function works. True if this
    /// closed a circuit.
    pub(crate) fn succeeded(&mut self) -> bool {
        let closed = self.circuits.iter().any(|c| c.tripped.is_some());
        *self = Self::default();
        closed
    }

    /// An attempt failed with `why`; the service asks for a rest of `asked`, if it does. The reason in words
    /// if this opened the circuit, or opened it again.
    pub(crate) fn failed(
        &mut self,
        trouble: Trouble,
        why: &str,
        asked: Option<Duration>,
        now: Moment,
    ) -> Option<String> {
        let circuit = &mut self.circuits[trouble as usize];
        circuit.failures = circuit.failures.saturating_add(1);
        match &circuit.tripped {
            None if circuit.failures < trouble.threshold() => return None,
            // Attempts that were under way when the circuit opened say nothing new.
            Some(tripped) if tripped.phase.rests(now) => return None,
            None | Some(_) => {}
        }
        let words = trouble.words();
        let why = format!("{} {words} in a row, the last: {why}", circuit.failures);
        let rest = circuit
            .rest
            .max(asked.unwrap_or_default().min(LONGEST_ASKED));
        circuit.rest = (circuit.rest * 2).min(LONGEST_REST);
        circuit.tripped = Some(Tripped {
            phase: Phase::Resting(now.plus(rest)),
            why: why.clone(),
        });
        Some(why)
    }

    /// The circuit of a class, and why it is not closed.
    pub(crate) fn position(&self, trouble: Trouble, now: Moment) -> (Position, Option<&str>) {
        match &self.circuits[trouble as usize].tripped {
            None => (Position::Closed, None),
            Some(tripped) if tripped.phase.rests(now) => (Position::Open, Some(&tripped.why)),
            Some(tripped) => (Position::HalfOpen, Some(&tripped.why)),
        }
    }
}

#[cfg(test)]
#[path = "breaker_machine.rs"]
mod machine;

#[cfg(test)]
mod tests {
    use super::*;
    use Trouble::{Access, Function, Throttle, Timeout, Unreachable};

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn open(trouble: Trouble, now: Moment) -> Breaker {
        let mut breaker = Breaker::default();
        while breaker.failed(trouble, "reset", None, now).is_none() {}
        breaker
    }

    #[test]
    fn each_class_has_its_own_patience() {
        for (trouble, patience) in [
            (Throttle, 20),
            (Timeout, 3),
            (Function, 8),
            (Access, 1),
            (Unreachable, 5),
        ] {
            let mut breaker = Breaker::default();
            for _ in 1..patience {
                assert_eq!(breaker.failed(trouble, "x", None, at(0)), None);
                assert_eq!(breaker.gate(at(0)), Gate::Open);
            }
            let why = breaker.failed(trouble, "x", None, at(0)).unwrap();
            assert!(why.starts_with(&format!("{patience} ")) && why.ends_with(": x"));
            assert!(matches!(breaker.gate(at(0)), Gate::Shut { .. }));
            assert_eq!(
                breaker.position(trouble, at(0)),
                (Position::Open, Some(&*why))
            );
            for other in Trouble::ALL.into_iter().filter(|other| *other != trouble) {
                assert_eq!(breaker.position(other, at(0)), (Position::Closed, None));
            }
        }
    }

    #[test]
    fn a_success_in_between_keeps_every_circuit_closed() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            for trouble in [Timeout, Unreachable, Unreachable, Timeout, Unreachable] {
                assert_eq!(breaker.failed(trouble, "reset", None, at(0)), None);
            }
            assert!(!breaker.succeeded());
        }
        assert_eq!(breaker.gate(at(0)), Gate::Open);
    }

    #[test]
    fn after_the_rest_a_single_trial_decides() {
        let mut breaker = open(Unreachable, at(0));
        assert!(matches!(breaker.admit(at(499)), Gate::Shut { .. }));
        // Looking does not use the trial up; sending does.
        assert_eq!(breaker.gate(at(500)), Gate::Trial);
        assert_eq!(breaker.admit(at(500)), Gate::Trial);
        assert!(matches!(breaker.admit(at(501)), Gate::Shut { .. }));
        assert_eq!(breaker.position(Unreachable, at(501)).0, Position::HalfOpen);

        let mut back = breaker.clone();
        assert!(back.succeeded());
        assert_eq!(back.gate(at(600)), Gate::Open);

        let mut down = breaker;
        assert!(down.failed(Unreachable, "reset", None, at(600)).is_some());
        let Gate::Shut { rest, .. } = down.gate(at(600)) else {
            panic!("it was to be shut")
        };
        assert_eq!(rest, Duration::from_secs(1));
    }

    #[test]
    fn a_trial_that_hangs_is_followed_by_another_after_a_second() {
        let mut breaker = open(Timeout, at(0));
        for ms in [500, 1_500, 2_500] {
            assert_eq!(breaker.admit(at(ms)), Gate::Trial);
            assert!(matches!(breaker.admit(at(ms + 999)), Gate::Shut { .. }));
        }
    }

    #[test]
    fn failures_of_attempts_that_were_under_way_do_not_lengthen_the_rest() {
        let mut breaker = open(Unreachable, at(0));
        for ms in 0..499 {
            assert_eq!(breaker.failed(Unreachable, "reset", None, at(ms)), None);
        }
        assert_eq!(breaker.gate(at(500)), Gate::Trial);
    }

    #[test]
    fn a_cloud_that_is_back_is_tried_within_two_seconds_however_long_it_was_down() {
        for trouble in Trouble::ALL {
            let mut breaker = open(trouble, at(0));
            let mut now = at(0);
            for _ in 0..50 {
                now = now.plus(LONGEST_REST);
                assert_eq!(breaker.admit(now), Gate::Trial);
                assert!(breaker.failed(trouble, "reset", None, now).is_some());
            }
        }
    }

    #[test]
    fn the_rest_that_the_service_asks_for_is_kept_within_reason() {
        let asked = |seconds| {
            let mut breaker = Breaker::default();
            let asked = Some(Duration::from_secs(seconds));
            while breaker.failed(Throttle, "429", asked, at(0)).is_none() {}
            match breaker.gate(at(0)) {
                Gate::Shut { rest, .. } => rest.as_secs(),
                gate => panic!("{gate:?}"),
            }
        };
        assert_eq!((asked(7), asked(3_600)), (7, 30));
    }
}
