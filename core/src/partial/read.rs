//! Reading partials, a chunk of rows at a time.

use bytes::Bytes;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;

use super::pages::CheckedPages;
use super::{BATCH_METADATA, PartialError, WINDOWS_METADATA, WORKLOAD_METADATA, guarded, schema};
use crate::batch::MAX_BATCH_BYTES;
use crate::ids::BatchId;
use crate::receipt::WindowCount;
use crate::row::Row;
use crate::workload::{self, WorkloadKind};

/// Rows that are decoded at once: bounds the memory besides the file itself.
const CHUNK_ROWS: usize = 8192;

/// Reads the rows of a partial in their order.
pub struct PartialReader {
    file: SerializedFileReader<Bytes>,
    batch: BatchId,
    workload: WorkloadKind,
    windows: Vec<WindowCount>,
    /// Rows that the file says it has, less those that were decoded.
    rows_left: usize,
    next_row_group: usize,
    columns: Option<Columns>,
    chunk: Chunk,
}

struct Columns {
    window_starts: ColumnReaderImpl<Int64Type>,
    keys: ColumnReaderImpl<ByteArrayType>,
    measures: Vec<ColumnReaderImpl<Int64Type>>,
}

#[derive(Default)]
struct Chunk {
    next: usize,
    window_starts: Vec<i64>,
    keys: Vec<ByteArray>,
    measures: Vec<Vec<i64>>,
    row: Vec<i64>,
}

impl PartialReader {
    /// Opens a partial: reads its metadata and checks that its columns are those of its workload.
    ///
    /// Compare the content's checksum with the receipt's first: not all damage can be noticed here.
    pub fn open(content: Bytes) -> Result<Self, PartialError> {
        let file = guarded(|| SerializedFileReader::new(content))?;
        let metadata = file.metadata().file_metadata();
        let value = |key| {
            let pairs = metadata.key_value_metadata().map_or(&[][..], Vec::as_slice);
            let pair = pairs.iter().find(|pair| pair.key == key);
            pair.and_then(|pair| pair.value.as_deref())
                .ok_or(PartialError::NoMetadata(key))
        };
        let batch = value(BATCH_METADATA)?.parse()?;
        let name = value(WORKLOAD_METADATA)?;
        let workload =
            workload::by_name(name).ok_or_else(|| PartialError::UnknownWorkload(name.into()))?;
        let windows = serde_json::from_str(value(WINDOWS_METADATA)?)?;
        if metadata.schema().get_fields() != schema(workload)?.get_fields() {
            return Err(PartialError::Schema(workload.name()));
        }
        // Every row comes of at least one byte of a batch. Without a bound some bytes of run lengths could
        // stand for milliards of rows.
        let rows_left = usize::try_from(metadata.num_rows())
            .ok()
            .filter(|rows| *rows <= MAX_BATCH_BYTES)
            .ok_or(PartialError::Rows(metadata.num_rows()))?;
        let measures = workload.measures().len();
        Ok(Self {
            file,
            batch,
            workload,
            windows,
            rows_left,
            next_row_group: 0,
            columns: None,
            chunk: Chunk {
                measures: vec![Vec::new(); measures],
                row: vec![0; measures],
                ..Chunk::default()
            },
        })
    }

    /// The batch that it was made from.
    pub fn batch(&self) -> BatchId {
        self.batch
    }

    /// What was computed.
    pub fn workload(&self) -> WorkloadKind {
        self.workload
    }

    /// Records per window, as in the receipt.
    pub fn windows(&self) -> &[WindowCount] {
        &self.windows
    }

    /// The next row, or `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, PartialError> {
        while self.chunk.next == self.chunk.window_starts.len() {
            match self.next_chunk() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    self.end();
                    return Err(error);
                }
            }
        }
        let chunk = &mut self.chunk;
        let index = chunk.next;
        chunk.next += 1;
        for (value, column) in chunk.row.iter_mut().zip(&chunk.measures) {
            *value = column[index];
        }
        Ok(Some(Row {
            window_start_ms: chunk.window_starts[index],
            key: chunk.keys[index].data(),
            measures: &chunk.row,
        }))
    }

    /// Nothing comes after an error: the columns may be anywhere.
    fn end(&mut self) {
        self.chunk.clear();
        self.columns = None;
        self.next_row_group = self.file.num_row_groups();
    }

    fn next_chunk(&mut self) -> Result<bool, PartialError> {
        self.chunk.clear();
        let columns = match &mut self.columns {
            Some(columns) => columns,
            None if self.next_row_group == self.file.num_row_groups() => return Ok(false),
            none => {
                let (file, index) = (&self.file, self.next_row_group);
                self.next_row_group += 1;
                let measures = self.workload.measures().len();
                none.insert(guarded(|| {
                    Columns::of(&*file.get_row_group(index)?, measures)
                })?)
            }
        };
        let rows = self.chunk.fill(columns)?;
        self.rows_left = self
            .rows_left
            .checked_sub(rows)
            .ok_or(PartialError::Ragged)?;
        if rows == 0 {
            self.columns = None;
        }
        Ok(true)
    }
}

impl Columns {
    fn of(rows: &dyn RowGroupReader, measures: usize) -> Result<Self, ParquetError> {
        Ok(Self {
            window_starts: column(rows, 0)?,
            keys: column(rows, 1)?,
            measures: (2..2 + measures)
                .map(|index| column(rows, index))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A column of a group of rows. Its type must be that of the schema.
///
/// # Errors
/// If there is no such column.
pub fn column<T: DataType>(
    rows: &dyn RowGroupReader,
    index: usize,
) -> Result<ColumnReaderImpl<T>, ParquetError> {
    let description = rows.metadata().schema_descr().column(index);
    let pages = CheckedPages(rows.get_column_page_reader(index)?);
    Ok(ColumnReaderImpl::new(description, Box::new(pages)))
}

impl Chunk {
    fn clear(&mut self) {
        self.next = 0;
        self.window_starts.clear();
        self.keys.clear();
        self.measures.iter_mut().for_each(Vec::clear);
    }

    fn fill(&mut self, columns: &mut Columns) -> Result<usize, PartialError> {
        let rows = read_integers(&mut columns.window_starts, &mut self.window_starts)?;
        let (keys, _, _) = guarded(|| {
            columns
                .keys
                .read_records(CHUNK_ROWS, None, None, &mut self.keys)
        })?;
        let mut even = keys == rows;
        for (column, values) in columns.measures.iter_mut().zip(&mut self.measures) {
            even &= read_integers(column, values)? == rows;
        }
        if even {
            Ok(rows)
        } else {
            Err(PartialError::Ragged)
        }
    }
}

fn read_integers(
    column: &mut ColumnReaderImpl<Int64Type>,
    values: &mut Vec<i64>,
) -> Result<usize, PartialError> {
    let (records, _, _) = guarded(|| column.read_records(CHUNK_ROWS, None, None, values))?;
    Ok(records)
}
