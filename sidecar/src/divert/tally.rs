//! What the cloud lane has done so far: counted once, shown by `/metrics` and `/v1/status` alike.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram as Hdr;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use spillway_core::envelope::Timing;

use super::breaker::Trouble;
use super::cost::{billed_ms, total_usd};
use super::retry::Class;
use crate::config::Lambda;

/// Durations are kept from 1 µs to this, in µs; longer ones count as this.
const LONGEST_US: u64 = 120_000_000;

/// The label of metrics that are split by what went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ClassLabel {
    class: &'static str,
}

/// Counters of the cloud lane.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Batches taken in.
    pub(crate) batches: Counter,
    /// Of these: settled with a receipt.
    pub(crate) receipts: Counter,
    /// Of these: not settled, by the slug of the answer.
    pub(crate) failed: Family<ClassLabel, Counter>,
    /// Trials of a shut lane that were settled after their sender had been told that they were not.
    pub(crate) late_trials: Counter,
    /// Batches turned away because the queue was full or the lane shut.
    pub(crate) turned_away: Counter,
    /// Attempts beyond a batch's first, by what had gone wrong.
    pub(crate) retries: Family<ClassLabel, Counter>,
    /// Attempts that were throttled.
    pub(crate) throttled: Counter,
    /// Batches being worked on, those that wait for an invocation included.
    pub(crate) in_flight: Gauge<i64, AtomicI64>,
    /// Bytes of batches taken in.
    pub(crate) bytes_in: Counter,
    /// Bytes of payloads sent, retries included.
    pub(crate) bytes_out: Counter,
    /// From a batch's arrival to its receipt.
    took: Histogram,
    took_us: Mutex<Hdr<u64>>,
    /// Answers of the function.
    pub(crate) invocations: Counter,
    /// Of these: an instance's first.
    pub(crate) cold_starts: Counter,
    /// Of cold starts: from process start to the first poll for work.
    init_us: Counter,
    /// Time spent aggregating.
    aggregate_us: Counter,
    /// Records in receipts.
    pub(crate) records: Counter,
    /// Milliseconds to pay for, as far as the function's own timing tells.
    pub(crate) billed_ms: Counter,
    /// Attempts that may have run but brought no answer that could be used: they have to be paid for, and
    /// nobody says how much.
    pub(crate) unanswered: Counter,
    /// How long these were waited for, in ms, which is the most that they can have cost but for those that
    /// run on after a connection broke.
    pub(crate) unanswered_ms: Counter,
    /// Second attempts beside a first one whose answer was late.
    pub(crate) second_attempts: Counter,
    /// Of these: had the answer that counted.
    pub(crate) second_attempts_useful: Counter,
    /// Times that the breaker shut the lane, by the class of trouble.
    shut: Family<ClassLabel, Counter>,
    pub(crate) billed_seconds: Counter<f64, AtomicU64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        // 2 ms to 8 s, by factors of two.
        let took = Histogram::new(exponential_buckets(0.002, 2.0, 13));
        // Bounds that `Hdr` accepts: 1 ≤ low, 2 × low ≤ high, at most 5 digits.
        #[expect(clippy::expect_used)]
        let took_us =
            Hdr::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are constants that hold");
        Self {
            batches: Counter::default(),
            receipts: Counter::default(),
            failed: Family::default(),
            late_trials: Counter::default(),
            turned_away: Counter::default(),
            retries: Family::default(),
            throttled: Counter::default(),
            in_flight: Gauge::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            took,
            took_us: Mutex::new(took_us),
            invocations: Counter::default(),
            cold_starts: Counter::default(),
            init_us: Counter::default(),
            aggregate_us: Counter::default(),
            records: Counter::default(),
            billed_ms: Counter::default(),
            unanswered: Counter::default(),
            second_attempts: Counter::default(),
            second_attempts_useful: Counter::default(),
            unanswered_ms: Counter::default(),
            shut: Family::default(),
            billed_seconds: Counter::default(),
        }
    }

    /// Makes the counters visible under `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("divert");
        registry.register("batches", "Batches taken in", self.batches.clone());
        registry.register(
            "receipts",
            "Batches settled with a receipt",
            self.receipts.clone(),
        );
        registry.register("failed_batches", "Batches not settled", self.failed.clone());
        registry.register(
            "late_trials",
            "Trials settled after their sender was told that they were not: each leaves an orphan",
            self.late_trials.clone(),
        );
        registry.register(
            "turned_away_batches",
            "Batches answered 429 or 503",
            self.turned_away.clone(),
        );
        registry.register(
            "retries",
            "Attempts beyond a batch's first",
            self.retries.clone(),
        );
        registry.register(
            "throttled_attempts",
            "Attempts that were throttled",
            self.throttled.clone(),
        );
        registry.register(
            "in_flight_batches",
            "Batches being worked on",
            self.in_flight.clone(),
        );
        registry.register(
            "shut",
            "Times the breaker shut the cloud lane, by the class of trouble",
            self.shut.clone(),
        );
        registry.register(
            "second_attempts",
            "Attempts beside a first one whose answer was late",
            self.second_attempts.clone(),
        );
        registry.register(
            "useful_second_attempts",
            "Second attempts that had the answer first",
            self.second_attempts_useful.clone(),
        );
        registry.register(
            "unanswered_attempts",
            "Attempts that may have run but brought no usable answer",
            self.unanswered.clone(),
        );
        registry.register_with_unit(
            "batch",
            "Batches taken in",
            Unit::Bytes,
            self.bytes_in.clone(),
        );
        registry.register_with_unit(
            "payload",
            "Payloads sent",
            Unit::Bytes,
            self.bytes_out.clone(),
        );
        registry.register_with_unit(
            "duration",
            "From a batch's arrival to its receipt",
            Unit::Seconds,
            self.took.clone(),
        );
        registry.register(
            "function_answers",
            "Answers of the function",
            self.invocations.clone(),
        );
        registry.register(
            "function_cold_starts",
            "First answers of instances",
            self.cold_starts.clone(),
        );
        registry.register(
            "function_records",
            "Records in receipts",
            self.records.clone(),
        );
        registry.register_with_unit(
            "function_billed",
            "Time to pay for, by the function's own timing",
            Unit::Seconds,
            self.billed_seconds.clone(),
        );
    }

    /// An attempt failed and another one will be made.
    pub(crate) fn retried(&self, class: Class) {
        self.retries
            .get_or_create(&ClassLabel {
                class: class.name(),
            })
            .inc();
    }

    /// A batch could not be settled.
    pub(crate) fn failed(&self, slug: &'static str) {
        self.failed.get_or_create(&ClassLabel { class: slug }).inc();
    }

    /// Batches that could not be settled, whatever the reason.
    pub(crate) fn all_failed(&self) -> u64 {
        self.batches
            .get()
            .saturating_sub(self.receipts.get())
            .saturating_sub(
                // Never negative: it counts what is under way.
                u64::try_from(self.in_flight.get()).unwrap_or_default(),
            )
    }

    /// Attempts beyond each batch's first.
    pub(crate) fn all_retries(&self) -> u64 {
        [
            Class::Throttled,
            Class::Unreachable,
            Class::Service,
            Class::Storage,
            Class::Function,
            Class::BadAnswer,
        ]
        .iter()
        .map(|class| {
            self.retries
                .get_or_create(&ClassLabel {
                    class: class.name(),
                })
                .get()
        })
        .sum()
    }

    /// A batch was settled.
    pub(crate) fn settled(&self, took: Duration, records: u64, timing: &Timing) {
        self.receipts.inc();
        self.took.observe(took.as_secs_f64());
        let took_us = u64::try_from(took.as_micros())
            .unwrap_or(LONGEST_US)
            .clamp(1, LONGEST_US);
        self.took_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .saturating_record(took_us);
        self.records.inc_by(records);
        self.aggregate_us.inc_by(timing.aggregate_us);
    }

    /// The function answered.
    pub(crate) fn answered(&self, timing: &Timing) {
        self.invocations.inc();
        if timing.cold {
            self.cold_starts.inc();
            self.init_us.inc_by(timing.init_us);
        }
        let billed = billed_ms(timing);
        self.billed_ms.inc_by(billed);
        self.billed_seconds.inc_by(billed as f64 / 1e3);
    }

    /// An attempt that may have run came to nothing after this time.
    pub(crate) fn unanswered(&self, waited: Duration) {
        self.unanswered.inc();
        let ms = u64::try_from(waited.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.unanswered_ms.inc_by(ms);
    }

    /// The breaker shut the lane.
    pub(crate) fn shut(&self, trouble: Trouble) {
        let class = trouble.name();
        self.shut.get_or_create(&ClassLabel { class }).inc();
    }

    /// How often the breaker has shut the lane.
    pub(crate) fn all_shut(&self) -> u64 {
        let of = |trouble: Trouble| {
            let class = trouble.name();
            self.shut.get_or_create(&ClassLabel { class }).get()
        };
        Trouble::ALL.into_iter().map(of).sum()
    }

    /// What has been spent so far, in USD at these prices. What nobody has said the length of is counted
    /// for as long as it was waited for.
    pub(crate) fn spent_usd(&self, prices: &Lambda) -> f64 {
        let billed_ms = self
            .billed_ms
            .get()
            .saturating_add(self.unanswered_ms.get());
        let invocations = self.invocations.get().saturating_add(self.unanswered.get());
        total_usd(prices, billed_ms, invocations)
    }

    /// From arrival to receipt, in ms, at this quantile; `None` before the first receipt.
    pub(crate) fn took_ms(&self, quantile: f64) -> Option<f64> {
        let took = self.took_us.lock().unwrap_or_else(PoisonError::into_inner);
        (!took.is_empty()).then(|| took.value_at_quantile(quantile) as f64 / 1e3)
    }

    /// Mean start-up time of an instance, in ms; `None` before the first cold start.
    pub(crate) fn init_ms(&self) -> Option<f64> {
        let cold = self.cold_starts.get();
        (cold > 0).then(|| self.init_us.get() as f64 / cold as f64 / 1e3)
    }

    /// Mean time to aggregate one record, in ns; `None` before the first receipt.
    pub(crate) fn ns_per_record(&self) -> Option<f64> {
        let records = self.records.get();
        (records > 0).then(|| self.aggregate_us.get() as f64 * 1e3 / records as f64)
    }
}
