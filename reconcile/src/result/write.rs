//! Writing the result's files, locally first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use spillway_core::partial;
use spillway_core::row::Row;
use spillway_core::workload::WorkloadKind;

use super::{Part, WORKLOAD_METADATA};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};

/// Who wrote the file. Fixed, so that another build of the same code gives the same bytes.
const CREATED_BY: &str = "spillway";

/// Writes sorted rows into as many Parquet files as it takes. The same rows in the same budget
/// give the same bytes.
pub struct ResultWriter<'a> {
    folder: &'a Path,
    budget: &'a Budget,
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    group: Group,
    open: Option<Open>,
    parts: Vec<Part>,
}

struct Open {
    file: SerializedFileWriter<File>,
    rows: u64,
}

/// The rows of the row group that is being collected, turned by 90 degrees.
struct Group {
    window_starts: Vec<i64>,
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    measures: Vec<Vec<i64>>,
}

impl<'a> ResultWriter<'a> {
    /// A writer of files in `folder`.
    pub fn new(
        folder: &'a Path,
        workload: WorkloadKind,
        budget: &'a Budget,
    ) -> Result<Self, Error> {
        let schema = partial::schema(workload).map_err(|error| failed(folder, &error))?;
        let ascending = |column_idx| SortingColumn {
            column_idx,
            descending: false,
            nulls_first: false,
        };
        let metadata = KeyValue::new(WORKLOAD_METADATA.into(), workload.name().to_owned());
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.into())
            .set_key_value_metadata(Some(vec![metadata]))
            .set_sorting_columns(Some(vec![ascending(0), ascending(1)]))
            .set_compression(Compression::SNAPPY)
            .build();
        Ok(Self {
            folder,
            budget,
            schema,
            properties: Arc::new(properties),
            group: Group {
                window_starts: Vec::new(),
                keys: Vec::new(),
                key_ends: Vec::new(),
                measures: vec![Vec::new(); workload.measures().len()],
            },
            open: None,
            parts: Vec::new(),
        })
    }

    /// Appends a row.
    pub fn write(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let group = &mut self.group;
        group.window_starts.push(row.window_start_ms);
        group.keys.extend_from_slice(row.key);
        group.key_ends.push(group.keys.len());
        for (column, value) in group.measures.iter_mut().zip(row.measures) {
            column.push(*value);
        }
        let full = group.window_starts.len() >= self.budget.row_group_rows
            || group.keys.len() >= self.budget.row_group_key_bytes;
        if full { self.end_group() } else { Ok(()) }
    }

    /// Writes what is left, and gives the files. There is at least one, so that even an empty
    /// result has its columns.
    pub fn finish(mut self) -> Result<Vec<Part>, Error> {
        if self.parts.is_empty() || !self.group.window_starts.is_empty() {
            self.end_group()?;
        }
        self.end_part()?;
        Ok(self.parts)
    }

    /// Where the part of this name is.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let path = self.path(&Part::name(self.parts.len()));
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let file = File::create(&path).map_err(|error| {
                    Error::create(format_args!("cannot create {}", path.display()), &error)
                })?;
                let (schema, properties) = (self.schema.clone(), self.properties.clone());
                let file = SerializedFileWriter::new(file, schema, properties)
                    .map_err(|error| failed(&path, &error))?;
                none.insert(Open { file, rows: 0 })
            }
        };
        open.rows += self.group.window_starts.len() as u64;
        self.group
            .write(&mut open.file)
            .map_err(|error| failed(&path, &error))?;
        if open.file.bytes_written() >= self.budget.part_bytes {
            self.end_part()?;
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), Error> {
        let Some(Open { file, rows }) = self.open.take() else {
            return Ok(());
        };
        let name = Part::name(self.parts.len());
        let path = self.path(&name);
        file.close().map_err(|error| failed(&path, &error))?;
        let metadata = fs::metadata(&path).map_err(|error| {
            Error::io(format_args!("cannot look at {}", path.display()), &error)
        })?;
        self.parts.push(Part {
            name,
            rows,
            bytes: metadata.len(),
        });
        Ok(())
    }
}

impl Group {
    /// Writes the rows as one row group, and empties it. No rows, no row group.
    fn write(&mut self, file: &mut SerializedFileWriter<File>) -> Result<(), ParquetError> {
        if self.window_starts.is_empty() {
            return Ok(());
        }
        // All keys share one allocation.
        let bytes = Bytes::from(std::mem::take(&mut self.keys));
        let mut start = 0;
        let keys: Vec<ByteArray> = self
            .key_ends
            .drain(..)
            .map(|end| bytes.slice(std::mem::replace(&mut start, end)..end).into())
            .collect();
        let mut rows = file.next_row_group()?;
        let mut index = 0;
        while let Some(mut column) = rows.next_column()? {
            match index {
                0 => column
                    .typed::<Int64Type>()
                    .write_batch(&self.window_starts, None, None)?,
                1 => column
                    .typed::<ByteArrayType>()
                    .write_batch(&keys, None, None)?,
                n => column
                    .typed::<Int64Type>()
                    .write_batch(&self.measures[n - 2], None, None)?,
            };
            column.close()?;
            index += 1;
        }
        rows.close()?;
        self.window_starts.clear();
        self.measures.iter_mut().for_each(Vec::clear);
        Ok(())
    }
}

fn failed(path: &Path, error: &ParquetError) -> Error {
    let message = format!("cannot write {}: {error}", path.display());
    Error::new(ErrorKind::CannotCreate, message)
}
