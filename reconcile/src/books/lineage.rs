//! Which books are there: each should be there once, and no stretch of the job twice.

use std::collections::HashMap;

use spillway_core::ids::{AttemptId, ValveName};
use spillway_core::ledger::Books;

use super::intervals::Intervals;

/// Where a line of books stands among those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// As it should be.
    New,
    /// Its attempt has books for the same checkpoint already: the line was committed twice.
    Repeated,
    /// Another attempt of the same subtask has books for the same checkpoint; see [`Replay`].
    Replayed,
}

/// Two attempts of one subtask that tell of the same stretch of the job.
///
/// Flink numbers checkpoints on and on, over restarts and restores. So an attempt's books are of
/// the stretch from the checkpoint that it started from to the last that it has books for, and
/// where one attempt's stretch ends the next one's begins. Where two overlap, the job was restored
/// from an older checkpoint than its last, or a new run was started into the folder of an old one.
/// Either way what the first wrote after that point is still there, both lanes hold its records
/// twice, and every window balances: the sums alone would never tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The valve.
    pub valve: ValveName,
    /// The index of its subtask.
    pub subtask: u32,
    /// The attempt that had been further.
    pub before: AttemptId,
    /// The attempt that began again.
    pub again: AttemptId,
    /// A checkpoint after which both have books; 0: from the start.
    pub after: u64,
}

/// The stretch of every attempt's books.
#[derive(Debug, Default)]
pub struct Lineage {
    attempts: HashMap<(ValveName, AttemptId), Attempt>,
    subtasks: HashMap<(ValveName, u32), Intervals>,
    /// Number of lines of books.
    pub books: u64,
    /// Number of [`Origin::Repeated`] lines.
    pub repeated: u64,
    /// Number of [`Origin::Replayed`] lines.
    replayed: u64,
}

#[derive(Debug, Default)]
struct Attempt {
    subtask: u32,
    checkpoints: Intervals,
    ended: bool,
    /// The checkpoint that it started from, if it says so.
    from: Option<u64>,
    /// The newest checkpoint that it has books for, or else that it started from.
    newest: u64,
    /// The newest checkpoint for which it counted something.
    counted: u64,
    /// Whether it counted something after that.
    last: bool,
    /// Where its stretch ends.
    to: Point,
}

/// A checkpoint, or the time between it and the next: last books do not know the number of the
/// checkpoint that will commit them, but it is a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Point {
    checkpoint: u64,
    beyond: bool,
}

impl Point {
    fn at(checkpoint: u64) -> Self {
        Self {
            checkpoint,
            beyond: false,
        }
    }
}

impl Lineage {
    /// Notes a line of books.
    pub fn add(&mut self, books: &Books) -> Origin {
        self.books += 1;
        let attempt = self
            .attempts
            .entry((books.valve.clone(), books.attempt))
            .or_default();
        let first_of_attempt = match books.checkpoint {
            Some(checkpoint) => attempt.checkpoints.insert(checkpoint),
            None => !std::mem::replace(&mut attempt.ended, true),
        };
        if !first_of_attempt {
            self.repeated += 1;
            return Origin::Repeated;
        }
        attempt.note(books);
        let Some(checkpoint) = books.checkpoint else {
            return Origin::New;
        };
        let subtask = self
            .subtasks
            .entry((books.valve.clone(), books.subtask))
            .or_default();
        if subtask.insert(checkpoint) {
            return Origin::New;
        }
        self.replayed += 1;
        Origin::Replayed
    }

    /// How many times a stretch is told by two attempts: lines for a checkpoint that another
    /// attempt has a line for, or else attempts that overlap. And one of them. Call it when all
    /// lines have been added.
    pub fn replays(&self) -> (u64, Option<Replay>) {
        let mut by_subtask: HashMap<_, Vec<(u64, Point, AttemptId)>> = HashMap::new();
        for ((valve, id), attempt) in &self.attempts {
            // An attempt that counted nothing repeats nothing: one that was restored although its
            // subtask had come to its end writes empty books.
            if let Some(from) = attempt.from.filter(|from| Point::at(*from) < attempt.to) {
                let subtask = (valve, attempt.subtask);
                let stretches = by_subtask.entry(subtask).or_default();
                stretches.push((from, attempt.to, *id));
            }
        }
        let mut found: Vec<Replay> = Vec::new();
        for ((valve, subtask), mut stretches) in by_subtask {
            // Of two that start together, the one that came further was there before.
            stretches
                .sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
            let mut furthest: Option<(Point, AttemptId)> = None;
            for (from, to, id) in stretches {
                match furthest {
                    Some((point, before)) if Point::at(from) < point => found.push(Replay {
                        valve: valve.clone(),
                        subtask,
                        before,
                        again: id,
                        after: from,
                    }),
                    _ => {}
                }
                if furthest.is_none_or(|(point, _)| point < to) {
                    furthest = Some((to, id));
                }
            }
        }
        let overlaps = found.len() as u64;
        let first = found
            .into_iter()
            .min_by_key(|replay| (replay.valve.to_string(), replay.subtask, replay.after));
        (self.replayed.max(overlaps), first)
    }
}

