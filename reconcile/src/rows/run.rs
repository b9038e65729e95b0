//! Sorted rows on disk.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use spillway_core::row::Row;
use spillway_core::workload::Measure;
use tempfile::TempDir;

use super::Merged;
use super::merge::Source;
use crate::error::Error;
use crate::parallel::lock;

/// Buffer of one run while it is written.
const WRITE_BUFFER: usize = 256 << 10;

/// All runs of one merge, in a temporary folder that goes with this value.
#[derive(Debug)]
pub struct Runs {
    folder: TempDir,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    created: u64,
    finished: Vec<PathBuf>,
}

impl Runs {
    /// No runs yet. They will be in a new folder within `parent`.
    pub fn new(parent: &Path) -> Result<Self, Error> {
        let folder = tempfile::Builder::new()
            .prefix("spillway-reconcile-")
            .tempdir_in(parent);
        let folder = folder.map_err(|error| {
            let doing = format!("cannot make a temporary folder in {}", parent.display());
            Error::create(doing, &error)
        })?;
        Ok(Self {
            folder,
            state: Mutex::default(),
        })
    }

    /// The folder, for other temporary files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many runs were written so far.
    pub fn created(&self) -> u64 {
        lock(&self.state).created
    }

    /// Begins a run.
    pub fn create(&self) -> Result<RunWriter<'_>, Error> {
        let path = {
            let mut state = lock(&self.state);
            state.created += 1;
            self.folder.path().join(format!("run-{}", state.created))
        };
        let file = File::create_new(&path).map_err(|error| failed("create", &path, &error))?;
        Ok(RunWriter {
            runs: self,
            file: BufWriter::with_capacity(WRITE_BUFFER, file),
            path,
        })
    }

    /// Merges runs until there are at most `fan_in`, then opens those that are left, each with a
    /// buffer of `buffer_bytes`.
    pub(super) fn open(
        &self,
        measures: &[Measure],
        fan_in: usize,
        buffer_bytes: usize,
    ) -> Result<Vec<Source>, Error> {
        let open = |paths: &[PathBuf]| {
            let open = |path: &PathBuf| RunReader::open(path, measures.len(), buffer_bytes);
            paths
                .iter()
                .map(|path| Ok(Source::File(open(path)?)))
                .collect::<Result<Vec<_>, Error>>()
        };
        let fan_in = fan_in.max(2);
        loop {
            let finished = lock(&self.state).finished.clone();
            if finished.len() <= fan_in {
                return open(&finished);
            }
            // The oldest first: each row is then rewritten about equally often.
            let oldest = &finished[..fan_in];
            let mut merged = Merged::of(measures, open(oldest)?)?;
            let mut writer = self.create()?;
            while let Some(row) = merged.next_row()? {
                writer.write(&row)?;
            }
            drop(merged);
            lock(&self.state).finished.drain(..fan_in);
            writer.finish()?;
            for path in oldest {
                fs::remove_file(path).map_err(|error| failed("remove", path, &error))?;
            }
        }
    }
}

/// A run being written: rows must come in order, each window and key once.
#[derive(Debug)]
pub struct RunWriter<'a> {
    runs: &'a Runs,
    path: PathBuf,
    file: BufWriter<File>,
}

impl RunWriter<'_> {
    /// Appends a row.
    pub fn write(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let mut write = || {
            self.file.write_all(&row.window_start_ms.to_le_bytes())?;
            self.file.write_all(&(row.key.len() as u64).to_le_bytes())?;
            self.file.write_all(row.key)?;
            row.measures
                .iter()
                .try_for_each(|value| self.file.write_all(&value.to_le_bytes()))
        };
        write().map_err(|error| failed("write", &self.path, &error))
    }

    /// Ends the run; from now on it is one of the runs to merge.
    pub fn finish(mut self) -> Result<(), Error> {
        self.file
            .flush()
            .map_err(|error| failed("write", &self.path, &error))?;
        lock(&self.runs.state).finished.push(self.path);
        Ok(())
    }
}

/// Reads a run row by row.
#[derive(Debug)]
pub(super) struct RunReader {
    path: PathBuf,
    file: BufReader<File>,
    window_start_ms: i64,
    key: Vec<u8>,
    measures: Vec<i64>,
}

impl RunReader {
    fn open(path: &Path, measures: usize, buffer_bytes: usize) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| failed("read", path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(buffer_bytes, file),
            window_start_ms: 0,
            key: Vec::new(),
            measures: vec![0; measures],
        })
    }

    /// Goes to the next row; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        self.read()
            .map_err(|error| failed("read", &self.path, &error))
    }

    fn read(&mut self) -> io::Result<bool> {
        // Buffers are refilled only when they are empty, so this is the end and nothing else.
        if self.file.buffer().is_empty() && io::BufRead::fill_buf(&mut self.file)?.is_empty() {
            return Ok(false);
        }
        let mut head = [0; 16];
        self.file.read_exact(&mut head)?;
        let (window, length) = head.split_at(8);
        self.window_start_ms = i64::from_le_bytes(eight(window));
        let length = usize::try_from(u64::from_le_bytes(eight(length))).unwrap_or(usize::MAX);
        self.key.resize(length, 0);
        self.file.read_exact(&mut self.key)?;
        for value in &mut self.measures {
            let mut bytes = [0; 8];
            self.file.read_exact(&mut bytes)?;
            *value = i64::from_le_bytes(bytes);
        }
        Ok(true)
    }

    pub(super) fn row(&self) -> Row<'_> {
        Row {
            window_start_ms: self.window_start_ms,
            key: &self.key,
            measures: &self.measures,
        }
    }
}

fn eight(bytes: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(bytes);
    out
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    let advice = "see --temp-dir for another place";
    Error::create(
        format_args!("cannot {doing} {} ({advice})", path.display()),
        error,
    )
}
