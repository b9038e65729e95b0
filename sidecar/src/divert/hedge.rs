//! When to send a batch a second time because its answer is late.
//!
//! It helps against an instance that hangs and an answer that is lost, and harms where attempts are slow
//! because there are too many of them; so it waits long, and stays within a small share of the batches.
//! Measured in `experiments/hedging`, decided in `docs/decisions/0011-a-second-attempt-for-stragglers.md`.
//! Both attempts make the same object with the same bytes, so it is safe.
//!
//! Pure: it is told how long answers took.

use std::time::Duration;

use super::limit::{SIZES, size_class};

/// An answer is late after so many times what 19 of 20 take …
const TIMES: f64 = 4.0;
/// … but no earlier than this: what is quicker holds nothing up.
const SHORTEST: Duration = Duration::from_millis(250);
/// At most so large a share of the batches is sent a second time.
const SHARE: f64 = 0.05;
/// So many second attempts may be saved up.
const SAVED: f64 = 3.0;
/// Fewer answers than this say nothing about the twentieth.
const ENOUGH: u32 = 20;
/// How far the estimate moves with one answer.
const STEP: f64 = 0.01;

/// What is known about how long answers take.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Patience {
    sizes: [Size; SIZES],
    saved: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Size {
    answers: u32,
    /// The 95th percentile, in seconds.
    p95: f64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            sizes: [Size::default(); SIZES],
            saved: 0.0,
        }
    }
}

impl Patience {
    /// A batch is sent for the first time; gives how long to wait for its answer, if that is known for its
    /// size.
    pub(crate) fn begin(&mut self, bytes: usize) -> Option<Duration> {
        self.saved = (self.saved + SHARE).min(SAVED);
        let size = &self.sizes[size_class(bytes)];
        if size.answers < ENOUGH {
            return None;
        }
        let wait = Duration::try_from_secs_f64(TIMES * size.p95).ok()?;
        Some(wait.max(SHORTEST))
    }

    /// Whether a second attempt may be made now; if so, it is taken to be.
    pub(crate) fn spend(&mut self) -> bool {
        let enough = self.saved >= 1.0;
        if enough {
            self.saved -= 1.0;
        }
        enough
    }

    /// A warm instance answered.
    pub(crate) fn took(&mut self, bytes: usize, time: Duration) {
        let size = &mut self.sizes[size_class(bytes)];
        let seconds = time.as_secs_f64().clamp(1e-6, 1e3);
        if size.answers == 0 {
            size.p95 = seconds;
        }
        size.answers = size.answers.saturating_add(1);
        // Stochastic approximation of a quantile: where 19 steps down balance one of 19 up.
        let step = STEP * size.p95;
        size.p95 += if seconds > size.p95 {
            19.0 * step
        } else {
            -step
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 1_000_000;

    fn after(times_ms: impl IntoIterator<Item = u64>) -> Patience {
        let mut patience = Patience::default();
        for ms in times_ms {
            patience.begin(BYTES);
            patience.took(BYTES, Duration::from_millis(ms));
        }
        patience
    }

    #[test]
    fn an_answer_is_late_after_four_times_what_nineteen_of_twenty_take() {
        // 95 % below 190 ms.
        let mut patience = after((0..4_000).map(|n| (n * 37) % 200));
        let wait = patience.begin(BYTES).unwrap().as_millis();
        assert!((650..=900).contains(&wait), "{wait}");
    }

    #[test]
    fn what_is_quick_anyway_is_not_late_before_a_quarter_of_a_second() {
        let mut patience = after(std::iter::repeat_n(5, 500));
        assert_eq!(patience.begin(BYTES), Some(SHORTEST));
    }

    #[test]
    fn without_enough_answers_of_its_size_a_batch_is_waited_for() {
        let mut patience = after(std::iter::repeat_n(5, 19));
        assert_eq!(patience.begin(BYTES), None);
        patience.took(BYTES, Duration::from_millis(5));
        assert!(patience.begin(BYTES).is_some());
        assert_eq!(patience.begin(5 * BYTES), None);
    }

    #[test]
    fn no_more_than_a_twentieth_is_sent_again_however_late_all_are() {
        let mut patience = Patience::default();
        let mut again = 0;
        for _ in 0..1_000 {
            patience.begin(BYTES);
            again += u32::from(patience.spend());
        }
        assert!((45..=50).contains(&again), "{again}");
    }

    #[test]
    fn a_long_calm_saves_up_only_a_few() {
        let mut patience = after(std::iter::repeat_n(5, 10_000));
        let burst = (0..10).filter(|_| patience.spend()).count();
        assert_eq!(burst, 3);
    }
}
