//! What can go wrong with an invocation, by what the sidecar has to do about it.

use lambda_runtime::Diagnostic;
use spillway_core::aggregate::TooManyWindows;
use spillway_core::batch::BatchError;
use spillway_core::envelope::{EnvelopeError, FunctionErrorType};
use spillway_core::ids::BatchId;

use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FunctionError {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("batch {batch}: {source}")]
    Windows {
        batch: BatchId,
        source: TooManyWindows,
    },
    #[error("batch {batch}: writing Parquet: {message}")]
    Encode { batch: BatchId, message: String },
    #[error("batch {batch}: storing {key}: {source}")]
    Store {
        batch: BatchId,
        key: String,
        source: StoreError,
    },
}

impl FunctionError {
    /// `errorType` of the answer. `None`: nobody foresaw it, and a retry can do no harm.
    pub(crate) fn kind(&self) -> Option<FunctionErrorType> {
        match self {
            Self::Envelope(_) | Self::Batch(_) | Self::Windows { .. } => {
                Some(FunctionErrorType::MalformedBatch)
            }
            Self::Store { source, .. } => Some(match source {
                StoreError::Unavailable(_) => FunctionErrorType::StorageUnavailable,
                StoreError::Misconfigured(_) => FunctionErrorType::StorageMisconfigured,
                StoreError::OtherBytes(_) => FunctionErrorType::PartialConflict,
            }),
            Self::Encode { .. } => None,
        }
    }
}

impl From<FunctionError> for Diagnostic {
    fn from(error: FunctionError) -> Self {
        let kind = error.kind().map_or("Unhandled", FunctionErrorType::name);
        Self {
            error_type: kind.into(),
            error_message: error.to_string(),
        }
    }
}
