//! Partials as files.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use bytes::Bytes;
use spillway_core::aggregate::aggregate;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::partial::{self, PartialError, PartialReader};

fn batch(sequence: u32, records: &[(i64, &str)]) -> Vec<u8> {
    let id = format!("9f3a6c1e2b7d4f08-0-{sequence}");
    let mut builder = BatchBuilder::new(&id, "job", "wordcount", 1000);
    for (t, record) in records {
        builder.push(*t, record.as_bytes());
    }
    builder.encode()
}

fn content(message: &[u8]) -> Vec<u8> {
    let view = BatchView::parse(message).unwrap();
    partial::write(&view.id(), &aggregate(&view).unwrap()).unwrap()
}

fn rows(content: Vec<u8>) -> Result<Vec<(i64, String, Vec<i64>)>, PartialError> {
    let mut reader = PartialReader::open(content.into())?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        let key = String::from_utf8(row.key.to_vec()).unwrap();
        rows.push((row.window_start_ms, key, row.measures.to_vec()));
    }
    Ok(rows)
}

#[test]
fn the_same_batch_gives_the_same_bytes_and_another_id_gives_others() {
    let records = [(0, "to be or not to be"), (1500, "that is the question")];
    assert_eq!(content(&batch(1, &records)), content(&batch(1, &records)));
    assert_ne!(content(&batch(1, &records)), content(&batch(2, &records)));
}

#[test]
fn the_order_of_records_within_a_batch_does_not_show_in_its_bytes() {
    let records = [(0, "to be"), (1500, "or not"), (3, "to be")];
    let mut reversed = records;
    reversed.reverse();
    // The base of the event times differs, what comes out does not.
    assert_eq!(content(&batch(1, &records)), content(&batch(1, &reversed)));
}

#[test]
fn a_partial_has_an_object_key_of_its_own_under_its_attempt() {
    let id = "9f3a6c1e2b7d4f08-0-42".parse().unwrap();
    assert_eq!(
        partial::object_key(&id),
        "partials/9f3a6c1e2b7d4f08/9f3a6c1e2b7d4f08-0-42.parquet"
    );
}

#[test]
fn more_rows_than_are_decoded_at_once_come_in_order() {
    let lines: Vec<String> = (0..30_000).map(|i| format!("w{i:05}")).collect();
    let records: Vec<_> = (0..)
        .zip(&lines)
        .map(|(i, line)| (i % 2000, line.as_str()))
        .collect();
    let rows = rows(content(&batch(0, &records))).unwrap();
    assert_eq!(rows.len(), lines.len());
    assert!(rows.is_sorted());
    assert!(rows.iter().all(|(_, _, measures)| *measures == [1]));
}

#[test]
fn a_partial_without_rows_still_tells_its_records() {
    let content = content(&batch(5, &[(0, "--"), (1, "")]));
    let mut reader = PartialReader::open(content.into()).unwrap();
    assert_eq!(reader.batch().sequence(), 5);
    assert_eq!(reader.windows()[0].records, 2);
    assert!(reader.next_row().unwrap().is_none());
    assert!(reader.next_row().unwrap().is_none());
}

#[test]
fn damage_to_any_byte_is_an_error_or_another_row_but_never_a_panic() {
    let records = [(0, "to be or not to be"), (1500, "that is the question")];
    let whole = content(&batch(1, &records));
    for position in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[position] ^= flip;
            let read = std::panic::catch_unwind(|| read_through(damaged));
            assert!(read.is_ok(), "byte {position} ^ {flip:#x}");
        }
    }
}

/// As a reader would: keys need not be UTF-8 any more.
fn read_through(content: Vec<u8>) -> Result<usize, PartialError> {
    let mut reader = PartialReader::open(content.into())?;
    let mut rows = 0;
    while reader.next_row()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

#[test]
fn what_is_no_partial_is_refused() {
    let open = |content: &[u8]| PartialReader::open(Bytes::copy_from_slice(content)).err();
    let good = content(&batch(0, &[(0, "to be")]));
    assert!(matches!(open(b""), Some(PartialError::Parquet(_))));
    assert!(matches!(open(b"PAR1"), Some(PartialError::Parquet(_))));
    assert!(matches!(
        open(&good[..good.len() - 1]),
        Some(PartialError::Parquet(_))
    ));
    // Metadata keys and values lie in the footer as they are.
    let renamed = |from: &str, to: &str| {
        let at = good
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .unwrap();
        let mut bad = good.clone();
        bad[at..at + to.len()].copy_from_slice(to.as_bytes());
        open(&bad)
    };
    assert!(matches!(
        renamed("spillway.batch", "spillway.other"),
        Some(PartialError::NoMetadata(_))
    ));
    assert!(matches!(
        renamed("9f3a6c1e2b7d4f08-", "9f3a6c1e2b7d4f08_"),
        Some(PartialError::Batch(_))
    ));
    assert!(matches!(
        renamed("wordcount", "wordcoins"),
        Some(PartialError::UnknownWorkload(_))
    ));
    assert!(matches!(
        renamed("{\"start_ms\"", "{\"start_mm\""),
        Some(PartialError::Windows(_))
    ));
    assert!(matches!(
        renamed("window_start_ms", "window_start_mm"),
        Some(PartialError::Schema(_))
    ));
}

#[test]
fn a_dictionary_is_believed_only_as_far_as_its_bytes_go() {
    let found = include_bytes!("../../fuzz/findings/partial_file/a-dictionary-of-milliards");
    let error = rows(found.to_vec()).unwrap_err();
    assert!(error.to_string().contains("its dictionary says"), "{error}");
}

#[test]
fn nothing_comes_after_the_place_where_a_partial_is_damaged() {
    let good = content(&batch(0, &[(0, "to be or not to be")]));
    let mut damaged = good.clone();
    // The first page's header follows the four magic bytes.
    damaged[4..12].fill(0xff);
    let mut reader = PartialReader::open(damaged.into()).unwrap();
    assert!(reader.next_row().is_err());
    assert!(matches!(reader.next_row(), Ok(None)));
}
