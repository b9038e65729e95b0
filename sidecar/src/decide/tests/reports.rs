//! What single reports do.

use std::time::Duration;

use spillway_core::directive::Mode;

use super::super::*;

fn reading(sequence: u64, time_ms: i64, received: u64) -> Reading {
    Reading {
        attempt: "00000000000000aa".parse().unwrap(),
        sequence,
        parallelism: 1,
        time_ms,
        received,
        to_local: received,
        to_cloud: 0,
        in_flight_batches: 0,
        unavailable_ms: 0,
    }
}

fn at(ms: u64) -> Moment {
    Moment::at(Duration::from_millis(ms))
}

fn report(state: State, subtask: u32, reading: Reading, now: Moment) -> (State, Decision) {
    decide(
        &Policy::default(),
        state,
        &Observation::Report { subtask, reading },
        now,
    )
}

fn open(policy: &Policy) -> State {
    let cloud = Observation::Cloud(CloudLane::Open { credits: 24 });
    decide(policy, State::default(), &cloud, at(0)).0
}

#[test]
fn a_report_that_is_not_newer_is_answered_but_not_counted() {
    let state = open(&Policy::default());
    let (state, first) = report(state, 0, reading(5, 1_000, 0), at(1_000));
    assert!(first.counted);
    for sequence in [5, 4] {
        let (same, again) = report(
            state.clone(),
            0,
            reading(sequence, 1_100, 99_999),
            at(1_100),
        );
        assert!(!again.counted);
        assert!(again.directive.is_some());
        assert_eq!(same.rates(0), None, "a stale report made a rate");
    }
}

#[test]
fn rates_come_from_the_reporters_own_time_not_from_when_the_report_came() {
    let state = open(&Policy::default());
    let (state, _) = report(state, 0, reading(0, 50_000, 0), at(1_000));
    let (state, _) = report(state, 0, reading(1, 50_100, 10_000), at(1_180));
    assert_eq!(state.rates(0).unwrap().0, RecordsPerSecond::new(100_000.0));
}

#[test]
fn a_reporters_clock_that_steps_is_not_believed() {
    for stepped in [-3_600_000, 3_600_000] {
        let state = open(&Policy::default());
        let (state, _) = report(state, 0, reading(0, 0, 0), at(1_000));
        let (state, _) = report(state, 0, reading(1, stepped, 10_000), at(1_100));
        assert_eq!(state.rates(0).unwrap().0, RecordsPerSecond::new(100_000.0));
    }
}

#[test]
fn a_subtask_that_falls_silent_is_forgotten_after_the_lease_and_its_credits_go_to_the_others() {
    let policy = Policy {
        mode: PolicyMode::Burst,
        ..Policy::default()
    };
    let tell = |state, subtask, sequence, now: Moment| {
        let reading = reading(
            sequence,
            i64::try_from(now.elapsed().as_millis()).unwrap(),
            0,
        );
        decide(
            &policy,
            state,
            &Observation::Report { subtask, reading },
            now,
        )
    };
    let (state, _) = tell(open(&policy), 0, 0, at(1_000));
    let (state, both) = tell(state, 1, 0, at(1_000));
    assert_eq!(both.directive.unwrap().credits, 12);
    let (_, alone) = tell(state, 1, 1, at(3_001));
    assert_eq!(alone.directive.unwrap().credits, 24);
}

#[test]
fn policy_local_diverts_nothing_and_policy_burst_keeps_nothing() {
    let local = Policy {
        mode: PolicyMode::Local,
        ..Policy::default()
    };
    let observation = Observation::Report {
        subtask: 0,
        reading: reading(0, 0, 0),
    };
    let (_, decision) = decide(&local, open(&local), &observation, at(10));
    let directive = decision.directive.unwrap();
    assert_eq!((directive.divert, directive.mode), (false, Mode::Local));

    let burst = Policy {
        mode: PolicyMode::Burst,
        ..Policy::default()
    };
    let (_, decision) = decide(&burst, open(&burst), &observation, at(10));
    let directive = decision.directive.unwrap();
    assert_eq!(directive.local_rate, Some(0.0));
    assert_eq!(
        (directive.divert, directive.credits, directive.mode),
        (true, 24, Mode::Burst)
    );
}

#[test]
fn a_closed_cloud_lane_keeps_everything_local_and_says_why() {
    let policy = Policy {
        mode: PolicyMode::Burst,
        ..Policy::default()
    };
    let closed = Observation::Cloud(CloudLane::Closed {
        reason: "the cloud is down".into(),
    });
    let (state, _) = decide(&policy, open(&policy), &closed, at(10));
    let observation = Observation::Report {
        subtask: 0,
        reading: reading(0, 0, 0),
    };
    let (_, decision) = decide(&policy, state, &observation, at(20));
    let directive = decision.directive.unwrap();
    assert!(!directive.divert);
    assert_eq!(directive.reason, "the cloud is down");
}

