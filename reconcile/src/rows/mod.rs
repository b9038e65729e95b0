//! Merging any number of rows in bounded memory.
//!
//! Rows with the same window and key are merged in a hash table of fixed size. When it is full its
//! rows are sorted and written to disk as a *run*, and it starts empty. In the end all runs are
//! merged in order. Why not partition by hash first: the result has to be sorted by window and
//! key anyway, so partitions would have to be merged as runs as well; a run is bounded by
//! construction, whatever the skew, where a partition that outgrows the memory has to be
//! partitioned again; and rows of one window come close together in time, so the table merges most
//! of them before anything is written.

mod aggregator;
mod merge;
mod run;

use std::cmp::Ordering;

pub use aggregator::Aggregator;
pub use merge::Merged;
pub use run::Runs;

/// The order of rows: by window, then by the key's bytes. The key's first bytes are compared as a
/// number, which settles most comparisons without touching the key.
fn compare(a: (i64, u64), a_key: &[u8], b: (i64, u64), b_key: &[u8]) -> Ordering {
    a.cmp(&b).then_with(|| a_key.cmp(b_key))
}

/// The first eight bytes of a key as a number that orders like them; short keys are padded with 0.
fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(first.len());
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
