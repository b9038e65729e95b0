//! How far the valves have come: which windows can still change.
//!
//! The watermark that counts is the minimum over all subtasks of what each forwarded before one
//! and the same checkpoint. Taking each subtask's own last watermark instead would be wrong: after
//! a restart the splits of the input may lie differently, so that a subtask's old watermark says
//! nothing about what it reads now, and after a change of parallelism old subtasks do not exist
//! any more. A completed checkpoint is a consistent cut: nothing below its watermark is still to
//! come, whoever reads it. Checkpoint numbers grow over restarts and restores, so the newest one
//! in the books that is complete is the job's present, and its lines name the parallelism.
//!
//! A checkpoint is complete here when each subtask of each valve has books for it, or has ended:
//! a subtask at the end of its input writes last books and then none for later checkpoints. Last books
//! name the checkpoint that their attempt was restored from. They count only if no later restore is
//! known, for then that subtask runs anew (a valve, its windows and all between them restart together),
//! and its books may not be committed yet. A job that is restored and comes to its end before its next
//! checkpoint has last books only: then the books of the checkpoint are the past. The files of the newest checkpoint may be committed only in part when we look, so a few older ones
//! are kept to fall back on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spillway_core::ids::{AttemptId, ValveName};
use spillway_core::ledger::Books;

/// How many of the newest checkpoints are kept. Two would do for a commit that is under way; a
/// valve that was taken out of the job stops counting after so many.
const KEPT: usize = 8;

/// What is known about how far each valve has come.
#[derive(Debug, Default)]
pub struct Progress {
    checkpoints: BTreeSet<u64>,
    valves: HashMap<ValveName, Valve>,
}

#[derive(Debug, Default)]
struct Valve {
    /// Of each kept checkpoint, the books of each subtask.
    recent: BTreeMap<u64, BTreeMap<u32, Mark>>,
    /// Last books by (parallelism, subtask).
    ended: HashMap<(u32, u32), Vec<Last>>,
    newest_of_attempt: HashMap<AttemptId, u64>,
}

/// An attempt's last books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    attempt: AttemptId,
    /// The checkpoint that it was restored from, 0 if none, where the books say so.
    restored: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    attempt: AttemptId,
    parallelism: u32,
    /// As of [`Last`].
    restored: Option<u64>,
    /// `i64::MIN` before the first watermark.
    watermark_ms: i64,
}

/// How far something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    watermark_ms: i64,
    ended: bool,
}

impl Cut {
    const END: Self = Self {
        watermark_ms: i64::MAX,
        ended: true,
    };

    fn and(self, other: Self) -> Self {
        Self {
            watermark_ms: self.watermark_ms.min(other.watermark_ms),
            ended: self.ended && other.ended,
        }
    }
}

impl Progress {
    /// Notes a line of books. Lines may come in any order, and more than once.
    pub fn add(&mut self, books: &Books) {
        let valve = self.valves.entry(books.valve.clone()).or_default();
        let Some(checkpoint) = books.checkpoint else {
            if !books.is_final {
                // The last books before a stop with savepoint: the job goes on from there.
                return;
            }
            let lasts = valve
                .ended
                .entry((books.parallelism, books.subtask))
                .or_default();
            let last = Last {
                attempt: books.attempt,
                restored: books.restored,
            };
            if !lasts.contains(&last) {
                lasts.push(last);
            }
            return;
        };
        let newest = valve.newest_of_attempt.entry(books.attempt).or_default();
        *newest = checkpoint.max(*newest);

        self.checkpoints.insert(checkpoint);
        if self.checkpoints.len() > KEPT
            && let Some(oldest) = self.checkpoints.pop_first()
        {
            for valve in self.valves.values_mut() {
                valve.recent.remove(&oldest);
            }
            if oldest == checkpoint {
                return;
            }
        }
        let mark = Mark {
            attempt: books.attempt,
            parallelism: books.parallelism,
            restored: books.restored,
            watermark_ms: books.watermark_ms.unwrap_or(i64::MIN),
        };
        let valve = self.valves.entry(books.valve.clone()).or_default();
        let marks = valve.recent.entry(checkpoint).or_default();
        let known = marks.entry(books.subtask).or_insert(mark);
        // Two attempts with one checkpoint is a defect that the lineage reports: be careful here.
        if mark.watermark_ms < known.watermark_ms {
            *known = mark;
        }
    }

    /// Whether a window that ends at `end_ms` (exclusive) can get no more records.
    pub fn has_passed(&self, end_ms: i64) -> bool {
        // Flink's window fires at its last millisecond.
        self.cut()
            .is_some_and(|cut| cut.watermark_ms >= end_ms.saturating_sub(1))
    }

    /// Whether every subtask of every valve has written its last books.
    pub fn has_ended(&self) -> bool {
        self.cut().is_some_and(|cut| cut.ended)
    }

