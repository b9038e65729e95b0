use super::*;

fn at(ms: u64) -> Moment {
    Moment::at(Duration::from_millis(ms))
}

fn rate(value: f64) -> RecordsPerSecond {
    RecordsPerSecond::new(value)
}

fn cpu(share: f64) -> LaneLoad {
    LaneLoad {
        worker_cpu: Some(Share::new(share)),
        worker_cpu_window: SAMPLE,
        ..LaneLoad::default()
    }
}

/// A worker that spends three tenths of its processor anyway, and can take 200 k/s; seen for so many seconds.
fn see(capacity: &mut Capacity, kept: f64, seconds: std::ops::Range<u64>) {
    for second in seconds {
        let load = cpu(0.3 + 0.7 * kept / 200_000.0);
        capacity.see(rate(kept), &load, at(second * 1000), &Policy::default());
    }
}

fn known(capacity: &Capacity) -> f64 {
    capacity.rate().unwrap().get()
}

#[test]
fn a_capacity_is_believed_after_three_seconds_of_evidence() {
    let mut capacity = Capacity::default();
    see(&mut capacity, 100_000.0, 0..2);
    assert_eq!(capacity.rate(), None);
    see(&mut capacity, 100_000.0, 2..3);
    assert!((known(&capacity) / 200_000.0 - 1.0).abs() < 0.01);
}

#[test]
fn the_same_share_told_again_is_no_more_evidence() {
    let mut capacity = Capacity::default();
    for tick in 0..7 {
        let load = LaneLoad {
            worker_cpu_window: Duration::ZERO,
            ..cpu(0.6)
        };
        capacity.see(rate(100_000.0), &load, at(tick * 200), &Policy::default());
    }
    assert_eq!(capacity.rate(), None);
}

#[test]
fn an_idle_lane_tells_no_capacity() {
    let mut capacity = Capacity::default();
    for second in 0..20 {
        let now = at(second * 1000);
        capacity.see(rate(100_000.0), &cpu(0.1), now, &Policy::default());
        capacity.see(rate(10.0), &cpu(0.9), now, &Policy::default());
    }
    assert_eq!(capacity.rate(), None);
}

#[test]
fn the_busiest_of_worker_and_task_is_what_limits() {
    let mut capacity = Capacity::default();
    for tick in 0..100 {
        let load = LaneLoad {
            downstream_busy: Some(Share::new(0.8)),
            window: Duration::from_millis(200),
            worker_cpu: Some(Share::new(0.4)),
            ..LaneLoad::default()
        };
        capacity.see(rate(100_000.0), &load, at(tick * 200), &Policy::default());
    }
    assert!((120_000.0..130_000.0).contains(&known(&capacity)));
}

#[test]
fn a_stall_does_not_pull_the_capacity_below_what_was_just_shown() {
    let mut capacity = Capacity::default();
    capacity.ordinary(rate(50_000.0), at(0));
    capacity.measured(RecordsPerSecond::ZERO, at(5_000), &Policy::default());
    assert_eq!(capacity.rate(), Some(rate(50_000.0)));
}

#[test]
fn a_first_guess_is_no_less_than_what_was_just_shown() {
    let mut capacity = Capacity::default();
    capacity.ordinary(rate(5_000.0), at(0));
    capacity.first(rate(0.0), at(1_000));
    let estimate = capacity.estimate(at(1_000)).unwrap();
    assert_eq!(estimate.rate, rate(5_000.0));
    assert!(estimate.low <= estimate.rate, "{estimate:?}");
}

#[test]
fn what_was_shown_long_ago_does_not_hold_the_capacity_up() {
    let mut capacity = Capacity::default();
    capacity.ordinary(rate(50_000.0), at(0));
    capacity.measured(rate(20_000.0), at(60_000), &Policy::default());
    assert_eq!(capacity.rate(), Some(rate(20_000.0)));
}

#[test]
fn what_the_lane_took_for_a_second_it_can_take() {
    let mut capacity = Capacity::default();
    capacity.at_least(rate(90_000.0));
    assert_eq!(capacity.rate(), None, "a lower bound alone is no estimate");
    capacity.measured(rate(50_000.0), at(0), &Policy::default());
    capacity.at_least(rate(90_000.0));
    assert_eq!(capacity.rate(), Some(rate(90_000.0)));
}

#[test]
fn a_saturation_that_the_lane_has_outdone_holds_the_line_down_no_more() {
    let mut capacity = Capacity::default();
    // Measured while its JVM was compiling.
    capacity.measured(rate(95_000.0), at(0), &Policy::default());
    capacity.at_least(rate(187_000.0));
    for second in 1..=30 {
        capacity.see(
            rate(45_000.0),
            &cpu(0.43),
            at(second * 1000),
            &Policy::default(),
        );
    }
    assert!(known(&capacity) > 180_000.0, "{}", known(&capacity));
}

