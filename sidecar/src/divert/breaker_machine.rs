//! The breaker, exhaustively: every sequence of a few kinds of step, up to a bound.

use std::time::Duration;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A batch asks to be let through.
    Admit,
    Succeed,
    Fail(Trouble),
    /// The service asks for a rest of five seconds.
    FailAsking,
    Wait(u64),
}

const STEPS: [Step; 7] = [
    Step::Admit,
    Step::Succeed,
    Step::Fail(Trouble::Access),
    Step::Fail(Trouble::Timeout),
    Step::FailAsking,
    Step::Wait(500),
    Step::Wait(1_000),
];
/// 7^7 sequences.
const DEPTH: usize = 7;

/// A breaker, and what is known of it from outside.
#[derive(Clone)]
struct World {
    breaker: Breaker,
    now: Moment,
    /// Failures of each class since the last success.
    failures: [u32; Trouble::ALL.len()],
    /// When the last trial was let through, if nothing is known of it yet.
    trial: Option<Moment>,
    /// When a circuit opened last, and for how long at most.
    opened: Option<(Moment, Duration)>,
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(ms) => self.now = self.now.plus(Duration::from_millis(ms)),
            Step::Admit => self.admit(),
            Step::Succeed => {
                let was_closed = self.breaker.gate(self.now) == Gate::Open;
                assert_eq!(self.breaker.succeeded(), !was_closed);
                (self.failures, self.trial, self.opened) = Default::default();
            }
            Step::Fail(trouble) => self.fail(trouble, None),
            Step::FailAsking => self.fail(Trouble::Access, Some(Duration::from_secs(5))),
        }
        self.check();
    }

    fn admit(&mut self) {
        let seen = self.breaker.gate(self.now);
        let gate = self.breaker.admit(self.now);
        assert_eq!(gate, seen, "looking and asking agree");
        if gate != Gate::Trial {
            return;
        }
        if let Some(last) = self.trial {
            assert!(self.now.since(last) >= TRIAL_AGAIN, "two trials at once");
        }
        self.trial = Some(self.now);
        assert!(matches!(self.breaker.gate(self.now), Gate::Shut { .. }));
    }

    fn fail(&mut self, trouble: Trouble, asked: Option<Duration>) {
        self.failures[trouble as usize] += 1;
        let before = self.breaker.clone();
        let opened = self.breaker.failed(trouble, "x", asked, self.now);
        if opened.is_some() {
            assert!(self.failures[trouble as usize] >= trouble.threshold());
            let longest = LONGEST_REST.max(asked.unwrap_or_default());
            let until = self.opened.map_or(Duration::ZERO, |(at, rest)| {
                rest.saturating_sub(self.now.since(at))
            });
            self.opened = Some((self.now, longest.max(until)));
            // It is known now, that it failed.
            self.trial = None;
        } else {
            let gates = (before.gate(self.now), self.breaker.gate(self.now));
            assert_eq!(
                gates.0, gates.1,
                "a failure that opens nothing shuts nothing"
            );
        }
    }

    fn check(&self) {
        let gate = self.breaker.gate(self.now);
        let positions = Trouble::ALL.map(|trouble| self.breaker.position(trouble, self.now).0);
        for (trouble, position) in Trouble::ALL.into_iter().zip(positions) {
            let enough = self.failures[trouble as usize] >= trouble.threshold();
            assert_eq!(position != Position::Closed, enough, "{trouble:?}");
        }
        let all_closed = positions.iter().all(|one| *one == Position::Closed);
        assert_eq!(gate == Gate::Open, all_closed);
        if let Gate::Shut { rest, why } = &gate {
            assert!(!why.is_empty());
            // Nothing is shut for longer than it was told to rest, or than a trial may hang.
            let (at, longest) = self.opened.unwrap();
            let resting = longest.saturating_sub(self.now.since(at));
            assert!(*rest <= resting.max(TRIAL_AGAIN), "{rest:?} {resting:?}");
        }
        if positions.contains(&Position::Open) {
            assert!(matches!(gate, Gate::Shut { .. }), "something rests");
        }
        // Whatever has happened, it is tried again, and one success is enough.
        let later = self.now.plus(LONGEST_ASKED);
        let mut back = self.breaker.clone();
        assert!(!matches!(back.admit(later), Gate::Shut { .. }));
        back.succeeded();
        assert_eq!(back, Breaker::default());
    }
}

fn explore(world: &World, depth: usize, shut: &mut [usize; 3]) {
    for step in STEPS {
        let mut next = world.clone();
        next.step(step);
        shut[match next.breaker.gate(next.now) {
            Gate::Open => 0,
            Gate::Trial => 1,
            Gate::Shut { .. } => 2,
        }] += 1;
        if depth > 1 {
            explore(&next, depth - 1, shut);
        }
    }
}

#[test]
fn every_sequence_of_steps_keeps_what_the_breaker_promises() {
    let world = World {
        breaker: Breaker::default(),
        now: Moment::at(Duration::from_secs(1)),
        failures: [0; Trouble::ALL.len()],
        trial: None,
        opened: None,
    };
    let mut gates = [0; 3];
    explore(&world, DEPTH, &mut gates);
    assert!(gates.iter().all(|seen| *seen > 10_000), "{gates:?}");
}
