//! Searches for the cheapest policy that meets an objective, by simulation.
//!
//! What is searched and what is expected are kept apart: the search sees only the first part of the load, and
//! the policies that it finds are then run on the part that it has not seen.

mod calibrate;
mod objective;
mod search;
mod space;

pub use calibrate::{Fit, Measured, at_work, fit};
pub use objective::{Objective, ObjectiveError};
pub use search::{Candidate, Found, Search};
