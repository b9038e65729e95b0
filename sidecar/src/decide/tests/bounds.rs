//! Budgets, and backlogs that are worked off.

use std::time::Duration;

use spillway_core::directive::Mode;

use super::super::*;
use super::lane::{Lane, Seen};

const CAPACITY: f64 = 200_000.0;

fn armed_lane() -> Lane {
    let mut lane = Lane::new(CAPACITY);
    lane.run(10_000, |_| 100_000.0);
    assert_eq!(lane.state.mode(), Mode::Armed);
    lane.source_rate = 1_000_000.0;
    lane
}

#[test]
fn no_more_than_the_share_is_diverted_and_the_reason_says_so() {
    let mut lane = armed_lane();
    lane.policy.max_diverted_share = 0.5;
    lane.run(5_000, |_| 800_000.0);
    let spike = lane.run(20_000, |_| 800_000.0);
    // The lane takes 200 k/s, so no more than that may be diverted; the rest waits.
    let share = spike.diverted / (spike.kept + spike.diverted);
    assert!((0.4..=0.55).contains(&share), "{share}");
    assert_eq!(lane.last().bound_by, Some(Budget::Share));
    let reason = lane.state.reason();
    assert!(reason.contains("max_diverted_share 0.50"), "{reason}");
}

#[test]
fn a_share_that_the_lane_can_do_without_withholds_no_credits() {
    let mut lane = armed_lane();
    lane.policy.max_diverted_share = 0.5;
    // 250 k/s: 125 k/s may be diverted, and the lane can take the other half.
    lane.run(5_000, |_| 250_000.0);
    let spike = lane.run(10_000, |_| 250_000.0);
    assert!(spike.diverted <= 0.52 * spike.received, "{spike:?}");
    assert!(spike.worst_wait_ms < 200.0, "{spike:?}");
}

#[test]
fn less_is_diverted_as_the_money_runs_out_and_never_more_than_the_budget() {
    let mut lane = armed_lane();
    lane.usd_per_record = 1e-6;
    // 600 k/s beyond the lane would cost 0.6 a second: the budget is gone after 100 s of that.
    lane.policy.max_usd_per_hour = Some(60.0);
    let mut by_minute = Vec::new();
    for _ in 0..10 {
        // A spike that ends within each minute, so that the backlog does not grow beyond bounds.
        let minute = lane.run(60_000, |ms| if ms < 20_000 { 800_000.0 } else { 50_000.0 });
        by_minute.push(minute.diverted * lane.usd_per_record);
    }
    let spent: f64 = by_minute.iter().sum();
    assert!(spent <= 60.0 * 1.01, "{spent}: {by_minute:?}");
    assert!(spent > 40.0, "{spent}: {by_minute:?}");
    assert!(
        by_minute[0] > 3.0 && by_minute[9] < by_minute[0],
        "{by_minute:?}"
    );
    assert!(by_minute[9] > 0.0, "a cliff: {by_minute:?}");
}

#[test]
fn money_spent_more_than_an_hour_ago_may_be_spent_again() {
    let mut lane = armed_lane();
    lane.usd_per_record = 1e-6;
    lane.run(60_000, |_| 400_000.0);
    lane.policy.max_usd_per_hour = Some(10.0);
    lane.run(1_000, |_| 400_000.0);
    let broke = lane.run(10_000, |_| 400_000.0);
    assert!(broke.diverted < 1.0, "{broke:?}");
    assert_eq!(lane.last().bound_by, Some(Budget::Spend));
    lane.now_ms += 3_700_000;
    lane.run(5_000, |_| 100_000.0);
    let later = lane.run(10_000, |_| 400_000.0);
    assert!(later.diverted > 100_000.0, "{later:?}");
}

#[test]
fn the_policy_caps_the_batches_in_the_cloud() {
    let mut lane = armed_lane();
    lane.policy.max_concurrency = Some(5);
    lane.run(2_000, |_| 800_000.0);
    assert_eq!(lane.last().credits, 5);
    assert_eq!(lane.last().bound_by, Some(Budget::Concurrency));
}

