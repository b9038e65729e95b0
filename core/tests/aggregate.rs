//! The quick aggregation gives what plain counting gives.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod plain;

use std::collections::BTreeMap;

use proptest::prelude::*;
use spillway_core::aggregate::{MAX_WINDOWS, TooManyWindows, aggregate};
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::partial::{self, PartialReader};
use spillway_core::receipt::Receipt;
use spillway_core::workload::WorkloadKind;

const ID: &str = "9f3a6c1e2b7d4f08-0-42";

fn batch(window_size_ms: i64, records: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(ID, "job", "wordcount", window_size_ms);
    for (t, record) in records {
        builder.push(*t, record);
    }
    builder.encode()
}

type Counted = (Vec<(i64, String, i64)>, Vec<(i64, u64)>);

fn counted(message: &[u8]) -> Counted {
    let aggregate = aggregate(&BatchView::parse(message).unwrap()).unwrap();
    let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
    let rows = aggregate
        .rows()
        .map(|row| (row.window_start_ms, text(row.key), row.measures[0]))
        .collect();
    let windows = aggregate.windows();
    assert!(windows.iter().all(|window| window.malformed == 0));
    (
        rows,
        windows.iter().map(|w| (w.start_ms, w.records)).collect(),
    )
}

/// Makes partials of the batches, reads them back, and merges them one after the other.
fn merged(batches: &[Vec<(i64, Vec<u8>)>]) -> Counted {
    let [measure] = WorkloadKind::Wordcount.measures() else {
        panic!("wordcount has one measure")
    };
    let mut rows: BTreeMap<(i64, String), i64> = BTreeMap::new();
    let mut windows: BTreeMap<i64, u64> = BTreeMap::new();
    for records in batches {
        let message = batch(1000, records);
        let view = BatchView::parse(&message).unwrap();
        let content = partial::write(&view.id(), &aggregate(&view).unwrap()).unwrap();
        let mut reader = PartialReader::open(content.into()).unwrap();
        for window in reader.windows() {
            *windows.entry(window.start_ms).or_default() += window.records;
        }
        while let Some(row) = reader.next_row().unwrap() {
            let key = String::from_utf8(row.key.to_vec()).unwrap();
            let new = row.measures[0];
            rows.entry((row.window_start_ms, key))
                .and_modify(|old| *old = measure.merge.merge(*old, new))
                .or_insert(new);
        }
    }
    let rows = rows.into_iter().map(|((start, key), n)| (start, key, n));
    (rows.collect(), windows.into_iter().collect())
}

fn counted_plainly(window_size_ms: i64, records: &[(i64, Vec<u8>)]) -> Counted {
    let pairs = records.iter().map(|(t, record)| (*t, record.as_slice()));
    let rows = plain::wordcount(pairs, window_size_ms)
        .into_iter()
        .map(|((start, word), count)| (start, word, count))
        .collect();
    let times = records.iter().map(|(t, _)| *t);
    let windows = plain::records_per_window(times, window_size_ms);
    (rows, windows.into_iter().collect())
}

#[test]
fn rows_are_sorted_by_window_and_then_by_the_bytes_of_the_key() {
    let records = [
        (1000, b"b abcdefgh abcdefghj abcdefghi ab".to_vec()),
        (-1, b"z _ Z 0".to_vec()),
        (1999, b"b a".to_vec()),
    ];
    let (rows, windows) = counted(&batch(1000, &records));
    let rows: Vec<_> = rows
        .iter()
        .map(|(w, key, n)| (*w, key.as_str(), *n))
        .collect();
    assert_eq!(
        rows,
        [
            (-1000, "0", 1),
            (-1000, "_", 1),
            (-1000, "z", 2),
            (1000, "a", 1),
            (1000, "ab", 1),
            (1000, "abcdefgh", 1),
            (1000, "abcdefghi", 1),
            (1000, "abcdefghj", 1),
            (1000, "b", 2),
        ]
    );
    assert_eq!(windows, [(-1000, 1), (1000, 2)]);
}

#[test]
fn records_without_words_are_counted_all_the_same() {
    let records = [(0, b"".to_vec()), (0, b" - ".to_vec())];
    assert_eq!(counted(&batch(1000, &records)), (vec![], vec![(0, 2)]));
}

