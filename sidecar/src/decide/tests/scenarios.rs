//! The loads that the controller is for.

use spillway_core::directive::Mode;

use super::super::*;
use super::lane::{Lane, Seen};

const CAPACITY: f64 = 200_000.0;

fn modes(seen: &Seen) -> Vec<Mode> {
    seen.modes.iter().map(|(_, mode, _)| *mode).collect()
}

fn armed_lane() -> Lane {
    let mut lane = Lane::new(CAPACITY);
    lane.run(10_000, |_| 100_000.0);
    assert_eq!(lane.state.mode(), Mode::Armed);
    lane
}

#[test]
fn a_spike_on_an_unknown_lane_is_diverted_within_400_ms() {
    let mut lane = Lane::new(CAPACITY);
    lane.sensor = false;
    lane.run(5_000, |_| 30_000.0);
    assert_eq!(lane.state.capacity(), None);
    let spike = lane.run(20_000, |_| 1_000_000.0);
    assert!(spike.first_diverted_ms.unwrap() - 5_000 <= 400, "{spike:?}");
    assert_eq!(modes(&spike), [Mode::Burst]);
    let capacity = lane.state.capacity().unwrap().get();
    assert!((0.85..=1.15).contains(&(capacity / CAPACITY)), "{capacity}");
}

#[test]
fn an_armed_valve_diverts_within_50_ms_and_before_any_metric_has_moved() {
    let mut lane = armed_lane();
    let spike = lane.run(1_000, |_| 1_000_000.0);
    assert!(spike.first_diverted_ms.unwrap() - 10_000 <= 50, "{spike:?}");
    assert!(spike.worst_wait_ms < 100.0, "{spike:?}");
}

#[test]
fn half_a_load_tells_the_capacity_within_15_percent_after_10_s() {
    let lane = armed_lane();
    let capacity = lane.state.capacity().unwrap().get();
    assert!((0.85..=1.15).contains(&(capacity / CAPACITY)), "{capacity}");
}

#[test]
fn ordinary_load_up_to_80_percent_is_never_diverted() {
    for percent in [25.0, 50.0, 65.0, 80.0] {
        let mut lane = Lane::new(CAPACITY);
        let seen = lane.run(60_000, |_| CAPACITY * percent / 100.0);
        assert!(seen.diverted < 1.0, "{percent} %: {seen:?}");
        assert_eq!(modes(&seen), [Mode::Armed], "{percent} %");
    }
}

#[test]
fn a_square_spike_makes_two_mode_changes_and_diverting_ends_with_it() {
    let mut lane = armed_lane();
    lane.divert_cost = 0.1;
    let spike = lane.run(20_000, |_| 800_000.0);
    let after = lane.run(20_000, |_| 50_000.0);
    assert_eq!(modes(&spike), [Mode::Burst]);
    assert_eq!(modes(&after), [Mode::Armed]);
    assert!(after.modes[0].0 - 30_000 <= 2_000, "{after:?}");
    assert!(
        after
            .last_diverted_ms
            .is_none_or(|last| last - 30_000 <= 1_000),
        "{after:?}"
    );
}

#[test]
fn after_a_spike_on_an_unknown_lane_diverting_ends_within_2_s_in_spite_of_the_backlog() {
    let mut lane = Lane::new(CAPACITY);
    lane.sensor = false;
    lane.run(5_000, |_| 50_000.0);
    lane.run(20_000, |_| 800_000.0);
    let after = lane.run(10_000, |_| 50_000.0);
    assert_eq!(modes(&after), [Mode::Armed]);
    assert!(
        after
            .last_diverted_ms
            .is_none_or(|last| last - 25_000 <= 2_000),
        "{after:?}"
    );
}

#[test]
fn a_load_that_swings_around_the_engage_threshold_changes_the_mode_less_than_once_a_minute() {
    let mut lane = armed_lane();
    let swing = |ms: u64| {
        let phase = ms as f64 / 5_000.0 * std::f64::consts::TAU;
        CAPACITY * 0.9 * (1.0 + 0.1 * phase.sin())
    };
    let seen = lane.run(180_000, swing);
    assert!(seen.modes.len() <= 1, "{seen:?}");
}

