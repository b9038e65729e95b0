//! The limiter against clouds on virtual time.

use super::*;

/// A cloud on virtual time: `capacity` invocations at once, an answer each `quick`, and slower in
/// proportion once more than `cores` are under way.
struct Cloud {
    capacity: u32,
    cores: u32,
    quick: Duration,
}

struct Run {
    limiter: Limiter,
    now: Moment,
    throttled: u32,
}

impl Run {
    fn new(max: u32) -> Self {
        Self {
            limiter: Limiter::new(max),
            now: Moment::default(),
            throttled: 0,
        }
    }

    /// Sends waves of as many attempts as the limit allows, for `span`.
    fn load(&mut self, cloud: &Cloud, span: Duration) {
        let end = self.now.plus(span);
        while self.now < end {
            let wave = self.limiter.limit();
            let begun = self.now;
            (0..wave).for_each(|_| self.limiter.began(begun));
            let refused = wave.saturating_sub(cloud.capacity);
            for _ in 0..refused {
                self.throttled += 1;
                let outcome = Outcome::Throttled {
                    at_once: true,
                    retry_after: None,
                };
                self.limiter.ended(begun, outcome, self.now);
            }
            let running = wave - refused;
            let time = cloud
                .quick
                .mul_f64((f64::from(running) / f64::from(cloud.cores)).max(1.0));
            self.now = begun.plus(time);
            for _ in 0..running {
                let bytes = 1_000_000;
                self.limiter
                    .ended(begun, Outcome::Took { time, bytes }, self.now);
            }
        }
    }
}

const QUICK: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);

fn steady(capacity: u32) -> Cloud {
    Cloud {
        capacity,
        cores: 1_000,
        quick: QUICK,
    }
}

#[test]
fn a_cloud_that_keeps_up_is_used_to_the_full_from_the_first_attempt() {
    let mut run = Run::new(64);
    assert_eq!(run.limiter.limit(), 64);
    run.load(&steady(64), 10 * SECOND);
    assert_eq!((run.limiter.limit(), run.limiter.reason()), (64, ""));
}

#[test]
fn a_throttled_cloud_is_asked_for_what_it_has_within_a_second() {
    let mut run = Run::new(64);
    run.load(&steady(10), SECOND);
    assert!(
        (5..=10).contains(&run.limiter.limit()),
        "{}",
        run.limiter.limit()
    );
    assert!(run.limiter.reason().starts_with("throttled with "));
    // From then on a probe in two seconds is refused, and hardly more.
    let before = run.throttled;
    run.load(&steady(10), 20 * SECOND);
    assert!(
        (6..=11).contains(&run.limiter.limit()),
        "{}",
        run.limiter.limit()
    );
    let refused = run.throttled - before;
    assert!((1..=15).contains(&refused), "{refused}");
}

#[test]
fn when_the_cloud_has_more_again_the_limit_grows_back() {
    let mut run = Run::new(64);
    run.load(&steady(4), 5 * SECOND);
    assert!(run.limiter.limit() <= 5);
    run.load(&steady(64), 20 * SECOND);
    assert_eq!(run.limiter.limit(), 64);
}

#[test]
fn one_flood_of_refusals_counts_once() {
    let mut limiter = Limiter::new(100);
    let begun = Moment::at(SECOND);
    (0..100).for_each(|_| limiter.began(begun));
    let now = begun.plus(QUICK);
    for _ in 0..90 {
        let outcome = Outcome::Throttled {
            at_once: true,
            retry_after: None,
        };
        limiter.ended(begun, outcome, now);
    }
    assert_eq!(limiter.limit(), 70);
    assert_eq!(limiter.under_way(), 10);
}

