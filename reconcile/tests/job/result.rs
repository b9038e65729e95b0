//! However the records are split over lanes, files and batches, the result is the same.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::common::{Job, WINDOW_MS, books, counts, tiny};
use proptest::prelude::*;
use spillway_core::ledger::BooksWindow;
use spillway_reconcile::budget::Budget;

#[derive(Debug, Clone, Copy)]
enum Lane {
    Kept(usize),
    Bounced(usize),
    Diverted(u64),
    Late,
}

fn lanes() -> impl Strategy<Value = Lane> {
    prop_oneof![
        (0_usize..3).prop_map(Lane::Kept),
        (0_usize..3).prop_map(Lane::Bounced),
        (0_u64..4).prop_map(Lane::Diverted),
        Just(Lane::Late),
    ]
}

fn records() -> impl Strategy<Value = Vec<(i64, Vec<String>, Lane)>> {
    let words = prop::collection::vec("[ab_]{1,3}|z", 0..4);
    prop::collection::vec((-2000..3000_i64, words, lanes()), 0..120)
}

/// Writes the job, and gives the CSV that must come out.
fn write(job: &Job, records: &[(i64, Vec<String>, Lane)]) -> String {
    let mut windows: BTreeMap<i64, BooksWindow> = BTreeMap::new();
    let mut rows: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    let mut local: BTreeMap<usize, Vec<(i64, String)>> = BTreeMap::new();
    let mut batches: BTreeMap<u64, Vec<(i64, String)>> = BTreeMap::new();
    for (time_ms, words, lane) in records {
        let start_ms = time_ms.div_euclid(WINDOW_MS) * WINDOW_MS;
        let window = windows.entry(start_ms).or_insert(counts(start_ms, 0, 0, 0));
        window.received += 1;
        let record = (*time_ms, words.join(" "));
        match lane {
            Lane::Kept(file) => {
                window.kept += 1;
                local.entry(*file).or_default().push(record);
            }
            Lane::Bounced(file) => {
                window.bounced += 1;
                local.entry(*file).or_default().push(record);
            }
            Lane::Diverted(number) => {
                window.diverted += 1;
                batches.entry(*number).or_default().push(record);
            }
            Lane::Late => {
                window.late += 1;
                continue;
            }
        }
        for word in words {
            *rows.entry((start_ms, word)).or_default() += 1;
        }
    }
    for (file, records) in &local {
        let records: Vec<_> = records
            .iter()
            .map(|(time, text)| (*time, text.as_str()))
            .collect();
        job.put_local(&format!("part-{file}"), &records);
    }
    let mut ledger = Vec::new();
    for (number, records) in &batches {
        let records: Vec<_> = records
            .iter()
            .map(|(time, text)| (*time, text.as_str()))
            .collect();
        ledger.push(job.put_partial(*number, &records).to_line());
    }
    let windows: Vec<_> = windows.into_values().collect();
    ledger.push(books(None, &windows).to_line());
    let middle = ledger.len() / 2;
    job.put_ledger("2026-01-01--00/part-0", &ledger[middle..]);
    if middle > 0 {
        job.put_ledger("2026-01-01--01/part-0", &ledger[..middle]);
    }
    rows.into_iter().fold(
        "window_start_ms,key,count\n".to_owned(),
        |mut csv, (row, count)| {
            writeln!(csv, "{},{},{count}", row.0, row.1).unwrap();
            csv
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_split_of_the_records_gives_the_result_of_plain_counting(records in records()) {
        let job = Job::new();
        let expected = write(&job, &records);
        for budget in [tiny(), Budget::new(Budget::MIN_MEMORY_BYTES, 2)] {
            let outcome = job.run_with(budget).unwrap();
            prop_assert!(outcome.summary.balanced, "{}", outcome.sheet);
            prop_assert_eq!(outcome.summary.received, records.len() as u64);
            prop_assert_eq!(job.csv(), expected.clone());
        }
    }
}

#[test]
fn with_little_memory_the_rows_go_through_the_disk_and_come_out_the_same() {
    let job = Job::new();
    let words: Vec<String> = (0..2000).map(|n| format!("w{}", n * 7919 % 1500)).collect();
    let lane = |n: usize| {
        if n.is_multiple_of(2) {
            Lane::Kept(n % 3)
        } else {
            Lane::Diverted(1)
        }
    };
    let records: Vec<_> = words
        .iter()
        .enumerate()
        .map(|(n, word)| {
            (
                i64::try_from(n % 3).unwrap() * 1000,
                vec![word.clone()],
                lane(n),
            )
        })
        .collect();
    let expected = write(&job, &records);
    let outcome = job.run();
    assert!(outcome.spilled_runs > 10, "{} runs", outcome.spilled_runs);
    assert_eq!(job.csv(), expected);
    let roomy = job
        .run_with(Budget::new(Budget::MIN_MEMORY_BYTES, 2))
        .unwrap();
    assert_eq!(roomy.spilled_runs, 0);
    assert_eq!(job.csv(), expected);
}

#[test]
fn running_again_gives_the_same_files_and_no_others() {
    let job = Job::balanced();
    job.run();
    let first = job.files("final");
    job.put("final/part-00001.parquet", "stale");
    job.run();
    assert_eq!(job.files("final"), first);
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        ["_SUCCESS", "part-00000.parquet"]
    );
}

#[test]
fn files_that_are_not_committed_do_not_count() {
    let job = Job::balanced();
    job.run();
    let expected = job.csv();
    job.put("ledger/.part-1.inprogress.42", "{\"type\":\"rec");
    job.put("local/_part-1", "0\t1\t0\t1\tmore\n");
    let outcome = job.run();
    assert!(outcome.summary.balanced, "{}", outcome.sheet);
    assert_eq!(job.csv(), expected);
}

#[test]
fn a_key_is_exported_as_it_is_whatever_is_in_it() {
    let job = Job::new();
    job.put(
        "local/part-0",
        "0\t1\t0\t5\ta,\\t\"b\"\\n\\\\\n0\t0\t0\t2\tcafé\n",
    );
    job.put_ledger("part-0", &[books(None, &[counts(0, 1, 1, 0)]).to_line()]);
    job.run();
    assert_eq!(
        job.csv(),
        "window_start_ms,key,count\n0,\"a,\t\"\"b\"\"\n\\\",5\n0,café,2\n"
    );
}

#[test]
fn the_balance_counts_both_lanes() {
    let job = Job::balanced();
    let outcome = job.run();
    let s = &outcome.summary;
    assert!(s.balanced && s.ended, "{}", outcome.sheet);
    assert_eq!(
        (s.windows, s.closed, s.open, s.lost, s.duplicated),
        (2, 2, 0, 0, 0)
    );
    assert_eq!(
        (s.received, s.kept, s.diverted, s.local, s.receipted),
        (5, 2, 3, 2, 3)
    );
    assert_eq!((s.receipts, s.orphans, s.rows), (1, 0, 5));
    let expected =
        "window_start_ms,key,count\n0,both,2\n0,cloud,1\n0,local,1\n1000,both,1\n1000,cloud,1\n";
    assert_eq!(job.csv(), expected);
    assert!(outcome.sheet.contains("Balanced"), "{}", outcome.sheet);
}

#[test]
fn only_windows_that_occur_are_in_the_balance() {
    let job = Job::new();
    job.put_local("part-0", &[(5100, "one"), (7200, "two")]);
    let windows = [counts(5000, 1, 1, 0), counts(7000, 1, 1, 0)];
    job.put_ledger("part-0", &[books(None, &windows).to_line()]);
    let outcome = job.run();
    assert!(outcome.summary.balanced, "{}", outcome.sheet);
    assert_eq!(outcome.summary.windows, 2);
}