#[test]
fn a_load_that_swings_around_the_release_threshold_changes_the_mode_once() {
    let mut lane = armed_lane();
    lane.run(5_000, |_| 600_000.0);
    let swing = |ms: u64| {
        let phase = ms as f64 / 5_000.0 * std::f64::consts::TAU;
        CAPACITY * 0.6 * (1.0 + 0.1 * phase.sin())
    };
    let seen = lane.run(60_000, swing);
    assert!(seen.modes.len() <= 1, "{seen:?}");
}

#[test]
fn when_diverting_takes_the_lanes_processor_the_local_rate_gives_way_quickly() {
    let mut lane = armed_lane();
    // 800 k/s diverted at a tenth of the cost take 40 % of the processor.
    lane.divert_cost = 0.1;
    lane.run(3_000, |_| 1_000_000.0);
    let settled = lane.run(2_000, |_| 1_000_000.0);
    assert!(settled.worst_wait_ms < 100.0, "{settled:?}");
    let known = lane.state.capacity().unwrap().get();
    assert!(known > 0.7 * CAPACITY, "the armed capacity fell to {known}");
}

#[test]
fn a_capacity_guessed_far_too_low_neither_diverts_ordinary_load_nor_holds_a_spike_open() {
    let mut lane = Lane::new(CAPACITY);
    lane.sensor = false;
    let mut seen = Seen::default();
    // A worker that is busy with something else: 60 k/s at 95 %.
    for tick in 0..50 {
        lane.run(200, |_| 60_000.0);
        let load = LaneLoad {
            worker_cpu: Some(Share::new(0.95)),
            ..LaneLoad::default()
        };
        lane.tell(&Observation::Lane(load), &mut seen);
        assert_ne!(lane.state.mode(), Mode::Burst, "tick {tick}");
    }
    let ordinary = lane.run(5_000, |_| 60_000.0);
    assert!(ordinary.diverted < 1.0);
    lane.run(5_000, |_| 500_000.0);
    let after = lane.run(20_000, |_| 60_000.0);
    assert_eq!(lane.state.mode(), Mode::Armed, "{after:?}");
}

#[test]
fn a_cold_start_that_congests_an_ordinary_load_is_not_taken_for_the_lanes_capacity() {
    let mut lane = Lane::new(10_000.0);
    lane.run(1_000, |_| 30_000.0);
    for capacity in [40_000.0, 80_000.0, 150_000.0] {
        lane.capacity = capacity;
        lane.run(1_000, |_| 30_000.0);
    }
    lane.capacity = CAPACITY;
    lane.run(3_000, |_| 30_000.0);
    // Whatever is thought of the capacity by now, ordinary load is not diverted for it.
    assert_ne!(lane.state.mode(), Mode::Burst, "{}", lane.state.reason());
    let seen = lane.run(5_000, |_| 0.5 * CAPACITY);
    assert!(seen.diverted < 1.0, "{seen:?}");
    assert_eq!(lane.state.mode(), Mode::Armed);
}

#[test]
fn a_lane_that_warms_up_is_given_all_it_can_take() {
    let mut lane = Lane::new(10_000.0);
    // Waiting for the first record does not warm it.
    lane.run(8_000, |_| 0.0);
    lane.run(1_000, |_| 30_000.0);
    assert_eq!(lane.state.mode(), Mode::Burst);
    lane.capacity = 29_000.0;
    let seen = lane.run(1_000, |_| 30_000.0);
    assert!(seen.diverted < 0.1 * seen.received, "{seen:?}");
}

#[test]
fn a_cold_start_uses_up_none_of_the_changes_of_mode_that_a_spike_needs() {
    let mut lane = Lane::new(10_000.0);
    lane.run(1_000, |_| 30_000.0);
    assert_eq!(lane.state.mode(), Mode::Burst);
    lane.capacity = CAPACITY;
    lane.run(9_000, |_| 0.5 * CAPACITY);
    assert_eq!(lane.state.mode(), Mode::Armed, "{}", lane.state.reason());
    lane.run(10_000, |_| 800_000.0);
    let after = lane.run(5_000, |_| 0.3 * CAPACITY);
    assert_eq!(modes(&after), [Mode::Armed], "{after:?}");
    assert!(after.modes[0].0 - 20_000 <= 2_000, "{after:?}");
}

