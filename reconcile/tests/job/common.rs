//! A job's folder, written as the valve, the local lane and the function would write it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use spillway_core::aggregate::aggregate;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::ids::BatchId;
use spillway_core::ledger::{Books, BooksHead, BooksWindow};
use spillway_core::local_row::{self, LocalRow};
use spillway_core::partial;
use spillway_core::receipt::Receipt;
use spillway_core::window::WindowSize;
use spillway_reconcile::budget::Budget;
use spillway_reconcile::error::Error;
use spillway_reconcile::export::export;
use spillway_reconcile::run::{Outcome, Reconcile};
use spillway_reconcile::store::DirectoryStore;
use tempfile::TempDir;

pub(crate) const WINDOW_MS: i64 = 1000;
pub(crate) const ATTEMPT: &str = "9f3a6c1e2b7d4f08";

/// A record: its event time and its text.
pub(crate) type Record<'a> = (i64, &'a str);

/// What a run of a budget so small takes many runs and row groups.
pub(crate) fn tiny() -> Budget {
    Budget {
        readers: 3,
        tables: 2,
        table_bytes: 2000,
        block_bytes: 100,
        partial_bytes: 1000,
        fan_in: 3,
        run_buffer_bytes: 64,
        row_group_rows: 7,
        row_group_key_bytes: 100,
        part_bytes: 1000,
    }
}

/// A job's folder.
pub(crate) struct Job {
    folder: TempDir,
}

impl Job {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A finished job: two windows; a word in each lane, and one in both; nothing late.
    pub(crate) fn balanced() -> Self {
        let job = Self::new();
        job.put_local("part-0", &[(100, "local both"), (1200, "both")]);
        let receipt = job.put_partial(0, &[(300, "cloud both"), (400, ""), (1900, "cloud")]);
        let windows = [counts(0, 3, 1, 2), counts(1000, 2, 1, 1)];
        job.put_ledger(
            "part-0",
            &[receipt.to_line(), books(None, &windows).to_line()],
        );
        job
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.path().join(key)
    }

    /// Writes a file.
    pub(crate) fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.file(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a file of the ledger.
    pub(crate) fn put_ledger(&self, name: &str, lines: &[String]) {
        self.put(&format!("ledger/{name}"), lines.join("\n") + "\n");
    }

    /// Writes a file of the local lane with a row for each word, not merged at all.
    pub(crate) fn put_local(&self, name: &str, records: &[Record<'_>]) {
        let mut out = Vec::new();
        for (time_ms, text) in records {
            let window_start_ms = time_ms.div_euclid(WINDOW_MS) * WINDOW_MS;
            let mut row = |records, key: &str, count| {
                let key = key.as_bytes().into();
                let row = LocalRow {
                    window_start_ms,
                    records,
                    malformed: 0,
                    key,
                };
                local_row::format(&row, &[count], &mut out);
            };
            let mut words = text.split_whitespace();
            match words.next() {
                Some(first) => row(1, first, 1),
                None => row(1, "", 0),
            }
            words.for_each(|word| row(0, word, 1));
        }
        self.put(&format!("local/{name}"), out);
    }

    /// Writes a batch's partial, and gives its receipt.
    pub(crate) fn put_partial(&self, sequence: u64, records: &[Record<'_>]) -> Receipt {
        let id = batch(sequence);
        let mut builder = BatchBuilder::new(&id.to_string(), "job", "wordcount", WINDOW_MS);
        for (time_ms, text) in records {
            builder.push(*time_ms, text.as_bytes());
        }
        let message = builder.encode();
        let view = BatchView::parse(&message).unwrap();
        let aggregate = aggregate(&view).unwrap();
        let content = partial::write(&id, &aggregate).unwrap();
        let rows = aggregate.rows().len() as u64;
        let receipt = Receipt::new(&view, aggregate.windows().to_vec(), rows, &content);
        self.put(&receipt.object, &content);
        receipt
    }

    pub(crate) fn run_with(&self, budget: Budget) -> Result<Outcome, Error> {
        let store = DirectoryStore::new(self.path().into());
        let out = DirectoryStore::new(self.file("final"));
        let temp_dir = std::env::temp_dir();
        let reconcile = Reconcile {
            store: &store,
            out: &out,
            workload: None,
            budget,
            temp_dir: &temp_dir,
        };
        reconcile.run()
    }

    pub(crate) fn run(&self) -> Outcome {
        self.run_with(tiny()).unwrap()
    }

    /// The result as CSV.
    pub(crate) fn csv(&self) -> String {
        let store = DirectoryStore::new(self.file("final"));
        let mut out = Vec::new();
        export(&store, &std::env::temp_dir(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Every file below a folder, with its content.
    pub(crate) fn files(&self, key: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(self.file(key)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            files.insert(name, fs::read(entry.path()).unwrap());
        }
        files
    }
}

/// The id of the first attempt's batch of this number.
pub(crate) fn batch(sequence: u64) -> BatchId {
    BatchId::new(ATTEMPT.parse().unwrap(), 0, sequence).unwrap()
}

/// Books of the only subtask; the last ones, with the watermark at the end, if there is no
/// checkpoint.
pub(crate) fn books(checkpoint: Option<(u64, i64)>, windows: &[BooksWindow]) -> Books {
    let head = BooksHead {
        job: "job".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        attempt: ATTEMPT.parse().unwrap(),
        subtask: 0,
        parallelism: 1,
        restored: Some(0),
        window_size: WindowSize::from_millis(WINDOW_MS).unwrap(),
    };
    let (number, watermark_ms) = checkpoint.map_or((None, i64::MAX), |(n, w)| (Some(n), w));
    Books::new(head, number, Some(watermark_ms), windows.to_vec())
}

/// Counts of a window without anything bounced or late.
pub(crate) fn counts(start_ms: i64, received: u64, kept: u64, diverted: u64) -> BooksWindow {
    BooksWindow {
        start_ms,
        received,
        kept,
        diverted,
        bounced: 0,
        late: 0,
    }
}
