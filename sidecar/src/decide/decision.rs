//! What the controller answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spillway_core::directive::{Directive, Mode};

use super::units::RecordsPerSecond;

/// What came of one observation: all that a trace, the status and the metrics need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What the subtask that reported is to do; `None` if the observation was no report.
    pub directive: Option<Directive>,
    /// What the whole valve is about.
    pub mode: Mode,
    /// Why, in one sentence with numbers.
    pub reason: String,
    /// Whether the mode is another than before.
    pub mode_changed: bool,
    /// Whether the observation was taken into account; false for a report that is not newer than the
    /// last one.
    pub counted: bool,
    /// What all subtasks together may keep; `None`: as much as they can.
    #[serde(rename = "local_rate_per_s")]
    pub local_rate: Option<RecordsPerSecond>,
    /// Whether records may be diverted at all.
    pub divert: bool,
    /// Batches that all subtasks together may have in the cloud.
    pub credits: u32,
    /// What arrives at all subtasks together.
    #[serde(rename = "arrival_per_s")]
    pub arrival: RecordsPerSecond,
    /// What the local lane can take, if it is known.
    pub capacity: Option<CapacityEstimate>,
    /// Arrival over capacity, if that is known; above 1 in a spike.
    pub utilization: Option<f64>,
    /// How long the local lane alone would take for what waits at the source, if that is known.
    #[serde(rename = "lag_ms", with = "optional_millis")]
    pub lag: Option<Duration>,
    /// The budget that keeps the valve from diverting more, if one does.
    pub bound_by: Option<Budget>,
}

/// What the local lane can take, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityEstimate {
    /// The likeliest value.
    #[serde(rename = "per_s")]
    pub rate: RecordsPerSecond,
    /// It is hardly less than this.
    #[serde(rename = "low_per_s")]
    pub low: RecordsPerSecond,
    /// It is hardly more than this.
    #[serde(rename = "high_per_s")]
    pub high: RecordsPerSecond,
    /// Whether the lane has been seen saturated, rather than inferred from how busy it was.
    pub measured: bool,
}

/// What bounds the diverting, by the policy's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// `max_concurrency`.
    Concurrency,
    /// `max_usd_per_hour`.
    Spend,
    /// `max_diverted_share`.
    Share,
}

/// As `millis`, for what may be unknown.
mod optional_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::decide::observation::millis;

    #[derive(Serialize, Deserialize)]
    struct Millis(#[serde(with = "millis")] Duration);

    #[expect(clippy::ref_option)] // serde's signature
    pub(super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        span.map(Millis).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Millis>::deserialize(from)?.map(|Millis(span)| span))
    }
}
