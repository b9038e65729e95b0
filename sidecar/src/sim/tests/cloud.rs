//! The cloud lane by itself, given all that it has credits for.

use std::time::Duration;

use crate::config::{Divert, Lambda};
use crate::decide::CloudLane;
use crate::sim::cloud::{Cloud, Event};
use crate::sim::model::{Cloud as Model, Valve};
use crate::sim::queue::{Portion, Queue};
use crate::sim::valve::Batch;

const SETTINGS: Divert = Divert {
    max_concurrency: 32,
    queue: 32,
    max_batch_bytes: 8 << 20,
    deadline: Duration::from_secs(5),
};

/// A cloud in which each instance has a processor, and is warm, and a sidecar with as many.
fn model() -> Model {
    Model {
        encoders: 64,
        concurrency: "200:1s".parse().unwrap(),
        shared_cores: 0.0,
        warm: 32,
        ..Model::default()
    }
}

struct Run<'a> {
    cloud: Cloud<'a>,
    now_ms: u64,
    under_way: u32,
    /// Whether no more is sent than there are credits for.
    heeds_credits: bool,
}

impl<'a> Run<'a> {
    fn new(model: &'a Model, prices: &'a Lambda) -> Self {
        Self {
            cloud: Cloud::new(model, &SETTINGS, prices, &Valve::default()),
            now_ms: 0,
            under_way: 0,
            heeds_credits: true,
        }
    }

    /// Sends batches of 40 000 records for so long, so many at once. Gives the invocations that were throttled.
    fn load(&mut self, seconds: u64, at_once: u32) -> u64 {
        let before = self.cloud.tally.throttled;
        for _ in 0..seconds * 1_000 {
            let heeded = if self.heeds_credits {
                self.credits()
            } else {
                at_once
            };
            while self.under_way < heeded.min(at_once) {
                self.under_way += 1;
                let mut content = Queue::default();
                content.push(Portion {
                    due_ms: self.now_ms,
                    records: 40e3,
                });
                let batch = Batch {
                    subtask: 0,
                    content,
                    sealed_ms: self.now_ms,
                };
                self.cloud.send(batch, self.now_ms);
            }
            let mut events: Vec<Event> = Vec::new();
            self.cloud.tick(self.now_ms, &mut events);
            self.under_way -= u32::try_from(events.len()).unwrap();
            self.now_ms += 1;
        }
        self.cloud.tally.throttled - before
    }

    /// None while the lane is shut.
    fn credits(&self) -> u32 {
        match self.cloud.lane(self.now_ms) {
            CloudLane::Open { credits } => credits,
            CloudLane::Closed { .. } => 0,
        }
    }
}

#[test]
fn a_cloud_that_keeps_up_is_given_all_that_it_may_have() {
    let (model, prices) = (model(), Lambda::default());
    let mut run = Run::new(&model, &prices);
    assert_eq!(run.load(10, 64), 0);
    assert_eq!((run.credits(), run.cloud.lowest_limit), (64, 32));
    assert_eq!(run.cloud.tally.bounced, 0);
}

#[test]
fn a_throttled_cloud_is_hardly_throttled_any_more_after_a_few_seconds() {
    let throttled = Model {
        concurrency: "4:40s".parse().unwrap(),
        ..model()
    };
    let prices = Lambda::default();
    for heeds_credits in [true, false] {
        let mut run = Run::new(&throttled, &prices);
        run.heeds_credits = heeds_credits;
        run.load(10, 64);
        let settled = run.cloud.tally.settled;
        // A few when it is probed.
        let refused = run.load(20, 64);
        assert!((1..=100).contains(&refused), "{refused}");
        // Queue and limit are of one size.
        assert!((2..=12).contains(&run.credits()), "{}", run.credits());
        // Seven in ten of the 72 a second that four instances can do: a place is held while compressing, too.
        let rate = (run.cloud.tally.settled - settled) / 20;
        assert!((40..=72).contains(&rate), "{rate}");
    }
}

#[test]
fn a_cloud_that_has_more_again_is_given_more_again() {
    let back = Model {
        concurrency: "4:10s,200:1s".parse().unwrap(),
        ..model()
    };
    let prices = Lambda::default();
    let mut run = Run::new(&back, &prices);
    run.load(10, 64);
    assert!(run.credits() <= 12, "{}", run.credits());
    run.load(25, 64);
    assert_eq!(run.credits(), 64);
}

#[test]
fn more_at_once_than_there_are_processors_is_noticed_by_the_latency() {
    let crowded = Model {
        shared_cores: 4.0,
        ..model()
    };
    let prices = Lambda::default();
    let mut run = Run::new(&crowded, &prices);
    // The minimum is known from a quiet time.
    run.load(5, 2);
    assert_eq!(run.cloud.lowest_limit, 32);
    run.load(10, 64);
    assert_eq!(run.cloud.tally.throttled, 0);
    assert!(
        (2..=20).contains(&run.cloud.lowest_limit),
        "{}",
        run.cloud.lowest_limit
    );
    assert!(run.credits() <= 48, "{}", run.credits());
}

#[test]
fn a_cloud_without_any_instance_is_left_alone_but_for_trials() {
    let none = Model {
        concurrency: "0:40s".parse().unwrap(),
        ..model()
    };
    let prices = Lambda::default();
    let mut run = Run::new(&none, &prices);
    run.load(5, 64);
    assert!(run.credits() <= 1, "{}", run.credits());
    // One batch a second, each with some attempts until its deadline.
    let refused = run.load(20, 64);
    assert!((20..=150).contains(&refused), "{refused}");
}
