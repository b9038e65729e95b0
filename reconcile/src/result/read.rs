//! Reading a file of the result.

use std::fs::File;
use std::path::Path;

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use spillway_core::partial;
use spillway_core::row::Row;
use spillway_core::workload::WorkloadKind;

use crate::error::{Error, ErrorKind};

/// Rows that are decoded at once.
const CHUNK_ROWS: usize = 8192;

/// Reads the rows of a local Parquet file of the result. It differs from core's `PartialReader`
/// in that the file may be larger than memory.
pub struct PartReader {
    file: SerializedFileReader<File>,
    measures: usize,
}

impl PartReader {
    /// Opens a file, and checks that it has the columns of the workload.
    pub fn open(path: &Path, workload: WorkloadKind) -> Result<Self, Error> {
        let broken = |error: ParquetError| damaged(&error);
        let file = File::open(path)
            .map_err(|error| Error::io(format_args!("cannot read {}", path.display()), &error))?;
        let file = partial::guarded(|| SerializedFileReader::new(file)).map_err(broken)?;
        let schema = partial::schema(workload).map_err(broken)?;
        if file.metadata().file_metadata().schema().get_fields() != schema.get_fields() {
            let message = format!("its columns are not those of a {} result", workload.name());
            return Err(damaged(&message));
        }
        Ok(Self {
            file,
            measures: workload.measures().len(),
        })
    }

    /// Calls `visit` for every row, in order.
    pub fn for_each(
        &self,
        visit: &mut dyn FnMut(&Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut row = vec![0; self.measures];
        for index in 0..self.file.num_row_groups() {
            let mut group = partial::guarded(|| Columns::open(&self.file, index, self.measures))
                .map_err(|error| damaged(&error))?;
            while partial::guarded(|| group.fill()).map_err(|error| damaged(&error))? {
                for (n, window_start_ms) in group.window_starts.iter().enumerate() {
                    for (value, (_, column)) in row.iter_mut().zip(&group.measures) {
                        *value = column[n];
                    }
                    let key = group.keys[n].data();
                    visit(&Row {
                        window_start_ms: *window_start_ms,
                        key,
                        measures: &row,
                    })?;
                }
            }
        }
        Ok(())
    }
}

type Integers = ColumnReaderImpl<Int64Type>;

/// A chunk of one row group's columns.
struct Columns {
    window_start: Integers,
    window_starts: Vec<i64>,
    key: ColumnReaderImpl<ByteArrayType>,
    keys: Vec<ByteArray>,
    measures: Vec<(Integers, Vec<i64>)>,
}

impl Columns {
    fn open(
        file: &SerializedFileReader<File>,
        group: usize,
        measures: usize,
    ) -> Result<Self, ParquetError> {
        let group = file.get_row_group(group)?;
        Ok(Self {
            window_start: partial::column(&*group, 0)?,
            window_starts: Vec::new(),
            key: partial::column(&*group, 1)?,
            keys: Vec::new(),
            measures: (2..2 + measures)
                .map(|index| Ok((partial::column(&*group, index)?, Vec::new())))
                .collect::<Result<_, ParquetError>>()?,
        })
    }

    /// Reads the next chunk; false at the end.
    fn fill(&mut self) -> Result<bool, ParquetError> {
        self.window_starts.clear();
        self.keys.clear();
        let (rows, ..) =
            self.window_start
                .read_records(CHUNK_ROWS, None, None, &mut self.window_starts)?;
        let (keys, ..) = self
            .key
            .read_records(CHUNK_ROWS, None, None, &mut self.keys)?;
        let mut even = keys == rows;
        for (column, values) in &mut self.measures {
            values.clear();
            let (read, ..) = column.read_records(CHUNK_ROWS, None, None, values)?;
            even &= read == rows;
        }
        if even {
            Ok(rows > 0)
        } else {
            Err(ParquetError::General("its columns differ in length".into()))
        }
    }
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    let message = format!("the result is damaged: {why}: write it anew with `run`");
    Error::new(ErrorKind::Data, message)
}
