//! What a simulated job and its cloud are like.
//!
//! Defaults are the demo's job on the machine of `experiments`: where one was measured, the place is named; where none is,
//! it was assumed, such that the scenarios do what the demo was seen to do. Calibrate from a trace of your own job.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::curve::Curve;

/// Job, valve, cloud and sensor.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The Flink job's local lane.
    pub lane: Lane,
    /// The valve's options, as the job sets them.
    pub valve: Valve,
    /// The burst function and the way to it.
    pub cloud: Cloud,
    /// What watches the job.
    pub sensor: Sensor,
}

/// The local lane: source, valve and what is chained to them in one thread a subtask; behind network buffers
/// the rest in another one. Both take their turns on the worker's processors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lane {
    /// Subtasks of valve and lane. Default: 1.
    #[serde(deserialize_with = "count")]
    pub subtasks: u32,
    /// Worker processes; subtasks are spread over them in turn. Default: 1.
    #[serde(deserialize_with = "count")]
    pub workers: u32,
    /// Processors of each worker. Default: 1.
    #[serde(deserialize_with = "positive")]
    pub cores: f64,
    /// Records per second that the whole lane takes when it is saturated and nothing is diverted.
    /// Default: 175000 (`experiments/first-burst/results/correctness.json`, run `off`).
    #[serde(deserialize_with = "positive")]
    pub capacity: f64,
    /// What the capacity is multiplied by in the course of time: a noisy neighbour, a slow disk.
    pub capacity_factor: Curve,
    /// Share of a worker's processors that is spent without any record: checkpoints, metrics, timers.
    /// Default: 0.17.
    #[serde(deserialize_with = "share")]
    pub fixed: f64,
    /// Share of a kept record's cost that falls before the network buffers. Default: 0.53.
    #[serde(deserialize_with = "share")]
    pub source_share: f64,
    /// What diverting a record costs the worker, relative to keeping it: reading, copying, sending.
    /// Default: 0.05.
    #[serde(deserialize_with = "share")]
    pub divert_cost: f64,
    /// Records that fit into a subtask's network buffers. Default: 3000.
    #[serde(deserialize_with = "positive")]
    pub buffer_records: f64,
    /// How long a record may wait in a half full network buffer. Default: 10ms, the demo's.
    #[serde(with = "humantime_serde")]
    pub buffer_timeout: Duration,
    /// How long an idle source sleeps before it looks for records again. Default: 5ms, the replay's.
    #[serde(with = "humantime_serde")]
    pub nap: Duration,
    /// How long a thread keeps a processor that others wait for. Default: 3ms, Linux's base slice.
    #[serde(with = "humantime_serde")]
    pub slice: Duration,
    /// The windows' size. Default: 1s.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// Processor time that a window takes each subtask's lane when it fires. Default: 20ms.
    #[serde(with = "humantime_serde")]
    pub window_fire: Duration,
    /// Time between two checkpoints; what came since the last one is replayed after a restart.
    /// Default: 5s, the demo's.
    #[serde(with = "humantime_serde")]
    pub checkpoint: Duration,
    /// What a record costs a worker that has just started, relative to later. Default: 4.
    #[serde(deserialize_with = "positive")]
    pub cold_factor: f64,
    /// Time constant with which the just-in-time compiler takes that back, in time at work. Default: 1500ms.
    #[serde(with = "humantime_serde")]
    pub warm_up: Duration,
    /// Share of a processor that the just-in-time compiler asks for when a worker starts. It takes its turns like
    /// every other thread. Default: 0.45.
    #[serde(deserialize_with = "share")]
    pub compile: f64,
    /// The same on top of it when the worker diverts for the first time. Default: 0.3.
    #[serde(deserialize_with = "share")]
    pub compile_diverting: f64,
    /// Time constant with which the compiler runs out of work. Default: 10s.
    #[serde(with = "humantime_serde")]
    pub compile_time: Duration,
    /// Standard deviation of a record's cost from one tenth of a second to the next. Default: 0.08.
    #[serde(deserialize_with = "share")]
    pub jitter: f64,
    /// Mean time between two stalls of a worker (garbage collection). Zero: none. Default: 700ms.
    #[serde(with = "humantime_serde")]
    pub stall_every: Duration,
    /// Mean length of a stall; single ones are up to three times as long. Default: 6ms.
    #[serde(with = "humantime_serde")]
    pub stall: Duration,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            subtasks: 1,
            workers: 1,
            cores: 1.0,
            capacity: 175_000.0,
            capacity_factor: Curve::constant(1.0),
            fixed: 0.17,
            source_share: 0.53,
            divert_cost: 0.05,
            buffer_records: 3_000.0,
            buffer_timeout: Duration::from_millis(10),
            nap: Duration::from_millis(5),
            slice: Duration::from_millis(3),
            window: Duration::from_secs(1),
            window_fire: Duration::from_millis(20),
            checkpoint: Duration::from_secs(5),
            cold_factor: 4.0,
            compile: 0.45,
            compile_diverting: 0.3,
            compile_time: Duration::from_secs(10),
            warm_up: Duration::from_millis(1_500),
            jitter: 0.08,
            stall_every: Duration::from_millis(700),
            stall: Duration::from_millis(6),
        }
    }
}

