//! Everything that a run is made of.

use super::curve::Curve;
use super::model::Model;
use super::outcome::Phase;
use crate::config::{Divert, Lambda};
use crate::decide::Policy;

/// What arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Records per second, all subtasks together.
    pub rate: Curve,
    /// Each subtask's part of it; what is missing is split evenly over the others. Empty: evenly.
    pub shares: Vec<f64>,
    /// Standard deviation of the arrival from one hundredth of a second to the next.
    pub jitter: f64,
}

/// The job dies and comes back, perhaps another size.
#[derive(Debug, Clone, PartialEq)]
pub struct Restart {
    /// When it dies, in ms.
    pub at_ms: u64,
    /// How long it is away, in ms.
    pub down_ms: u64,
    /// Subtasks from then on, if others.
    pub subtasks: Option<u32>,
    /// Workers from then on, if others.
    pub workers: Option<u32>,
    /// Capacity from then on, if another, in records per second.
    pub capacity: Option<f64>,
}

/// Everything that a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Job and cloud.
    pub model: &'a Model,
    /// What arrives.
    pub load: &'a Load,
    /// The controller's thresholds.
    pub policy: &'a Policy,
    /// The sidecar's limits.
    pub divert: &'a Divert,
    /// The cloud's prices.
    pub prices: &'a Lambda,
    /// Restarts, in order.
    pub restarts: &'a [Restart],
    /// What is looked at by itself.
    pub phases: &'a [Phase],
    /// Where chance comes from.
    pub seed: u64,
    /// Whether to keep what happened in each second.
    pub timeline: bool,
}

/// Each subtask's share, from those that are given.
pub(super) fn shares(given: &[f64], subtasks: usize) -> Vec<f64> {
    let mut shares: Vec<f64> = given.iter().copied().take(subtasks).collect();
    let rest = (1.0 - shares.iter().sum::<f64>()).max(0.0);
    let missing = subtasks - shares.len();
    shares.extend(std::iter::repeat_n(rest / missing.max(1) as f64, missing));
    let sum: f64 = shares.iter().sum();
    shares.iter().map(|share| share / sum.max(1e-12)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_are_not_given_are_split_evenly() {
        assert_eq!(shares(&[], 4), [0.25; 4]);
        let some = shares(&[0.7], 4);
        assert!((some[0] - 0.7).abs() < 1e-9 && (some[1] - 0.1).abs() < 1e-9);
        // After a rescaling to fewer subtasks the rest carry all.
        assert!((shares(&[0.5, 0.25, 0.25], 2).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
