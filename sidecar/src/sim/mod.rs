//! Runs the controller on a simulated job, in virtual time.
//!
//! The controller is the very `decide` that steers real jobs, the breaker, the limiter and the pauses of the cloud
//! lane are those of `divert`. Around them is a model in steps of a millisecond: records are a fluid, batches and
//! instances are counted one by one.
//!
//! ```text
//!  load ─▶ backlog ─▶ source+valve ─▶ network buffers ─▶ lane       one or more workers' processors
//!                          │ batches
//!                          ▼
//!                      sidecar's queue ─▶ compress ─▶ instances     the cloud's, or a shared one
//! ```
//!
//! Why not event by event: a minute of a spike has 40 million records. Why not one differential equation:
//! what an operator asks is about tails, and these come from buckets, buffers, slices and pauses.
//!
//! All chance comes from a seed, so the same scenario always shows the same.

mod cloud;
mod curve;
mod days;
mod engine;
mod expect;
mod flight;
mod histogram;
mod lane;
mod model;
mod noise;
mod outcome;
mod processor;
mod queue;
mod record;
mod scenario;
mod setup;
mod valve;
mod watch;

#[cfg(test)]
mod tests;

pub use curve::{Curve, CurveError, Piece};
pub use days::{day, spike_phases};
pub use engine::run;
pub use expect::{Check, Expect, PhaseExpect, Range};
pub use histogram::Histogram;
pub use model::{Cloud, Lane, Model, Outage, Sensor, Span, Valve};
pub use noise::Noise;
pub use outcome::{ModeChange, Outcome, Phase, PhaseOutcome, Second};
pub use scenario::{Scenario, ScenarioError};
pub use setup::{Load, Restart, Setup};
