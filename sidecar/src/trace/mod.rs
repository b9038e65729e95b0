//! Recorded traces: all that the controllers saw and decided, one line each.
//!
//! A trace is JSON lines: a [`Header`], then [`Event`]s in the order in which they happened, and an end
//! marker, so that a trace that was cut short is noticed. Since decisions are pure, [`replay`] takes the
//! controllers through the same decisions; [`Load`] is what a simulation needs of it. `docs/trace.md`
//! has the format.

pub(crate) mod files;
mod load;
mod read;
pub(crate) mod record;
mod replay;
mod write;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use spillway_core::ids::{JobName, ValveName};

pub use load::{Load, LoadError, Slot};
pub use read::{Entry, Fault, Reader, TraceError};
pub use replay::{Difference, Replayed, replay};
pub use write::Writer;

use crate::decide::{Decision, Moment, Observation, Policy};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format's version, [`VERSION`]. Named so that a trace tells by its first bytes what it is.
    pub spillway_trace: u32,
    /// What wrote it: `spillway 0.1.0`.
    pub program: String,
    /// When recording began, on the controllers' clock.
    #[serde(rename = "at_ns")]
    pub at: Moment,
    /// The same on the wall clock, milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// Where the policy is from, for people: a file, `simulation`, `PATCH /v1/policy`.
    pub policy_from: String,
    /// The policy in force when recording began.
    pub policy: Policy,
}

impl Header {
    /// The header of a trace that begins now.
    pub fn new(at: Moment, wall_ms: i64, policy: Policy, policy_from: impl Into<String>) -> Self {
        Self {
            spillway_trace: VERSION,
            program: concat!("spillway ", env!("CARGO_PKG_VERSION")).into(),
            at,
            wall_ms,
            policy_from: policy_from.into(),
            policy,
        }
    }
}

/// Every line but the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A valve comes into the trace.
    Valve(Joined),
    /// A controller took in an observation and decided.
    Step(Step),
    /// The policy was changed.
    Policy(Change),
    /// Lines are missing here. What was known of the valves is out of date: each comes in anew.
    Gap(Gap),
    /// The last line.
    End(End),
}

/// A valve, and what its controller knew before the next step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// When, on the controllers' clock.
    #[serde(rename = "at_ns")]
    pub at: Moment,
    /// The job.
    pub job: JobName,
    /// The valve within it.
    pub valve: ValveName,
    /// What its controller knew ([`crate::decide::State`], written down); null: nothing, it was new.
    pub state: Option<serde_json::Value>,
}

/// One observation and the decision that came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When, on the controllers' clock: the `now` of the decision.
    #[serde(rename = "at_ns")]
    pub at: Moment,
    /// The same on the wall clock, milliseconds since the Unix epoch, for people.
    pub wall_ms: i64,
    /// The job.
    pub job: JobName,
    /// The valve within it.
    pub valve: ValveName,
    /// What was seen.
    pub observation: Observation,
    /// What was decided.
    pub decision: Decision,
}

/// Another policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// From when on, on the controllers' clock.
    #[serde(rename = "at_ns")]
    pub at: Moment,
    /// The same on the wall clock, milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// The whole of it.
    pub policy: Policy,
}

/// A hole in the trace: the recorder could not keep up, and decisions do not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// When it was noticed, on the controllers' clock.
    #[serde(rename = "at_ns")]
    pub at: Moment,
    /// How many lines are missing.
    pub lines: u64,
}

/// The end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// When recording ended, on the controllers' clock.
    #[serde(rename = "at_ns")]
    pub at: Moment,
    /// The same on the wall clock, milliseconds since the Unix epoch.
    pub wall_ms: i64,
    /// All lines of the trace, header and this one included.
    pub lines: u64,
}

impl Event {
    /// When, on the controllers' clock.
    pub fn at(&self) -> Moment {
        match self {
            Self::Valve(joined) => joined.at,
            Self::Step(step) => step.at,
            Self::Policy(change) => change.at,
            Self::Gap(gap) => gap.at,
            Self::End(end) => end.at,
        }
    }
}