/// The valve's options (docs/valve.md).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Valve {
    /// Bytes of a record in a batch. Default: 95, a line of the demo's text with its framing.
    #[serde(deserialize_with = "positive")]
    pub record_bytes: f64,
    /// A batch is sealed at this size. Default: 4194304.
    #[serde(deserialize_with = "positive")]
    pub batch_bytes: f64,
    /// A batch is sealed at so many records. Default: 100000.
    #[serde(deserialize_with = "positive")]
    pub batch_records: f64,
    /// A batch is sealed so long after its first record. Default: 100ms.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// A batch without a receipt so long after it was sealed goes down the local lane. Default: 5s.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// Time between two reports. Default: 100ms.
    #[serde(with = "humantime_serde")]
    pub report: Duration,
}

impl Default for Valve {
    fn default() -> Self {
        Self {
            record_bytes: 95.0,
            batch_bytes: 4.0 * 1024.0 * 1024.0,
            batch_records: 100_000.0,
            linger: Duration::from_millis(100),
            deadline: Duration::from_secs(5),
            report: Duration::from_millis(100),
        }
    }
}

/// The cloud lane: sidecar, network, function, storage.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cloud {
    /// Instances of the function that the account allows at once. Default: 8.
    pub concurrency: Curve,
    /// What the sidecar spends on a record: taking it in, compressing it. Default: 0.5 µs
    /// (`experiments/first-burst/README.md`).
    #[serde(deserialize_with = "amount")]
    pub sidecar_ns_per_record: f64,
    /// Batches that the sidecar compresses at once: its processors. Default: 2.
    #[serde(deserialize_with = "count")]
    pub encoders: u32,
    /// What the function spends on a record. Default: 0.75 µs (the same has 0.7).
    #[serde(deserialize_with = "amount")]
    pub function_ns_per_record: f64,
    /// What an invocation takes besides: network, Lambda itself, the PUT of its partial. Default: 25ms.
    #[serde(with = "humantime_serde")]
    pub invoke: Duration,
    /// Of that, what is billed: the PUT. Default: 6ms.
    #[serde(with = "humantime_serde")]
    pub billed: Duration,
    /// How much longer an instance's first invocation takes. Default: 20ms, the local cloud's.
    #[serde(with = "humantime_serde")]
    pub cold_start: Duration,
    /// Instances that are warm at the start. Default: 0.
    pub warm: u32,
    /// New instances per second that the cloud starts at most. Default: 100 (Lambda: 1000 in 10 s).
    #[serde(deserialize_with = "positive")]
    pub ramp_per_s: f64,
    /// Processors that sidecar and instances share; 0 if each instance has its own, as on Lambda.
    /// Default: 0.9, the demo's other core less what the `JobManager` takes.
    #[serde(deserialize_with = "amount")]
    pub shared_cores: f64,
    /// When the cloud cannot be reached: spans such as `20s..35s`.
    pub outages: Vec<Span>,
    /// How an outage looks. Default: refused.
    pub outage: Outage,
    /// How long a throttled or refused attempt takes to fail. Default: 8ms.
    #[serde(with = "humantime_serde")]
    pub failure: Duration,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            concurrency: Curve::constant(8.0),
            sidecar_ns_per_record: 500.0,
            encoders: 2,
            function_ns_per_record: 750.0,
            invoke: Duration::from_millis(25),
            billed: Duration::from_millis(6),
            cold_start: Duration::from_millis(20),
            warm: 0,
            ramp_per_s: 100.0,
            shared_cores: 0.9,
            outages: Vec::new(),
            outage: Outage::Refused,
            failure: Duration::from_millis(8),
        }
    }
}