impl Attempt {
    fn note(&mut self, books: &Books) {
        self.subtask = books.subtask;
        self.from = books.restored;
        let start = books.restored.unwrap_or_default();
        self.newest = self.newest.max(start).max(books.checkpoint.unwrap_or(0));
        self.last |= books.checkpoint.is_none() && !books.windows.is_empty();
        if !books.windows.is_empty() {
            self.counted = self.counted.max(books.checkpoint.unwrap_or(0));
        }
        let counted = Point::at(self.counted);
        let beyond = Point {
            checkpoint: self.newest,
            beyond: true,
        };
        self.to = if self.last { beyond } else { counted };
    }
}

#[cfg(test)]
mod tests {
    use spillway_core::ledger::BooksWindow;

    use super::super::progress::tests::books;
    use super::*;

    /// Books of subtask 0 that count something.
    fn counting(attempt: u64, restored: u64, checkpoint: Option<u64>) -> Books {
        let mut books = books(attempt, 0, 1, checkpoint, None);
        books.restored = Some(restored);
        books.windows.push(BooksWindow::default());
        books
    }

    /// How often something is told twice, in whatever order the lines come.
    fn replays(mut lines: Vec<Books>) -> u64 {
        let of = |lines: &[Books]| {
            let mut lineage = Lineage::default();
            for line in lines {
                lineage.add(line);
            }
            lineage.replays().0
        };
        let found = of(&lines);
        lines.reverse();
        assert_eq!(of(&lines), found);
        found
    }

    #[test]
    fn checkpoints_that_go_on_over_a_restart_are_as_they_should_be() {
        let lines = vec![
            counting(1, 0, Some(1)),
            counting(1, 0, Some(2)),
            counting(2, 2, Some(3)),
            counting(2, 2, None),
        ];
        let mut lineage = Lineage::default();
        for line in &lines {
            assert_eq!(lineage.add(line), Origin::New);
        }
        assert_eq!(lineage.repeated, 0);
        assert_eq!(replays(lines), 0);
    }

    #[test]
    fn the_same_line_twice_is_noticed_the_last_one_too() {
        let mut lineage = Lineage::default();
        for checkpoint in [Some(7), None] {
            assert_eq!(lineage.add(&books(1, 0, 1, checkpoint, None)), Origin::New);
            assert_eq!(
                lineage.add(&books(1, 0, 1, checkpoint, None)),
                Origin::Repeated
            );
        }
    }

    #[test]
    fn a_checkpoint_in_the_books_of_two_attempts_is_a_replay() {
        let mut lineage = Lineage::default();
        for (attempt, checkpoint) in [(1, 10), (1, 11), (2, 12)] {
            lineage.add(&books(attempt, 0, 1, Some(checkpoint), None));
        }
        assert_eq!(
            lineage.add(&books(3, 0, 1, Some(11), None)),
            Origin::Replayed
        );
        assert_eq!(lineage.replays().0, 1);
    }

    #[test]
    fn a_restore_from_an_older_checkpoint_is_a_replay_even_if_no_number_comes_twice() {
        let mut lineage = Lineage::default();
        for line in [
            counting(1, 0, Some(5)),
            counting(1, 0, Some(6)),
            counting(2, 5, Some(8)),
        ] {
            assert_eq!(lineage.add(&line), Origin::New);
        }
        let (count, replay) = lineage.replays();
        let replay = replay.unwrap();
        assert_eq!((count, replay.after), (1, 5));
        assert_eq!(replay.before, counting(1, 0, None).attempt);
        assert_eq!(replay.again, counting(2, 0, None).attempt);
    }

    #[test]
    fn a_stop_with_savepoint_is_followed_by_what_is_restored_from_it_and_by_nothing_older() {
        // The savepoint has the number 6, but the books before it do not know that.
        let stopped = [counting(1, 0, Some(5)), counting(1, 0, None)];
        let restored = |from| {
            let mut lines = stopped.to_vec();
            lines.push(counting(2, from, Some(8)));
            lines
        };
        assert_eq!(replays(restored(6)), 0);
        assert_eq!(replays(restored(5)), 1);
    }

    #[test]
    fn a_job_shorter_than_its_checkpoint_interval_run_twice_into_one_folder_is_a_replay() {
        assert_eq!(replays(vec![counting(1, 0, None)]), 0);
        assert_eq!(replays(vec![counting(1, 0, None), counting(2, 0, None)]), 1);
    }

    #[test]
    fn an_attempt_that_counts_nothing_repeats_nothing() {
        // A subtask that had come to its end is restored with the others, and ends at once.
        let mut ended_again = books(2, 0, 1, None, None);
        ended_again.restored = Some(4);
        let lines = vec![counting(1, 0, Some(5)), counting(1, 0, None), ended_again];
        assert_eq!(replays(lines), 0);
    }

    #[test]
    fn attempts_of_a_valve_that_does_not_say_where_it_started_are_left_out() {
        let unknown = |attempt, checkpoint| {
            let mut books = counting(attempt, 0, checkpoint);
            books.restored = None;
            books
        };
        assert_eq!(
            replays(vec![
                unknown(1, Some(2)),
                unknown(1, None),
                unknown(2, Some(3))
            ]),
            0
        );
    }

    #[test]
    fn subtasks_and_valves_share_their_checkpoints() {
        let mut lineage = Lineage::default();
        lineage.add(&books(1, 0, 2, Some(1), None));
        assert_eq!(lineage.add(&books(2, 1, 2, Some(1), None)), Origin::New);
        let mut other = books(1, 0, 2, Some(1), None);
        other.valve = "other".parse().unwrap();
        assert_eq!(lineage.add(&other), Origin::New);
    }
}
