//! Orphans go when it is certain that they are orphans; nothing else ever goes.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::common::{ATTEMPT, Job, batch, books, counts, tiny};
use spillway_core::ids::BatchId;
use spillway_reconcile::error::{Error, ErrorKind};
use spillway_reconcile::gc::{Collect, Collected};
use spillway_reconcile::store::DirectoryStore;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn set_time(path: &Path, time: SystemTime) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

fn collect(job: &Job, dry_run: bool) -> Result<(Collected, Vec<BatchId>), Error> {
    let store = DirectoryStore::new(job.path().into());
    let temp_dir = std::env::temp_dir();
    let collect = Collect {
        store: &store,
        grace: HOUR,
        now: now(),
        dry_run,
        budget: tiny(),
        temp_dir: &temp_dir,
    };
    let mut removed = Vec::new();
    let collected = collect.run(&mut |batch, _| {
        removed.push(*batch);
        Ok(())
    })?;
    Ok((collected, removed))
}

/// A finished job with one batch that counts and two orphans, one of them young; all else is old.
fn finished() -> (Job, BatchId) {
    let job = Job::balanced();
    let counted = batch(0);
    let old = job.put_partial(1, &[(0, "old")]);
    let young = job.put_partial(2, &[(0, "young")]);
    job.put("partials/notes.parquet", "mine");
    for key in [&spillway_core::partial::object_key(&counted), &old.object] {
        set_time(&job.file(key), now() - HOUR - MINUTE);
    }
    set_time(&job.file("partials/notes.parquet"), now() - HOUR - MINUTE);
    set_time(&job.file(&young.object), now() - HOUR + MINUTE);
    (job, old.batch)
}

fn partials(job: &Job) -> Vec<String> {
    let folder = format!("partials/{ATTEMPT}");
    job.files(&folder).into_keys().collect()
}

#[test]
fn old_orphans_go_and_nothing_else() {
    let (job, orphan) = finished();
    let (collected, removed) = collect(&job, false).unwrap();
    assert_eq!(removed, [orphan]);
    assert_eq!(
        (collected.removed, collected.spared, collected.receipted),
        (1, 1, 1)
    );
    let left = [batch(0), batch(2)].map(|batch| format!("{batch}.parquet"));
    assert_eq!(partials(&job), left);
    assert!(job.file("partials/notes.parquet").exists());
    assert!(job.run().summary.balanced);
}

#[test]
fn a_dry_run_names_the_same_and_removes_nothing() {
    let (job, orphan) = finished();
    let (collected, removed) = collect(&job, true).unwrap();
    assert_eq!((collected.removed, removed), (1, vec![orphan]));
    assert_eq!(partials(&job).len(), 3);
}

#[test]
fn a_ledger_that_cannot_be_read_removes_nothing() {
    for (content, kind) in [
        ("not json\n", ErrorKind::Data),
        ("{\"type\"", ErrorKind::Data),
    ] {
        let (job, _) = finished();
        job.put("ledger/part-9", content);
        assert_eq!(collect(&job, false).unwrap_err().kind(), kind);
        assert_eq!(partials(&job).len(), 3);
    }
    let (job, _) = finished();
    fs::remove_dir_all(job.file("ledger")).unwrap();
    assert_eq!(collect(&job, false).unwrap_err().kind(), ErrorKind::NoInput);
    assert_eq!(partials(&job).len(), 3);
}

#[test]
fn while_the_job_can_come_back_only_its_own_commits_make_an_orphan_old() {
    let job = Job::new();
    let orphan = job.put_partial(1, &[(0, "maybe")]);
    set_time(&job.file(&orphan.object), now() - 10 * HOUR);
    job.put_ledger(
        "part-0",
        &[books(Some((1, 0)), &[counts(0, 1, 0, 0)]).to_line()],
    );
    let ledger = job.file("ledger/part-0");

    // The job has been down for hours: the checkpoint with the receipt may be waiting for it.
    set_time(&ledger, now() - 10 * HOUR + MINUTE);
    assert_eq!(collect(&job, false).unwrap().0.spared, 1);
    // It has committed since, without this batch.
    set_time(&ledger, now() - 8 * HOUR);
    assert_eq!(collect(&job, false).unwrap().1, [orphan.batch]);
}

#[test]
fn nothing_goes_while_a_receipt_is_yet_to_be_committed() {
    let (job, _) = finished();
    let diverted = books(Some((1, 999)), &[counts(0, 1, 0, 1)]);
    job.put_ledger("part-1", &[diverted.to_line()]);
    let (collected, removed) = collect(&job, false).unwrap();
    assert!(removed.is_empty());
    assert_eq!((collected.removed, collected.spared), (0, 2));
}