#[test]
fn budgets_bound_the_manual_override_too() {
    let mut lane = armed_lane();
    lane.policy.mode = PolicyMode::Burst;
    lane.policy.max_diverted_share = 0.25;
    lane.run(5_000, |_| 150_000.0);
    let seen = lane.run(20_000, |_| 150_000.0);
    let share = seen.diverted / seen.received;
    assert!((0.2..=0.3).contains(&share), "{share}");
    assert_eq!(lane.state.mode(), Mode::Burst);
}

#[test]
fn a_valve_that_is_not_armed_diverts_only_what_was_taken_for_a_spike() {
    let mut lane = Lane::new(CAPACITY);
    lane.policy.armed = false;
    lane.run(10_000, |_| 100_000.0);
    assert_eq!(lane.state.mode(), Mode::Local);
    assert!(lane.state.reason().starts_with("policy.armed is false: "));
    let spike = lane.run(5_000, |_| 800_000.0);
    assert!(
        spike.first_diverted_ms.unwrap() - 10_000 >= 200,
        "{spike:?}"
    );
    assert_eq!(lane.state.mode(), Mode::Burst);
}

fn behind(records: f64) -> Lane {
    let mut lane = Lane::new(CAPACITY);
    lane.tells_pending = true;
    // A source that hands over no more than the lane can take: nothing but the backlog tells of it.
    lane.source_rate = 0.7 * CAPACITY;
    lane.run(10_000, |_| 100_000.0);
    lane.fall_behind(records);
    lane.source_rate = 0.85 * CAPACITY;
    lane
}

#[test]
fn a_backlog_that_the_lane_works_off_in_time_is_left_to_it() {
    let mut lane = behind(3_000_000.0);
    let seen = lane.run(60_000, |_| 100_000.0);
    assert!(seen.diverted < 1.0, "{seen:?}");
    assert!(lane.backlog() < 1_000.0, "{}", lane.backlog());
}

#[test]
fn a_backlog_that_the_lane_alone_would_not_work_off_in_time_is_gone_in_time() {
    let mut lane = behind(12_000_000.0);
    lane.source_rate = 3.0 * CAPACITY;
    let seen = lane.run(62_000, |_| 100_000.0);
    assert!(lane.backlog() < CAPACITY, "{} {seen:?}", lane.backlog());
    // The lane had its part in it, rather than the cloud all of it at once.
    let local = seen.kept / (seen.kept + seen.diverted);
    assert!(local > 0.4, "{local}");
    let after = lane.run(10_000, |_| 100_000.0);
    assert_eq!(lane.state.mode(), Mode::Armed, "{after:?}");
}

#[test]
fn a_backlog_gives_its_reason_in_numbers() {
    let mut lane = behind(30_000_000.0);
    let mut reasons = Vec::new();
    for (_, mode, reason) in lane.run(5_000, |_| 100_000.0).modes {
        reasons.push((mode, reason));
    }
    let (mode, reason) = &reasons[0];
    assert_eq!(*mode, Mode::Burst);
    assert!(reason.starts_with("backlog of 1"), "{reason}");
    assert!(reason.contains("> 5.0 s for 3000 ms"), "{reason}");
}

#[test]
fn a_spike_is_not_over_while_a_backlog_is_left() {
    let mut lane = behind(30_000_000.0);
    lane.source_rate = 3.0 * CAPACITY;
    lane.run(5_000, |_| 100_000.0);
    let seen: Seen = lane.run(5_000, |_| 50_000.0);
    assert!(seen.modes.is_empty(), "{seen:?}");
    assert_eq!(lane.state.mode(), Mode::Burst);
    assert!(
        lane.state
            .lag(Moment::at(Duration::from_millis(lane.now_ms)))
            .unwrap()
            > Duration::from_secs(5)
    );
}
