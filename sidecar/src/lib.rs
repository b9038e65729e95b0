//! The Spillway sidecar: watches a Flink job, decides how much of a spike its valves divert, and takes
//! what they divert to the burst function.
//!
//! ```text
//!  sense ──▶ decide ──▶ directives            pure middle: decide
//!  reports ─┘              serve ──▶ valves   thin edges: sense, divert, serve
//!  batches ──▶ divert ──▶ receipts
//! ```
//!
//! Time, sockets and the cloud come in from outside, in [`run::Parts`].

mod aws;
mod causes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
pub mod divert;
pub(crate) mod events;
pub mod failure;
mod latency;
pub mod observe;
pub mod plot;
pub mod publish;
pub mod run;
pub mod sense;
pub mod serve;
pub mod sim;
pub mod trace;
pub mod tune;
pub mod valves;
