//! Which books are there: each should be there once, and no checkpoint twice.

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
    /// Another attempt of the same subtask has books for the same checkpoint.
    Replayed,
}

/// A checkpoint for which two attempts of one subtask have books.
///
/// Flink numbers checkpoints on and on, over restarts and restores. The same number twice means
/// that the job was restored from an older checkpoint than its last, or that a new run was
/// started into the folder of an old one. Either way what the first wrote after that point is
/// still there, both lanes hold its records twice, and every window balances: the sums alone
/// would never tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The valve.
    pub valve: ValveName,
    /// The index of its subtask.
    pub subtask: u32,
    /// The attempt that came second in reading order.
    pub attempt: AttemptId,
    /// The checkpoint.
    pub checkpoint: u64,
}

/// The checkpoints of every attempt's books.
#[derive(Debug, Default)]
pub struct Lineage {
    attempts: HashMap<(ValveName, AttemptId), Attempt>,
    subtasks: HashMap<(ValveName, u32), Intervals>,
    /// Number of lines of books.
    pub books: u64,
    /// Number of [`Origin::Repeated`] lines.
    pub repeated: u64,
    /// Number of [`Origin::Replayed`] lines.
    pub replayed: u64,
    /// One of them.
    pub replay: Option<Replay>,
}

#[derive(Debug, Default)]
struct Attempt {
    checkpoints: Intervals,
    ended: bool,
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
        self.replay.get_or_insert_with(|| Replay {
            valve: books.valve.clone(),
            subtask: books.subtask,
            attempt: books.attempt,
            checkpoint,
        });
        Origin::Replayed
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::tests::books;
    use super::*;

    #[test]
    fn checkpoints_that_go_on_over_a_restart_are_as_they_should_be() {
        let mut lineage = Lineage::default();
        for line in [
            books(1, 0, 1, Some(1), None),
            books(1, 0, 1, Some(2), None),
            books(2, 0, 1, Some(3), None),
            books(2, 0, 1, None, None),
        ] {
            assert_eq!(lineage.add(&line), Origin::New);
        }
        assert_eq!((lineage.repeated, lineage.replayed), (0, 0));
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
        assert_eq!(lineage.replay.unwrap().checkpoint, 11);
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
