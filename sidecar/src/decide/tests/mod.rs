//! Scenarios: a simulated lane under the real controller, with the outcome that is expected of it.

mod hostile;
mod lane;
mod reports;
mod scenarios;
