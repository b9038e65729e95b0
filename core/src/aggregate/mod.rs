//! From a batch to the sorted rows of its partial.

mod table;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::batch::BatchView;
use crate::ids::BatchId;
use crate::receipt::WindowCount;
use crate::row::Row;
use crate::window::WindowSize;
use crate::workload::{Outcome, Wordcount, Workload, WorkloadKind};
use table::Table;

/// The most windows that one batch may touch. A receipt lists them all, and has to fit into an
/// answer of the function.
pub const MAX_WINDOWS: usize = 16 * 1024;

/// A batch that touches more than [`MAX_WINDOWS`] windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batch touches more than {MAX_WINDOWS} windows")]
pub struct TooManyWindows;

/// What a batch comes to: rows sorted by window and key, and record counts per window.
#[derive(Debug, Clone)]
pub struct Aggregate {
    workload: WorkloadKind,
    windows: Vec<WindowCount>,
    rows: Vec<SortedRow>,
    keys: Vec<u8>,
    measures: Vec<i64>,
}

/// A row in the order of the partial.
#[derive(Debug, Clone, Copy)]
struct SortedRow {
    window_start_ms: i64,
    /// Where its key lies in `keys`.
    key: (usize, usize),
    /// Which of the values in `measures` are its own, in multiples of the number of measures.
    measures: usize,
}

impl Aggregate {
    /// What was computed.
    pub fn workload(&self) -> WorkloadKind {
        self.workload
    }

    /// Records per window, sorted by start.
    pub fn windows(&self) -> &[WindowCount] {
        &self.windows
    }

    /// The rows, sorted by window and key.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        let width = self.workload.measures().len();
        self.rows.iter().map(move |row| Row {
            window_start_ms: row.window_start_ms,
            key: &self.keys[row.key.0..row.key.1],
            measures: &self.measures[row.measures * width..][..width],
        })
    }
}

/// Aggregates a batch with its own workload.
pub fn aggregate(batch: &BatchView<'_>) -> Result<Aggregate, TooManyWindows> {
    match batch.workload() {
        WorkloadKind::Wordcount => aggregate_with(batch, &mut Wordcount::default()),
    }
}

fn aggregate_with<W: Workload>(
    batch: &BatchView<'_>,
    workload: &mut W,
) -> Result<Aggregate, TooManyWindows> {
    let mut windows = Windows::new(batch.window_size());
    let mut table = Table::<W>::new(seed(&batch.id()));
    for (event_time_ms, record) in batch.records() {
        let window = windows.index_of(event_time_ms)?;
        let outcome = workload.process(record, |key, measures| table.add(window, key, measures));
        windows.count(window, outcome);
    }
    let rows = table.sorted_rows(&windows.counts);
    let (keys, measures) = table.into_parts();
    windows
        .counts
        .sort_unstable_by_key(|window| window.start_ms);
    Ok(Aggregate {
        workload: batch.workload(),
        windows: windows.counts,
        rows,
        keys,
        measures,
    })
}

/// A seed for hashing that whoever writes the records cannot know: the attempt is a part of a
/// SHA-256. The same batch has the same seed; no result depends on it.
fn seed(batch: &BatchId) -> u64 {
    batch.attempt().as_u64() ^ batch.sequence().rotate_left(32)
}

/// The windows of a batch, in order of appearance.
#[derive(Debug)]
struct Windows {
    size: WindowSize,
    counts: Vec<WindowCount>,
    by_start: BTreeMap<i64, u32>,
    /// The window of the latest record, almost always that of the next one too, and its times.
    latest: u32,
    latest_times: Range<i64>,
}

impl Windows {
    fn new(size: WindowSize) -> Self {
        Self {
            size,
            counts: Vec::new(),
            by_start: BTreeMap::new(),
            latest: 0,
            latest_times: 0..0,
        }
    }

    #[inline]
    fn index_of(&mut self, event_time_ms: i64) -> Result<u32, TooManyWindows> {
        if self.latest_times.contains(&event_time_ms) {
            return Ok(self.latest);
        }
        let start_ms = self.size.start_of(event_time_ms);
        self.latest = self.look_up(start_ms)?;
        self.latest_times = if start_ms <= event_time_ms {
            start_ms..self.size.end_of(start_ms)
        } else {
            // The start wrapped: its window has no range of times.
            0..0
        };
        Ok(self.latest)
    }

    #[cold]
    fn look_up(&mut self, start_ms: i64) -> Result<u32, TooManyWindows> {
        if let Some(&known) = self.by_start.get(&start_ms) {
            return Ok(known);
        }
        if self.counts.len() == MAX_WINDOWS {
            return Err(TooManyWindows);
        }
        let new = u32::try_from(self.counts.len()).map_err(|_| TooManyWindows)?;
        self.counts.push(WindowCount {
            start_ms,
            records: 0,
            malformed: 0,
        });
        self.by_start.insert(start_ms, new);
        Ok(new)
    }

    #[inline]
    fn count(&mut self, window: u32, outcome: Outcome) {
        let window = &mut self.counts[window as usize];
        window.records += 1;
        window.malformed += u64::from(outcome == Outcome::Malformed);
    }
}
