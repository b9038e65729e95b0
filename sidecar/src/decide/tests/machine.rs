//! The state machine, exhaustively: every sequence of a few kinds of observation, up to a bound.

use std::collections::BTreeSet;
use std::time::Duration;

use spillway_core::directive::Mode;

use super::super::*;

/// What may happen in a step of 100 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// 50 k/s arrive and are kept.
    Low,
    /// 400 k/s arrive, 100 k/s are kept, the rest is diverted if it may be.
    High,
    /// 100 k/s arrive and are kept, and the output has no room all the time.
    Congested,
    /// The worker is half busy.
    HalfBusy,
    CloudCloses,
    CloudOpens,
}

const EVENTS: [Event; 6] = [
    Event::Low,
    Event::High,
    Event::Congested,
    Event::HalfBusy,
    Event::CloudCloses,
    Event::CloudOpens,
];
/// 6^6 sequences from each start.
const DEPTH: usize = 6;
const STEP: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct World {
    state: State,
    now: Moment,
    sequence: u64,
    received: u64,
    kept: u64,
    diverted: u64,
    unavailable_ms: u64,
    cloud_open: bool,
    /// Whether the cloud lane has ever been closed: then the mode does not tell the phase.
    was_closed: bool,
    /// When the mode last became what it is.
    changed_at: Moment,
    last: Option<Decision>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            now: Moment::at(Duration::from_secs(1)),
            sequence: 0,
            received: 0,
            kept: 0,
            diverted: 0,
            unavailable_ms: 0,
            cloud_open: false,
            was_closed: false,
            changed_at: Moment::default(),
            last: None,
        };
        world.step(&Policy::default(), Event::CloudOpens);
        world
    }

    fn step(&mut self, policy: &Policy, event: Event) {
        self.now = self.now.plus(STEP);
        let observation = match event {
            Event::Low => self.report(5_000, 5_000, 0),
            Event::High => self.report(40_000, 10_000, 0),
            Event::Congested => self.report(10_000, 10_000, 100),
            Event::HalfBusy => Observation::Lane(LaneLoad {
                worker_cpu: Some(Share::new(0.5)),
                worker_cpu_window: Duration::from_secs(1),
                ..LaneLoad::default()
            }),
            Event::CloudCloses => {
                self.cloud_open = false;
                self.was_closed = true;
                Observation::Cloud(CloudLane::Closed {
                    reason: "down".into(),
                })
            }
            Event::CloudOpens => {
                self.cloud_open = true;
                Observation::Cloud(CloudLane::Open { credits: 8 })
            }
        };
        let before = self.state.mode();
        let state = std::mem::take(&mut self.state);
        let again = decide(policy, state.clone(), &observation, self.now);
        let (state, decision) = decide(policy, state, &observation, self.now);
        assert_eq!(again.1, decision, "the same twice");
        self.state = state;
        self.check(policy, before, &decision, event);
        if decision.mode_changed {
            self.changed_at = self.now;
        }
        self.last = Some(decision);
    }

    fn report(&mut self, received: u64, kept: u64, unavailable_ms: u64) -> Observation {
        let diverting = self.last.as_ref().is_some_and(|decision| decision.divert);
        self.received += received;
        self.kept += if diverting { kept } else { received };
        self.diverted += if diverting { received - kept } else { 0 };
        self.unavailable_ms += unavailable_ms;
        self.sequence += 1;
        Observation::Report {
            subtask: 0,
            reading: Reading {
                attempt: "00000000000000aa".parse().unwrap(),
                sequence: self.sequence,
                parallelism: 1,
                time_ms: i64::try_from(self.now.elapsed().as_millis()).unwrap(),
                received: self.received,
                to_local: self.kept,
                to_cloud: self.diverted,
                in_flight_batches: 0,
                unavailable_ms: self.unavailable_ms,
            },
        }
    }

    fn check(&self, policy: &Policy, before: Mode, decision: &Decision, event: Event) {
        let told = || format!("{event:?}: {before} → {decision:?}");
        assert_eq!(decision.mode_changed, decision.mode != before, "{}", told());
        assert_eq!(decision.divert, decision.mode != Mode::Local, "{}", told());
        assert!(self.cloud_open || !decision.divert, "{}", told());
        assert!(decision.divert || decision.credits == 0, "{}", told());
        assert!(!decision.reason.is_empty(), "{}", told());
        if decision.divert {
            assert!(
                decision.reason.contains(|c: char| c.is_ascii_digit()),
                "no number in the reason: {}",
                told()
            );
        }
        if decision.mode == Mode::Armed {
            assert!(
                decision.capacity.is_some(),
                "armed without a capacity: {}",
                told()
            );
            assert!(decision.local_rate.is_some(), "{}", told());
        }
        if let Some(rate) = decision.local_rate {
            assert!(rate.get() >= policy.min_rate, "{}", told());
        }
        if let Some(capacity) = decision.capacity {
            assert!(
                capacity.low <= capacity.rate && capacity.rate <= capacity.high,
                "{}",
                told()
            );
        }
        if before == Mode::Burst && decision.mode == Mode::Armed && !self.was_closed {
            let held = self.now.since(self.changed_at);
            assert!(
                held >= policy.release_hold,
                "released after {held:?}: {}",
                told()
            );
        }
        if let Some(directive) = &decision.directive {
            assert_eq!(directive.check(), Ok(()), "{}", told());
            assert_eq!(directive.mode, decision.mode, "{}", told());
        }
    }
}

fn explore(world: &World, depth: usize, seen: &mut BTreeSet<(&'static str, &'static str)>) {
    for event in EVENTS {
        let mut next = world.clone();
        next.step(&Policy::default(), event);
        seen.insert((world.state.mode().name(), next.state.mode().name()));
        if depth > 1 {
            explore(&next, depth - 1, seen);
        }
    }
}

fn after(events: &[(Event, usize)]) -> World {
    let mut world = World::new();
    for (event, times) in events {
        for _ in 0..*times {
            world.step(&Policy::default(), *event);
        }
    }
    world
}

#[test]
fn every_sequence_from_every_phase_keeps_what_the_modes_promise() {
    let steady: Vec<(Event, usize)> = (0..30)
        .flat_map(|_| [(Event::Low, 1), (Event::HalfBusy, 1)])
        .collect();
    let armed = after(&steady);
    assert_eq!(armed.state.mode(), Mode::Armed);
    let mut spike = steady.clone();
    spike.push((Event::High, 20));
    let burst = after(&spike);
    assert_eq!(burst.state.mode(), Mode::Burst);
    spike.push((Event::Low, 8));
    let ending = after(&spike);
    assert_eq!(ending.state.mode(), Mode::Burst);

    let mut seen = BTreeSet::new();
    for start in [World::new(), armed, burst, ending] {
        explore(&start, DEPTH, &mut seen);
    }
    let reached: Vec<_> = seen.into_iter().collect();
    assert_eq!(
        reached,
        [
            ("armed", "armed"),
            ("armed", "burst"),
            ("armed", "local"),
            ("burst", "armed"),
            ("burst", "burst"),
            ("burst", "local"),
            ("local", "armed"),
            ("local", "burst"),
            ("local", "local"),
        ]
    );
}