#[test]
fn the_last_windows_before_the_end_of_time_are_kept_apart_from_the_wrapped_one() {
    let times = [
        i64::MIN,
        i64::MAX,
        i64::MIN,
        i64::MAX - 100,
        i64::MIN,
        i64::MAX - 300,
        i64::MIN + 808,
        i64::MIN + 807,
    ];
    let records = times.map(|t| (t, b"x".to_vec()));
    assert_eq!(
        counted(&batch(1000, &records)),
        counted_plainly(1000, &records)
    );
    assert_eq!(counted(&batch(1, &records)), counted_plainly(1, &records));
}

#[test]
fn a_batch_may_touch_many_windows_but_not_more_than_a_receipt_can_list() {
    let records = |windows: usize| -> Vec<_> {
        (0..windows)
            .map(|i| (i64::try_from(i).unwrap() * 1000, b"x".to_vec()))
            .collect()
    };
    let most = records(MAX_WINDOWS);
    assert_eq!(counted(&batch(1000, &most)), counted_plainly(1000, &most));

    let message = batch(1000, &records(MAX_WINDOWS + 1));
    let view = BatchView::parse(&message).unwrap();
    assert_eq!(aggregate(&view).unwrap_err(), TooManyWindows);
}

#[test]
fn the_receipt_of_a_batch_fits_it() {
    let message = batch(
        1000,
        &[
            (5, b"to be".to_vec()),
            (1005, b"or".to_vec()),
            (7, b"not".to_vec()),
        ],
    );
    let view = BatchView::parse(&message).unwrap();
    let aggregate = aggregate(&view).unwrap();
    let content = partial::write(&view.id(), &aggregate).unwrap();
    let rows = aggregate.rows().len() as u64;
    let receipt = Receipt::new(&view, aggregate.windows().to_vec(), rows, &content);
    assert_eq!(receipt.check(), Ok(()));
    assert_eq!(receipt.fits(&view), Ok(()));
    assert_eq!((receipt.records, receipt.rows), (3, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_into_batches_merged_in_any_order_gives_the_rows_of_one_batch(
        records in prop::collection::vec(
            ((-3000..3000_i64, "[a-cA-C_ ]{0,30}".prop_map(String::into_bytes)), 0..6_usize),
            1..80,
        ),
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let all: Vec<_> = records.iter().map(|(record, _)| record.clone()).collect();
        let batches: Vec<Vec<_>> = order
            .iter()
            .map(|batch| records.iter().filter(|(_, of)| of == batch).map(|(record, _)| record.clone()).collect())
            .filter(|records: &Vec<_>| !records.is_empty())
            .collect();
        prop_assert_eq!(merged(&batches), counted(&batch(1000, &all)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_batch_comes_to_what_plain_counting_gives_also_after_parquet(
        window_size_ms in 1..3000_i64,
        records in prop::collection::vec(
            (
                prop_oneof![4 => -5000..5000_i64, 1 => any::<i64>()],
                prop_oneof![
                    3 => "[a-cA-C_ ]{0,40}".prop_map(String::into_bytes),
                    1 => "[a-b]{7,18}".prop_map(String::into_bytes),
                    1 => prop::collection::vec(any::<u8>(), 0..100),
                ],
            ),
            1..60,
        ),
    ) {
        let message = batch(window_size_ms, &records);
        let (rows, windows) = counted_plainly(window_size_ms, &records);
        prop_assert_eq!(counted(&message), (rows.clone(), windows.clone()));

        let view = BatchView::parse(&message).unwrap();
        prop_assert_eq!(view.records_per_window(), windows.clone());
        let content = partial::write(&view.id(), &aggregate(&view).unwrap()).unwrap();
        let mut reader = PartialReader::open(content.into()).unwrap();
        prop_assert_eq!(reader.batch(), view.id());
        let listed: Vec<_> = reader.windows().iter().map(|w| (w.start_ms, w.records)).collect();
        prop_assert_eq!(listed, windows);
        let mut read = Vec::new();
        while let Some(row) = reader.next_row().unwrap() {
            let key = String::from_utf8(row.key.to_vec()).unwrap();
            read.push((row.window_start_ms, key, row.measures[0]));
        }
        prop_assert_eq!(read, rows);
    }
}
