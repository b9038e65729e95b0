//! The hash table in which rows meet.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::mem::size_of;

use hashbrown::HashTable;
use spillway_core::row::Row;
use spillway_core::workload::{Measure, Merge};

use super::{Runs, prefix};
use crate::error::Error;

/// Merges rows by window and key within a fixed amount of memory, and writes a run when it is
/// full.
#[derive(Debug)]
pub struct Aggregator {
    merges: Vec<Merge>,
    hasher: RandomState,
    /// Indexes into `entries`.
    table: HashTable<u32>,
    entries: Vec<Entry>,
    max_entries: usize,
    /// All keys, one after the other.
    keys: Vec<u8>,
    max_key_bytes: usize,
    /// The measures of all entries, one after the other.
    measures: Vec<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    window_start_ms: i64,
    key_start: u32,
    key_length: u32,
}

/// What an entry is sorted by, and where it is.
#[derive(Debug, Clone, Copy)]
struct Position {
    order: (i64, u64),
    index: u32,
}

/// What the table takes per entry: an index and a control byte, at a load of 7/16 or more.
const TABLE_BYTES: usize = (size_of::<u32>() + 1) * 16 / 7;
/// Share of the memory that is for keys: with it, keys of 16 bytes fill both parts at once.
const KEY_SHARE: usize = 5;

impl Aggregator {
    /// A table of at most about `memory_bytes`, of rows with these measures. Only a single row that
    /// is larger by itself goes beyond it.
    pub fn new(measures: &[Measure], memory_bytes: usize) -> Self {
        let entry_bytes = size_of::<Entry>()
            + size_of::<i64>() * measures.len()
            + TABLE_BYTES
            + size_of::<Position>();
        let max_key_bytes = (memory_bytes / KEY_SHARE).clamp(1, u32::MAX as usize);
        let max_entries = (memory_bytes - memory_bytes / KEY_SHARE) / entry_bytes;
        let max_entries = max_entries.clamp(1, u32::MAX as usize);
        Self {
            merges: measures.iter().map(|measure| measure.merge).collect(),
            hasher: RandomState::new(),
            table: HashTable::with_capacity(max_entries),
            // Reserved at once, so that nothing is moved and doubled later; pages that are never
            // written to take no memory.
            entries: Vec::with_capacity(max_entries),
            max_entries,
            keys: Vec::with_capacity(max_key_bytes),
            max_key_bytes,
            measures: Vec::with_capacity(max_entries * measures.len()),
        }
    }

    /// Adds a row. When there is no room for it, what is there becomes a run first.
    pub fn add(&mut self, row: &Row<'_>, runs: &Runs) -> Result<(), Error> {
        let hash = hash(&self.hasher, row.window_start_ms, row.key);
        let (entries, keys) = (&self.entries, &self.keys);
        let same = |index: &u32| {
            let entry = &entries[*index as usize];
            entry.window_start_ms == row.window_start_ms && key_of(keys, entry) == row.key
        };
        if let Some(index) = self.table.find(hash, same) {
            let start = *index as usize * self.merges.len();
            let values = &mut self.measures[start..];
            for ((merge, value), new) in self.merges.iter().zip(values).zip(row.measures) {
                *value = merge.merge(*value, *new);
            }
            return Ok(());
        }
        let keys_full = self.keys.len() + row.key.len() > self.max_key_bytes;
        if self.entries.len() == self.max_entries || (keys_full && !self.entries.is_empty()) {
            self.spill(runs)?;
        }
        self.insert(hash, row);
        Ok(())
    }

    /// The number of rows that are there.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no row is there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn insert(&mut self, hash: u64, row: &Row<'_>) {
        // Both fit: spilling keeps them below their limits, and a single key comes from one batch
        // or line, which are far below 4 GiB.
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let key_start = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let key_length = u32::try_from(row.key.len()).unwrap_or(u32::MAX);
        let window_start_ms = row.window_start_ms;
        self.keys.extend_from_slice(row.key);
        self.measures.extend_from_slice(row.measures);
        self.entries.push(Entry {
            window_start_ms,
            key_start,
            key_length,
        });
        let (entries, keys, hasher) = (&self.entries, &self.keys, &self.hasher);
        self.table.insert_unique(hash, index, |index| {
            let entry = &entries[*index as usize];
            self::hash(hasher, entry.window_start_ms, key_of(keys, entry))
        });
    }

    fn spill(&mut self, runs: &Runs) -> Result<(), Error> {
        let mut writer = runs.create()?;
        for index in self.order() {
            writer.write(&self.row(index))?;
        }
        writer.finish()?;
        self.table.clear();
        self.entries.clear();
        self.keys.clear();
        // After a giant.
        self.keys.shrink_to(self.max_key_bytes);
        self.measures.clear();
        Ok(())
    }

    /// The rows' indexes in the order of window and key.
    pub(super) fn order(&self) -> Vec<u32> {
        let position = |(index, entry): (u32, &Entry)| Position {
            order: (entry.window_start_ms, prefix(key_of(&self.keys, entry))),
            index,
        };
        let mut positions: Vec<Position> = (0..).zip(&self.entries).map(position).collect();
        positions.sort_unstable_by(|a, b| {
            let (a_key, b_key) = (self.row(a.index).key, self.row(b.index).key);
            super::compare(a.order, a_key, b.order, b_key)
        });
        positions
            .into_iter()
            .map(|position| position.index)
            .collect()
    }

    pub(super) fn row(&self, index: u32) -> Row<'_> {
        let (index, width) = (index as usize, self.merges.len());
        let entry = &self.entries[index];
        Row {
            window_start_ms: entry.window_start_ms,
            key: key_of(&self.keys, entry),
            measures: &self.measures[index * width..(index + 1) * width],
        }
    }
}

fn key_of<'a>(keys: &'a [u8], entry: &Entry) -> &'a [u8] {
    let start = entry.key_start as usize;
    &keys[start..start + entry.key_length as usize]
}

/// Keys come from the data, so the hash is a keyed one: nobody can choose keys that collide.
fn hash(hasher: &RandomState, window_start_ms: i64, key: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_i64(window_start_ms);
    hasher.write(key);
    hasher.finish()
}
