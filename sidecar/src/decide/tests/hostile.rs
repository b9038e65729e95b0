//! Whatever is observed, the controller neither panics nor says what no valve may be told.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;

fn counters() -> impl Strategy<Value = u64> {
    prop_oneof![0..2_000_000_u64, Just(0), Just(u64::MAX), any::<u64>()]
}

fn share() -> impl Strategy<Value = Option<Share>> {
    prop_oneof![
        Just(None),
        (0.0..1.0).prop_map(|value| Some(Share::new(value))),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)]
            .prop_map(|value| Some(Share::new(value))),
    ]
}

prop_compose! {
    fn report()(
        subtask in 0..4_u32,
        attempt in 0..3_u32,
        sequence in prop_oneof![0..200_u64, any::<u64>()],
        parallelism in prop_oneof![Just(1_u32), Just(4), any::<u32>()],
        time_ms in prop_oneof![0..100_000_i64, any::<i64>()],
        received in counters(),
        to_local in counters(),
        to_cloud in counters(),
        unavailable_ms in counters(),
    ) -> Observation {
        let attempt = format!("{attempt:016x}").parse().unwrap();
        let reading =
            Reading { attempt, sequence, parallelism, time_ms, received, to_local, to_cloud, in_flight_batches: to_cloud, unavailable_ms };
        Observation::Report { subtask, reading }
    }
}

fn observation() -> impl Strategy<Value = Observation> {
    let lane =
        (share(), share(), share(), 0..10_000_u64).prop_map(|(pressed, busy, cpu, window)| {
            Observation::Lane(LaneLoad {
                valve_back_pressured: pressed,
                downstream_busy: busy,
                worker_cpu: cpu,
                window: Duration::from_millis(window),
                ..LaneLoad::default()
            })
        });
    let cloud = prop_oneof![
        Just(Observation::Cloud(CloudLane::Closed {
            reason: "down".into()
        })),
        any::<u32>().prop_map(|credits| Observation::Cloud(CloudLane::Open { credits })),
    ];
    prop_oneof![8 => report(), 4 => lane, 1 => cloud]
}

proptest! {
    #[test]
    fn every_directive_is_within_its_bounds_whatever_was_observed(
        steps in prop::collection::vec((observation(), 0..3_000_u64), 1..200),
    ) {
        let policy = Policy::default();
        let mut state = State::default();
        let mut now = Moment::default();
        for (observation, later) in steps {
            now = now.plus(Duration::from_millis(later));
            let (next, decision) = decide(&policy, state, &observation, now);
            state = next;
            if let Some(directive) = decision.directive {
                prop_assert_eq!(directive.check(), Ok(()), "{:?}", directive);
                prop_assert!(!directive.reason.is_empty());
            }
            if let Some(capacity) = state.capacity() {
                prop_assert!(capacity.get().is_finite());
            }
        }
    }
}