#[test]
fn a_load_between_release_and_target_after_a_spike_is_all_local_within_2_s() {
    let mut lane = armed_lane();
    lane.divert_cost = 0.15;
    lane.run(2_000, |_| 1_000_000.0);
    let beside = lane.local_rate();
    assert!(
        beside < 0.4 * CAPACITY,
        "diverting did not cost the lane anything: {beside}"
    );
    let after = lane.run(15_000, |_| 0.62 * CAPACITY);
    assert_eq!(modes(&after), [Mode::Armed]);
    assert!(
        after
            .last_diverted_ms
            .is_none_or(|last| last - 12_000 <= 2_000),
        "{after:?}"
    );
}

#[test]
fn the_trickle_that_is_diverted_when_windows_fire_does_not_keep_a_spike_open() {
    let mut lane = armed_lane();
    lane.run(10_000, |_| 800_000.0);
    // Once a second the source is held up for 65 ms, and hands over what was due all at once.
    let clumps = |ms: u64| match ms % 1_000 {
        0..65 => 0.0,
        65..70 => 14.0 * 0.65 * CAPACITY,
        _ => 0.65 * CAPACITY,
    };
    let after = lane.run(20_000, clumps);
    assert!(
        after.last_diverted_ms.is_some_and(|last| last > 25_000),
        "no trickle: {after:?}"
    );
    assert_eq!(modes(&after), [Mode::Armed]);
    assert!(after.modes[0].0 - 20_000 <= 12_000, "{after:?}");
}

#[test]
fn what_the_lane_takes_when_credits_run_out_raises_a_rate_that_was_far_too_low() {
    let mut lane = Lane::new(10_000.0);
    lane.sensor = false;
    lane.run(6_000, |_| 5_000.0);
    lane.run(2_000, |_| 30_000.0);
    lane.capacity = CAPACITY;
    // The cloud takes nothing any more while the spike is on: everything has to stay local.
    let mut seen = Seen::default();
    let closed = CloudLane::Closed {
        reason: "down".into(),
    };
    lane.tell(&Observation::Cloud(closed), &mut seen);
    lane.run(3_000, |_| 800_000.0);
    let capacity = lane.state.capacity().unwrap().get();
    assert!(capacity > 0.85 * CAPACITY, "{capacity}");
    lane.tell(
        &Observation::Cloud(CloudLane::Open { credits: 24 }),
        &mut seen,
    );
    lane.run(200, |_| 800_000.0);
    assert!(lane.local_rate() > 0.5 * CAPACITY, "{}", lane.local_rate());
}

#[test]
fn a_spike_that_leaves_the_worker_idle_is_soon_met_with_all_that_the_lane_can_take() {
    // What a cold lane showed is far less than what it can take by now.
    let mut lane = Lane::new(CAPACITY / 4.0);
    lane.run(10_000, |_| 0.15 * CAPACITY);
    lane.capacity = CAPACITY;
    lane.run(400, |_| 4.0 * CAPACITY);
    let first = lane.local_rate();
    assert!(first > 0.15 * CAPACITY, "{first}");
    lane.run(1_800, |_| 4.0 * CAPACITY);
    assert!(lane.local_rate() > 0.5 * CAPACITY, "{}", lane.local_rate());
}

#[test]
fn a_short_stall_of_the_lane_does_not_leave_it_shut() {
    let mut lane = armed_lane();
    lane.capacity = 1.0;
    lane.run(2_000, |_| 100_000.0);
    lane.capacity = CAPACITY;
    lane.run(20_000, |_| 100_000.0);
    assert_eq!(lane.state.mode(), Mode::Armed, "{}", lane.state.reason());
    let later = lane.run(5_000, |_| 100_000.0);
    assert!(later.diverted < 1.0, "{}", lane.state.reason());
}

#[test]
fn a_stall_in_a_spike_is_made_up_for_within_3_s_if_the_worker_has_room() {
    let mut lane = armed_lane();
    lane.run(8_000, |_| 2.0 * CAPACITY);
    let before = lane.local_rate();
    lane.capacity = 1e-3;
    lane.run(900, |_| 2.0 * CAPACITY);
    lane.capacity = CAPACITY;
    lane.run(200, |_| 2.0 * CAPACITY);
    assert!(lane.local_rate() < 0.6 * before, "it was not congested");
    lane.run(2_800, |_| 2.0 * CAPACITY);
    assert!(lane.local_rate() > 0.8 * before, "{}", lane.local_rate());
}