    fn cut(&self) -> Option<Cut> {
        if self.checkpoints.is_empty() {
            // A job shorter than its checkpoint interval.
            return self.over_valves(Valve::cut_at_end);
        }
        self.checkpoints
            .iter()
            .rev()
            .find_map(|checkpoint| self.over_valves(|valve| valve.cut_at(*checkpoint)))
    }

    fn over_valves(&self, cut: impl Fn(&Valve) -> Option<Cut>) -> Option<Cut> {
        let present = self.valves.values().filter(|valve| valve.is_present());
        let mut cuts = present.map(cut);
        let first = cuts.next()??;
        cuts.try_fold(first, |all, one| Some(all.and(one?)))
    }
}

impl Valve {
    /// False for a valve that was in the job once and is no more.
    fn is_present(&self) -> bool {
        !(self.recent.is_empty() && self.ended.is_empty())
    }

    fn cut_at(&self, checkpoint: u64) -> Option<Cut> {
        if self.ended_after(checkpoint) {
            return Some(Cut::END);
        }
        if let Some(marks) = self.recent.get(&checkpoint) {
            return self.cut_of(checkpoint, marks);
        }
        // Either the valve has ended, or its books for this checkpoint are not committed yet.
        match self.recent.last_key_value() {
            Some((newest, marks)) => self.cut_of(*newest, marks).filter(|cut| cut.ended),
            None => self.cut_at_end(),
        }
    }

    fn cut_of(&self, checkpoint: u64, marks: &BTreeMap<u32, Mark>) -> Option<Cut> {
        let parallelism = marks.values().map(|mark| mark.parallelism).max()?;
        let restored = marks.values().filter_map(|mark| mark.restored).max();
        (0..parallelism).try_fold(Cut::END, |all, subtask| {
            let lasts = self.lasts(parallelism, subtask);
            let one = match marks.get(&subtask) {
                Some(mark) if self.ends(checkpoint, mark, lasts) => Cut::END,
                Some(mark) => Cut {
                    watermark_ms: mark.watermark_ms,
                    ended: false,
                },
                None if lasts.iter().any(|last| last.is_since(restored)) => Cut::END,
                None => return None,
            };
            Some(all.and(one))
        })
    }

    fn lasts(&self, parallelism: u32, subtask: u32) -> &[Last] {
        self.ended
            .get(&(parallelism, subtask))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether last books came after the mark: they are the same attempt's, or an attempt's that
    /// was restored from this checkpoint and ended before its next one.
    fn ends(&self, checkpoint: u64, mark: &Mark, lasts: &[Last]) -> bool {
        lasts.iter().any(|last| {
            last.attempt == mark.attempt
                || last.is_since(Some(checkpoint)) && self.has_no_checkpoint(last)
        })
    }

    /// Whether the job was restored from this checkpoint, or a later one, perhaps with another parallelism, and each
    /// subtask came to its end before there was a next one.
    fn ended_after(&self, checkpoint: u64) -> bool {
        let newest = self.newest_restore();
        newest.is_some_and(|newest| newest >= checkpoint)
            && self.all_ended(|last| last.restored == newest && self.has_no_checkpoint(last))
    }

    /// For a valve whose books are last ones only.
    fn cut_at_end(&self) -> Option<Cut> {
        let newest = self.newest_restore();
        self.all_ended(|last| last.restored == newest)
            .then_some(Cut::END)
    }

    /// The newest checkpoint that anything is known to have been restored from.
    fn newest_restore(&self) -> Option<u64> {
        let marks = self.recent.values().flat_map(BTreeMap::values);
        let lasts = self.ended.values().flatten();
        let of_marks = marks.filter_map(|mark| mark.restored).max();
        of_marks.max(lasts.filter_map(|last| last.restored).max())
    }

    /// Whether each subtask of some parallelism has last books of this kind.
    fn all_ended(&self, kind: impl Fn(&Last) -> bool) -> bool {
        let mut ended: BTreeMap<u32, u32> = BTreeMap::new();
        for ((parallelism, _), lasts) in &self.ended {
            if lasts.iter().any(&kind) {
                *ended.entry(*parallelism).or_default() += 1;
            }
        }
        ended
            .iter()
            .any(|(parallelism, subtasks)| parallelism == subtasks)
    }

    fn has_no_checkpoint(&self, last: &Last) -> bool {
        !self.newest_of_attempt.contains_key(&last.attempt)
    }
}

impl Last {
    /// Whether its attempt was restored from this checkpoint or a later one, as far as that is known.
    fn is_since(&self, checkpoint: Option<u64>) -> bool {
        match (self.restored, checkpoint) {
            (Some(from), Some(checkpoint)) => from >= checkpoint,
            _ => true,
        }
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
pub(super) mod tests;
