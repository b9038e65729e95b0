//! The ledger: what the valve commits, one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptId, JobName, ValveName};
use crate::marker;
use crate::receipt::{Receipt, ReceiptError};
use crate::window::WindowSize;

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A batch was settled in the cloud.
    Receipt(Receipt),
    /// What one valve subtask counted between two barriers.
    Books(Books),
}

/// What one valve subtask counted since its previous books. See `proto/README.md`, "Ledger".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    #[serde(rename = "type", with = "marker::books")]
    kind: (),
    #[serde(with = "marker::version")]
    version: (),
    /// The job.
    pub job: JobName,
    /// The valve.
    pub valve: ValveName,
    /// The attempt that counted.
    pub attempt: AttemptId,
    /// The index of the subtask, from 0.
    pub subtask: u32,
    /// The number of the valve's subtasks.
    pub parallelism: u32,
    /// The checkpoint that the attempt started from, 0 if from nothing; `None` if its valve was
    /// of a version that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// The checkpoint whose barrier these books precede; `None` for the last ones.
    #[serde(deserialize_with = "marker::nullable")]
    pub checkpoint: Option<u64>,
    /// The size of the windows.
    #[serde(rename = "window_size_ms")]
    pub window_size: WindowSize,
    /// The last watermark forwarded; `None` before the first.
    #[serde(deserialize_with = "marker::nullable")]
    pub watermark_ms: Option<i64>,
    /// Whether these are the last books of a bounded input.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The counts, per window.
    pub windows: Vec<BooksWindow>,
}

/// Record counts of one window in [`Books`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BooksWindow {
    /// Start of the window, in milliseconds since the epoch.
    pub start_ms: i64,
    /// Handed to the valve by the source.
    pub received: u64,
    /// Sent down the local lane without ever being in a refused batch.
    pub kept: u64,
    /// Settled with a receipt.
    pub diverted: u64,
    /// Sent down the local lane after their batch was refused.
    pub bounced: u64,
    /// Dropped to the late output.
    pub late: u64,
}

/// Everything of [`Books`] that a writer has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BooksHead {
    /// The job.
    pub job: JobName,
    /// The valve.
    pub valve: ValveName,
    /// The attempt that counted.
    pub attempt: AttemptId,
    /// The index of the subtask, from 0.
    pub subtask: u32,
    /// The number of the valve's subtasks.
    pub parallelism: u32,
    /// The checkpoint that the attempt started from; see [`Books::restored`].
    pub restored: Option<u64>,
    /// The size of the windows.
    pub window_size: WindowSize,
}

impl Books {
    /// Books for tests and tools: in production the valve writes them, in Java.
    pub fn new(
        head: BooksHead,
        checkpoint: Option<u64>,
        watermark_ms: Option<i64>,
        windows: Vec<BooksWindow>,
    ) -> Self {
        Self {
            kind: (),
            version: (),
            job: head.job,
            valve: head.valve,
            attempt: head.attempt,
            subtask: head.subtask,
            parallelism: head.parallelism,
            restored: head.restored,
            checkpoint,
            window_size: head.window_size,
            watermark_ms,
            is_final: checkpoint.is_none(),
            windows,
        }
    }

    /// The books as one line of JSON, without a line break.
    pub fn to_line(&self) -> String {
        // Only maps with other keys than strings and failing Serialize impls fail; here is neither.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Why a line is not one of the ledger's.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not JSON, a field missing or of the wrong shape, or an unknown version.
    #[error("not a line of the ledger: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither receipt nor books.
    #[error("a line of unknown type {0:?}: expected \"receipt\" or \"books\"")]
    UnknownType(String),
    /// A receipt that contradicts itself.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// Books whose subtask is not below their parallelism.
    #[error("books of subtask {subtask}, but there are only {parallelism}")]
    Subtask {
        /// The index of the subtask.
        subtask: u32,
        /// The number of the valve's subtasks.
        parallelism: u32,
    },
}

/// Reads one line, with or without its line break, and checks that it agrees with itself.
pub fn parse_line(line: &[u8]) -> Result<Line, LedgerError> {
    #[derive(Deserialize)]
    struct Head {
        r#type: String,
    }
    let head: Head = serde_json::from_slice(line)?;
    match head.r#type.as_str() {
        marker::receipt::NAME => {
            let receipt: Receipt = serde_json::from_slice(line)?;
            receipt.check()?;
            Ok(Line::Receipt(receipt))
        }
        marker::books::NAME => {
            let books: Books = serde_json::from_slice(line)?;
            if books.subtask >= books.parallelism {
                return Err(LedgerError::Subtask {
                    subtask: books.subtask,
                    parallelism: books.parallelism,
                });
            }
            Ok(Line::Books(books))
        }
        _ => Err(LedgerError::UnknownType(head.r#type)),
    }
}
