//! The shared vectors in `proto/vectors/`, which Java and Python test against as well.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

#[path = "plain/batch_cases.rs"]
mod batch_cases;
mod plain;
#[path = "plain/wordcount_cases.rs"]
mod wordcount_cases;

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spillway_core::aggregate::aggregate;
use spillway_core::batch::BatchView;
use spillway_core::workload::{Wordcount, Workload};

fn read(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(case[field].as_str().unwrap()).unwrap()
}

#[test]
fn the_files_are_what_the_plain_definitions_give() {
    // If not: cargo run --release -p spillway-core --example vectors -- proto/vectors
    assert_eq!(read("wordcount.json"), wordcount_cases::cases());
    assert_eq!(read("batch.json"), batch_cases::cases());
}

#[test]
fn every_case_has_a_name_of_its_own() {
    for file in ["wordcount.json", "batch.json"] {
        let cases = read(file);
        let names: HashSet<_> = cases
            .iter()
            .map(|case| case["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), cases.len(), "{file}");
    }
}

#[test]
fn wordcount_gives_the_words_of_every_case() {
    let mut workload = Wordcount::default();
    for case in read("wordcount.json") {
        let mut words = Vec::new();
        workload.process(&bytes(&case, "record_base64"), |key, _| {
            words.push(String::from_utf8(key.bytes().to_vec()).unwrap());
        });
        assert_eq!(json!(words), case["words"], "{}", case["name"]);
    }
}

#[test]
fn valid_batches_hold_what_the_case_says_and_come_to_its_rows() {
    for case in read("batch.json")
        .iter()
        .filter(|case| case["valid"] == true)
    {
        let message = bytes(case, "batch_base64");
        let view = BatchView::parse(&message).unwrap();
        let records: Vec<_> = view
            .records()
            .map(
                |(t, record)| json!({"event_time_ms": t, "record_base64": STANDARD.encode(record)}),
            )
            .collect();
        let aggregate = aggregate(&view).unwrap();
        let rows: Vec<_> = aggregate
            .rows()
            .map(|row| {
                json!({
                    "window_start_ms": row.window_start_ms,
                    "key": std::str::from_utf8(row.key).unwrap(),
                    "count": row.measures[0],
                })
            })
            .collect();
        let found = json!({
            "name": case["name"],
            "batch_base64": case["batch_base64"],
            "valid": true,
            "error": null,
            "id": view.id(),
            "job": view.job(),
            "workload": view.workload().name(),
            "window_size_ms": view.window_size(),
            "records": records,
            "receipt_windows": aggregate.windows(),
            "rows": rows,
        });
        assert_eq!(&found, case);
    }
}

#[test]
fn invalid_batches_are_refused_with_the_slug_of_the_case() {
    for case in read("batch.json")
        .iter()
        .filter(|case| case["valid"] == false)
    {
        let error = BatchView::parse(&bytes(case, "batch_base64")).unwrap_err();
        assert_eq!(error.slug(), case["error"], "{}: {error}", case["name"]);
    }
}
