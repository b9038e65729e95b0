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
    /// Nobody: everything that finds a credit is diverted. Budgets bound it all the same.
    Burst,
}

/// When to open the spillway, how far, when to close it, and what it may cost. All of it can be changed
/// while the sidecar runs.
///
/// Utilisations are shares of the local lane's estimated capacity. They order themselves as
/// `release < target <= engage`, which is what gives the controller its hysteresis. Of the other two
/// pairs, back-pressure and lag, the release threshold is below the engage threshold for the same reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// `auto`, `local` (divert nothing) or `burst` (divert everything). Default: auto.
    pub mode: PolicyMode,
    /// Whether a valve whose lane's capacity is known diverts by itself what exceeds
    /// `engage_utilization` of it, before a spike is recognised. Without it a spike is diverted only after
    /// its hold. Default: true.
    pub armed: bool,
    /// Share of the capacity that the local lane is given while a spike is diverted. Default: 0.75,
    /// so that the lane drains what had piled up.
    pub target_utilization: f64,

    /// Share of the capacity above which an armed valve diverts, and above which the arrival is a spike
    /// if it stays there for `engage_hold`. Default: 0.9.
    pub engage_utilization: f64,
    /// How long the arrival has to be above `engage_utilization`. Default: 200ms, two reports.
    #[serde(with = "humantime_serde")]
    pub engage_hold: Duration,
    /// Share of time without room in the local output from which the lane counts as saturated.
    /// Default: 0.5.
    pub engage_back_pressure: f64,
    /// How long the local output has to be that short of room. Default: 200ms, two reports.
    #[serde(with = "humantime_serde")]
    pub engage_back_pressure_hold: Duration,
    /// Backlog at the source above which is diverted: as the time that the local lane alone would take
    /// for it. Only with a source that tells how many records are pending. Default: 5s.
    #[serde(with = "humantime_serde")]
    pub engage_lag: Duration,
    /// How long the backlog has to be above `engage_lag`. Default: 3s, longer than the two seconds over
    /// which its growth is told.
    #[serde(with = "humantime_serde")]
    pub engage_lag_hold: Duration,

    /// A spike is over when the arrival is below this share of the capacity. Default: 0.6.
    pub release_utilization: f64,
    /// How long the arrival has to be low. Default: 1s.
    #[serde(with = "humantime_serde")]
    pub release_hold: Duration,
    /// A spike is not over before the local output is short of room for less than this share of time.
    /// Default: 0.25.
    pub release_back_pressure: f64,
    /// How long back-pressure has to be low. Default: 200ms, two reports.
    #[serde(with = "humantime_serde")]
    pub release_back_pressure_hold: Duration,
    /// A spike is not over before the backlog at the source is below this. Default: 1s.
    #[serde(with = "humantime_serde")]
    pub release_lag: Duration,
    /// How long the backlog has to be low. Default: 200ms.
    #[serde(with = "humantime_serde")]
    pub release_lag_hold: Duration,

    /// Time in which a backlog at the source is to be worked off, by diverting as much as that takes.
    /// Default: 1m.
    #[serde(with = "humantime_serde")]
    pub drain_time: Duration,

    /// Budget: the most batches that may be in the cloud at once, over all subtasks. Default: none but
    /// the cloud lane's own.
    pub max_concurrency: Option<u32>,
    /// Budget: what the cloud lane may cost in any 60 minutes, in US dollars. As it is used up, less is
    /// diverted. Default: none.
    pub max_usd_per_hour: Option<f64>,
    /// Budget: the largest share of the arriving records that may be diverted, averaged over some
    /// seconds. Default: 1, all of them.
    pub max_diverted_share: f64,

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
            armed: true,
            target_utilization: 0.75,
            engage_utilization: 0.9,
            engage_hold: Duration::from_millis(200),
            engage_back_pressure: 0.5,
            engage_back_pressure_hold: Duration::from_millis(200),
            engage_lag: Duration::from_secs(5),
            engage_lag_hold: Duration::from_secs(3),
            release_utilization: 0.6,
            release_hold: Duration::from_secs(1),
            release_back_pressure: 0.25,
            release_back_pressure_hold: Duration::from_millis(200),
            release_lag: Duration::from_secs(1),
            release_lag_hold: Duration::from_millis(200),
            drain_time: Duration::from_mins(1),
            max_concurrency: None,
            max_usd_per_hour: None,
            max_diverted_share: 1.0,
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
        self.check_shares(&mut problems);
        self.check_order(&mut problems);
        self.check_spans(&mut problems);
        self.check_budgets(&mut problems);
        if !(self.min_rate >= 1.0 && self.min_rate.is_finite()) {
            problems.push(format!(
                "policy.min_rate is {}; give at least 1 record per second",
                self.min_rate
            ));
        }
        problems
    }

    fn check_shares(&self, problems: &mut Vec<String>) {
        let shares = [
            ("target_utilization", self.target_utilization),
            ("engage_utilization", self.engage_utilization),
            ("engage_back_pressure", self.engage_back_pressure),
            ("release_utilization", self.release_utilization),
            ("release_back_pressure", self.release_back_pressure),
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
    }

    /// Hysteresis: what releases is below what engages.
    fn check_order(&self, problems: &mut Vec<String>) {
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
        if self.release_back_pressure >= self.engage_back_pressure {
            problems.push(format!(
                "policy.release_back_pressure ({}) must be below policy.engage_back_pressure ({})",
                self.release_back_pressure, self.engage_back_pressure
            ));
        }
        if self.release_lag >= self.engage_lag {
            problems.push(format!(
                "policy.release_lag ({:?}) must be below policy.engage_lag ({:?})",
                self.release_lag, self.engage_lag
            ));
        }
    }

    fn check_spans(&self, problems: &mut Vec<String>) {
        let (minute, hour, day) = (60_000, 3_600_000, 86_400_000);
        let ranges = [
            ("engage_hold", self.engage_hold, 0, minute),
            (
                "engage_back_pressure_hold",
                self.engage_back_pressure_hold,
                0,
                minute,
            ),
            ("engage_lag", self.engage_lag, 1, day),
            ("engage_lag_hold", self.engage_lag_hold, 0, hour),
            ("release_hold", self.release_hold, 0, 10 * minute),
            (
                "release_back_pressure_hold",
                self.release_back_pressure_hold,
                0,
                10 * minute,
            ),
            ("release_lag", self.release_lag, 0, day),
            ("release_lag_hold", self.release_lag_hold, 0, hour),
            ("drain_time", self.drain_time, 1000, day),
            ("lease", self.lease, 100, minute),
            ("smoothing", self.smoothing, 1, 10 * minute),
            ("probe_interval", self.probe_interval, 1, minute),
        ];
        for (name, value, low, high) in ranges {
            let (low, high) = (Duration::from_millis(low), Duration::from_millis(high));
            if value < low || value > high {
                problems.push(format!(
                    "policy.{name} is {value:?}; give {low:?} to {high:?}"
                ));
            }
        }
    }

    fn check_budgets(&self, problems: &mut Vec<String>) {
        if self.max_concurrency == Some(0) {
            problems.push(
                "policy.max_concurrency is 0; give at least 1, or set policy.mode to local".into(),
            );
        }
        if let Some(usd) = self.max_usd_per_hour
            && !(usd > 0.0 && usd.is_finite())
        {
            problems.push(format!(
                "policy.max_usd_per_hour is {usd}; give an amount above 0, or set policy.mode to local"
            ));
        }
        if !(self.max_diverted_share > 0.0 && self.max_diverted_share <= 1.0) {
            problems.push(format!(
                "policy.max_diverted_share is {}; give a share above 0 and at most 1",
                self.max_diverted_share
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_can_be_used() {
        assert_eq!(Policy::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn a_policy_reads_back_what_it_writes_in_toml_and_json() {
        let policy = Policy {
            max_usd_per_hour: Some(2.5),
            max_concurrency: Some(12),
            engage_lag: Duration::from_millis(1500),
            ..Policy::default()
        };
        let toml = toml::to_string(&policy).unwrap();
        assert_eq!(toml::from_str::<Policy>(&toml).unwrap(), policy);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        assert!(json.contains(r#""engage_lag":"1s 500ms""#), "{json}");
    }

    #[test]
    fn every_wrong_field_is_named_in_a_sentence_of_its_own() {
        type Spoil = fn(&mut Policy);
        let spoilt: [(&str, Spoil); 14] = [
            ("target_utilization", |p| p.target_utilization = f64::NAN),
            ("engage_utilization", |p| p.engage_utilization = 0.5),
            ("engage_back_pressure", |p| p.engage_back_pressure = 1.5),
            ("engage_lag", |p| p.engage_lag = Duration::from_millis(500)),
            ("release_utilization", |p| p.release_utilization = 0.8),
            ("release_back_pressure", |p| p.release_back_pressure = 0.5),
            ("release_lag", |p| p.release_lag = Duration::from_secs(5)),
            ("drain_time", |p| p.drain_time = Duration::ZERO),
            ("max_concurrency", |p| p.max_concurrency = Some(0)),
            ("max_usd_per_hour", |p| {
                p.max_usd_per_hour = Some(f64::INFINITY);
            }),
            ("max_diverted_share", |p| p.max_diverted_share = 0.0),
            ("lease", |p| p.lease = Duration::from_secs(61)),
            ("min_rate", |p| p.min_rate = -1.0),
            ("engage_back_pressure_hold", |p| {
                p.engage_back_pressure_hold = Duration::MAX;
            }),
        ];
        for (field, spoil) in spoilt {
            let mut policy = Policy::default();
            spoil(&mut policy);
            let problems = policy.problems();
            assert_eq!(problems.len(), 1, "{field}: {problems:?}");
            assert!(
                problems[0].contains(&format!("policy.{field} ")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let policy = Policy {
            min_rate: 0.0,
            max_concurrency: Some(0),
            release_utilization: 2.0,
            ..Policy::default()
        };
        assert_eq!(policy.problems().len(), 4);
    }
}
