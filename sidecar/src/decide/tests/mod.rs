//! Scenarios: a simulated lane under the real controller, with the outcome that is expected of it.

mod bounds;
mod hostile;
mod lane;
mod machine;
mod reports;
mod scenarios;
