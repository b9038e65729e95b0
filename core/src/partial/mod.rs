//! Partials: a batch's aggregate as one Parquet file.

mod guard;
mod pages;
mod read;
mod write;

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::{Type, TypePtr};

pub use guard::guarded;
pub use read::{PartialReader, column};
pub use write::write;

use crate::ids::{BatchId, IdError};
use crate::workload::WorkloadKind;

/// Column of the window's start.
pub const WINDOW_START_COLUMN: &str = "window_start_ms";
/// Column of the key.
pub const KEY_COLUMN: &str = "key";
/// Metadata key of the batch's id.
pub const BATCH_METADATA: &str = "spillway.batch";
/// Metadata key of the workload's name.
pub const WORKLOAD_METADATA: &str = "spillway.workload";
/// Metadata key of the receipt's windows, as JSON.
pub const WINDOWS_METADATA: &str = "spillway.windows";

/// Where a batch's partial belongs, relative to the job's folder.
pub fn object_key(batch: &BatchId) -> String {
    format!("partials/{}/{batch}.parquet", batch.attempt())
}

/// Why a partial cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PartialError {
    /// Not a Parquet file, or a broken one.
    #[error("not a readable Parquet file: {0}")]
    Parquet(#[from] ParquetError),
    /// The metadata of a partial is not there.
    #[error("not a partial: it has no metadata {0}")]
    NoMetadata(&'static str),
    /// Its batch id has another shape.
    #[error("metadata {BATCH_METADATA}: {0}")]
    Batch(#[from] IdError),
    /// No workload has this name.
    #[error("metadata {WORKLOAD_METADATA}: no workload is called {0:?}")]
    UnknownWorkload(String),
    /// Its windows are not the JSON they should be.
    #[error("metadata {WINDOWS_METADATA}: {0}")]
    Windows(#[from] serde_json::Error),
    /// Its columns are not those of its workload.
    #[error("its columns are not those of a {0} partial")]
    Schema(&'static str),
    /// It says that it has more rows than a batch can give, or fewer than none.
    #[error("it says that it has {0} rows: a batch gives at most {max}", max = crate::batch::MAX_BATCH_BYTES)]
    Rows(i64),
    /// Its columns have different lengths, or more rows than it says.
    #[error("its columns differ in length")]
    Ragged,
}

/// The columns of a workload's partials, and of its final result.
pub fn schema(workload: WorkloadKind) -> Result<TypePtr> {
    let required = |name, physical, logical| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let timestamp = LogicalType::timestamp(true, TimeUnit::MILLIS);
    let mut columns = vec![
        required(WINDOW_START_COLUMN, PhysicalType::INT64, Some(timestamp))?,
        required(
            KEY_COLUMN,
            PhysicalType::BYTE_ARRAY,
            Some(LogicalType::String),
        )?,
    ];
    for measure in workload.measures() {
        columns.push(required(measure.name, PhysicalType::INT64, None)?);
    }
    let schema = Type::group_type_builder("spillway")
        .with_fields(columns)
        .build()?;
    Ok(Arc::new(schema))
}
