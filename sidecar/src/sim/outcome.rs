//! What a simulated run showed.

use serde::{Deserialize, Serialize};
use spillway_core::directive::Mode;

use super::histogram::Histogram;

/// A stretch of the run that is looked at by itself; a record belongs to that in which it was due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// For people, and for a scenario's expectations.
    pub name: String,
    /// Its first millisecond.
    pub start_ms: u64,
    /// The first one after it.
    pub end_ms: u64,
}

/// Everything that a run showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The whole run.
    pub whole: PhaseOutcome,
    /// Its phases, in the order in which they were asked for.
    pub phases: Vec<PhaseOutcome>,
    /// Changes of the valve's mode.
    pub modes: Vec<ModeChange>,
    /// What happened in each second; empty if it was not asked for.
    pub timeline: Vec<Second>,
    /// From the start of the phase `spike` until the first record from then on was put into a batch, in ms.
    pub reaction_ms: Option<u64>,
    /// From the end of the phase `spike` until the last record of the run was put into a batch, in ms; 0
    /// if that was before.
    pub release_ms: Option<u64>,
    /// The last estimate of the lane's capacity, in records per second.
    pub capacity_per_s: Option<f64>,
    /// Invocations that were throttled.
    pub throttled: u64,
    /// The lowest that the limit on invocations at once has been.
    pub lowest_limit: u32,
    /// Batches that came back unprocessed.
    pub bounced_batches: u64,
    /// Batches that have their receipts.
    pub settled_batches: u64,
    /// Instances of the function that had to be started.
    pub cold_starts: u64,
    /// Time simulated, in ms.
    pub simulated_ms: u64,
    /// Calls of the controller.
    pub decisions: u64,
}

/// What was seen of the records that were due in a phase, and what happened while it lasted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PhaseOutcome {
    /// Its name.
    pub name: String,
    /// Its length, in ms.
    pub ms: u64,
    /// Latencies of the local lane.
    pub local: Histogram,
    /// Latencies of the cloud lane.
    pub cloud: Histogram,
    /// Mode changes while it lasted.
    pub mode_changes: u32,
    /// What the cloud lane cost while it lasted, in USD at list prices.
    pub spend_usd: f64,
}

impl PhaseOutcome {
    /// Latencies of both lanes.
    pub fn both(&self) -> Histogram {
        let mut both = self.local.clone();
        both.add(&self.cloud);
        both
    }

    /// Share of the records that went through the cloud; 0 of none.
    pub fn diverted_share(&self) -> f64 {
        let all = self.local.count() + self.cloud.count();
        if all > 0.0 {
            self.cloud.count() / all
        } else {
            0.0
        }
    }

    /// What it would cost if it went on for an hour.
    pub fn usd_per_hour(&self) -> f64 {
        if self.ms == 0 {
            return 0.0;
        }
        self.spend_usd * 3.6e6 / self.ms as f64
    }
}

/// The valve was set to another mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModeChange {
    /// When, in ms since the run's start.
    pub offset_ms: u64,
    /// The new mode.
    pub mode: Mode,
    /// Why.
    pub reason: String,
}

/// One second of a run. Counts are by the clock, latencies of the records that were due in it.
///
/// The rows of a demo's report read as this too, which is what a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Second {
    /// Which one, from 0.
    pub offset_s: u64,
    /// Records that were due.
    pub due_per_s: f64,
    /// Records that the valve received.
    pub received_per_s: f64,
    /// Of these: kept, or returned from the cloud.
    pub kept_per_s: f64,
    /// Of these: put into batches.
    pub diverted_per_s: f64,
    /// Latency of the local lane that 99 % did not exceed, in ms.
    pub p99_local_ms: Option<f64>,
    /// The same of the cloud lane.
    pub p99_cloud_ms: Option<f64>,
    /// Share of the busiest worker's processors that was used.
    #[serde(default)]
    pub worker_cpu: f64,
}
