//! Nothing is lost, nothing comes from nowhere, and the same scenario always shows the same.

use super::scenario;
use crate::sim::Scenario;

const SPIKE: &str = r#"
name = "spike"
about = "A spike."
[load]
profile = "50k:5s,600k:10s,50k:5s"
"#;

/// Everything that was due has gone through one of the lanes, once.
fn balances(scenario: &Scenario) {
    let outcome = scenario.run(true);
    let due: f64 = outcome.timeline.iter().map(|second| second.due_per_s).sum();
    let done = outcome.whole.local.count() + outcome.whole.cloud.count();
    assert!(
        (done - due).abs() <= 1e-6 * due,
        "{due} were due, {done} done"
    );
    for phase in &outcome.phases {
        assert!(phase.local.count() + phase.cloud.count() <= due);
    }
}

#[test]
fn every_record_goes_through_one_of_the_lanes_once() {
    balances(&scenario(SPIKE));
    balances(&scenario(&format!("{SPIKE}\n[policy]\nmode = \"local\"")));
    balances(&scenario(&format!("{SPIKE}\n[policy]\nmode = \"burst\"")));
    balances(&scenario(&format!(
        "{SPIKE}\n[lane]\nsubtasks = 3\nworkers = 2"
    )));
}

#[test]
fn what_the_cloud_returns_goes_down_the_local_lane() {
    for outage in ["refused", "silent"] {
        let lost = scenario(&format!(
            "{SPIKE}\n[valve]\ndeadline = \"500ms\"\n[cloud]\noutages = [\"6s..12s\"]\noutage = \"{outage}\""
        ));
        let outcome = lost.run(false);
        assert!(outcome.bounced_batches > 0, "{outage}: {outcome:?}");
        balances(&lost);
    }
}

#[test]
fn what_is_never_processed_has_waited_until_the_end() {
    // Five minutes after the load's end most of it is still before a lane that takes a thousandth of it,
    balances(&scenario(&format!(
        "{SPIKE}\n[policy]\nmode = \"local\"\n[lane]\ncapacity = 1000.0"
    )));
    // or in a cloud that says nothing for longer.
    balances(&scenario(&format!(
        "{SPIKE}\n[policy]\nmode = \"burst\"\n[valve]\ndeadline = \"600s\"\n\
         [cloud]\noutages = [\"0s..600s\"]\noutage = \"silent\""
    )));
}

#[test]
fn the_same_scenario_shows_the_same_and_another_seed_does_not() {
    let one = scenario(SPIKE);
    assert_eq!(one.run(true), one.run(true));
    let other = Scenario {
        seed: 2,
        ..one.clone()
    };
    assert_ne!(one.run(true).whole.local, other.run(true).whole.local);
}

#[test]
fn a_saturated_lane_takes_its_capacity_and_is_late_with_the_rest() {
    for (lane, capacity) in [
        ("capacity = 150000.0", 150e3),
        (
            "capacity = 400000.0\nsubtasks = 4\nworkers = 2\ncores = 2.0",
            400e3,
        ),
        // One subtask has two threads: on ten processors the busier one is the limit.
        ("capacity = 300000.0\ncores = 10.0", 300e3),
    ] {
        let full = scenario(&format!(
            "name = \"full\"\nabout = \"Full.\"\n[load]\nprofile = \"2M:30s\"\n[policy]\nmode = \"local\"\n\
             [lane]\njitter = 0.0\nstall_every = \"0s\"\nwindow_fire = \"0s\"\n{lane}"
        ));
        let outcome = full.run(true);
        let warm = &outcome.timeline[20..30];
        let kept = warm.iter().map(|second| second.kept_per_s).sum::<f64>() / 10.0;
        assert!((0.93..=1.03).contains(&(kept / capacity)), "{lane}: {kept}");
        assert!(outcome.whole.spend_usd == 0.0 && outcome.whole.cloud.count() == 0.0);
        assert!(outcome.whole.local.quantile_ms(0.5).unwrap() > 10_000.0);
    }
}

#[test]
fn a_restarted_job_reads_again_what_came_after_its_checkpoint() {
    let died = scenario(
        "name = \"died\"\nabout = \"Died.\"\n[load]\nprofile = \"50k:20s\"\n[policy]\nmode = \"local\"\n\
         [[restart]]\nat = \"12s\"\ndown = \"2s\"",
    );
    let outcome = died.run(false);
    // Two seconds after the checkpoint at 10 s are read twice, less what had not been worked on.
    let again = outcome.whole.local.count() - 1e6;
    assert!((90_000.0..=101_000.0).contains(&again), "{again}");
    assert!(outcome.whole.local.max_ms().unwrap() > 2_000.0);
}
