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
    let pending = prop::option::of(prop_oneof![0..1_000_000_u64, any::<u64>()]);
    let spans = prop::collection::vec(prop_oneof![0..10_000_u64, any::<u64>()], 3);
    let cores = prop::option::of(any::<u32>());
    let lane = (share(), share(), share(), spans, pending, cores).prop_map(
        |(pressed, busy, cpu, spans, pending, cores)| {
            Observation::Lane(LaneLoad {
                valve_back_pressured: pressed,
                downstream_busy: busy,
                worker_cpu: cpu,
                window: Duration::from_millis(spans[0]),
                worker_cpu_window: Duration::from_millis(spans[1]),
                worker_cores: cores,
                pending_records: pending,
                bottleneck: None,
                age: Duration::from_millis(spans[2]),
            })
        },
    );
    let spent = prop_oneof![0.0..10.0_f64, any::<f64>()]
        .prop_map(|usd| Observation::Spent { usd: Usd::new(usd) });
    let cloud = prop_oneof![
        Just(Observation::Cloud(CloudLane::Closed {
            reason: "down".into()
        })),
        any::<u32>().prop_map(|credits| Observation::Cloud(CloudLane::Open { credits })),
    ];
    prop_oneof![8 => report(), 4 => lane, 1 => cloud, 1 => spent]
}

prop_compose! {
    /// Any policy that can be used.
    fn policy()(
        mode in prop_oneof![4 => Just(PolicyMode::Auto), 1 => Just(PolicyMode::Burst)],
        armed in any::<bool>(),
        engage in 0.5..=1.0_f64,
        release in 0.01..0.5_f64,
        hold in 0..2_000_u64,
        lag in 1..60_000_u64,
        drain in 1_000..100_000_u64,
        concurrency in prop::option::of(1..100_u32),
        usd in prop::option::of(1e-6..100.0_f64),
        share in 0.01..=1.0_f64,
    ) -> Policy {
        let hold = Duration::from_millis(hold);
        Policy {
            mode,
            armed,
            target_utilization: engage,
            engage_utilization: engage,
            engage_hold: hold,
            engage_back_pressure: engage,
            engage_lag: Duration::from_millis(lag),
            release_utilization: release,
            release_hold: hold,
            release_back_pressure: release,
            release_lag: Duration::ZERO,
            drain_time: Duration::from_millis(drain),
            max_concurrency: concurrency,
            max_usd_per_hour: usd,
            max_diverted_share: share,
            ..Policy::default()
        }
    }
}

proptest! {
    #[test]
    fn every_decision_is_within_its_bounds_whatever_was_observed(
        policy in policy(),
        steps in prop::collection::vec((observation(), 0..3_000_u64), 1..200),
    ) {
        prop_assert_eq!(policy.problems(), Vec::<String>::new());
        let mut state = State::default();
        let mut now = Moment::default();
        for (observation, later) in steps {
            now = now.plus(Duration::from_millis(later));
            let (next, decision) = decide(&policy, state, &observation, now);
            state = next;
            if let Some(directive) = &decision.directive {
                prop_assert_eq!(directive.check(), Ok(()), "{:?}", directive);
                prop_assert!(!directive.reason.is_empty());
            }
            if let Some(capacity) = decision.capacity {
                prop_assert!(capacity.rate.get().is_finite(), "{:?}", capacity);
                prop_assert!(capacity.low <= capacity.rate, "{:?}", capacity);
                prop_assert!(capacity.rate <= capacity.high, "{:?}", capacity);
            }
            prop_assert!(decision.utilization.is_none_or(f64::is_finite));
            // Whatever was decided can be written down, and reads back the same.
            let text = serde_json::to_string(&decision).unwrap();
            let back: Decision = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back, decision, "{}", text);
        }
    }
}
