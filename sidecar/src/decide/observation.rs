//! What the controller is told.
//!
//! Each of these reads and writes itself as JSON, so that a recorded trace replays to the same decisions.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use spillway_core::ids::AttemptId;

use super::units::{Share, Usd};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Observation {
    /// A valve's subtask reported.
    Report {
        /// Which one.
        subtask: u32,
        /// Its counters.
        reading: Reading,
    },
    /// The sensor looked at the job.
    Lane(LaneLoad),
    /// The cloud lane's state changed.
    Cloud(CloudLane),
    /// What the cloud lane has cost so far.
    Spent {
        /// All that it has cost since the sidecar started. If it falls, the sidecar was started anew.
        usd: Usd,
    },
}

/// A valve's counters at one time, cumulative since the start of its attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Counters of different attempts have nothing to do with each other.
    pub attempt: AttemptId,
    /// Number of the report within the attempt.
    pub sequence: u64,
    /// How many subtasks the valve has.
    pub parallelism: u32,
    /// The reporter's wall clock, milliseconds. Only differences are used.
    pub time_ms: i64,
    /// Records that the source handed over.
    pub received: u64,
    /// Records that went down the local lane, bounced ones included.
    pub to_local: u64,
    /// Records that were put into a batch.
    pub to_cloud: u64,
    /// Batches sealed and not yet settled; not cumulative.
    pub in_flight_batches: u64,
    /// Milliseconds during which the local output had no room.
    pub unavailable_ms: u64,
}

/// How loaded the local lane is, as the engine's own metrics have it. What is `None` is not known,
/// which is not the same as zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaneLoad {
    /// Share of time that the valve's task waited for room in its output.
    pub valve_back_pressured: Option<Share>,
    /// Share of time that the busiest subtask downstream of the valve was busy.
    pub downstream_busy: Option<Share>,
    /// How long a time the two shares above are averages over.
    #[serde(rename = "window_ms", with = "millis")]
    pub window: Duration,
    /// Share of its processors that the busiest worker process used.
    pub worker_cpu: Option<Share>,
    /// How long a time `worker_cpu` is an average over, if it is news; zero if it was told before, or if
    /// the engine does not say. Windows of successive news join without gap or overlap, so that processor
    /// time can be added up.
    #[serde(rename = "worker_cpu_window_ms", with = "millis")]
    pub worker_cpu_window: Duration,
    /// How many processors that worker has: what it spends of them anyway is the smaller a share, the more
    /// there are.
    pub worker_cores: Option<u32>,
    /// Records that wait at the source (Kafka's `pendingRecords`).
    pub pending_records: Option<u64>,
    /// The part of the job that holds up the others: downstream of it nobody is back-pressured, upstream
    /// somebody is. For people.
    pub bottleneck: Option<String>,
    /// How old the youngest of this was when it was looked at: zero for Flink's counters, which are fresh;
    /// a minute or more for `CloudWatch`.
    #[serde(rename = "age_ms", with = "millis")]
    pub age: Duration,
}

impl LaneLoad {
    /// The utilisation of the lane's busiest part, as far as it is known.
    ///
    /// Tasks that share one processor never look busy although it is full, so the processor counts too.
    pub fn utilization(&self) -> Option<Share> {
        match (self.downstream_busy, self.worker_cpu) {
            (Some(busy), Some(cpu)) => Some(busy.max(cpu)),
            (busy, cpu) => busy.or(cpu),
        }
    }
}

/// Whether the cloud lane can take batches, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CloudLane {
    /// It can take this many batches at once, over all subtasks.
    Open {
        /// Batches.
        credits: u32,
    },
    /// It cannot take any.
    Closed {
        /// Why, for people.
        reason: String,
    },
}

/// Durations as milliseconds in JSON, exact to the nanosecond below 26 days (2^51 ns).
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(span.as_nanos() as f64 / 1e6)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let ms = f64::deserialize(from)?;
        if !(0.0..=1e12).contains(&ms) {
            return Err(D::Error::custom(format!(
                "{ms} is no span of time in milliseconds: give 0 to 1e12"
            )));
        }
        // In 0..=1e18, so the cast neither wraps nor loses a sign; the fraction was rounded away.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Duration::from_nanos((ms * 1e6).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(observation: &Observation) -> Observation {
        serde_json::from_str(&serde_json::to_string(observation).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_down_reads_back_the_same(
            shares in prop::collection::vec(prop::option::of(0.0..=1.0_f64), 3),
            spans in prop::collection::vec(0..1_000_000_000_000_000_u64, 3),
            usd in 0.0..1e9_f64,
            pending in prop::option::of(any::<u64>()),
        ) {
            let share = |index: usize| shares[index].map(Share::new);
            let lane = Observation::Lane(LaneLoad {
                valve_back_pressured: share(0),
                downstream_busy: share(1),
                worker_cpu: share(2),
                window: Duration::from_nanos(spans[0]),
                worker_cpu_window: Duration::from_nanos(spans[1]),
                worker_cores: pending.map(|_| 4),
                pending_records: pending,
                bottleneck: Some("aggregate".into()),
                age: Duration::from_nanos(spans[2]),
            });
            prop_assert_eq!(back(&lane), lane);
            let spent = Observation::Spent { usd: Usd::new(usd) };
            prop_assert_eq!(back(&spent), spent);
        }
    }

    #[test]
    fn observations_look_like_this_in_a_trace() {
        let report = r#"{"report":{"subtask":3,"reading":{"attempt":"00000000000000aa","sequence":1,"parallelism":4,
            "time_ms":5,"received":10,"to_local":7,"to_cloud":3,"in_flight_batches":1,"unavailable_ms":2}}}"#;
        let observation: Observation = serde_json::from_str(report).unwrap();
        assert_eq!(
            serde_json::to_string(&observation).unwrap(),
            report.replace(['\n', ' '], "")
        );
        for text in [
            r#"{"cloud":{"open":{"credits":24}}}"#,
            r#"{"cloud":{"closed":{"reason":"down"}}}"#,
            r#"{"spent":{"usd":0.25}}"#,
        ] {
            let observation: Observation = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&observation).unwrap(), text);
        }
    }

    #[test]
    fn a_share_or_a_span_that_cannot_be_is_refused() {
        for lane in [
            r#"{"worker_cpu":1.5}"#,
            r#"{"worker_cpu":-0.1}"#,
            r#"{"window_ms":-1}"#,
            r#"{"window_ms":1e30}"#,
            r#"{"cpu":0.5}"#,
        ] {
            assert!(serde_json::from_str::<LaneLoad>(lane).is_err(), "{lane}");
        }
    }
}