#[test]
fn the_engines_back_pressure_alone_engages_when_reports_show_no_congestion() {
    let policy = Policy::default();
    let mut state = open(&policy);
    let load = LaneLoad {
        valve_back_pressured: Some(Share::new(0.9)),
        window: Duration::from_millis(200),
        ..LaneLoad::default()
    };
    let mut mode = Mode::Local;
    // A lane that is no longer warming up, and then four looks at a back-pressured one.
    for tick in 0..64_u64 {
        let now_ms = tick * 100;
        let received = reading(tick, i64::try_from(now_ms).unwrap(), tick * 15_000);
        (state, _) = report(state, 0, received, at(now_ms));
        if tick >= 60 {
            let look = Observation::Lane(load.clone());
            let (next, decision) = decide(&policy, state, &look, at(now_ms + 10));
            (state, mode) = (next, decision.mode);
        }
    }
    assert_eq!(mode, Mode::Burst);
    assert_eq!(state.capacity(), Some(RecordsPerSecond::new(150_000.0)));
}

/// A valve of one subtask whose capacity is known, after 6 s.
fn known(policy: &Policy) -> State {
    let mut state = open(policy);
    let load = LaneLoad {
        worker_cpu: Some(Share::new(0.5)),
        ..LaneLoad::default()
    };
    for tick in 0..60_u64 {
        let received = reading(tick, i64::try_from(tick * 100).unwrap(), tick * 10_000);
        (state, _) = report(state, 0, received, at(tick * 100));
        let lane = Observation::Lane(load.clone());
        (state, _) = decide(policy, state, &lane, at(tick * 100));
    }
    assert!(state.capacity().is_some());
    state
}

#[test]
fn a_rescaled_job_starts_without_a_capacity() {
    let rescaled = Reading {
        parallelism: 3,
        ..reading(60, 6_000, 600_000)
    };
    // At once, and after a silence in which its subtasks are forgotten.
    for ms in [6_000, 16_000] {
        let state = known(&Policy::default());
        let (state, decision) = report(state, 0, rescaled.clone(), at(ms));
        assert_eq!(state.capacity(), None);
        assert_eq!(decision.mode, Mode::Local);
    }
}

#[test]
fn a_job_that_comes_back_as_large_as_it_was_keeps_its_capacity() {
    let state = known(&Policy::default());
    let before = state.capacity();
    let again = Reading {
        attempt: "00000000000000bb".parse().unwrap(),
        ..reading(1, 16_000, 0)
    };
    let (state, _) = report(state, 0, again, at(16_000));
    assert_eq!(state.capacity(), before);
}

/// The capacity that a valve is thought to have whose load rises from 20 k/s to 100 k/s after five minutes, while the
/// engine says of a minute that ended a minute ago that a worker was 60 % busy.
fn after_a_rise(looks_until_s: u64) -> Option<RecordsPerSecond> {
    let policy = Policy::default();
    let mut state = open(&policy);
    let load = LaneLoad {
        worker_cpu: Some(Share::new(0.6)),
        worker_cpu_window: Duration::from_mins(1),
        age: Duration::from_mins(1),
        ..LaneLoad::default()
    };
    let mut received = 0;
    for tick in 0..10 * looks_until_s {
        received += if tick < 3_000 { 2_000 } else { 10_000 };
        let now = at(tick * 100);
        let reading = reading(tick, i64::try_from(tick * 100).unwrap(), received);
        (state, _) = report(state, 0, reading, now);
        if tick % 600 == 599 {
            (state, _) = decide(&policy, state, &Observation::Lane(load.clone()), now);
        }
    }
    state.capacity()
}

#[test]
fn a_processor_share_of_minutes_ago_is_not_taken_for_that_of_now() {
    let before = after_a_rise(300).unwrap();
    // 20 k/s at 60 %, 30 of them anyway.
    assert!((40_000.0..60_000.0).contains(&before.get()), "{before}");
    let after = after_a_rise(361).unwrap();
    assert!(after.get() < 1.1 * 100_000.0, "{after}");
}

#[test]
fn a_skewed_demand_gets_a_skewed_local_rate() {
    let policy = Policy::default();
    let mut state = open(&policy);
    let load = LaneLoad {
        worker_cpu: Some(Share::new(0.5)),
        ..LaneLoad::default()
    };
    let mut rates = [0.0; 2];
    for tick in 0..60_u64 {
        for (subtask, per_tick) in [(0_u32, 9_000), (1, 1_000)] {
            let received = reading(tick, i64::try_from(tick * 100).unwrap(), tick * per_tick);
            let (next, decision) = report(state, subtask, received, at(tick * 100));
            state = next;
            rates[subtask as usize] = decision.directive.unwrap().local_rate.unwrap_or(-1.0);
        }
        (state, _) = decide(
            &policy,
            state,
            &Observation::Lane(load.clone()),
            at(tick * 100),
        );
    }
    // There is enough for both: everyone has his demand, 90 and at least 10 k/s, and the same on top.
    assert!(
        (70_000.0..=80_001.0).contains(&(rates[0] - rates[1])),
        "{rates:?}"
    );
    assert!(rates[1] > 10_000.0, "{rates:?}");
}

#[test]
fn no_more_than_the_limit_of_subtasks_is_remembered() {
    let mut state = open(&Policy::default());
    for subtask in 0..u32::try_from(MAX_SUBTASKS).unwrap() {
        state = report(state, subtask, reading(0, 0, 0), at(1)).0;
    }
    let (_, decision) = report(state, u32::MAX, reading(0, 0, 0), at(2));
    assert!(!decision.counted);
    assert!(!decision.directive.unwrap().divert);
}
