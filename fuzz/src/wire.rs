//! What must hold for any bytes that reach the shared core. Each function is the body of a fuzz target,
//! and of a test in `core/tests/corpus.rs` that goes through the target's corpus.

use std::collections::BTreeMap;

use bytes::Bytes;
use spillway_core::aggregate::aggregate;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::directive::{Directive, Report};
use spillway_core::envelope::{Answer, Invocation};
use spillway_core::ledger::{Line, parse_line};
use spillway_core::local_row;
use spillway_core::partial::{self, PartialReader};
use spillway_core::receipt::Receipt;

/// Beyond this many records a batch is only read: what comes after is the same for one more.
const FEW: usize = 4096;

/// A batch is refused, or holds what it says, aggregates, gives a partial that reads back, and a
/// receipt that fits it.
pub fn batch(message: &[u8]) {
    let Ok(view) = BatchView::parse(message) else {
        return;
    };
    let records: Vec<_> = view.records().collect();
    assert_eq!(records.len(), view.len());
    let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
    assert_eq!(bytes, view.record_bytes());
    let per_window = view.records_per_window();
    assert!(per_window.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(
        per_window.iter().map(|(_, n)| n).sum::<u64>(),
        view.len() as u64
    );
    if records.len() > FEW {
        return;
    }

    let window_ms = view.window_size().as_millis();
    let name = view.workload().name();
    let mut again = BatchBuilder::new(&view.id().to_string(), view.job().as_str(), name, window_ms);
    for (time_ms, record) in &records {
        again.push(*time_ms, record);
    }
    let again = again.encode();
    let again = BatchView::parse(&again).expect("what was read can be written");
    assert!(again.records().eq(records.iter().copied()));

    let Ok(aggregate) = aggregate(&view) else {
        return;
    };
    let counted = aggregate
        .windows()
        .iter()
        .map(|window| (window.start_ms, window.records));
    assert!(counted.eq(per_window));
    let content = partial::write(&view.id(), &aggregate).expect("a partial in memory");
    let windows = aggregate.windows().to_vec();
    let receipt = Receipt::new(&view, windows, aggregate.rows().len() as u64, &content);
    receipt.check().expect("a receipt agrees with itself");
    receipt.fits(&again).expect("a receipt fits its batch");

    let mut expected = aggregate.rows();
    let mut reader = PartialReader::open(content.into()).expect("our own partial");
    while let Some(row) = reader.next_row().expect("our own partial's rows") {
        let other = expected.next().expect("no more rows than were written");
        assert_eq!(
            (row.window_start_ms, row.key),
            (other.window_start_ms, other.key)
        );
        assert_eq!(row.measures, other.measures);
    }
    assert!(expected.next().is_none());
}

/// A report is refused, or reads back what it writes.
pub fn report(json: &[u8]) {
    if let Ok(report) = Report::from_json(json) {
        let text = serde_json::to_vec(&report).expect("a report has a text");
        assert_eq!(
            serde_json::from_slice::<Report>(&text).expect("its own text"),
            report
        );
    }
}

/// A directive is refused, or has a verdict, and reads back what it writes.
pub fn directive(json: &[u8]) {
    if let Ok(directive) = serde_json::from_slice::<Directive>(json) {
        let text = serde_json::to_vec(&directive).expect("a directive has a text");
        let again: Directive = serde_json::from_slice(&text).expect("its own text");
        // No number in JSON is NaN or infinite, so all of it compares.
        assert_eq!(again, directive);
        assert_eq!(again.check().is_ok(), directive.check().is_ok());
    }
}

/// An invocation is refused, or gives the batch of the size that it says.
pub fn invocation(json: &[u8]) {
    if let Ok(invocation) = Invocation::from_json(json)
        && let Ok(batch) = invocation.unpack()
    {
        let packed = Invocation::pack(&batch).expect("no larger than what was read");
        assert_eq!(packed.unpack().expect("our own"), batch);
        if let Ok(json) = packed.to_json() {
            assert_eq!(Invocation::from_json(&json).expect("our own"), packed);
        }
    }
}

/// The function's answer is refused, or its receipt names an object in its own folder.
pub fn answer(json: &[u8]) {
    if let Ok(answer) = Answer::from_json(json) {
        stays_in_its_folder(&answer.receipt);
        let text = serde_json::to_vec(&answer).expect("an answer has a text");
        assert_eq!(Answer::from_json(&text).expect("its own text"), answer);
    }
}

/// A line of the ledger is refused, or reads back what it writes; a receipt names an object in its own
/// folder.
pub fn ledger_line(line: &[u8]) {
    let Ok(parsed) = parse_line(line) else {
        return;
    };
    let text = match &parsed {
        Line::Receipt(receipt) => {
            stays_in_its_folder(receipt);
            receipt.to_line()
        }
        Line::Books(books) => books.to_line(),
    };
    assert!(!text.contains(['\n', '\r']));
    assert_eq!(parse_line(text.as_bytes()).expect("its own line"), parsed);
}

fn stays_in_its_folder(receipt: &Receipt) {
    let parts: Vec<_> = receipt.object.split('/').collect();
    let [folder, attempt, file] = parts[..] else {
        panic!("{}", receipt.object);
    };
    assert_eq!(folder, "partials");
    assert_eq!(attempt, receipt.batch.attempt().to_string());
    assert_eq!(file, format!("{}.parquet", receipt.batch));
    assert!(!receipt.job.as_str().contains('/') && receipt.job.as_str() != "..");
}

/// A partial, whole or damaged, is read to its end or refused; never a panic, never more memory than
/// its own size explains and a page takes, for which the Parquet library makes room as large as it says it is: 2 GiB at most.
pub fn partial_file(content: &[u8]) {
    let Ok(mut reader) = PartialReader::open(Bytes::copy_from_slice(content)) else {
        return;
    };
    let mut rows = BTreeMap::<i64, u64>::new();
    while let Ok(Some(row)) = reader.next_row() {
        *rows.entry(row.window_start_ms).or_default() += 1;
        std::hint::black_box((row.key, row.measures));
    }
}

/// A line of the local lane is refused, or reads back what it writes.
pub fn local_line(line: &[u8]) {
    let mut measures = [0; 2];
    let Ok(row) = local_row::parse(line, &mut measures) else {
        return;
    };
    let mut text = Vec::new();
    local_row::format(&row, &measures, &mut text);
    assert_eq!(text.pop(), Some(b'\n'));
    let mut again = [0; 2];
    assert_eq!(local_row::parse(&text, &mut again), Ok(row));
    assert_eq!(again, measures);
}
