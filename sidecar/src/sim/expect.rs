//! What a scenario expects of its run.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::outcome::{Outcome, Phase, PhaseOutcome};

/// A range, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [low, high] = <[f64; 2]>::deserialize(deserializer)?;
        // Written so that NaN fails too.
        if low <= high {
            Ok(Self { low, high })
        } else {
            Err(D::Error::custom(format!(
                "[{low}, {high}] is no range: give [LOWEST, HIGHEST]"
            )))
        }
    }
}

/// Ranges for the whole run, and for its phases.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// p50 of the local lane, in ms.
    pub p50_local_ms: Option<Range>,
    /// p99 of the local lane, in ms.
    pub p99_local_ms: Option<Range>,
    /// p50 of the cloud lane, in ms.
    pub p50_cloud_ms: Option<Range>,
    /// p99 of the cloud lane, in ms.
    pub p99_cloud_ms: Option<Range>,
    /// Share of the records that are diverted.
    pub diverted_share: Option<Range>,
    /// Changes of the valve's mode, the first one from `local` included.
    pub mode_changes: Option<Range>,
    /// What the cloud lane costs, in USD.
    pub spend_usd: Option<Range>,
    /// From the spike's start until its first record is put into a batch, in ms.
    pub reaction_ms: Option<Range>,
    /// From the spike's end until the last record is put into a batch, in ms.
    pub release_ms: Option<Range>,
    /// Batches that come back unprocessed.
    pub bounced_batches: Option<Range>,
    /// Invocations that are throttled.
    pub throttled: Option<Range>,
    /// The lowest that the limit on invocations at once gets.
    pub lowest_limit: Option<Range>,
    /// The last estimate of the lane's capacity.
    pub capacity_per_s: Option<Range>,
    /// Ranges for phases, by their names.
    pub phase: BTreeMap<String, PhaseExpect>,
}

/// Ranges for one phase; as those of the whole run.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhaseExpect {
    /// p50 of the local lane, in ms.
    pub p50_local_ms: Option<Range>,
    /// p99 of the local lane, in ms.
    pub p99_local_ms: Option<Range>,
    /// p50 of the cloud lane, in ms.
    pub p50_cloud_ms: Option<Range>,
    /// p99 of the cloud lane, in ms.
    pub p99_cloud_ms: Option<Range>,
    /// Share of the records due in it that are diverted.
    pub diverted_share: Option<Range>,
    /// Changes of the valve's mode in it.
    pub mode_changes: Option<Range>,
    /// What the cloud lane costs in it, in USD.
    pub spend_usd: Option<Range>,
}

/// Something that was expected, and whether it came.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Check {
    /// Which number of which phase.
    pub what: String,
    /// The least that was expected.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// What came; `None` if there is no such number.
    pub found: Option<f64>,
    /// Whether that is within.
    pub good: bool,
}

impl Expect {
    /// An error if a range is for a phase that does not exist.
    pub(super) fn check_names(&self, phases: &[Phase]) -> Result<(), String> {
        for name in self.phase.keys() {
            if !phases.iter().any(|phase| phase.name == *name) {
                let known: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
                return Err(format!(
                    "there is no phase {name:?}; there are: {}",
                    known.join(", ")
                ));
            }
        }
        let spike = phases.iter().any(|phase| phase.name == "spike");
        if (self.reaction_ms.is_some() || self.release_ms.is_some()) && !spike {
            return Err("reaction_ms and release_ms need a phase named spike".into());
        }
        Ok(())
    }

    /// Compares a run with it.
    pub fn check(&self, outcome: &Outcome) -> Vec<Check> {
        let mut checks = Vec::new();
        let whole = PhaseExpect {
            p50_local_ms: self.p50_local_ms,
            p99_local_ms: self.p99_local_ms,
            p50_cloud_ms: self.p50_cloud_ms,
            p99_cloud_ms: self.p99_cloud_ms,
            diverted_share: self.diverted_share,
            mode_changes: self.mode_changes,
            spend_usd: self.spend_usd,
        };
        whole.check("", &outcome.whole, &mut checks);
        let count = |count: u64| Some(count as f64);
        let ms = |ms: Option<u64>| ms.map(|ms| ms as f64);
        let others = [
            ("reaction_ms", self.reaction_ms, ms(outcome.reaction_ms)),
            ("release_ms", self.release_ms, ms(outcome.release_ms)),
            (
                "bounced_batches",
                self.bounced_batches,
                count(outcome.bounced_batches),
            ),
            ("throttled", self.throttled, count(outcome.throttled)),
            (
                "lowest_limit",
                self.lowest_limit,
                Some(f64::from(outcome.lowest_limit)),
            ),
            (
                "capacity_per_s",
                self.capacity_per_s,
                outcome.capacity_per_s,
            ),
        ];
        for (what, range, found) in others {
            compare(what.into(), range, found, &mut checks);
        }
        for phase in &outcome.phases {
            if let Some(expected) = self.phase.get(&phase.name) {
                expected.check(&format!("phase.{}.", phase.name), phase, &mut checks);
            }
        }
        checks
    }
}

impl PhaseExpect {
    fn check(&self, prefix: &str, seen: &PhaseOutcome, checks: &mut Vec<Check>) {
        let numbers = [
            (
                "p50_local_ms",
                self.p50_local_ms,
                seen.local.quantile_ms(0.5),
            ),
            (
                "p99_local_ms",
                self.p99_local_ms,
                seen.local.quantile_ms(0.99),
            ),
            (
                "p50_cloud_ms",
                self.p50_cloud_ms,
                seen.cloud.quantile_ms(0.5),
            ),
            (
                "p99_cloud_ms",
                self.p99_cloud_ms,
                seen.cloud.quantile_ms(0.99),
            ),
            (
                "diverted_share",
                self.diverted_share,
                Some(seen.diverted_share()),
            ),
            (
                "mode_changes",
                self.mode_changes,
                Some(f64::from(seen.mode_changes)),
            ),
            ("spend_usd", self.spend_usd, Some(seen.spend_usd)),
        ];
        for (what, range, found) in numbers {
            compare(format!("{prefix}{what}"), range, found, checks);
        }
    }
}

fn compare(what: String, range: Option<Range>, found: Option<f64>, checks: &mut Vec<Check>) {
    let Some(Range { low, high }) = range else {
        return;
    };
    checks.push(Check {
        what,
        low,
        high,
        found,
        good: found.is_some_and(|found| (low..=high).contains(&found)),
    });
}
