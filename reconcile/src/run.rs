//! `run`: ledger, local rows and partials become the result and its balance.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use spillway_core::ids::BatchId;
use spillway_core::partial;
use spillway_core::receipt::Receipt;
use spillway_core::workload::WorkloadKind;

use crate::balance::{Balance, Orphans, Summary};
use crate::books::{self, LOCAL, Ledger, PARTIALS};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::lanes::{Lanes, Source};
use crate::result::{self, Part, ResultWriter};
use crate::rows::{Merged, Runs};
use crate::sheet::sheet;
use crate::store::{Store, list_committed};

/// What a run needs.
pub struct Reconcile<'a> {
    /// The job's folder.
    pub store: &'a dyn Store,
    /// The result's folder.
    pub out: &'a dyn Store,
    /// What the local rows are of, if no receipt says it.
    pub workload: Option<WorkloadKind>,
    /// Limits.
    pub budget: Budget,
    /// Where temporary files go.
    pub temp_dir: &'a Path,
}

/// What a run gives.
#[derive(Debug)]
pub struct Outcome {
    /// The balance as numbers.
    pub summary: Summary,
    /// The balance as text.
    pub sheet: String,
    /// How many runs did not fit into memory and went through the disk.
    pub spilled_runs: u64,
}

impl Reconcile<'_> {
    /// Reads everything, writes the result of all closed windows, and gives the balance.
    ///
    /// The ledger is read before the lanes: what it says of windows that have passed was committed
    /// before or together with their rows, so rows that come later do not matter.
    pub fn run(&self) -> Result<Outcome, Error> {
        let runs = Runs::new(self.temp_dir)?;
        let receipts = runs.folder().join("receipts");
        let ledger = self.read_ledger(&receipts)?;
        let workload = self.workload(&ledger)?;
        // A ledger with committed lines has a window size.
        let window_size = ledger.window_size().ok_or_else(|| {
            let message = format!(
                "the ledger in {} has no lines",
                self.store.uri(books::LEDGER)
            );
            Error::new(ErrorKind::NoInput, message)
        })?;
        let source = Source {
            store: self.store,
            workload,
            window_size,
            budget: &self.budget,
            runs: &runs,
        };
        let mut lanes = source.read(list_committed(self.store, LOCAL)?, &receipts)?;
        let orphans = self.count_orphans(&ledger)?;
        let balance = Balance::new(&ledger, &lanes.windows);

        let parts = self.write(&mut lanes, &balance, &runs, workload)?;
        let rows = parts.iter().map(|part| part.rows).sum();
        let summary = Summary::new(&ledger, &lanes, &balance, orphans, workload, rows);
        result::publish(self.out, runs.folder(), &parts, marker(&summary, &parts)?)?;
        let (_, replay) = ledger.lineage.replays();
        let sheet = sheet(&summary, &balance, replay.as_ref(), &self.out.uri(""));
        Ok(Outcome {
            summary,
            sheet,
            spilled_runs: runs.created(),
        })
    }

    /// Reads the ledger, and keeps the receipts' lines in a file.
    fn read_ledger(&self, receipts: &Path) -> Result<Ledger, Error> {
        let failed = |error: std::io::Error| {
            Error::create(format_args!("cannot write {}", receipts.display()), &error)
        };
        let mut file = BufWriter::new(File::create(receipts).map_err(failed)?);
        let keep = |_: &Receipt, line: &[u8]| {
            file.write_all(line)
                .and_then(|()| file.write_all(b"\n"))
                .map_err(failed)
        };
        let Budget {
            readers,
            block_bytes,
            ..
        } = self.budget;
        let ledger = books::read(self.store, readers, block_bytes, keep)?;
        file.flush().map_err(failed)?;
        Ok(ledger)
    }

    fn workload(&self, ledger: &Ledger) -> Result<WorkloadKind, Error> {
        match (ledger.workload(), self.workload) {
            (Some(found), Some(given)) if found != given => {
                let (found, given) = (found.name(), given.name());
                let message = format!("the receipts are of {found}, but --workload is {given}");
                Err(Error::new(ErrorKind::Data, message))
            }
            (found, given) => Ok(found.or(given).unwrap_or(WorkloadKind::Wordcount)),
        }
    }

    fn count_orphans(&self, ledger: &Ledger) -> Result<Orphans, Error> {
        let mut orphans = Orphans::default();
        self.store.list(PARTIALS, &mut |object| {
            match batch_of(&object.key) {
                Some(batch) if ledger.has_receipt(&batch) => {}
                Some(_) => {
                    orphans.count += 1;
                    orphans.bytes += object.bytes;
                }
                None if object.is_committed() => orphans.unknown += 1,
                None => {}
            }
            Ok(())
        })?;
        Ok(orphans)
    }

    fn write(
        &self,
        lanes: &mut Lanes,
        balance: &Balance,
        runs: &Runs,
        workload: WorkloadKind,
    ) -> Result<Vec<Part>, Error> {
        let Budget {
            fan_in,
            run_buffer_bytes,
            ..
        } = self.budget;
        let tables = std::mem::take(&mut lanes.tables);
        let measures = workload.measures();
        let mut merged = Merged::new(measures, tables, runs, fan_in, run_buffer_bytes)?;
        let mut writer = ResultWriter::new(runs.folder(), workload, &self.budget)?;
        // Rows come window by window.
        let mut window = None;
        while let Some(row) = merged.next_row()? {
            let start_ms = row.window_start_ms;
            let (_, closed) = match window {
                Some((known, closed)) if known == start_ms => (known, closed),
                _ => *window.insert((start_ms, balance.is_closed(start_ms))),
            };
            if closed {
                writer.write(&row)?;
            }
        }
        writer.finish()
    }
}

/// The batch whose partial belongs under this key.
pub fn batch_of(key: &str) -> Option<BatchId> {
    let name = key.rsplit('/').next()?.strip_suffix(".parquet")?;
    let batch: BatchId = name.parse().ok()?;
    (partial::object_key(&batch) == key).then_some(batch)
}

fn marker(summary: &Summary, parts: &[Part]) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    struct Marker<'a> {
        parts: &'a [Part],
        #[serde(flatten)]
        summary: &'a Summary,
    }
    let marker = serde_json::to_vec_pretty(&Marker { parts, summary });
    marker.map_err(|error| Error::new(ErrorKind::CannotCreate, error))
}
