//! What the controller is told.

use std::time::Duration;

use spillway_core::ids::AttemptId;

use super::units::Share;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// A valve's subtask reported.
    Report {
        /// Which one.
        subtask: u32,
        /// Its counters.
        reading: Reading,
    },
    /// The sensor looked at the job.
    Lane(LaneLoad),
    /// The cloud lane's state changed.
    Cloud(CloudLane),
}

/// A valve's counters at one time, cumulative since the start of its attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Counters of different attempts have nothing to do with each other.
    pub attempt: AttemptId,
    /// Number of the report within the attempt.
    pub sequence: u64,
    /// How many subtasks the valve has.
    pub parallelism: u32,
    /// The reporter's wall clock, milliseconds. Only differences are used.
    pub time_ms: i64,
    /// Records that the source handed over.
    pub received: u64,
    /// Records that went down the local lane, bounced ones included.
    pub to_local: u64,
    /// Records that were put into a batch.
    pub to_cloud: u64,
    /// Milliseconds during which the local output had no room.
    pub unavailable_ms: u64,
}

/// How loaded the local lane is, as the engine's own metrics have it. What is `None` is not known,
/// which is not the same as zero.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LaneLoad {
    /// Share of time that the valve's task waited for room in its output.
    pub valve_back_pressured: Option<Share>,
    /// Share of time that the busiest subtask downstream of the valve was busy.
    pub downstream_busy: Option<Share>,
    /// Share of its processors that the busiest worker process used.
    pub worker_cpu: Option<Share>,
    /// How long a time the shares are averages over.
    pub window: Duration,
}

impl LaneLoad {
    /// The utilisation of the lane's busiest part, as far as it is known.
    ///
    /// Tasks that share one processor never look busy although it is full, so the processor counts too.
    pub fn utilization(&self) -> Option<Share> {
        match (self.downstream_busy, self.worker_cpu) {
            (Some(busy), Some(cpu)) => Some(busy.max(cpu)),
            (busy, cpu) => busy.or(cpu),
        }
    }
}

/// Whether the cloud lane can take batches, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudLane {
    /// It can take this many batches at once, over all subtasks.
    Open {
        /// Batches.
        credits: u32,
    },
    /// It cannot take any.
    Closed {
        /// Why, for people.
        reason: String,
    },
}
