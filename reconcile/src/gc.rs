//! `gc`: removing partials that no receipt will ever name.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use spillway_core::ids::BatchId;
use spillway_core::partial;

use crate::books::{self, LEDGER, Ledger, PARTIALS};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind};
use crate::run::batch_of;
use crate::store::{Store, list_committed};

/// What a collection needs.
pub struct Collect<'a> {
    /// The job's folder.
    pub store: &'a dyn Store,
    /// How old an orphan must be at least.
    pub grace: Duration,
    /// The time by which age is measured.
    pub now: SystemTime,
    /// Only say what would be removed.
    pub dry_run: bool,
    /// Limits.
    pub budget: Budget,
    /// Where temporary files go.
    pub temp_dir: &'a Path,
}

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Orphans removed, or that would be.
    pub removed: u64,
    /// Their size in bytes.
    pub removed_bytes: u64,
    /// Orphans that are too young, or that a pending checkpoint may still name.
    pub spared: u64,
    /// Partials that a committed receipt names.
    pub receipted: u64,
}

impl Collect<'_> {
    /// Removes orphans, and calls `removing` for each before it goes.
    ///
    /// Why nothing is removed that still counts:
    /// - The partials are listed before the ledger is read. A receipt that is committed in between
    ///   is seen.
    /// - A receipt is emitted soon after its partial was written, but it is committed only with a
    ///   checkpoint, and if the job is down at that moment, whenever it is restored: the grace
    ///   period alone would not cover that. So age is not measured against the clock, but against
    ///   the newest committed file of the ledger: a checkpoint that was completed a grace period
    ///   after the partial was written held every receipt of that time, and its files and all
    ///   before are committed. Only of a job that has ended is age measured against `now`.
    /// - While books and receipts tell of different numbers of diverted records, files of the ledger are
    ///   yet to be committed, which may name any partial: nothing is removed.
    /// - A ledger that cannot be read to its end, or is empty, removes nothing.
    pub fn run(
        &self,
        removing: &mut dyn FnMut(&BatchId, u64) -> Result<(), Error>,
    ) -> Result<Collected, Error> {
        let folder = tempfile::tempdir_in(self.temp_dir).map_err(|error| {
            let doing = format!(
                "cannot make a temporary folder in {}",
                self.temp_dir.display()
            );
            Error::create(doing, &error)
        })?;
        let listing = folder.path().join("partials");
        self.list_partials(&listing)?;
        let newest = self.newest_ledger_file()?;
        let Budget {
            readers,
            block_bytes,
            ..
        } = self.budget;
        let ledger = books::read(self.store, readers, block_bytes, |_, _| Ok(()))?;
        let reference = if !ledger.is_settled() {
            // Nothing is old enough.
            SystemTime::UNIX_EPOCH
        } else if ledger.progress.has_ended() {
            self.now
        } else {
            newest.min(self.now)
        };
        self.remove(&ledger, reference, &listing, removing)
    }

    /// Keeps the listing in a file: there may be more partials than fit into memory.
    fn list_partials(&self, listing: &Path) -> Result<(), Error> {
        let failed =
            |error| Error::create(format_args!("cannot write {}", listing.display()), &error);
        let mut file = BufWriter::new(File::create(listing).map_err(failed)?);
        self.store.list(PARTIALS, &mut |object| {
            // What has no batch's name was not written by us and is not ours to remove.
            let Some(batch) = batch_of(&object.key) else {
                return Ok(());
            };
            let since_epoch = object.modified.duration_since(SystemTime::UNIX_EPOCH);
            let modified_ms = since_epoch.unwrap_or_default().as_millis();
            writeln!(file, "{batch} {} {modified_ms}", object.bytes).map_err(failed)
        })?;
        file.flush().map_err(failed)
    }

    fn newest_ledger_file(&self) -> Result<SystemTime, Error> {
        let files = list_committed(self.store, LEDGER)?;
        let newest = files.into_iter().map(|object| object.modified).max();
        Ok(newest.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    fn remove(
        &self,
        ledger: &Ledger,
        reference: SystemTime,
        listing: &Path,
        removing: &mut dyn FnMut(&BatchId, u64) -> Result<(), Error>,
    ) -> Result<Collected, Error> {
        let broken = |error| {
            Error::io(
                format_args!("cannot read back {}", listing.display()),
                &error,
            )
        };
        let mut collected = Collected::default();
        for line in BufReader::new(File::open(listing).map_err(broken)?).lines() {
            let line = line.map_err(broken)?;
            let (batch, bytes, modified) = parse(&line).ok_or_else(|| {
                Error::new(ErrorKind::Io, format_args!("cannot read back {line:?}"))
            })?;
            if ledger.has_receipt(&batch) {
                collected.receipted += 1;
                continue;
            }
            let age = reference.duration_since(modified).unwrap_or_default();
            if age < self.grace || age.is_zero() {
                collected.spared += 1;
                continue;
            }
            removing(&batch, bytes)?;
            if !self.dry_run {
                self.store.delete(&partial::object_key(&batch))?;
            }
            collected.removed += 1;
            collected.removed_bytes += bytes;
        }
        Ok(collected)
    }
}

fn parse(line: &str) -> Option<(BatchId, u64, SystemTime)> {
    let mut columns = line.split(' ');
    let batch = columns.next()?.parse().ok()?;
    let bytes = columns.next()?.parse().ok()?;
    let modified_ms = columns.next()?.parse().ok()?;
    Some((
        batch,
        bytes,
        SystemTime::UNIX_EPOCH + Duration::from_millis(modified_ms),
    ))
}
