//! What the controller costs: one tick of a valve with 64 subtasks, every one of them reporting once and
//! the sensor looking once, in a spike. Prints nanoseconds.
//!
//! `cargo run --release -p spillway --example tick`

use std::time::{Duration, Instant};

use spillway::decide::{
    CloudLane, LaneLoad, Moment, Observation, Policy, Reading, Share, State, decide,
};

const SUBTASKS: u32 = 64;
const TICKS: u64 = 600;

fn main() {
    let policy = Policy::default();
    let mut state = State::default();
    let cloud = Observation::Cloud(CloudLane::Open { credits: 1000 });
    state = decide(&policy, state, &cloud, Moment::default()).0;
    let mut took = Vec::new();
    let mut mode = String::new();
    for tick in 1..=TICKS {
        let now = Moment::at(Duration::from_millis(tick * 100));
        let observations: Vec<Observation> = (0..SUBTASKS)
            .map(|subtask| report(subtask, tick))
            .chain([lane()])
            .collect();
        let began = Instant::now();
        for observation in &observations {
            let (next, decision) = decide(&policy, state, observation, now);
            state = next;
            mode = decision.mode.to_string();
        }
        took.push(began.elapsed().as_nanos());
    }
    took.sort_unstable();
    let at = |share: usize| took[took.len() * share / 100];
    println!(
        "a tick of {SUBTASKS} reports and one look: median {} ns, p99 {} ns, at most {} ns; mode {mode}",
        at(50),
        at(99),
        took[took.len() - 1]
    );
}

/// 10 k/s each for half of the time, then a skewed spike.
fn report(subtask: u32, tick: u64) -> Observation {
    let calm = tick.min(TICKS / 2) * 1000;
    let spike = tick.saturating_sub(TICKS / 2) * 100 * u64::from(subtask);
    Observation::Report {
        subtask,
        reading: Reading {
            attempt: "00000000000000aa"
                .parse()
                .expect("sixteen hexadecimal digits"),
            sequence: tick,
            parallelism: SUBTASKS,
            time_ms: i64::try_from(tick * 100).unwrap_or(i64::MAX),
            received: calm + spike,
            to_local: calm + spike / 3,
            to_cloud: spike - spike / 3,
            in_flight_batches: 1,
            unavailable_ms: 0,
        },
    }
}

fn lane() -> Observation {
    Observation::Lane(LaneLoad {
        downstream_busy: Some(Share::new(0.5)),
        worker_cpu: Some(Share::new(0.6)),
        window: Duration::from_millis(200),
        ..LaneLoad::default()
    })
}
