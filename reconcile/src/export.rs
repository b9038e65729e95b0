//! `export`: the result as canonical CSV.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use spillway_core::partial::{KEY_COLUMN, WINDOW_START_COLUMN};
use spillway_core::row::Row;
use spillway_core::workload::{self, WorkloadKind};

use crate::error::{Error, ErrorKind};
use crate::result::{self, Part, PartReader};
use crate::store::Store;

/// How much of a part is fetched at once.
const CHUNK_BYTES: usize = 8 << 20;

/// Writes the result in `store` as CSV: a header, then rows in the order of window and key, each
/// line ended by `\n`, quoted as RFC 4180 says where needed. Returns the number of rows.
///
/// Parts are fetched to `temp_dir` one after the other: Parquet is read from its end.
pub fn export(store: &dyn Store, temp_dir: &Path, out: &mut dyn Write) -> Result<u64, Error> {
    let manifest = result::open(store)?;
    let workload = workload::by_name(&manifest.workload).ok_or_else(|| {
        let message = format!(
            "a result of the workload {:?}, which this version does not know",
            manifest.workload
        );
        Error::new(ErrorKind::Data, message)
    })?;
    write_header(workload, out).map_err(|error| failed(&error))?;
    let mut line = Vec::new();
    let mut rows = 0;
    for part in &manifest.parts {
        let file = fetch(store, part, temp_dir)?;
        PartReader::open(file.path(), workload)?.for_each(&mut |row| {
            line.clear();
            format(row, &mut line);
            rows += 1;
            out.write_all(&line).map_err(|error| failed(&error))
        })?;
    }
    out.flush().map_err(|error| failed(&error))?;
    Ok(rows)
}

fn write_header(workload: WorkloadKind, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{WINDOW_START_COLUMN},{KEY_COLUMN}")?;
    for measure in workload.measures() {
        write!(out, ",{}", measure.name)?;
    }
    out.write_all(b"\n")
}

fn format(row: &Row<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(row.window_start_ms.to_string().as_bytes());
    line.push(b',');
    if row
        .key
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
    {
        line.push(b'"');
        for &byte in row.key {
            if byte == b'"' {
                line.push(b'"');
            }
            line.push(byte);
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(row.key);
    }
    for value in row.measures {
        line.push(b',');
        line.extend_from_slice(value.to_string().as_bytes());
    }
    line.push(b'\n');
}

fn fetch(store: &dyn Store, part: &Part, folder: &Path) -> Result<tempfile::NamedTempFile, Error> {
    let create = |error: io::Error| {
        Error::create(format_args!("cannot write to {}", folder.display()), &error)
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(create)?;
    let uri = store.uri(&part.name);
    let mut offset = 0;
    while offset < part.bytes {
        let chunk = store
            .read(&part.name, offset, CHUNK_BYTES)?
            .unwrap_or_default();
        if chunk.is_empty() {
            let message = format!("{uri} is missing or too short: write it anew with `run`");
            return Err(Error::new(ErrorKind::NoInput, message));
        }
        offset += chunk.len() as u64;
        File::write_all(file.as_file_mut(), &chunk).map_err(create)?;
    }
    Ok(file)
}

fn failed(error: &io::Error) -> Error {
    Error::io("cannot write the CSV", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted_where_they_need_it() {
        for (key, text) in [
            ("", "0,,1\n"),
            ("word", "0,word,1\n"),
            (" space ", "0, space ,1\n"),
            ("a,b", "0,\"a,b\",1\n"),
            ("say \"hi\"", "0,\"say \"\"hi\"\"\",1\n"),
            ("two\nlines", "0,\"two\nlines\",1\n"),
            ("\r", "0,\"\r\",1\n"),
            ("café", "0,café,1\n"),
        ] {
            let mut line = Vec::new();
            format(
                &Row {
                    window_start_ms: 0,
                    key: key.as_bytes(),
                    measures: &[1],
                },
                &mut line,
            );
            assert_eq!(String::from_utf8(line).unwrap(), text);
        }
    }
}
