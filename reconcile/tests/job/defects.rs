//! Whatever is wrong shows in the balance, and nothing wrong is in the result.

use std::fs;

use crate::common::{ATTEMPT, Job, batch, books, counts, tiny};
use spillway_core::ids::AttemptId;
use spillway_reconcile::balance::Summary;
use spillway_reconcile::error::ErrorKind;

/// Runs, expects it not to balance, and gives the summary and the windows of the result.
fn unbalanced(job: &Job) -> (Summary, Vec<i64>) {
    let outcome = job.run();
    assert!(!outcome.summary.balanced, "{}", outcome.sheet);
    assert!(outcome.sheet.contains("NOT balanced"), "{}", outcome.sheet);
    let mut windows: Vec<i64> = job
        .csv()
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().parse().unwrap())
        .collect();
    windows.dedup();
    (outcome.summary, windows)
}

fn lost_and_duplicated(summary: &Summary) -> (u64, u64, usize) {
    (summary.lost, summary.duplicated, summary.open)
}

#[test]
fn a_lost_local_row_is_lost_and_keeps_its_window_out() {
    let job = Job::balanced();
    job.put_local("part-0", &[(100, "local both")]);
    let (summary, windows) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (1, 0, 1));
    assert_eq!(windows, [0]);
    assert_eq!(summary.windows_detail[0].start_ms, 1000);
    assert!(
        summary.windows_detail[0]
            .why
            .contains("1 kept + bounced, but 0 in local rows")
    );
}

#[test]
fn a_local_file_that_was_copied_is_duplicated() {
    let job = Job::balanced();
    let rows = fs::read(job.file("local/part-0")).unwrap();
    job.put("local/part-0-copy", rows);
    let (summary, windows) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (0, 2, 2));
    assert!(windows.is_empty());
}

#[test]
fn a_receipt_that_is_missing_is_lost_and_its_partial_is_an_orphan() {
    let job = Job::balanced();
    let windows = [counts(0, 3, 1, 2), counts(1000, 2, 1, 1)];
    job.put_ledger("part-0", &[books(None, &windows).to_line()]);
    let (summary, _) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (3, 0, 2));
    assert_eq!(summary.orphans, 1);
}

#[test]
fn a_receipt_that_the_books_do_not_know_is_duplicated() {
    let job = Job::balanced();
    let extra = job.put_partial(7, &[(1500, "extra")]);
    job.put_ledger("part-1", &[extra.to_line()]);
    let (summary, windows) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (0, 1, 1));
    assert_eq!(windows, [0]);
}

#[test]
fn books_that_do_not_add_up_are_noticed() {
    let job = Job::balanced();
    job.put_ledger(
        "part-1",
        &[books(Some((1, 0)), &[counts(1000, 4, 0, 0)]).to_line()],
    );
    let (summary, windows) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (4, 0, 1));
    assert_eq!(windows, [0]);
}

#[test]
fn a_missing_partial_is_lost_and_named() {
    let job = Job::balanced();
    fs::remove_file(job.file(&format!("partials/{}/{}.parquet", ATTEMPT, batch(0)))).unwrap();
    let (summary, _) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (3, 0, 2));
    assert_eq!(summary.bad_partials, 1);
    let why = &summary.bad_partials_detail[0];
    assert!(
        why.contains(&batch(0).to_string()) && why.contains("does not exist"),
        "{why}"
    );
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_partial_is_lost_whatever_the_damage() {
    let damages: [(&str, Damage); 3] = [
        ("another checksum", |content| content[10] ^= 1),
        ("bytes, but the receipt says", |content| {
            content.truncate(content.len() - 1);
        }),
        ("has more than", |content| content.push(0)),
    ];
    for (expected, damage) in damages {
        let job = Job::balanced();
        let path = job.file(&format!("partials/{}/{}.parquet", ATTEMPT, batch(0)));
        let mut content = fs::read(&path).unwrap();
        damage(&mut content);
        fs::write(&path, content).unwrap();
        let (summary, windows) = unbalanced(&job);
        assert_eq!(lost_and_duplicated(&summary), (3, 0, 2));
        let why = &summary.bad_partials_detail[0];
        assert!(why.contains(expected), "{why}");
        assert!(windows.is_empty());
    }
}

#[test]
fn a_partial_of_another_batch_under_a_receipts_name_does_not_count() {
    let job = Job::balanced();
    let mut receipt = job.put_partial(0, &[(300, "cloud both"), (400, ""), (1900, "cloud")]);
    let other = job.put_partial(1, &[(300, "cloud both"), (400, ""), (1900, "cloud")]);
    fs::copy(job.file(&other.object), job.file(&receipt.object)).unwrap();
    fs::remove_file(job.file(&other.object)).unwrap();
    // Checksum and size fit, so only what is inside can tell.
    (receipt.sha256, receipt.bytes) = (other.sha256, other.bytes);
    let windows = [counts(0, 3, 1, 2), counts(1000, 2, 1, 1)];
    job.put_ledger(
        "part-0",
        &[receipt.to_line(), books(None, &windows).to_line()],
    );
    let (summary, _) = unbalanced(&job);
    assert!(
        summary.bad_partials_detail[0].contains("another batch"),
        "{summary:?}"
    );
}

