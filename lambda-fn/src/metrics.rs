//! The function's metrics, as lines of `CloudWatch`'s embedded metric format (EMF) on standard output.
//!
//! `CloudWatch` Logs makes metrics of such lines by itself: no request, no client, no rights beyond those that
//! every function has. They are written by a layer of the runtime that runs once the answer has been taken
//! by the Runtime API and before the next event is asked for, so that nobody waits for them. Why so, and
//! not by an extension that calls `PutMetricData`: see `docs/decisions/0012-metrics-out.md`.
//!
//! The format: "Embedded metric format specification" in the `CloudWatch` user guide.

use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};
use spillway_core::envelope::Answer;

use crate::error::FunctionError;

const NAMESPACE: &str = "Spillway";

/// What is to be published of the invocation under way.
#[derive(Debug)]
pub(crate) struct Metrics<W> {
    function: String,
    out: RefCell<W>,
    line: RefCell<Option<Line>>,
}

/// The figures of one invocation.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    job: Option<String>,
    /// Not metrics, but there to be searched for in the log.
    properties: Map<String, Value>,
    metrics: Vec<(&'static str, Unit, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Unit {
    Count,
    Bytes,
    Milliseconds,
}

impl<W: Write> Metrics<W> {
    /// Publishes to `out`.
    pub(crate) fn new(function: String, out: W) -> Self {
        Self {
            function,
            out: RefCell::new(out),
            line: RefCell::default(),
        }
    }

    /// Remembers what came of an invocation, to be published once its answer is out.
    pub(crate) fn note(&self, request: &str, result: &Result<Answer, FunctionError>) {
        let mut properties = Map::new();
        properties.insert("request_id".into(), request.into());
        let line = match result {
            Ok(answer) => {
                let (receipt, timing) = (&answer.receipt, &answer.timing);
                properties.insert("batch".into(), receipt.batch.to_string().into());
                let ms = |us: u64| us as f64 / 1e3;
                let mut metrics = vec![
                    ("Invocations", Unit::Count, 1.0),
                    ("Errors", Unit::Count, 0.0),
                    ("ColdStarts", Unit::Count, f64::from(u8::from(timing.cold))),
                    ("Records", Unit::Count, receipt.records as f64),
                    ("MalformedRecords", Unit::Count, receipt.malformed as f64),
                    ("PartialRows", Unit::Count, receipt.rows as f64),
                    ("PartialSize", Unit::Bytes, receipt.bytes as f64),
                    ("DecodeTime", Unit::Milliseconds, ms(timing.decode_us)),
                    ("AggregateTime", Unit::Milliseconds, ms(timing.aggregate_us)),
                    ("EncodeTime", Unit::Milliseconds, ms(timing.encode_us)),
                    ("WriteTime", Unit::Milliseconds, ms(timing.write_us)),
                ];
                if timing.cold {
                    metrics.push(("InitTime", Unit::Milliseconds, ms(timing.init_us)));
                }
                Line {
                    job: Some(receipt.job.to_string()),
                    properties,
                    metrics,
                }
            }
            Err(error) => {
                let kind = error.kind().map_or("Unhandled", |kind| kind.name());
                properties.insert("error".into(), kind.into());
                Line {
                    job: None,
                    properties,
                    metrics: vec![
                        ("Invocations", Unit::Count, 1.0),
                        ("Errors", Unit::Count, 1.0),
                    ],
                }
            }
        };
        *self.line.borrow_mut() = Some(line);
    }

    /// The answer is out: publishes what was noted, if anything was.
    pub(crate) fn publish(&self) {
        let Some(line) = self.line.take() else { return };
        let text = line.to_emf(&self.function, now_ms());
        // A log that cannot be written to is nobody's reason to fail a batch.
        let _ = writeln!(self.out.borrow_mut(), "{text}");
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or_default()
}

impl Line {
    /// One line of JSON. Dimensions are `job` and `function`; what has no job, because it could not be read,
    /// is under `function` alone.
    fn to_emf(&self, function: &str, now_ms: u64) -> String {
        let mut dimensions = vec!["function"];
        let mut root = self.properties.clone();
        root.insert("function".into(), function.into());
        if let Some(job) = &self.job {
            dimensions.insert(0, "job");
            root.insert("job".into(), job.as_str().into());
        }
        let definitions: Vec<Value> = self
            .metrics
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
            .collect();
        let directive = json!({
            "Namespace": NAMESPACE,
            "Dimensions": [dimensions],
            "Metrics": definitions,
        });
        root.insert(
            "_aws".into(),
            json!({"Timestamp": now_ms, "CloudWatchMetrics": [directive]}),
        );
        for (name, _, value) in &self.metrics {
            root.insert((*name).into(), json!(value));
        }
        Value::Object(root).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_core::batch::{BatchBuilder, BatchView};
    use spillway_core::envelope::{EnvelopeError, Timing};
    use spillway_core::receipt::{Receipt, WindowCount};

    fn answer(cold: bool) -> Answer {
        let message = BatchBuilder::new("9f3a6c1e2b7d4f08-0-42", "job", "wordcount", 1000)
            .push(5, b"to be")
            .encode();
        let batch = BatchView::parse(&message).unwrap();
        let windows = vec![WindowCount {
            start_ms: 0,
            records: 1,
            malformed: 0,
        }];
        Answer {
            receipt: Receipt::new(&batch, windows, 2, b"parquet"),
            timing: Timing {
                cold,
                init_us: 2_500,
                decode_us: 100,
                aggregate_us: 3_000,
                encode_us: 200,
                write_us: 1_000,
            },
        }
    }

    fn published(results: &[Result<Answer, FunctionError>]) -> Vec<Value> {
        let metrics = Metrics::new("burst".into(), Vec::new());
        for result in results {
            metrics.note("request-1", result);
            metrics.publish();
            // Once only.
            metrics.publish();
        }
        let text = String::from_utf8(metrics.out.take()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn an_answer_becomes_one_line_whose_every_metric_has_its_value() {
        let lines = published(&[Ok(answer(true))]);
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Spillway");
        assert_eq!(directive["Dimensions"], json!([["job", "function"]]));
        assert_eq!(
            (&line["job"], &line["function"]),
            (&json!("job"), &json!("burst"))
        );
        let names = directive["Metrics"].as_array().unwrap();
        assert_eq!(names.len(), 12);
        for metric in names {
            let name = metric["Name"].as_str().unwrap();
            assert!(line[name].is_number(), "{name}");
        }
        assert_eq!(line["AggregateTime"], 3.0);
        assert_eq!(line["InitTime"], 2.5);
        assert_eq!(line["batch"], "9f3a6c1e2b7d4f08-0-42");
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    }

    #[test]
    fn only_a_cold_start_has_an_init_time_and_an_error_has_its_type() {
        let error = EnvelopeError::BatchTooLarge(1 << 30);
        let lines = published(&[Ok(answer(false)), Err(error.into())]);
        assert_eq!(lines[0].get("InitTime"), None);
        assert_eq!(
            (&lines[0]["ColdStarts"], &lines[0]["Errors"]),
            (&json!(0.0), &json!(0.0))
        );
        assert_eq!(lines[1]["error"], "MalformedBatch");
        assert_eq!(lines[1]["Errors"], 1.0);
        let directive = &lines[1]["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["function"]]));
    }
}
