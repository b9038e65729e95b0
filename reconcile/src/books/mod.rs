//! What the committed ledger says: counts per window, which batches have receipts, and how far the
//! valves have come.

mod intervals;
mod lineage;
mod progress;
mod read;
mod windows;

use std::collections::HashMap;

use spillway_core::ids::{AttemptId, BatchId, JobName};
use spillway_core::ledger::Books;
use spillway_core::receipt::Receipt;
use spillway_core::window::WindowSize;
use spillway_core::workload::{self, WorkloadKind};

use intervals::Intervals;
pub use lineage::{Lineage, Origin, Replay};
pub use progress::Progress;
pub use read::{LEDGER, LOCAL, PARTIALS, read};
pub use windows::{Imbalance, Window, Windows, is_start};

/// Why a line, well-formed by itself, cannot belong to this ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// It is another job's.
    #[error("a line of the job {found}, but this is the ledger of {expected}")]
    Job {
        /// The job of the lines before.
        expected: JobName,
        /// The job of this line.
        found: JobName,
    },
    /// Its windows have another size.
    #[error(
        "windows of {found}, but the lines before have {expected}: start a new folder when the window size changes"
    )]
    WindowSize {
        /// The size in the lines before.
        expected: WindowSize,
        /// The size in this line.
        found: WindowSize,
    },
    /// It is another workload's.
    #[error("a receipt of the workload {found}, but the receipts before are of {expected}")]
    Workload {
        /// The workload of the receipts before.
        expected: &'static str,
        /// The workload of this receipt.
        found: String,
    },
    /// This build does not know its workload.
    #[error("a receipt of the workload {0:?}, which this version does not know")]
    UnknownWorkload(String),
    /// A window's start is not a multiple of the window size.
    #[error("{0} ms is not the start of a window of {1}")]
    Start(i64, WindowSize),
}

/// The sums over all committed lines of a ledger.
///
/// Memory grows with the number of windows and of attempts, not with the number of lines.
#[derive(Debug, Default)]
pub struct Ledger {
    job: Option<JobName>,
    workload: Option<WorkloadKind>,
    window_size: Option<WindowSize>,
    /// Counts per window.
    pub windows: Windows,
    /// How far the valves have come.
    pub progress: Progress,
    /// Which books are there.
    pub lineage: Lineage,
    receipted: HashMap<(AttemptId, u32), Intervals>,
    /// Number of batches with a receipt.
    pub receipts: u64,
    /// Number of receipt lines beyond the first of their batch.
    pub repeated_receipts: u64,
    /// Records in batches with a receipt.
    receipted_records: u64,
    /// Records that the books call diverted.
    diverted_records: u64,
}

impl Ledger {
    /// Adds a receipt. False if the ledger has one of the same batch already: then it is counted
    /// as repeated in its windows, and must not be merged again.
    pub fn add_receipt(&mut self, receipt: &Receipt) -> Result<bool, Stranger> {
        self.check_common(&receipt.job, receipt.window_size)?;
        let name = receipt.workload.as_str();
        let found =
            workload::by_name(name).ok_or_else(|| Stranger::UnknownWorkload(name.into()))?;
        let expected = *self.workload.get_or_insert(found);
        if found != expected {
            return Err(Stranger::Workload {
                expected: expected.name(),
                found: name.to_owned(),
            });
        }
        let BatchKey(attempt, sequence) = BatchKey::of(&receipt.batch);
        let first = self.receipted.entry(attempt).or_default().insert(sequence);
        if first {
            self.receipts += 1;
            self.receipted_records = self.receipted_records.saturating_add(receipt.records);
        } else {
            self.repeated_receipts += 1;
            for count in &receipt.windows {
                let window = self.windows.entry(count.start_ms);
                window.repeated = window.repeated.saturating_add(count.records);
            }
        }
        Ok(first)
    }

    /// Adds books. Those of the same attempt and checkpoint count once.
    pub fn add_books(&mut self, books: &Books) -> Result<(), Stranger> {
        self.check_common(&books.job, books.window_size)?;
        let size = books.window_size;
        let misplaced = books
            .windows
            .iter()
            .find(|window| !is_start(size, window.start_ms));
        if let Some(window) = misplaced {
            return Err(Stranger::Start(window.start_ms, size));
        }
        self.progress.add(books);
        let repeated = self.lineage.add(books) == Origin::Repeated;
        for counts in &books.windows {
            let window = self.windows.entry(counts.start_ms);
            if repeated {
                window.repeated_books += 1;
            } else {
                window.add_books(counts);
                self.diverted_records = self.diverted_records.saturating_add(counts.diverted);
            }
        }
        Ok(())
    }

    /// Whether books and receipts tell of the same number of diverted records. If not, some of the
    /// ledger is yet to be committed.
    pub fn is_settled(&self) -> bool {
        self.receipted_records == self.diverted_records
    }

    fn check_common(&mut self, job: &JobName, size: WindowSize) -> Result<(), Stranger> {
        let expected = self.job.get_or_insert_with(|| job.clone());
        if expected != job {
            return Err(Stranger::Job {
                expected: expected.clone(),
                found: job.clone(),
            });
        }
        let expected = *self.window_size.get_or_insert(size);
        if expected != size {
            return Err(Stranger::WindowSize {
                expected,
                found: size,
            });
        }
        Ok(())
    }

    /// Whether a committed receipt names this batch.
    pub fn has_receipt(&self, batch: &BatchId) -> bool {
        let BatchKey(attempt, sequence) = BatchKey::of(batch);
        self.receipted
            .get(&attempt)
            .is_some_and(|sequences| sequences.contains(sequence))
    }

    /// The job, once a line has named it.
    pub fn job(&self) -> Option<&JobName> {
        self.job.as_ref()
    }

    /// The workload, once a receipt has named it.
    pub fn workload(&self) -> Option<WorkloadKind> {
        self.workload
    }

    /// The window size, once a line has named it.
    pub fn window_size(&self) -> Option<WindowSize> {
        self.window_size
    }
}

/// A batch id, split where its numbers are dense.
struct BatchKey((AttemptId, u32), u64);

impl BatchKey {
    fn of(batch: &BatchId) -> Self {
        Self((batch.attempt(), batch.subtask()), batch.sequence())
    }
}
