use spillway_core::ledger::BooksHead;
use spillway_core::window::WindowSize;

use super::*;

/// Books without windows.
pub(in crate::books) fn books(
    attempt: u64,
    subtask: u32,
    parallelism: u32,
    checkpoint: Option<u64>,
    watermark_ms: Option<i64>,
) -> Books {
    let head = BooksHead {
        job: "job".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        attempt: format!("{attempt:016x}").parse().unwrap(),
        subtask,
        parallelism,
        restored: None,
        window_size: WindowSize::from_millis(1000).unwrap(),
    };
    Books::new(head, checkpoint, watermark_ms, Vec::new())
}

/// The watermark that all of these lines come to, in whatever order.
fn watermark(mut lines: Vec<Books>) -> Option<i64> {
    let of = |lines: &[Books]| {
        let mut progress = Progress::default();
        for line in lines {
            progress.add(line);
        }
        progress.cut().map(|cut| cut.watermark_ms)
    };
    let forward = of(&lines);
    lines.reverse();
    assert_eq!(
        of(&lines),
        forward,
        "the order of the lines must not matter"
    );
    forward
}

#[test]
fn a_window_has_passed_when_the_watermark_is_at_its_last_millisecond() {
    let mut progress = Progress::default();
    assert!(!progress.has_passed(i64::MIN));
    progress.add(&books(1, 0, 1, Some(1), Some(999)));
    assert!(progress.has_passed(1000));
    assert!(!progress.has_passed(1001));
}

#[test]
fn the_slowest_subtask_counts() {
    let lines = vec![
        books(1, 0, 2, Some(3), Some(5000)),
        books(2, 1, 2, Some(3), Some(2000)),
    ];
    assert_eq!(watermark(lines), Some(2000));
}

#[test]
fn a_subtask_that_has_not_seen_a_record_holds_everything() {
    let lines = vec![
        books(1, 0, 2, Some(3), Some(5000)),
        books(2, 1, 2, Some(3), None),
    ];
    assert_eq!(watermark(lines), Some(i64::MIN));
}

#[test]
fn after_a_restart_the_old_attempt_does_not_count() {
    let lines = vec![
        books(1, 0, 1, Some(3), Some(5000)),
        books(2, 0, 1, Some(4), Some(4000)),
    ];
    assert_eq!(watermark(lines), Some(4000));
}

#[test]
fn after_scaling_down_the_subtasks_that_are_gone_do_not_count() {
    let lines = vec![
        books(1, 0, 2, Some(3), Some(1000)),
        books(2, 1, 2, Some(3), Some(1000)),
        books(3, 0, 1, Some(4), Some(9000)),
    ];
    assert_eq!(watermark(lines), Some(9000));
}

#[test]
fn after_scaling_up_an_old_watermark_does_not_stand_for_a_new_subtask() {
    let old = [books(1, 0, 1, Some(3), Some(3000))];
    let first = [books(2, 0, 2, Some(4), Some(9000))];
    let second = [books(3, 1, 2, Some(4), Some(4000))];
    // Only one of the two subtasks' files is committed yet: the checkpoint before still holds.
    assert_eq!(watermark([&old[..], &first[..]].concat()), Some(3000));
    assert_eq!(
        watermark([&old[..], &first[..], &second[..]].concat()),
        Some(4000)
    );
}

#[test]
fn a_subtask_at_its_end_does_not_hold_the_others() {
    let mut lines = vec![
        books(1, 0, 2, Some(1), Some(500)),
        books(2, 1, 2, Some(1), Some(700)),
        books(1, 0, 2, None, Some(i64::MAX)),
        books(2, 1, 2, Some(2), Some(1500)),
    ];
    assert_eq!(watermark(lines.clone()), Some(1500));
    lines.push(books(2, 1, 2, None, Some(i64::MAX)));
    assert_eq!(watermark(lines), Some(i64::MAX));
}

#[test]
fn a_subtask_that_ended_before_its_first_checkpoint_has_ended() {
    let lines = vec![
        books(1, 0, 2, None, Some(i64::MAX)),
        books(2, 1, 2, Some(1), Some(1500)),
    ];
    assert_eq!(watermark(lines), Some(1500));
}

#[test]
fn a_job_shorter_than_its_checkpoint_interval_has_ended_when_all_subtasks_have() {
    let mut lines = vec![books(1, 0, 2, None, Some(i64::MAX))];
    assert_eq!(watermark(lines.clone()), None);
    lines.push(books(2, 1, 2, None, Some(i64::MAX)));
    assert_eq!(watermark(lines), Some(i64::MAX));
}

#[test]
fn the_end_of_an_attempt_from_before_a_restart_does_not_count() {
    let lines = vec![
        books(1, 0, 1, Some(3), Some(3000)),
        books(1, 0, 1, None, Some(i64::MAX)),
        books(2, 0, 1, Some(4), Some(3500)),
    ];
    assert_eq!(watermark(lines), Some(3500));
}

#[test]
fn an_attempt_that_ends_before_its_first_checkpoint_after_a_restart_ends_the_job() {
    let mut progress = Progress::default();
    progress.add(&books(1, 0, 1, Some(3), Some(3000)));
    assert!(!progress.has_ended());
    progress.add(&books(2, 0, 1, None, Some(i64::MAX)));
    assert!(progress.has_ended());
}