#[test]
fn more_at_once_than_there_are_cores_is_noticed_by_the_latency() {
    let crowded = Cloud {
        capacity: 1_000,
        cores: 4,
        quick: QUICK,
    };
    let mut run = Run::new(64);
    // The minimum is known from a quiet time.
    run.limiter = Limiter::new(4);
    run.load(&crowded, SECOND);
    run.limiter.max = 64.0;
    run.limiter.limit = 64.0;
    run.load(&crowded, 10 * SECOND);
    let limit = run.limiter.limit();
    assert!((4..=16).contains(&limit), "{limit}");
    assert!(run.limiter.reason().ends_with("times their minimum"));
}

#[test]
fn a_large_batch_is_not_slow_because_a_small_one_was_quick() {
    let mut limiter = Limiter::new(8);
    let mut now = Moment::default();
    for round in 0..200 {
        let (time, bytes) = if round % 2 == 0 {
            (Duration::from_millis(5), 20_000)
        } else {
            (Duration::from_millis(80), 5_000_000)
        };
        (0..8).for_each(|_| limiter.began(now));
        let begun = now;
        now = now.plus(time);
        (0..8).for_each(|_| limiter.ended(begun, Outcome::Took { time, bytes }, now));
    }
    assert_eq!(limiter.limit(), 8);
}

#[test]
fn a_limit_that_is_not_used_up_does_not_grow() {
    let mut run = Run::new(64);
    run.load(&steady(8), 2 * SECOND);
    let before = run.limiter.limit();
    for _ in 0..2_000 {
        let begun = run.now;
        run.limiter.began(begun);
        run.now = begun.plus(QUICK / 4);
        let outcome = Outcome::Took {
            time: QUICK,
            bytes: 1_000_000,
        };
        run.limiter.ended(begun, outcome, run.now);
    }
    assert_eq!(run.limiter.limit(), before);
}

#[test]
fn after_a_quiet_time_a_new_spike_gets_everything() {
    let mut run = Run::new(64);
    run.load(&steady(2), 5 * SECOND);
    assert!(run.limiter.limit() <= 3);
    run.limiter.began(run.now.plus(31 * SECOND));
    assert_eq!(run.limiter.limit(), 64);
}

#[test]
fn while_the_cloud_asks_for_patience_the_limit_stays_below_what_was_refused() {
    let mut limiter = Limiter::new(16);
    (0..16).for_each(|_| limiter.began(Moment::default()));
    let outcome = Outcome::Throttled {
        at_once: false,
        retry_after: Some(10 * SECOND),
    };
    limiter.ended(Moment::default(), outcome, Moment::default());
    assert_eq!(limiter.limit(), 11);
    let mut run = Run {
        limiter,
        now: Moment::default(),
        throttled: 0,
    };
    run.load(&steady(64), 9 * SECOND);
    assert_eq!(run.limiter.limit(), 11);
    run.load(&steady(64), 10 * SECOND);
    assert_eq!(run.limiter.limit(), 16);
}

#[test]
fn whatever_is_observed_the_limit_stays_in_its_bounds() {
    use proptest::prelude::*;
    let outcome = prop_oneof![
        (0_u64..10_000_000, any::<usize>()).prop_map(|(us, bytes)| Outcome::Took {
            time: Duration::from_micros(us),
            bytes
        }),
        (any::<bool>(), proptest::option::of(0_u64..100_000)).prop_map(|(at_once, ms)| {
            Outcome::Throttled {
                at_once,
                retry_after: ms.map(Duration::from_millis),
            }
        }),
        Just(Outcome::Other),
    ];
    let steps = proptest::collection::vec((outcome, 0_u64..50_000, 0_u32..20), 0..300);
    proptest!(|(max in 1_u32..=1000, steps in steps)| {
        let mut limiter = Limiter::new(max);
        let mut now = Moment::default();
        for (outcome, ms, begin) in steps {
            (0..begin).for_each(|_| limiter.began(now));
            let begun = now;
            now = now.plus(Duration::from_millis(ms));
            limiter.ended(begun, outcome, now);
            prop_assert!((1..=max).contains(&limiter.limit()), "{limiter:?}");
            prop_assert!(limiter.limit.is_finite());
        }
    });
}