#[test]
fn a_ledger_file_that_was_copied_is_noticed_and_counted_once() {
    let job = Job::balanced();
    let lines = fs::read(job.file("ledger/part-0")).unwrap();
    job.put("ledger/part-0-copy", lines);
    let (summary, windows) = unbalanced(&job);
    assert_eq!((summary.repeated_receipts, summary.repeated_books), (1, 1));
    assert_eq!((summary.received, summary.receipted), (5, 3));
    assert_eq!(lost_and_duplicated(&summary), (0, 3, 2));
    assert!(windows.is_empty());
}

#[test]
fn a_checkpoint_in_the_books_of_two_attempts_is_noticed_though_all_windows_balance() {
    let job = Job::new();
    job.put_local("part-0", &[(100, "once"), (100, "once")]);
    let first = books(Some((4, 5000)), &[counts(0, 1, 1, 0)]);
    let mut second = first.clone();
    second.attempt = "00000000000000aa".parse::<AttemptId>().unwrap();
    job.put_ledger("part-0", &[first.to_line(), second.to_line()]);
    let outcome = job.run();
    assert!(!outcome.summary.balanced);
    assert_eq!(
        (outcome.summary.replayed_books, outcome.summary.open),
        (1, 0)
    );
    assert!(
        outcome
            .sheet
            .contains("restored from a checkpoint before its last"),
        "{}",
        outcome.sheet
    );
}

#[test]
fn an_orphan_is_counted_and_never_merged() {
    let job = Job::balanced();
    let orphan = job.put_partial(9, &[(100, "orphan")]);
    job.put("partials/notes.txt", "mine");
    let outcome = job.run();
    assert!(outcome.summary.balanced, "{}", outcome.sheet);
    assert_eq!(
        (outcome.summary.orphans, outcome.summary.orphan_bytes),
        (1, orphan.bytes)
    );
    assert_eq!(outcome.summary.unknown_objects, 1);
    assert!(!job.csv().contains("orphan"));
}

#[test]
fn a_running_job_has_open_windows_but_nothing_lost() {
    let job = Job::new();
    job.put_local("part-0", &[(100, "done")]);
    let windows = [counts(0, 1, 1, 0), counts(1000, 5, 2, 0)];
    job.put_ledger("part-0", &[books(Some((3, 999)), &windows).to_line()]);
    let (summary, windows) = unbalanced(&job);
    assert_eq!(lost_and_duplicated(&summary), (0, 0, 1));
    assert_eq!((summary.closed, summary.ended), (1, false));
    assert_eq!(
        summary.windows_detail[0].why,
        "the watermark has not passed its end"
    );
    assert_eq!(windows, [0]);
}

#[test]
fn a_malformed_line_ends_everything_and_is_named_with_file_and_number() {
    let last = |job: &Job, key: &str, line: &str| {
        let mut text = fs::read_to_string(job.file(key)).unwrap();
        text.push_str(line);
        job.put(key, text);
    };
    for (key, line, place) in [
        (
            "ledger/part-0",
            "{\"type\":\"receipt\"}\n",
            "ledger/part-0:3: ",
        ),
        ("ledger/part-0", "\n", "ledger/part-0:3: "),
        (
            "ledger/part-0",
            "{\"type\":\"books\"",
            "ledger/part-0:3: the last line",
        ),
        ("local/part-0", "0\t1\t0\tword\n", "local/part-0:4: "),
        (
            "local/part-0",
            "500\t1\t0\t1\tword\n",
            "local/part-0:4: 500 ms is not the start",
        ),
        (
            "local/part-0",
            "0\t1\t0\t1\two",
            "local/part-0:4: the last line",
        ),
    ] {
        let job = Job::balanced();
        last(&job, key, line);
        let error = job.run_with(tiny()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().contains(place), "{error}");
        assert!(!job.file("final").exists(), "nothing is half done");
    }
}

#[test]
fn a_line_of_another_job_or_window_size_is_refused() {
    let line = books(Some((1, 0)), &[]).to_line();
    for (line, reasons) in [
        (
            line.replace("\"job\":\"job\"", "\"job\":\"other\""),
            ["of the job other", "of the job job"],
        ),
        (
            line.replace("\"window_size_ms\":1000", "\"window_size_ms\":500"),
            ["windows of 500 ms", "windows of 1000 ms"],
        ),
    ] {
        let job = Job::balanced();
        job.put_ledger("part-1", &[line]);
        let error = job.run_with(tiny()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        // Files are read in any order, so either of the two may be called the stranger.
        assert!(
            reasons.iter().any(|why| error.to_string().contains(why)),
            "{error}"
        );
    }
}

#[test]
fn without_a_committed_ledger_there_is_nothing_to_reconcile() {
    let job = Job::new();
    job.put("ledger/.part-0.inprogress", "");
    let error = job.run_with(tiny()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoInput);
    assert!(error.to_string().contains("no committed ledger"), "{error}");
}
