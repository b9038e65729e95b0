//! Reading what the two lanes wrote.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use spillway_core::digest::Digest;
use spillway_core::ids::BatchId;
use spillway_core::ledger::{Line, parse_line};
use spillway_core::local_row::{self, LocalRow};
use spillway_core::partial::{PartialError, PartialReader};
use spillway_core::receipt::{Receipt, WindowCount};
use spillway_core::row::Row;
use spillway_core::window::WindowSize;
use spillway_core::workload::WorkloadKind;

use crate::books::{Stranger, Window, Windows, is_start};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::lines::{Block, for_each_block};
use crate::parallel::{self, Allowance, Pool, lock};
use crate::rows::{Aggregator, Runs};
use crate::store::{Object, Store};

/// A partial that a committed receipt names and that is not there, or not what the receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPartial {
    /// The batch.
    pub batch: BatchId,
    /// Its number of records.
    pub records: u64,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for BadPartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            batch,
            records,
            why,
        } = self;
        write!(
            f,
            "batch {batch}: {records} records are lost: its partial {why}"
        )
    }
}

/// What both lanes hold.
pub struct Lanes {
    /// Their rows.
    pub tables: Vec<Aggregator>,
    /// Their record counts; only `local`, `receipted`, `missing` and `malformed` are set.
    pub windows: Windows,
    /// Number of rows in the local lane.
    pub local_rows: u64,
    /// Number of rows in partials.
    pub partial_rows: u64,
    /// Bytes of partials.
    pub partial_bytes: u64,
    /// Partials that could not be merged, at most [`MAX_NAMED`].
    pub bad_partials: Vec<BadPartial>,
    /// How many there were.
    pub bad_partial_count: u64,
}

/// How many bad partials are remembered by name.
pub const MAX_NAMED: usize = 1000;

/// What reading the lanes needs.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The job's folder.
    pub store: &'a dyn Store,
    /// What the rows are of.
    pub workload: WorkloadKind,
    /// The size of the windows.
    pub window_size: WindowSize,
    /// Limits.
    pub budget: &'a Budget,
    /// Where rows go that do not fit into memory.
    pub runs: &'a Runs,
}

/// What one table has collected.
struct Desk {
    table: Aggregator,
    windows: Windows,
    local_rows: u64,
    partial_rows: u64,
    partial_bytes: u64,
}

enum Input {
    Local(Object),
    Partial(Box<Receipt>),
}

