//! Records that wait, first in, first out.
//!
//! Records are a fluid here: an amount that was due at the same millisecond is one drop of it.

use std::collections::VecDeque;

/// So little is rounding, not a record.
pub(crate) const NOTHING: f64 = 1e-6;

/// Records that were due together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Portion {
    /// When they were due, in ms.
    pub(crate) due_ms: u64,
    /// How many.
    pub(crate) records: f64,
}

/// Portions in order of arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    drops: VecDeque<Portion>,
    records: f64,
}

impl Queue {
    /// How many records wait.
    pub(crate) fn records(&self) -> f64 {
        self.records
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.drops.is_empty()
    }

    /// Adds records at the end.
    pub(crate) fn push(&mut self, drop: Portion) {
        if drop.records <= 0.0 {
            return;
        }
        self.records += drop.records;
        match self.drops.back_mut() {
            Some(last) if last.due_ms == drop.due_ms => last.records += drop.records,
            _ => self.drops.push_back(drop),
        }
    }

    /// Takes `records` from the front, or as many as there are, and hands them on drop by drop.
    pub(crate) fn take(&mut self, records: f64, mut to: impl FnMut(Portion)) -> f64 {
        let mut left = records;
        while left > 0.0 {
            let Some(first) = self.drops.front_mut() else {
                break;
            };
            if first.records <= left + NOTHING {
                left -= first.records;
                let drop = *first;
                self.drops.pop_front();
                to(drop);
            } else {
                first.records -= left;
                to(Portion {
                    records: left,
                    ..*first
                });
                left = 0.0;
            }
        }
        let taken = records - left.max(0.0);
        self.records = if self.drops.is_empty() {
            0.0
        } else {
            (self.records - taken).max(0.0)
        };
        taken
    }

    /// Adds all that is in `other` at the end; nothing is left there.
    pub(crate) fn pour(&mut self, other: &mut Self) {
        for drop in other.drops.drain(..) {
            self.push(drop);
        }
        other.records = 0.0;
    }

    /// The drops, first to last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Portion> {
        self.drops.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_first_comes_out_first_and_nothing_is_lost() {
        let mut queue = Queue::default();
        for (due_ms, records) in [(1, 2.0), (1, 1.0), (2, 5.0)] {
            queue.push(Portion { due_ms, records });
        }
        let mut out = Vec::new();
        assert!((queue.take(4.5, |drop| out.push((drop.due_ms, drop.records))) - 4.5).abs() < 1e-9);
        assert_eq!(out, [(1, 3.0), (2, 1.5)]);
        assert!((queue.records() - 3.5).abs() < 1e-9);
        let mut other = Queue::default();
        other.pour(&mut queue);
        assert!(queue.is_empty() && queue.records() == 0.0);
        assert!((other.take(9.0, |_| {}) - 3.5).abs() < 1e-9);
        assert!(other.is_empty() && other.records() == 0.0);
    }
}
