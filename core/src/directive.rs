//! What valve and sidecar say to each other several times a second.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::AttemptId;
use crate::marker;
use crate::window::WindowSize;

/// What a valve subtask tells the sidecar. Counters count since the start of the attempt.
/// See `proto/README.md`, "Report and directive".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The attempt that reports.
    pub attempt: AttemptId,
    /// The number of this report within the attempt, from 0.
    pub sequence: u64,
    /// The number of the valve's subtasks.
    pub parallelism: u32,
    /// The name of the workload.
    pub workload: String,
    /// The size of the windows.
    #[serde(rename = "window_size_ms")]
    pub window_size: WindowSize,
    /// The valve's wall clock, in milliseconds since the epoch.
    pub time_ms: i64,
    /// Records handed to the valve.
    pub received: u64,
    /// Records that went down the local lane at once.
    pub kept: u64,
    /// Records settled with a receipt.
    pub diverted: u64,
    /// Records that went down the local lane after their batch was refused.
    pub bounced: u64,
    /// Records whose window was closed.
    pub late: u64,
    /// Records in open, in-flight and returned batches.
    pub unsettled: u64,
    /// Batches sealed and not yet settled.
    pub in_flight_batches: u64,
    /// Batches settled with a receipt.
    pub settled_batches: u64,
    /// Batches refused.
    pub bounced_batches: u64,
    /// Sends beyond each batch's first.
    pub retries: u64,
    /// How long the local output was congested, in milliseconds.
    pub local_unavailable_ms: u64,
    /// The last watermark forwarded; `None` before the first.
    #[serde(deserialize_with = "marker::nullable")]
    pub watermark_ms: Option<i64>,
    /// When the current or latest episode of diverting put its first record into a batch.
    #[serde(deserialize_with = "marker::nullable")]
    pub first_diverted_ms: Option<i64>,
    /// When it put its last record into a batch.
    #[serde(deserialize_with = "marker::nullable")]
    pub last_diverted_ms: Option<i64>,
    /// Latencies of the records timed since the previous report.
    #[serde(
        default,
        skip_serializing_if = "Latency::is_empty",
        deserialize_with = "marker::object"
    )]
    pub latency: Latency,
}

impl Report {
    /// Reads a report, which is a JSON object.
    pub fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let report = marker::object(&mut deserializer)?;
        deserializer.end()?;
        Ok(report)
    }
}

/// `HdrHistogram`s (V2, compressed, base64) in microseconds, per lane; absent if nothing was timed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Until the record was in the window's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// Until the record's receipt was emitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<String>,
}

impl Latency {
    fn is_empty(&self) -> bool {
        self.local.is_none() && self.cloud.is_none()
    }
}

/// What the valve is to do until the lease runs out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Directive {
    /// Records per second that this subtask may keep; `None`: as many as it can.
    #[serde(deserialize_with = "marker::nullable")]
    pub local_rate: Option<f64>,
    /// Whether records may be diverted at all.
    pub divert: bool,
    /// Batches that may be in flight or open at once, at most [`Directive::MAX_CREDITS`].
    pub credits: u32,
    /// How long after its arrival the directive holds, in milliseconds.
    pub lease_ms: u32,
    /// What the sidecar is about.
    pub mode: Mode,
    /// One sentence for people.
    pub reason: String,
}

/// What the sidecar is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Diverting is off.
    Local,
    /// The capacity is known; only what exceeds the local rate is diverted.
    Armed,
    /// A spike is being diverted.
    Burst,
}

impl Mode {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Armed => "armed",
            Self::Burst => "burst",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A directive that a valve would ignore.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DirectiveError {
    /// Not a finite number of at least 0.
    #[error("invalid local_rate {0}: expected a finite number of at least 0, or null")]
    LocalRate(f64),
    /// Too many credits.
    #[error("invalid credits {0}: expected at most {max}", max = Directive::MAX_CREDITS)]
    Credits(u32),
    /// The lease is too short or too long.
    #[error("invalid lease_ms {0}: expected 1 to {max}", max = Directive::MAX_LEASE_MS)]
    Lease(u32),
}

impl Directive {
    /// The most credits of one subtask.
    pub const MAX_CREDITS: u32 = 1024;
    /// The longest lease, in milliseconds.
    pub const MAX_LEASE_MS: u32 = 60_000;