#[test]
fn a_valve_that_has_ended_does_not_hold_the_others() {
    let other = |checkpoint, watermark_ms| {
        let mut line = books(9, 0, 1, checkpoint, Some(watermark_ms));
        line.valve = "other".parse().unwrap();
        line
    };
    let lines = vec![
        books(1, 0, 1, Some(1), Some(1000)),
        other(Some(1), 500),
        other(None, i64::MAX),
        books(1, 0, 1, Some(2), Some(2000)),
    ];
    assert_eq!(watermark(lines), Some(2000));
}

#[test]
fn every_valve_of_the_job_counts_until_it_is_taken_out() {
    let other = |checkpoint, watermark_ms| {
        let mut line = books(9, 0, 1, Some(checkpoint), Some(watermark_ms));
        line.valve = "other".parse().unwrap();
        line
    };
    let mut lines = vec![books(1, 0, 1, Some(1), Some(8000)), other(1, 2000)];
    assert_eq!(watermark(lines.clone()), Some(2000));
    // The newest checkpoint has no books of the other valve yet.
    lines.push(books(1, 0, 1, Some(2), Some(9000)));
    assert_eq!(watermark(lines.clone()), Some(2000));
    lines.extend((3..20).map(|checkpoint| books(1, 0, 1, Some(checkpoint), Some(10_000))));
    assert_eq!(watermark(lines), Some(10_000));
}

#[test]
fn a_stop_with_savepoint_is_no_end() {
    let mut stop = books(1, 0, 1, None, None);
    stop.is_final = false;
    let mut progress = Progress::default();
    progress.add(&stop);
    assert!(!progress.has_ended() && !progress.has_passed(1000));
    progress.add(&books(2, 0, 1, Some(1), Some(499)));
    assert!(!progress.has_ended() && !progress.has_passed(1000));
}

/// Books of an attempt that says what it was restored from; its last ones if they are of no checkpoint.
fn restored(
    attempt: u64,
    (subtask, parallelism): (u32, u32),
    from: u64,
    checkpoint: Option<u64>,
    watermark_ms: i64,
) -> Books {
    let mut books = books(
        attempt,
        subtask,
        parallelism,
        checkpoint,
        Some(watermark_ms),
    );
    books.restored = Some(from);
    books.is_final = checkpoint.is_none();
    books
}

/// Last books of subtasks, each an attempt of its own, restored from checkpoint `from`.
fn ended(subtasks: std::ops::Range<u32>, parallelism: u32, from: u64) -> Vec<Books> {
    subtasks
        .map(|subtask| {
            let attempt = 10 + u64::from(subtask);
            restored(attempt, (subtask, parallelism), from, None, i64::MAX)
        })
        .collect()
}

#[test]
fn a_rescaled_job_that_ends_before_its_next_checkpoint_has_ended() {
    let before = || vec![restored(1, (0, 1), 0, Some(11), 5000)];
    let with = |more: Vec<Books>| watermark([before(), more].concat());
    assert_eq!(with(ended(0..3, 3, 11)), Some(i64::MAX));
    // Not while a subtask is missing, nor by what was restored from an older checkpoint, nor if there was another one since.
    assert_eq!(with(ended(0..2, 3, 11)), Some(5000));
    assert_eq!(with(ended(0..3, 3, 10)), Some(5000));
    let mut since = ended(0..3, 3, 11);
    since.push(restored(2, (0, 1), 11, Some(12), 6000));
    assert_eq!(with(since), Some(6000));
}

#[test]
fn last_books_from_before_a_restore_end_nothing() {
    // From 2 to 1 to 2 subtasks; which of them has nothing to read changes.
    let lines = vec![
        restored(1, (0, 2), 11, None, i64::MAX),
        restored(2, (1, 2), 11, Some(12), 500),
        restored(3, (0, 1), 12, Some(13), 700),
        restored(4, (0, 2), 13, Some(14), 999),
        restored(5, (1, 2), 13, None, i64::MAX),
    ];
    assert_eq!(watermark(lines), Some(999));
}

#[test]
fn a_subtask_that_ended_before_a_restore_is_waited_for_after_it() {
    // Of checkpoint 13 only one subtask's books are committed yet.
    let before = vec![
        restored(1, (0, 2), 11, Some(12), 500),
        restored(2, (1, 2), 11, None, i64::MAX),
    ];
    assert_eq!(watermark(before.clone()), Some(500));
    let after = [before, vec![restored(3, (0, 2), 12, Some(13), 999)]].concat();
    assert_eq!(watermark(after.clone()), Some(500));
    let ended = [after, vec![restored(4, (1, 2), 12, None, i64::MAX)]].concat();
    assert_eq!(watermark(ended), Some(999));
}

#[test]
fn a_job_of_last_books_only_has_ended_when_its_newest_attempts_have() {
    let idle = || restored(1, (2, 3), 0, None, i64::MAX);
    assert_eq!(watermark(vec![idle()]), None);
    let rescaled = restored(2, (0, 1), 1, None, i64::MAX);
    assert_eq!(watermark(vec![idle(), rescaled]), Some(i64::MAX));
}
