//! From a batch to the sorted rows of its partial.

use std::collections::BTreeMap;

use crate::batch::BatchView;
use crate::receipt::WindowCount;
use crate::row::Row;
use crate::workload::{Outcome, Wordcount, Workload, WorkloadKind};

/// The most windows that one batch may touch. A receipt lists them all, and has to fit into an
/// answer of the function.
pub const MAX_WINDOWS: usize = 16 * 1024;

/// A batch that touches more than [`MAX_WINDOWS`] windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batch touches more than {MAX_WINDOWS} windows")]
pub struct TooManyWindows;

/// What a batch comes to: rows sorted by window and key, and record counts per window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    workload: WorkloadKind,
    windows: Vec<WindowCount>,
    rows: Vec<(i64, Vec<u8>)>,
    measures: Vec<i64>,
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
        self.rows.iter().zip(self.measures.chunks_exact(width)).map(
            |((window_start_ms, key), measures)| Row {
                window_start_ms: *window_start_ms,
                key,
                measures,
            },
        )
    }
}

/// Aggregates a batch with its own workload.
pub fn aggregate(batch: &BatchView<'_>) -> Result<Aggregate, TooManyWindows> {
    match batch.workload() {
        WorkloadKind::Wordcount => aggregate_with(batch, &mut Wordcount),
    }
}

fn aggregate_with<W: Workload>(
    batch: &BatchView<'_>,
    workload: &mut W,
) -> Result<Aggregate, TooManyWindows> {
    let mut windows: BTreeMap<i64, WindowCount> = BTreeMap::new();
    let mut groups: BTreeMap<(i64, Vec<u8>), Vec<i64>> = BTreeMap::new();
    for (t, record) in batch.records() {
        let start_ms = batch.window_size().start_of(t);
        let outcome = workload.process(record, |key, measures| {
            groups
                .entry((start_ms, key.to_vec()))
                .and_modify(|old| {
                    for ((old, new), measure) in old.iter_mut().zip(measures).zip(W::MEASURES) {
                        *old = measure.merge.merge(*old, *new);
                    }
                })
                .or_insert_with(|| measures.to_vec());
        });
        let window = windows.entry(start_ms).or_insert(WindowCount {
            start_ms,
            records: 0,
            malformed: 0,
        });
        window.records += 1;
        window.malformed += u64::from(outcome == Outcome::Malformed);
    }
    if windows.len() > MAX_WINDOWS {
        return Err(TooManyWindows);
    }
    let measures = groups.values().flatten().copied().collect();
    Ok(Aggregate {
        workload: batch.workload(),
        windows: windows.into_values().collect(),
        rows: groups.into_keys().collect(),
        measures,
    })
}
