//! What happened so far: `GET /_local/stats`.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

/// So many init durations are kept, the most recent.
const INIT_HISTORY: usize = 1000;

/// Counters since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// Invocations that got a concurrency slot.
    pub invocations: u64,
    /// Invocations refused with 429.
    pub throttles: u64,
    /// Processes of a function that were started.
    pub cold_starts: u64,
    /// Invocations that were killed at their deadline.
    pub timeouts: u64,
    /// Processes that ended by themselves or by a fault, not those that were reaped or timed out.
    pub crashes: u64,
    /// Answers with `X-Amz-Function-Error`, those of crashes and time-outs included.
    pub function_errors: u64,
    /// Invocations running now.
    pub concurrent: u64,
    /// Most invocations that ran at once.
    pub concurrent_max: u64,
    /// Billed milliseconds: duration and init, rounded up per invocation.
    pub billed_ms: u64,
    /// Init durations in milliseconds, from the start of a process to its first poll for work; the most recent 1000.
    pub init_ms: VecDeque<f64>,
}

/// The counters, shared by all functions.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Snapshot>);

impl Stats {
    /// Changes the counters.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        // A poisoned lock only means that some task panicked; counters are valid at every step.
        change(
            &mut self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
    }

    /// The counters as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut copy = Snapshot::default();
        self.update(|now| copy = now.clone());
        copy
    }

    /// An invocation got its slot.
    pub(crate) fn began(&self) {
        self.update(|s| {
            s.invocations += 1;
            s.concurrent += 1;
            s.concurrent_max = s.concurrent_max.max(s.concurrent);
        });
    }

    /// An invocation gave its slot back.
    pub(crate) fn ended(&self) {
        self.update(|s| s.concurrent -= 1);
    }

    /// A process polled for work for the first time.
    pub(crate) fn initialised(&self, init: Duration) {
        self.update(|s| {
            if s.init_ms.len() == INIT_HISTORY {
                s.init_ms.pop_front();
            }
            s.init_ms.push_back(init.as_secs_f64() * 1e3);
        });
    }
}

/// The bill's unit: a millisecond begun is a millisecond billed.
pub(crate) fn billed_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_millisecond_begun_is_billed() {
        assert_eq!(billed_ms(Duration::ZERO), 0);
        assert_eq!(billed_ms(Duration::from_micros(1)), 1);
        assert_eq!(billed_ms(Duration::from_millis(7)), 7);
        assert_eq!(billed_ms(Duration::from_nanos(7_000_001)), 8);
    }

    #[test]
    fn the_highest_concurrency_is_kept() {
        let stats = Stats::default();
        stats.began();
        stats.began();
        stats.ended();
        stats.began();
        stats.ended();
        let now = stats.snapshot();
        assert_eq!(
            (now.invocations, now.concurrent, now.concurrent_max),
            (3, 1, 2)
        );
    }
}
