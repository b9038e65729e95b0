//! Writing partials.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::{
    BATCH_METADATA, KEY_COLUMN, WINDOW_START_COLUMN, WINDOWS_METADATA, WORKLOAD_METADATA, schema,
};
use crate::aggregate::Aggregate;
use crate::ids::BatchId;

/// Who wrote the file. Fixed, so that another build of the same code gives the same bytes.
const CREATED_BY: &str = "spillway";

/// Writes a batch's aggregate as a Parquet file. The same aggregate gives the same bytes.
///
/// Fails only if the Parquet library does, which for a file in memory means a bug.
pub fn write(batch: &BatchId, aggregate: &Aggregate) -> Result<Vec<u8>> {
    let columns = Columns::of(aggregate);
    let mut out = Vec::with_capacity(columns.keys.len() * 8 + 4096);
    let properties = Arc::new(properties(batch, aggregate));
    let mut file = SerializedFileWriter::new(&mut out, schema(aggregate.workload())?, properties)?;
    let mut rows = file.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = rows.next_column()? {
        match index {
            0 => column
                .typed::<Int64Type>()
                .write_batch(&columns.window_starts, None, None)?,
            1 => column
                .typed::<ByteArrayType>()
                .write_batch(&columns.keys, None, None)?,
            n => column
                .typed::<Int64Type>()
                .write_batch(&columns.measures[n - 2], None, None)?,
        };
        column.close()?;
        index += 1;
    }
    rows.close()?;
    file.close()?;
    Ok(out)
}

/// The rows turned by 90 degrees.
struct Columns {
    window_starts: Vec<i64>,
    keys: Vec<ByteArray>,
    measures: Vec<Vec<i64>>,
}

impl Columns {
    fn of(aggregate: &Aggregate) -> Self {
        let rows = aggregate.rows();
        let count = rows.len();
        let width = aggregate.workload().measures().len();
        let mut window_starts = Vec::with_capacity(count);
        let mut measures = vec![Vec::with_capacity(count); width];
        let mut ends = Vec::with_capacity(count);
        let mut bytes = Vec::new();
        for row in rows {
            window_starts.push(row.window_start_ms);
            bytes.extend_from_slice(row.key);
            ends.push(bytes.len());
            for (column, value) in measures.iter_mut().zip(row.measures) {
                column.push(*value);
            }
        }
        // All keys share one allocation.
        let bytes = Bytes::from(bytes);
        let mut start = 0;
        let keys = ends
            .into_iter()
            .map(|end| ByteArray::from(bytes.slice(std::mem::replace(&mut start, end)..end)))
            .collect();
        Self {
            window_starts,
            keys,
            measures,
        }
    }
}

fn properties(batch: &BatchId, aggregate: &Aggregate) -> WriterProperties {
    let windows = serde_json::to_string(aggregate.windows()).unwrap_or_default();
    let metadata = vec![
        KeyValue::new(BATCH_METADATA.into(), batch.to_string()),
        KeyValue::new(
            WORKLOAD_METADATA.into(),
            aggregate.workload().name().to_owned(),
        ),
        KeyValue::new(WINDOWS_METADATA.into(), windows),
    ];
    let ascending = |column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: false,
    };
    let window_start = || ColumnPath::from(WINDOW_START_COLUMN);
    WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_key_value_metadata(Some(metadata))
        .set_sorting_columns(Some(vec![ascending(0), ascending(1)]))
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(window_start(), EnabledStatistics::Chunk)
        .set_dictionary_enabled(true)
        // Keys are all different within a window: a dictionary would hold each of them once more.
        .set_column_dictionary_enabled(ColumnPath::from(KEY_COLUMN), false)
        .set_offset_index_disabled(true)
        .build()
}