/// How a cloud that cannot be reached behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    /// Attempts fail at once.
    #[default]
    Refused,
    /// Attempts are never answered.
    Silent,
}

/// What watches the job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sensor {
    /// Whether there is one. Default: true.
    pub enabled: bool,
    /// Time between two looks. Default: 200ms.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// When nothing can be seen: spans such as `20s..35s`.
    pub gaps: Vec<Span>,
}

impl Default for Sensor {
    fn default() -> Self {
        Self {
            enabled: true,
            poll: Duration::from_millis(200),
            gaps: Vec::new(),
        }
    }
}

/// A stretch of time, `START..END`, its end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first millisecond.
    pub start_ms: u64,
    /// The first one after it.
    pub end_ms: u64,
}

impl Span {
    /// Whether `ms` is in it.
    pub fn contains(&self, ms: u64) -> bool {
        (self.start_ms..self.end_ms).contains(&ms)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ms = |part: &str| -> Option<u64> {
            let span = part
                .trim()
                .parse::<humantime_serde::re::humantime::Duration>();
            u64::try_from(span.ok()?.as_millis()).ok()
        };
        let parsed = text
            .split_once("..")
            .and_then(|(start, end)| Some((ms(start)?, ms(end)?)))
            .filter(|(start, end)| start < end);
        let (start_ms, end_ms) = parsed.ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no span of time: give START..END, such as 20s..35s"
            ))
        })?;
        Ok(Self { start_ms, end_ms })
    }
}

/// Which numbers a field takes, and how to say so.
fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    fits: impl Fn(f64) -> bool,
    wanted: &str,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if fits(value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{value}: give {wanted}")))
    }
}

pub(super) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(
        deserializer,
        |value| value > 0.0 && value <= 1e12,
        "a number above 0",
    )
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(
        deserializer,
        |value| (0.0..=1e12).contains(&value),
        "0 or more",
    )
}

pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(
        deserializer,
        |value| (0.0..1.0).contains(&value),
        "a share of 0 to below 1",
    )
}

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = u32::deserialize(deserializer)?;
    if (1..=1024).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{value}: give 1 to 1024")))
    }
}

impl Lane {
    /// Processor time of a kept record in seconds: before the buffers, and behind them.
    ///
    /// The capacity is reached when either all processors of the workers are full, or each subtask's
    /// busier thread has one to itself.
    pub(crate) fn costs(&self, capacity: f64) -> (f64, f64) {
        let processors = f64::from(self.workers) * self.cores * (1.0 - self.fixed);
        let busier = self.source_share.max(1.0 - self.source_share);
        let threads = f64::from(self.subtasks) / busier;
        let whole = processors.min(threads) / capacity;
        (whole * self.source_share, whole * (1.0 - self.source_share))
    }
}
