//! Receipts: proof that a batch became a partial.

use serde::{Deserialize, Serialize};

use crate::batch::BatchView;
use crate::digest::Digest;
use crate::ids::{BatchId, JobName};
use crate::marker;
use crate::partial;
use crate::window::WindowSize;

/// How many records of a window went into something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCount {
    /// Start of the window, in milliseconds since the epoch.
    pub start_ms: i64,
    /// All records of the window, malformed ones among them.
    pub records: u64,
    /// Those of them that the workload could not read.
    pub malformed: u64,
}

/// Proof that a batch became a partial. See `proto/README.md`, "Receipt".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(rename = "type", with = "marker::receipt")]
    kind: (),
    #[serde(with = "marker::version")]
    version: (),
    /// The job of the batch.
    pub job: JobName,
    /// The batch.
    pub batch: BatchId,
    /// The name of its workload.
    pub workload: String,
    /// The size of its windows.
    #[serde(rename = "window_size_ms")]
    pub window_size: WindowSize,
    /// The partial's key, relative to the job's folder.
    pub object: String,
    /// The partial's size in bytes.
    pub bytes: u64,
    /// The partial's checksum.
    pub sha256: Digest,
    /// The partial's number of rows.
    pub rows: u64,
    /// The batch's number of records.
    pub records: u64,
    /// Those of them that the workload could not read.
    pub malformed: u64,
    /// Records per window, sorted by start.
    pub windows: Vec<WindowCount>,
}

/// Why a receipt cannot be believed, or is not for a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The windows are not sorted, or one comes twice.
    #[error("the receipt of batch {0}: its windows are not sorted by start")]
    Unsorted(BatchId),
    /// A window's start is not one, or it has no record, or more malformed ones than records.
    #[error("the receipt of batch {batch}: window {start_ms} cannot be")]
    Window {
        /// The receipt's batch.
        batch: BatchId,
        /// The window's start.
        start_ms: i64,
    },
    /// The windows do not add up to the totals.
    #[error("the receipt of batch {0}: its windows do not add up to its totals")]
    Sum(BatchId),
    /// The object is not where the batch's partial belongs.
    #[error("the receipt of batch {batch}: its object is {object:?}")]
    Object {
        /// The receipt's batch.
        batch: BatchId,
        /// What it names.
        object: String,
    },
    /// It is for something else than the batch at hand.
    #[error("the receipt does not fit the batch {batch}: its {field} differs")]
    Misfit {
        /// The batch at hand.
        batch: BatchId,
        /// The first field that differs.
        field: &'static str,
    },
}

impl Receipt {
    /// A receipt for the partial `content` of `batch`.
    pub fn new(
        batch: &BatchView<'_>,
        windows: Vec<WindowCount>,
        rows: u64,
        content: &[u8],
    ) -> Self {
        Self {
            kind: (),
            version: (),
            job: batch.job().clone(),
            batch: batch.id(),
            workload: batch.workload().name().into(),
            window_size: batch.window_size(),
            object: partial::object_key(&batch.id()),
            bytes: content.len() as u64,
            sha256: Digest::of(content),
            rows,
            records: windows.iter().map(|window| window.records).sum(),
            malformed: windows.iter().map(|window| window.malformed).sum(),
            windows,
        }
    }

    /// The receipt as one line of JSON, without a line break.
    pub fn to_line(&self) -> String {
        // Only maps with other keys than strings and failing Serialize impls fail; here is neither.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the receipt agrees with itself: windows sorted and aligned, totals right, the object
    /// in its place. A receipt that came over the wire needs this before it is believed.
    pub fn check(&self) -> Result<(), ReceiptError> {
        let batch = self.batch;
        if !self.windows.is_sorted_by(|a, b| a.start_ms < b.start_ms) {
            return Err(ReceiptError::Unsorted(batch));
        }
        let (mut records, mut malformed) = (0_u64, 0_u64);
        for window in &self.windows {
            let start_ms = window.start_ms;
            let aligned = start_ms.rem_euclid(self.window_size.as_millis()) == 0;
            // A window around i64::MIN has a wrapped start, which need not be aligned.
            let wrapped = start_ms > i64::MAX - self.window_size.as_millis();
            if !(aligned || wrapped) || window.records == 0 || window.malformed > window.records {
                return Err(ReceiptError::Window { batch, start_ms });
            }
            records = records.saturating_add(window.records);
            malformed = malformed.saturating_add(window.malformed);
        }
        if (records, malformed) != (self.records, self.malformed) {
            return Err(ReceiptError::Sum(batch));
        }
        if self.object != partial::object_key(&batch) {
            let object = self.object.clone();
            return Err(ReceiptError::Object { batch, object });
        }
        Ok(())
    }

    /// Whether the receipt is for this batch: same id, job, workload, window size, and the same
    /// number of records in each window.
    pub fn fits(&self, batch: &BatchView<'_>) -> Result<(), ReceiptError> {
        let misfit = |field| {
            Err(ReceiptError::Misfit {
                batch: batch.id(),
                field,
            })
        };
        if self.batch != batch.id() {
            return misfit("batch");
        }
        if self.job != *batch.job() {
            return misfit("job");
        }
        if self.workload != batch.workload().name() {
            return misfit("workload");
        }
        if self.window_size != batch.window_size() {
            return misfit("window_size_ms");
        }
        if self.records != batch.len() as u64 {
            return misfit("records");
        }
        let counted = self
            .windows
            .iter()
            .map(|window| (window.start_ms, window.records));
        if !counted.eq(batch.records_per_window()) {
            return misfit("windows");
        }
        Ok(())
    }
}
