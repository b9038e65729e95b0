//! The batch: many records under one id, columnar, as the valve sends it.
//!
//! The message is read by hand rather than by a generated decoder, because a decoder would copy
//! both columns and all record bytes before the first record can be looked at.

mod builder;
mod view;
mod wire;

pub use builder::BatchBuilder;
pub use view::{BatchView, Records};
pub use wire::WireError;

use crate::ids::IdError;
use crate::window::InvalidWindowSize;

/// The largest batch, uncompressed, in bytes.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// The most records of one batch.
pub const MAX_RECORDS: usize = 4 * 1024 * 1024;

/// Why bytes are not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// More than [`MAX_BATCH_BYTES`].
    #[error("the batch has {0} bytes: at most {MAX_BATCH_BYTES} are accepted")]
    TooLarge(usize),
    /// The bytes are not a protobuf message, or a field has another type.
    #[error("the batch is not a spillway.v1.Batch: {0}")]
    Malformed(#[from] WireError),
    /// The batch id is missing or has another shape.
    #[error("the batch's id: {0}")]
    InvalidId(#[source] IdError),
    /// The job name is missing or has another shape.
    #[error("the batch's job: {0}")]
    InvalidJob(#[source] IdError),
    /// No workload has this name.
    #[error("no workload is called {0:?}: known are {known}", known = crate::workload::known_names())]
    UnknownWorkload(String),
    /// The window size is missing or below 1 ms.
    #[error("the batch's window: {0}")]
    InvalidWindowSize(#[from] InvalidWindowSize),
    /// There is no record.
    #[error("the batch has no records")]
    NoRecords,
    /// More than [`MAX_RECORDS`].
    #[error("the batch has {0} records: at most {MAX_RECORDS} are accepted")]
    TooManyRecords(usize),
    /// The two columns differ in length.
    #[error("the batch has {offsets} event times, but {lengths} record lengths")]
    ColumnMismatch {
        /// Entries of `event_time_offset_ms`.
        offsets: usize,
        /// Entries of `record_length`.
        lengths: usize,
    },
    /// The record lengths do not add up to the record bytes.
    #[error("the record lengths add up to {lengths} bytes, but there are {bytes}")]
    LengthMismatch {
        /// Sum of `record_length`.
        lengths: u64,
        /// Size of `records`.
        bytes: usize,
    },
}

impl BatchError {
    /// A stable short name, for metrics, problem types (`urn:spillway:problem:{slug}`) and the
    /// shared vectors.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "batch-too-large",
            Self::Malformed(_) => "malformed-message",
            Self::InvalidId(_) => "invalid-batch-id",
            Self::InvalidJob(_) => "invalid-job",
            Self::UnknownWorkload(_) => "unknown-workload",
            Self::InvalidWindowSize(_) => "invalid-window-size",
            Self::NoRecords => "no-records",
            Self::TooManyRecords(_) => "too-many-records",
            Self::ColumnMismatch { .. } => "column-mismatch",
            Self::LengthMismatch { .. } => "length-mismatch",
        }
    }
}

/// The numbers of the message's fields.
mod field {
    pub(super) const ID: u32 = 1;
    pub(super) const JOB: u32 = 2;
    pub(super) const WORKLOAD: u32 = 3;
    pub(super) const WINDOW_SIZE_MS: u32 = 4;
    pub(super) const BASE_EVENT_TIME_MS: u32 = 5;
    pub(super) const EVENT_TIME_OFFSET_MS: u32 = 6;
    pub(super) const RECORD_LENGTH: u32 = 7;
    pub(super) const RECORDS: u32 = 8;
}
