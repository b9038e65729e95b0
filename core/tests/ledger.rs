//! Receipts and books as lines of the ledger.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use serde_json::{Value, json};
use spillway_core::ledger::{Books, BooksHead, BooksWindow, LedgerError, Line, parse_line};
use spillway_core::receipt::ReceiptError;
use spillway_core::window::WindowSize;

/// As in `proto/README.md`.
const RECEIPT: &str = r#"{"type": "receipt", "version": 1, "job": "wordcount", "batch": "9f3a6c1e2b7d4f08-0-42", "workload": "wordcount",
 "window_size_ms": 1000,
 "object": "partials/9f3a6c1e2b7d4f08/9f3a6c1e2b7d4f08-0-42.parquet", "bytes": 48211, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
 "rows": 5120, "records": 45000, "malformed": 0,
 "windows": [{"start_ms": 1767225600000, "records": 45000, "malformed": 0}]}"#;
const BOOKS: &str = r#"{"type": "books", "version": 1, "job": "wordcount", "valve": "valve", "attempt": "9f3a6c1e2b7d4f08", "subtask": 0, "parallelism": 1,
 "restored": 9, "checkpoint": 12, "window_size_ms": 1000, "watermark_ms": 1767225600999, "final": false,
 "windows": [{"start_ms": 1767225600000, "received": 50000, "kept": 45000, "diverted": 4000, "bounced": 1000, "late": 0}]}"#;

fn changed(line: &str, field: &str, value: Value) -> Result<Line, LedgerError> {
    let mut json: Value = serde_json::from_str(line).unwrap();
    json[field] = value;
    parse_line(json.to_string().as_bytes())
}

#[test]
fn a_receipt_is_read_as_the_contract_shows_it_and_written_as_one_line() {
    let Line::Receipt(receipt) = parse_line(RECEIPT.as_bytes()).unwrap() else {
        panic!("not a receipt");
    };
    assert_eq!(receipt.batch.sequence(), 42);
    assert_eq!(receipt.windows[0].records, 45_000);
    let line = receipt.to_line();
    assert!(!line.contains('\n'));
    assert_eq!(parse_line(line.as_bytes()).unwrap(), Line::Receipt(receipt));
    let expected: Value = serde_json::from_str(RECEIPT).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
}

#[test]
fn books_are_read_as_the_contract_shows_them_and_written_as_one_line() {
    let Line::Books(books) = parse_line(BOOKS.as_bytes()).unwrap() else {
        panic!("not books");
    };
    assert_eq!((books.restored, books.checkpoint), (Some(9), Some(12)));
    assert_eq!(books.windows[0].bounced, 1000);
    let line = books.to_line();
    assert!(!line.contains('\n'));
    assert_eq!(parse_line(line.as_bytes()).unwrap(), Line::Books(books));
    let expected: Value = serde_json::from_str(BOOKS).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
}

#[test]
fn the_last_books_have_no_checkpoint_and_are_final() {
    let head = BooksHead {
        job: "wordcount".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        attempt: "9f3a6c1e2b7d4f08".parse().unwrap(),
        subtask: 1,
        parallelism: 2,
        restored: Some(9),
        window_size: WindowSize::from_millis(1000).unwrap(),
    };
    let window = BooksWindow {
        start_ms: -1000,
        received: 3,
        kept: 3,
        ..BooksWindow::default()
    };
    let books = Books::new(head, None, Some(i64::MAX), vec![window]);
    assert!(books.is_final);
    let line = books.to_line();
    assert!(line.contains("\"checkpoint\":null") && line.contains("9223372036854775807"));
    assert_eq!(parse_line(line.as_bytes()).unwrap(), Line::Books(books));
}

#[test]
fn fields_that_are_not_known_are_ignored_and_a_line_break_is_no_matter() {
    assert!(changed(RECEIPT, "added_later", json!([1])).is_ok());
    assert!(changed(BOOKS, "added_later", json!({})).is_ok());
    assert!(parse_line(format!("{BOOKS}\n").as_bytes()).is_ok());
}

#[test]
fn a_missing_field_is_an_error_also_where_null_is_allowed() {
    for line in [RECEIPT, BOOKS] {
        let full: Value = serde_json::from_str(line).unwrap();
        // Valves before it came do not write `restored`.
        for field in full
            .as_object()
            .unwrap()
            .keys()
            .filter(|field| *field != "restored")
        {
            let mut json = full.clone();
            json.as_object_mut().unwrap().remove(field);
            let result = parse_line(json.to_string().as_bytes());
            assert!(
                matches!(result, Err(LedgerError::Json(_))),
                "{field}: {result:?}"
            );
        }
    }
    assert!(BOOKS.contains("\"restored\": 9, "));
    assert!(parse_line(BOOKS.replace("\"restored\": 9, ", "").as_bytes()).is_ok());
    assert!(changed(BOOKS, "checkpoint", Value::Null).is_ok());
    assert!(changed(BOOKS, "watermark_ms", Value::Null).is_ok());
}

#[test]
fn other_types_and_versions_are_refused() {
    assert!(matches!(
        changed(BOOKS, "type", json!("cheque")),
        Err(LedgerError::UnknownType(_))
    ));
    assert!(matches!(
        changed(BOOKS, "version", json!(2)),
        Err(LedgerError::Json(_))
    ));
    assert!(matches!(
        changed(RECEIPT, "version", json!(2)),
        Err(LedgerError::Json(_))
    ));
    assert!(matches!(
        parse_line(b"{\"type\":\"books\""),
        Err(LedgerError::Json(_))
    ));
    assert!(matches!(parse_line(b""), Err(LedgerError::Json(_))));
    assert!(matches!(
        changed(BOOKS, "subtask", json!(1)),
        Err(LedgerError::Subtask { .. })
    ));
    assert!(changed(BOOKS, "windows", json!([{"start_ms": 0, "received": -1}])).is_err());
}

#[test]
fn a_receipt_that_contradicts_itself_is_refused() {
    use ReceiptError::{Object, Sum, Unsorted, Window};

    let error = |field, value| match changed(RECEIPT, field, value) {
        Err(LedgerError::Receipt(error)) => error,
        other => panic!("{field}: {other:?}"),
    };
    let window = |start_ms: i64, records: u64| json!({"start_ms": start_ms, "records": records, "malformed": 0});
    assert!(matches!(error("records", json!(44_999)), Sum(_)));
    assert!(matches!(error("malformed", json!(1)), Sum(_)));
    assert!(matches!(error("windows", json!([])), Sum(_)));
    assert!(matches!(
        error("windows", json!([window(1000, 1), window(0, 44_999)])),
        Unsorted(_)
    ));
    assert!(matches!(
        error("windows", json!([window(0, 1), window(0, 44_999)])),
        Unsorted(_)
    ));
    assert!(matches!(
        error("windows", json!([window(500, 45_000)])),
        Window { .. }
    ));
    assert!(matches!(
        error("windows", json!([window(0, 0), window(1000, 45_000)])),
        Window { .. }
    ));
    let malformed = json!([{"start_ms": 0, "records": 45_000, "malformed": 45_001}]);
    assert!(matches!(error("windows", malformed), Window { .. }));
    assert!(matches!(
        error("object", json!("partials/../../x")),
        Object { .. }
    ));
    assert!(matches!(
        changed(RECEIPT, "sha256", json!("00")),
        Err(LedgerError::Json(_))
    ));
    assert!(matches!(
        changed(RECEIPT, "batch", json!("x")),
        Err(LedgerError::Json(_))
    ));
}