    /// Whether every bound is kept.
    pub fn check(&self) -> Result<(), DirectiveError> {
        match self.local_rate {
            Some(rate) if !rate.is_finite() || rate < 0.0 => Err(DirectiveError::LocalRate(rate)),
            _ if self.credits > Self::MAX_CREDITS => Err(DirectiveError::Credits(self.credits)),
            _ if !(1..=Self::MAX_LEASE_MS).contains(&self.lease_ms) => {
                Err(DirectiveError::Lease(self.lease_ms))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"attempt": "9f3a6c1e2b7d4f08", "sequence": 17, "parallelism": 1, "workload": "wordcount",
        "window_size_ms": 1000, "time_ms": 1767225612345,
        "received": 812345, "kept": 500000, "diverted": 300000, "bounced": 0, "late": 0,
        "unsettled": 12345, "in_flight_batches": 2, "settled_batches": 80, "bounced_batches": 0, "retries": 0,
        "local_unavailable_ms": 130, "watermark_ms": 1767225610999,
        "first_diverted_ms": 1767225611020, "last_diverted_ms": null,
        "latency": {"local": "AAAA"}, "added_later": true}"#;

    const DIRECTIVE: &str = r#"{"local_rate": 120000.0, "divert": true, "credits": 8, "lease_ms": 2000,
        "mode": "armed", "reason": "arrival 50 k/s < 0.9 × capacity 171 k/s"}"#;

    #[test]
    fn a_report_is_read_as_the_contract_shows_it() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        assert_eq!(report.received, 812_345);
        assert_eq!(report.watermark_ms, Some(1_767_225_610_999));
        assert_eq!(report.last_diverted_ms, None);
        assert_eq!(report.latency.local.as_deref(), Some("AAAA"));
        assert_eq!(report.latency.cloud, None);
        let again = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&again).unwrap(), report);
    }

    #[test]
    fn a_report_is_an_object_and_so_is_its_latency() {
        assert!(Report::from_json(REPORT.as_bytes()).is_ok());
        let latency = REPORT.replace("{\"local\": \"AAAA\"}", "[null, null]");
        assert!(Report::from_json(latency.as_bytes()).is_err());
        let twice = format!("{REPORT} {{}}");
        assert!(Report::from_json(twice.as_bytes()).is_err());
        let values = r#"["9f3a6c1e2b7d4f08", 17, 1, "wordcount", 1000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            null, null, null, {}]"#;
        assert!(Report::from_json(values.as_bytes()).is_err());
    }

    #[test]
    fn a_report_without_latency_has_none_but_other_fields_must_be_there() {
        let without = REPORT.replace("\"latency\": {\"local\": \"AAAA\"}, ", "");
        let report: Report = serde_json::from_str(&without).unwrap();
        assert_eq!(report.latency, Latency::default());
        assert!(!serde_json::to_string(&report).unwrap().contains("latency"));

        let full: serde_json::Value = serde_json::from_str(REPORT).unwrap();
        for field in full.as_object().unwrap().keys() {
            if field != "latency" && field != "added_later" {
                let mut partial = full.clone();
                partial.as_object_mut().unwrap().remove(field);
                assert!(
                    serde_json::from_value::<Report>(partial).is_err(),
                    "{field}"
                );
            }
        }
    }

    #[test]
    fn a_directive_reads_back_what_it_writes_null_rate_included() {
        let mut directive: Directive = serde_json::from_str(DIRECTIVE).unwrap();
        assert_eq!(directive.mode, Mode::Armed);
        assert_eq!(directive.check(), Ok(()));
        directive.local_rate = None;
        let json = serde_json::to_string(&directive).unwrap();
        assert!(json.contains("\"local_rate\":null"));
        assert!(json.contains(&format!("\"mode\":\"{}\"", Mode::Armed)));
        assert_eq!(serde_json::from_str::<Directive>(&json).unwrap(), directive);
    }

    #[test]
    fn a_directive_beyond_a_bound_is_refused() {
        let good: Directive = serde_json::from_str(DIRECTIVE).unwrap();
        for rate in [-1.0, f64::NAN, f64::INFINITY] {
            let local_rate = Some(rate);
            assert!(
                Directive {
                    local_rate,
                    ..good.clone()
                }
                .check()
                .is_err()
            );
        }
        assert!(
            Directive {
                local_rate: Some(0.0),
                ..good.clone()
            }
            .check()
            .is_ok()
        );
        assert!(
            Directive {
                credits: 1024,
                ..good.clone()
            }
            .check()
            .is_ok()
        );
        assert!(
            Directive {
                credits: 1025,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            Directive {
                lease_ms: 0,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            Directive {
                lease_ms: 60_000,
                ..good.clone()
            }
            .check()
            .is_ok()
        );
        assert!(
            Directive {
                lease_ms: 60_001,
                ..good
            }
            .check()
            .is_err()
        );
    }
}