impl Source<'_> {
    /// Reads the local lane's files, and the partials that the receipts in `receipts` name (a file
    /// of ledger lines).
    ///
    /// A malformed local row is an error. A partial that is missing or differs is not: its records
    /// are counted as missing, which keeps its windows open.
    pub fn read(&self, local: Vec<Object>, receipts: &Path) -> Result<Lanes, Error> {
        let file = File::open(receipts).map_err(|error| broken(receipts, &error))?;
        let receipts = BufReader::new(file).split(b'\n').map(|line| {
            let line = line.map_err(|error| broken(receipts, &error))?;
            match parse_line(&line) {
                Ok(Line::Receipt(receipt)) => Ok(Input::Partial(Box::new(receipt))),
                Ok(Line::Books(_)) | Err(_) => {
                    Err(broken(receipts, &io::ErrorKind::InvalidData.into()))
                }
            }
        });
        let inputs = local
            .into_iter()
            .map(|object| Ok(Input::Local(object)))
            .chain(receipts);

        let desk = |_| Desk {
            table: Aggregator::new(self.workload.measures(), self.budget.table_bytes),
            windows: Windows::default(),
            local_rows: 0,
            partial_rows: 0,
            partial_bytes: 0,
        };
        let desks = Pool::new((0..self.budget.tables.max(1)).map(desk).collect());
        let allowance = Allowance::new(self.budget.partial_bytes);
        let bad = Mutex::new((Vec::new(), 0_u64));
        parallel::for_each(self.budget.readers, inputs, |input| match input {
            Input::Local(object) => self.read_local(&object, &desks),
            Input::Partial(receipt) => {
                let bytes = usize::try_from(receipt.bytes).unwrap_or(usize::MAX);
                let outcome = allowance.with(bytes, || self.read_partial(&receipt, &desks))?;
                if let Err(why) = outcome {
                    let (named, count) = &mut *lock(&bad);
                    *count += 1;
                    if named.len() < MAX_NAMED {
                        let (batch, records) = (receipt.batch, receipt.records);
                        named.push(BadPartial {
                            batch,
                            records,
                            why,
                        });
                    }
                }
                Ok(())
            }
        })?;

        let (mut bad_partials, bad_partial_count) = bad
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        bad_partials.sort_unstable_by_key(|bad| bad.batch);
        let mut lanes = Lanes {
            tables: Vec::new(),
            windows: Windows::default(),
            local_rows: 0,
            partial_rows: 0,
            partial_bytes: 0,
            bad_partials,
            bad_partial_count,
        };
        for desk in desks.into_inner() {
            lanes.tables.push(desk.table);
            lanes.windows.add(&desk.windows);
            lanes.local_rows += desk.local_rows;
            lanes.partial_rows += desk.partial_rows;
            lanes.partial_bytes += desk.partial_bytes;
        }
        Ok(lanes)
    }

    fn read_local(&self, object: &Object, desks: &Pool<Desk>) -> Result<(), Error> {
        for_each_block(self.store, object, self.budget.block_bytes, &mut |block| {
            desks.with(|desk| self.add_local(object, block, desk))
        })
    }

    fn add_local(&self, object: &Object, block: Block<'_>, desk: &mut Desk) -> Result<(), Error> {
        let mut measures = vec![0; self.workload.measures().len()];
        // Rows of one window follow each other: look the window up once.
        let mut counted: Option<(i64, Window)> = None;
        for (number, line) in block.lines() {
            let malformed = |why: &dyn fmt::Display| {
                let message = format!("{}:{number}: {why}", self.store.uri(&object.key));
                Error::new(ErrorKind::Data, message)
            };
            let row = local_row::parse(line, &mut measures).map_err(|error| malformed(&error))?;
            let LocalRow {
                window_start_ms,
                records,
                malformed: unread,
                key,
            } = row;
            if std::str::from_utf8(&key).is_err() {
                return Err(malformed(&"the key is not UTF-8"));
            }
            if counted.is_none_or(|(start_ms, _)| start_ms != window_start_ms) {
                if !is_start(self.window_size, window_start_ms) {
                    return Err(malformed(&Stranger::Start(
                        window_start_ms,
                        self.window_size,
                    )));
                }
                if let Some((start_ms, window)) = counted.take() {
                    desk.windows.entry(start_ms).add(&window);
                }
            }
            let (_, window) = counted.get_or_insert((window_start_ms, Window::default()));
            window.local = window.local.saturating_add(records);
            window.malformed = window.malformed.saturating_add(unread);
            desk.local_rows += 1;
            // A row without key and measures is there for its counts only.
            if !key.is_empty() || measures.iter().any(|value| *value != 0) {
                desk.table.add(
                    &Row {
                        window_start_ms,
                        key: &key,
                        measures: &measures,
                    },
                    self.runs,
                )?;
            }
        }
        // Also without a record: a row of a window that nobody opened must not vanish unseen.
        if let Some((start_ms, window)) = counted {
            desk.windows.entry(start_ms).add(&window);
        }
        Ok(())
    }

    /// The inner error says why the partial does not count.
    fn read_partial(
        &self,
        receipt: &Receipt,
        desks: &Pool<Desk>,
    ) -> Result<Result<(), String>, Error> {
        let content = self.fetch(receipt)?;
        desks.with(|desk| {
            let merged = match content {
                Ok(content) => self.add_partial(receipt, content, desk)?,
                Err(why) => Err(why),
            };
            for count in &receipt.windows {
                let window = desk.windows.entry(count.start_ms);
                if merged.is_ok() {
                    window.receipted = window.receipted.saturating_add(count.records);
                    window.malformed = window.malformed.saturating_add(count.malformed);
                } else {
                    window.missing = window.missing.saturating_add(count.records);
                }
            }
            Ok(merged)
        })
    }

    fn fetch(&self, receipt: &Receipt) -> Result<Result<Bytes, String>, Error> {
        // One byte more than there should be: enough to see that an object is too long.
        let max = usize::try_from(receipt.bytes.saturating_add(1)).unwrap_or(usize::MAX);
        let uri = self.store.uri(&receipt.object);
        let Some(content) = self.store.read(&receipt.object, 0, max)? else {
            return Ok(Err(format!("{uri} does not exist")));
        };
        if content.len() as u64 != receipt.bytes {
            let more = if content.len() == max {
                "more than "
            } else {
                ""
            };
            let (is, should) = (content.len().min(max - 1), receipt.bytes);
            return Ok(Err(format!(
                "{uri} has {more}{is} bytes, but the receipt says {should}"
            )));
        }
        if Digest::of(&content) != receipt.sha256 {
            return Ok(Err(format!("{uri} has another checksum than the receipt")));
        }
        Ok(Ok(content))
    }

    /// Adds the rows of a partial. If it turns out wrong half-way, rows of it have been added
    /// already, but only to windows of its receipt, which then stay open and out of the result.
    fn add_partial(
        &self,
        receipt: &Receipt,
        content: Bytes,
        desk: &mut Desk,
    ) -> Result<Result<(), String>, Error> {
        let uri = || self.store.uri(&receipt.object);
        let unreadable = |error: PartialError| Ok(Err(format!("{}: {error}", uri())));
        let bytes = content.len() as u64;
        let mut partial = match PartialReader::open(content) {
            Ok(partial) => partial,
            Err(error) => return unreadable(error),
        };
        let same = partial.batch() == receipt.batch
            && partial.workload() == self.workload
            && partial.windows() == receipt.windows;
        if !same {
            return Ok(Err(format!(
                "{} is of another batch than its receipt",
                uri()
            )));
        }
        let mut rows = 0;
        loop {
            let row = match partial.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => return unreadable(error),
            };
            if !has_window(&receipt.windows, row.window_start_ms) {
                return Ok(Err(format!(
                    "{} has rows of a window not in its receipt",
                    uri()
                )));
            }
            desk.table.add(&row, self.runs)?;
            rows += 1;
        }
        if rows != receipt.rows {
            let should = receipt.rows;
            return Ok(Err(format!(
                "{} has {rows} rows, but the receipt says {should}",
                uri()
            )));
        }
        desk.partial_rows += rows;
        desk.partial_bytes += bytes;
        Ok(Ok(()))
    }
}

fn has_window(windows: &[WindowCount], start_ms: i64) -> bool {
    windows
        .binary_search_by_key(&start_ms, |window| window.start_ms)
        .is_ok()
}

fn broken(receipts: &Path, error: &io::Error) -> Error {
    Error::io(
        format_args!("cannot read back {}", receipts.display()),
        error,
    )
}
