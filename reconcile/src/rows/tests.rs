use std::collections::BTreeMap;

use proptest::prelude::*;
use spillway_core::row::Row;
use spillway_core::workload::{Measure, Merge};

use super::*;

const MEASURES: &[Measure] = &[
    Measure {
        name: "sum",
        merge: Merge::Sum,
    },
    Measure {
        name: "min",
        merge: Merge::Min,
    },
    Measure {
        name: "max",
        merge: Merge::Max,
    },
];

type Rows = Vec<(i64, Vec<u8>, [i64; 3])>;

/// Adds the rows to `tables` tables in turn, and merges.
fn merge(rows: &Rows, tables: usize, memory_bytes: usize, fan_in: usize) -> (Rows, u64) {
    let runs = Runs::new(&std::env::temp_dir()).unwrap();
    let mut aggregators: Vec<_> = (0..tables)
        .map(|_| Aggregator::new(MEASURES, memory_bytes))
        .collect();
    for (n, (window_start_ms, key, measures)) in rows.iter().enumerate() {
        let row = Row {
            window_start_ms: *window_start_ms,
            key,
            measures,
        };
        aggregators[n % tables].add(&row, &runs).unwrap();
    }
    let mut merged = Merged::new(MEASURES, aggregators, &runs, fan_in, 64).unwrap();
    let mut out = Vec::new();
    while let Some(row) = merged.next_row().unwrap() {
        out.push((
            row.window_start_ms,
            row.key.to_vec(),
            row.measures.try_into().unwrap(),
        ));
    }
    (out, runs.created())
}

fn expected(rows: &Rows) -> Rows {
    let mut map: BTreeMap<(i64, Vec<u8>), [i64; 3]> = BTreeMap::new();
    for (window, key, new) in rows {
        map.entry((*window, key.clone()))
            .and_modify(|old| {
                for ((measure, old), new) in MEASURES.iter().zip(old).zip(new) {
                    *old = measure.merge.merge(*old, *new);
                }
            })
            .or_insert(*new);
    }
    map.into_iter()
        .map(|((window, key), measures)| (window, key, measures))
        .collect()
}

fn rows() -> impl Strategy<Value = Rows> {
    // Short keys of few letters, so that they meet, share prefixes and contain zeros.
    let key = prop::collection::vec(prop::sample::select(vec![0_u8, b'a', 255]), 0..11);
    prop::collection::vec((-2..3_i64, key, any::<[i64; 3]>()), 0..300)
}

proptest! {
    #[test]
    fn whatever_the_memory_the_rows_are_those_of_a_sorted_map(
        rows in rows(),
        tables in 1_usize..4,
        memory_bytes in prop::sample::select(vec![0, 200, 2000, 1 << 20]),
        fan_in in 2_usize..5,
    ) {
        let (merged, _) = merge(&rows, tables, memory_bytes, fan_in);
        prop_assert_eq!(merged, expected(&rows));
    }
}

#[test]
fn with_little_memory_runs_are_written_and_merged_in_several_passes() {
    let rows: Rows = (0..1000)
        .map(|n| (n % 7, format!("{}", n % 150).into(), [n; 3]))
        .collect();
    let (merged, runs) = merge(&rows, 2, 1000, 3);
    assert_eq!(merged, expected(&rows));
    assert!(runs > 30, "{runs} runs");
    let (merged, runs) = merge(&rows, 2, 1 << 20, 3);
    assert_eq!(merged, expected(&rows));
    assert_eq!(runs, 0, "all of it fits");
}

#[test]
fn a_key_larger_than_the_memory_is_merged_all_the_same() {
    let giant = vec![b'x'; 100_000];
    let rows: Rows = vec![
        (0, giant.clone(), [1; 3]),
        (0, b"a".to_vec(), [1; 3]),
        (0, giant, [1; 3]),
    ];
    let (merged, _) = merge(&rows, 1, 1000, 2);
    assert_eq!(merged, expected(&rows));
}

#[test]
fn prefixes_order_as_the_keys_do() {
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"aaaaaaaa", b"aaaaaaaab", b"\xff"];
    for (a, b) in keys.iter().zip(&keys[1..]) {
        assert!(prefix(a) <= prefix(b), "{a:?} {b:?}");
        assert_eq!(
            compare((0, prefix(a)), a, (0, prefix(b)), b),
            Ordering::Less
        );
    }
}
