//! The hash table of an aggregation: (window, key) → measures.
//!
//! One table for all windows of a batch, so that a batch in which every record has a window of its
//! own costs no more than one with a single window. Keys lie one after the other in one buffer.

use hashbrown::HashTable;

use super::SortedRow;
use crate::receipt::WindowCount;
use crate::workload::{Key, Measure};

/// Room for this many rows from the start: a batch of prose has some thousands of words.
const INITIAL_ROWS: usize = 4096;

#[derive(Debug)]
pub(super) struct Table {
    definition: &'static [Measure],
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

impl Table {
    pub(super) fn new(definition: &'static [Measure], seed: u64) -> Self {
        Self {
            definition,
            seed,
            slots: HashTable::with_capacity(INITIAL_ROWS),
            rows: Vec::with_capacity(INITIAL_ROWS),
            keys: Vec::with_capacity(INITIAL_ROWS * 8),
            measures: Vec::with_capacity(INITIAL_ROWS * definition.len()),
        }
    }

    /// Merges a row into the table.
    #[inline]
    pub(super) fn add(&mut self, window: u32, key: Key<'_>, measures: &[i64]) {
        let hash = hash(self.seed, window, key.packed(), key.bytes());
        let found = self.slots.find(hash, |slot| {
            slot.packed == key.packed()
                && slot.window == window
                && (key.is_short() || self.key(slot.row) == key.bytes())
        });
        match found {
            Some(slot) => {
                let width = self.definition.len();
                let values = &mut self.measures[slot.row as usize * width..][..width];
                for ((value, new), measure) in values.iter_mut().zip(measures).zip(self.definition)
                {
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
            let (start, end) = rows[slot.row as usize].key;
            self::hash(seed, slot.window, slot.packed, &keys[start..end])
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

/// A hash whose seed is not known outside, of everything that makes a row: multiply and fold, as
/// wyhash does it.
#[inline]
fn hash(seed: u64, window: u32, packed: u64, key: &[u8]) -> u64 {
    const A: u64 = 0xa076_1d64_78bd_642f;
    const B: u64 = 0xe703_7ed1_a0b4_28db;
    let state = fold(packed ^ seed, A ^ u64::from(window));
    if key.len() <= 7 {
        return state;
    }
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
