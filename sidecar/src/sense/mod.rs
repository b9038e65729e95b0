//! Watches the job that the valve is part of.
//!
//! A sensor is a trait because Flink's REST interface is not everywhere, and because a recorded trace has
//! to look like a live job to the controller.

pub mod cloudwatch;
pub mod flink;
mod pace;
pub mod recorded;

use std::pin::Pin;

use serde::Serialize;
use spillway_core::ids::ValveName;

use crate::decide::{LaneLoad, Moment};
pub(crate) use pace::Pace;

/// Something that can look at the job.
pub trait Sensor: Send + 'static {
    /// Looks once. `valve` is the name under which a valve has reported, if one has.
    fn look<'a>(
        &'a mut self,
        now: Moment,
        valve: Option<&'a ValveName>,
    ) -> Pin<Box<dyn Future<Output = Sighting> + Send + 'a>>;

    /// Asks whether that which it looks through answers at all. Fails with what is wrong and what to do.
    fn check(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sighting {
    /// The job, as far as it is known.
    pub job: JobSeen,
    /// How loaded its lane is; `None` if this look has shown nothing new.
    pub lane: Option<LaneLoad>,
    /// Why the sensor cannot see, if it cannot.
    pub blind: Option<String>,
    /// What an operator should know: slow metrics, a job without a valve.
    pub warnings: Vec<String>,
    /// How many requests the look took; 0 if the sensor does not count them.
    pub requests: u64,
}

/// The watched job.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct JobSeen {
    /// Its name.
    pub name: Option<String>,
    /// The engine's id of it.
    pub id: Option<String>,
    /// Its state in the engine's words; `None` if it is not there.
    pub state: Option<String>,
    /// How loaded its lane was when that was last seen: bottleneck, lag, and how old that was then.
    pub lane: Option<LaneLoad>,
}

impl JobSeen {
    /// Takes the place of what was known before; the lane lasts until it is seen anew, or the job is
    /// another.
    pub(crate) fn take(&mut self, job: Self, lane: Option<&LaneLoad>) {
        let same = (&self.name, &self.id) == (&job.name, &job.id);
        let before = self.lane.take().filter(|_| same);
        *self = Self {
            lane: lane.cloned().or(before),
            ..job
        };
    }
}