#[test]
fn the_more_a_full_worker_diverts_the_less_sure_is_what_it_would_keep() {
    let error = |diverted: f64| {
        let mut capacity = Capacity::default();
        capacity.full(
            rate(100_000.0),
            rate(diverted),
            SAMPLE,
            at(0),
            &Policy::default(),
        );
        let estimate = capacity.estimate(at(0)).unwrap();
        assert_eq!(estimate.rate, rate(100_000.0 + 0.1 * diverted));
        assert!(!estimate.measured);
        estimate.high.get() / estimate.rate.get()
    };
    let errors = [10_000.0, 100_000.0, 1_000_000.0].map(error);
    assert!(errors.is_sorted_by(|one, other| one < other), "{errors:?}");
}

#[test]
fn a_measured_capacity_outweighs_what_utilisations_say() {
    let mut capacity = Capacity::default();
    capacity.measured(rate(200_000.0), at(0), &Policy::default());
    for second in 1..=10 {
        capacity.see(
            rate(50_000.0),
            &cpu(0.6),
            at(second * 1000),
            &Policy::default(),
        );
    }
    assert!(known(&capacity) > 180_000.0, "{}", known(&capacity));
}

#[test]
fn a_capacity_that_drifts_is_followed_both_ways() {
    for factor in [0.7_f64, 1.6] {
        let mut capacity = Capacity::default();
        see(&mut capacity, 100_000.0, 0..60);
        for second in 60..120 {
            let load = cpu(0.3 + 0.35 / factor);
            capacity.see(
                rate(100_000.0),
                &load,
                at(second * 1000),
                &Policy::default(),
            );
        }
        let drifted = known(&capacity) / 200_000.0;
        assert!((drifted / factor - 1.0).abs() < 0.2, "{factor}: {drifted}");
    }
}

#[test]
fn the_bounds_widen_with_age_and_hold_the_estimate_between_them() {
    let mut capacity = Capacity::default();
    capacity.measured(rate(200_000.0), at(0), &Policy::default());
    let fresh = capacity.estimate(at(0)).unwrap();
    let old = capacity.estimate(at(600_000)).unwrap();
    assert!(fresh.low < fresh.rate && fresh.rate < fresh.high);
    assert!(fresh.high.get() < 1.1 * fresh.rate.get());
    assert!(old.low < fresh.low && old.high > fresh.high);
    assert!(fresh.measured);
}

#[test]
fn the_lower_bound_is_no_less_than_what_was_just_shown() {
    let mut capacity = Capacity::default();
    see(&mut capacity, 150_000.0, 0..10);
    capacity.ordinary(rate(190_000.0), at(9_000));
    assert_eq!(capacity.estimate(at(9_500)).unwrap().low, rate(190_000.0));
}

/// Of `experiments/deciding/results/curve.json`, a warm worker with one processor: k/s kept, share of the processor, busy
/// share of the busiest task, a row a second. Saturated ten to thirty seconds later, it took 197.7 k/s.
const WARM: [[(f64, f64, f64); 9]; 3] = [
    [
        (90.1, 0.79, 0.6),
        (90.1, 0.68, 0.53),
        (90.1, 0.59, 0.44),
        (89.9, 0.68, 0.51),
        (89.9, 0.56, 0.49),
        (90.1, 0.56, 0.49),
        (90.1, 0.66, 0.56),
        (89.8, 0.68, 0.54),
        (89.8, 0.59, 0.48),
    ],
    [
        (125.6, 0.72, 0.66),
        (122.3, 0.73, 0.67),
        (130.1, 0.77, 0.72),
        (125.9, 0.69, 0.63),
        (125.6, 0.87, 0.81),
        (126.5, 0.86, 0.84),
        (126.0, 0.82, 0.78),
        (125.6, 0.66, 0.63),
        (126.4, 0.76, 0.72),
    ],
    [
        (170.2, 0.93, 0.91),
        (162.9, 0.86, 0.84),
        (161.5, 0.85, 0.83),
        (162.2, 0.86, 0.82),
        (161.8, 0.79, 0.78),
        (160.6, 0.97, 0.94),
        (162.7, 0.91, 0.9),
        (162.6, 0.78, 0.78),
        (161.2, 1.0, 0.98),
    ],
];

#[test]
fn ten_seconds_at_half_load_of_a_warm_lane_tell_its_capacity_within_15_percent() {
    for recorded in WARM {
        let mut capacity = Capacity::default();
        for (second, (kept, worker, task)) in (1..).zip(recorded) {
            let load = LaneLoad {
                worker_cores: Some(1),
                downstream_busy: Some(Share::new(task)),
                window: SAMPLE,
                ..cpu(worker)
            };
            capacity.see(
                rate(kept * 1e3),
                &load,
                at(second * 1000),
                &Policy::default(),
            );
        }
        let over = known(&capacity) / 197_700.0;
        assert!(
            (over - 1.0).abs() < 0.15,
            "at {} k/s: {over}",
            recorded[0].0
        );
        println!("{} k/s: {over:.3} of the saturation is told", recorded[8].0);
    }
}
