//! The definitions, as plainly as they can be put: what the quick implementations are held against.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared: each user needs a part of it"
)]

use std::collections::BTreeMap;

/// The words of a record: DESIGN, section 8.
pub fn words(record: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(record)
        .to_lowercase()
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Counts of words by window start and word.
pub fn wordcount<'a>(
    records: impl IntoIterator<Item = (i64, &'a [u8])>,
    window_size_ms: i64,
) -> BTreeMap<(i64, String), i64> {
    let mut counts = BTreeMap::new();
    for (t, record) in records {
        let start = t.wrapping_sub(t.rem_euclid(window_size_ms));
        for word in words(record) {
            *counts.entry((start, word)).or_insert(0) += 1;
        }
    }
    counts
}

/// Records by window start.
pub fn records_per_window(
    times_ms: impl IntoIterator<Item = i64>,
    window_size_ms: i64,
) -> BTreeMap<i64, u64> {
    let mut counts = BTreeMap::new();
    for t in times_ms {
        *counts
            .entry(t.wrapping_sub(t.rem_euclid(window_size_ms)))
            .or_insert(0) += 1;
    }
    counts
}