#[test]
fn what_a_full_worker_takes_beside_the_diverting_tells_its_capacity() {
    let mut lane = armed_lane();
    lane.divert_cost = 0.1;
    // A neighbour takes half of the processor.
    lane.capacity = CAPACITY / 2.0;
    lane.run(60_000, |_| CAPACITY);
    let capacity = lane.state.capacity().unwrap().get();
    assert!(
        (0.85..=1.15).contains(&(capacity / lane.capacity)),
        "{capacity}"
    );
}

#[test]
fn a_processor_that_something_else_fills_does_not_leave_the_lane_shut() {
    let mut lane = armed_lane();
    lane.divert_cost = 0.1;
    // A compiler, say: it takes what the records leave.
    lane.elsewhere = 0.7;
    lane.run(30_000, |_| 2.0 * CAPACITY);
    assert!(lane.local_rate() > 0.2 * CAPACITY, "{}", lane.local_rate());
    let capacity = lane.state.capacity().unwrap().get();
    assert!(capacity > 0.8 * CAPACITY, "{capacity}");
}

#[test]
fn a_frozen_local_lane_sends_everything_to_the_cloud_within_a_second() {
    let mut lane = Lane::new(CAPACITY);
    lane.run(10_000, |_| 100_000.0);
    lane.capacity = 1e-3;
    lane.run(1_000, |_| 100_000.0);
    let frozen = lane.run(5_000, |_| 100_000.0);
    assert!(frozen.diverted > 0.97 * frozen.received, "{frozen:?}");
}

#[test]
fn without_a_sensor_the_reports_alone_engage_and_release() {
    let mut lane = Lane::new(CAPACITY);
    lane.sensor = false;
    let calm = lane.run(10_000, |_| 50_000.0);
    let spike = lane.run(10_000, |_| 800_000.0);
    let after = lane.run(10_000, |_| 50_000.0);
    assert_eq!(modes(&calm), []);
    assert_eq!(modes(&spike), [Mode::Burst]);
    assert_eq!(modes(&after), [Mode::Armed]);
}

#[test]
fn a_restarted_job_keeps_what_was_learned_and_makes_no_rate_of_counters_that_fell() {
    let mut lane = armed_lane();
    let before = lane.state.capacity();
    lane.restart("00000000000000bb");
    let seen = lane.run(2_000, |_| 100_000.0);
    assert!(seen.diverted < 1.0);
    let (before, after) = (before.unwrap().get(), lane.state.capacity().unwrap().get());
    assert!((after / before - 1.0).abs() < 0.1, "{before} → {after}");
    let spike = lane.run(1_000, |_| 800_000.0);
    assert!(spike.first_diverted_ms.unwrap() - 12_000 <= 50);
}

#[test]
fn a_long_interval_between_reports_still_engages_within_a_second() {
    let mut lane = Lane::new(CAPACITY);
    lane.sensor = false;
    lane.report_ms = 250;
    lane.run(5_000, |_| 30_000.0);
    let spike = lane.run(5_000, |_| 1_000_000.0);
    assert!(
        spike.first_diverted_ms.unwrap() - 5_000 <= 1_000,
        "{spike:?}"
    );
}

#[test]
fn a_full_processor_lowers_the_local_rate_and_room_raises_it_again() {
    let mut lane = armed_lane();
    lane.sensor = false;
    let rate_after = |lane: &mut Lane, cpu: f64| {
        for _ in 0..25 {
            lane.run(200, |_| 800_000.0);
            let load = LaneLoad {
                worker_cpu: Some(Share::new(cpu)),
                ..LaneLoad::default()
            };
            lane.tell(&Observation::Lane(load), &mut Seen::default());
        }
        lane.local_rate()
    };
    let held = rate_after(&mut lane, 0.92);
    let full = rate_after(&mut lane, 1.0);
    let held_again = rate_after(&mut lane, 0.92);
    let roomy = rate_after(&mut lane, 0.6);
    assert!(full < 0.7 * held, "{held} → {full}");
    assert!(
        (held_again / full - 1.0).abs() < 1e-9,
        "{full} → {held_again}"
    );
    assert!(roomy > 1.3 * full, "{full} → {roomy}");
}

#[test]
fn the_same_trace_gives_the_same_decisions() {
    let run = || {
        let mut lane = Lane::new(CAPACITY);
        lane.divert_cost = 0.1;
        let load = |ms: u64| {
            if ms % 7_000 < 3_000 {
                700_000.0
            } else {
                60_000.0
            }
        };
        let seen = lane.run(30_000, load);
        (seen.modes, format!("{:?}", lane.state))
    };
    assert_eq!(run(), run());
}
