//! The hash table of an aggregation: (window, key) → measures.
//!
//! One table for all windows of a batch, so that a batch in which every record has a window of its
//! own costs no more than one with a single window. Keys lie one after the other in one buffer.

use std::marker::PhantomData;

use hashbrown::HashTable;

use super::SortedRow;
use crate::receipt::WindowCount;
use crate::workload::key::is_short;
use crate::workload::{Key, Workload};

/// Room for this many rows from the start: a batch of prose has some thousands of words, and one
/// second of a busy stream some ten thousands.
const INITIAL_ROWS: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Table<W> {
    /// Its measures are constants to the compiler, so that merging them is no loop.
    workload: PhantomData<W>,
    seed: u64,
    slots: HashTable<Slot>,
    rows: Vec<TableRow>,
    keys: Vec<u8>,
    measures: Vec<i64>,
}

/// What is compared when a key is looked up; 16 bytes, so that four share a cache line.
#[derive(Debug, Clone, Copy)]
struct Slot {
    packed: u64,
    window: u32,
    row: u32,
}

#[derive(Debug, Clone, Copy)]
struct TableRow {
    window: u32,
    key: (usize, usize),
}

impl<W: Workload> Table<W> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            workload: PhantomData,
            seed,
            slots: HashTable::with_capacity(INITIAL_ROWS),
            rows: Vec::with_capacity(INITIAL_ROWS),
            keys: Vec::with_capacity(INITIAL_ROWS * 8),
            measures: Vec::with_capacity(INITIAL_ROWS * W::MEASURES.len()),
        }
    }

    /// Merges a row into the table.
    #[inline]
    pub(super) fn add(&mut self, window: u32, key: Key<'_>, measures: &[i64]) {
        let hash = hash(self.seed, window, key.packed(), || key.bytes());
        let found = self.slots.find(hash, |slot| {
            slot.packed == key.packed()
                && slot.window == window
                && (is_short(slot.packed) || self.key(slot.row) == key.bytes())
        });
        match found {
            Some(slot) => {
                let width = W::MEASURES.len();
                let values = &mut self.measures[slot.row as usize * width..][..width];
                for ((value, new), measure) in values.iter_mut().zip(measures).zip(W::MEASURES) {
                    *value = measure.merge.merge(*value, *new);
                }
            }
            None => self.insert(hash, window, key, measures),
        }
    }

    fn key(&self, row: u32) -> &[u8] {
        let (start, end) = self.rows[row as usize].key;
        &self.keys[start..end]
    }

    #[cold]
    fn insert(&mut self, hash: u64, window: u32, key: Key<'_>, measures: &[i64]) {
        let row = u32::try_from(self.rows.len())
            .expect("2^32 rows would take more memory than 2^24 bytes of records can ask for");
        let start = self.keys.len();
        self.keys.extend_from_slice(key.bytes());
        let key_range = (start, self.keys.len());
        self.rows.push(TableRow {
            window,
            key: key_range,
        });
        self.measures.extend_from_slice(measures);
        let slot = Slot {
            packed: key.packed(),
            window,
            row,
        };
        let (seed, rows, keys) = (self.seed, &self.rows, &self.keys);
        self.slots.insert_unique(hash, slot, |slot| {
            self::hash(seed, slot.window, slot.packed, || {
                let (start, end) = rows[slot.row as usize].key;
                &keys[start..end]
            })
        });
    }

    /// The rows by window and key, given the windows by index.
    pub(super) fn sorted_rows(&self, windows: &[WindowCount]) -> Vec<SortedRow> {
        /// Rows are compared by number as far as it goes: window, then the key's first eight bytes.
        struct SortKey {
            window_start_ms: i64,
            head: u64,
            row: usize,
        }
        let mut order: Vec<_> = self
            .rows
            .iter()
            .enumerate()
            .map(|(row, at)| SortKey {
                window_start_ms: windows[at.window as usize].start_ms,
                head: head(&self.keys[at.key.0..at.key.1]),
                row,
            })
            .collect();
        let key = |row: usize| {
            let (start, end) = self.rows[row].key;
            &self.keys[start..end]
        };
        order.sort_unstable_by(|a, b| {
            (a.window_start_ms, a.head)
                .cmp(&(b.window_start_ms, b.head))
                .then_with(|| key(a.row).cmp(key(b.row)))
        });
        order
            .into_iter()
            .map(|sorted| SortedRow {
                window_start_ms: sorted.window_start_ms,
                key: self.rows[sorted.row].key,
                measures: sorted.row,
            })
            .collect()
    }

    /// The keys' buffer and the measures.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<i64>) {
        (self.keys, self.measures)
    }
}

/// The first eight bytes as a number that sorts as they do; shorter keys are filled up with zeros.
fn head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let short = key.len().min(8);
    head[..short].copy_from_slice(&key[..short]);
    u64::from_be_bytes(head)
}

/// A hash of everything that makes a row, whose seed is not known outside: multiply and fold, as
/// wyhash does it. `key` is asked for only if the packed form does not say it all.
#[inline]
fn hash<'a>(seed: u64, window: u32, packed: u64, key: impl FnOnce() -> &'a [u8]) -> u64 {
    const A: u64 = 0xa076_1d64_78bd_642f;
    let state = fold(packed ^ seed, A ^ u64::from(window));
    if is_short(packed) {
        state
    } else {
        hash_long(state, key())
    }
}

fn hash_long(state: u64, key: &[u8]) -> u64 {
    const B: u64 = 0xe703_7ed1_a0b4_28db;
    let (eights, rest) = key.as_chunks::<8>();
    let mut state = eights.iter().fold(state, |state, eight| {
        fold(state ^ u64::from_le_bytes(*eight), B)
    });
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(last), B ^ rest.len() as u64);
    }
    state
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    {
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn hash_of(seed: u64, window: u32, key: &[u8]) -> u64 {
        hash(seed, window, Key::new(key).packed(), || key)
    }

    #[test]
    fn every_part_of_a_row_and_the_seed_count_in_its_hash() {
        let keys: Vec<Vec<u8>> = (0..40).map(|n| vec![b'a'; n]).collect();
        let mut hashes = HashSet::new();
        for seed in [1, 2] {
            for window in [0, 1] {
                hashes.extend(keys.iter().map(|key| hash_of(seed, window, key)));
            }
        }
        assert_eq!(hashes.len(), 4 * keys.len());
    }

    #[test]
    fn hashes_of_like_keys_spread_in_the_bits_that_the_table_uses() {
        // hashbrown takes the place from the lowest bits and a tag from the highest seven.
        let hashes: Vec<u64> = (0..4096)
            .map(|n| hash_of(7, 0, format!("w{n}").as_bytes()))
            .collect();
        let places: HashSet<_> = hashes.iter().map(|hash| hash % 4096).collect();
        let tags: HashSet<_> = hashes.iter().map(|hash| hash >> 57).collect();
        // 4096 balls into as many bins fill 63 % of them.
        assert!(places.len() > 2400, "{}", places.len());
        assert_eq!(tags.len(), 128);
    }
}
