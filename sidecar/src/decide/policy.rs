//! The thresholds of the controller, as the user sets them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who decides whether records are diverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyMode {
    /// The controller, from what it observes.
    #[default]
    Auto,
    /// Nobody: everything stays in the local lane.
    Local,
    /// Nobody: everything that finds a credit is diverted.
    Burst,
}

/// When to open the spillway, how far, and when to close it.
///
/// Utilisations are shares of the local lane's estimated capacity. They order themselves as
/// `release < target <= engage`, which is what gives the controller its hysteresis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// `auto`, `local` (divert nothing) or `burst` (divert everything). Default: auto.
    pub mode: PolicyMode,
    /// Share of the capacity that the local lane is given while a spike is diverted. Default: 0.75,
    /// so that the lane drains what had piled up.
    pub target_utilization: f64,
    /// Share of the capacity above which an armed valve diverts. Default: 0.9.
    pub engage_utilization: f64,
    /// A spike is over when the arrival is below this share of the capacity. Default: 0.6.
    pub release_utilization: f64,
    /// How long arrival has to be above `engage_utilization`, or the local output congested, before a
    /// spike is taken for one. An armed valve diverts before that, by itself. Default: 200ms, two reports.
    #[serde(with = "humantime_serde")]
    pub engage_hold: Duration,
    /// How long the arrival has to be low before a spike is taken to be over. Default: 1s.
    #[serde(with = "humantime_serde")]
    pub release_hold: Duration,
    /// Share of time without room in the local output from which the lane counts as saturated.
    /// Default: 0.5.
    pub back_pressure_threshold: f64,
    /// How long a directive holds. A valve that hears nothing for so long keeps everything local; a
    /// valve that says nothing for so long is forgotten. At most 60s. Default: 2s.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Records per second below which no capacity is estimated, and which the local lane is always
    /// given. Default: 1000.
    pub min_rate: f64,
    /// Utilisation below which no capacity is estimated: a nearly idle lane says little. Default: 0.2.
    pub min_utilization: f64,
    /// Time constant with which an estimate follows its observations. Default: 3s.
    #[serde(with = "humantime_serde")]
    pub smoothing: Duration,
    /// By what share of the capacity the local rate is raised, step by step, while a spike is diverted
    /// and the lane shows no congestion. Default: 0.05.
    pub probe_step: f64,
    /// Time between two such steps. Default: 250ms.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: PolicyMode::Auto,
            target_utilization: 0.75,
            engage_utilization: 0.9,
            release_utilization: 0.6,
            engage_hold: Duration::from_millis(200),
            release_hold: Duration::from_secs(1),
            back_pressure_threshold: 0.5,
            lease: Duration::from_secs(2),
            min_rate: 1000.0,
            min_utilization: 0.2,
            smoothing: Duration::from_secs(3),
            probe_step: 0.05,
            probe_interval: Duration::from_millis(250),
        }
    }
}

impl Policy {
    /// What is wrong with this policy, one sentence each; empty if it can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let shares = [
            ("target_utilization", self.target_utilization),
            ("engage_utilization", self.engage_utilization),
            ("release_utilization", self.release_utilization),
            ("back_pressure_threshold", self.back_pressure_threshold),
            ("min_utilization", self.min_utilization),
            ("probe_step", self.probe_step),
        ];
        for (name, value) in shares {
            // Written so that NaN fails too.
            if !(value > 0.0 && value <= 1.0) {
                problems.push(format!(
                    "policy.{name} is {value}; give a share above 0 and at most 1"
                ));
            }
        }
        if self.release_utilization >= self.target_utilization {
            problems.push(format!(
                "policy.release_utilization ({}) must be below policy.target_utilization ({})",
                self.release_utilization, self.target_utilization
            ));
        }
        if self.target_utilization > self.engage_utilization {
            problems.push(format!(
                "policy.target_utilization ({}) must not be above policy.engage_utilization ({})",
                self.target_utilization, self.engage_utilization
            ));
        }
        if !(self.min_rate >= 1.0 && self.min_rate.is_finite()) {
            problems.push(format!(
                "policy.min_rate is {}; give at least 1 record per second",
                self.min_rate
            ));
        }
        let ranges = [
            ("engage_hold", self.engage_hold, 0, 60_000),
            ("release_hold", self.release_hold, 0, 600_000),
            ("lease", self.lease, 100, 60_000),
            ("smoothing", self.smoothing, 1, 600_000),
            ("probe_interval", self.probe_interval, 1, 60_000),
        ];
        for (name, value, low, high) in ranges {
            let (low, high) = (Duration::from_millis(low), Duration::from_millis(high));
            if value < low || value > high {
                problems.push(format!(
                    "policy.{name} is {value:?}; give {low:?} to {high:?}"
                ));
            }
        }
        problems
    }
}
