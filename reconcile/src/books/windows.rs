//! Record counts per window, and whether they balance.

use std::collections::HashMap;

use spillway_core::ledger::BooksWindow;
use spillway_core::window::WindowSize;

/// Record counts of one window from both sides: what the valve says, and what the lanes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Valve: handed over by the source.
    pub received: u64,
    /// Valve: sent down the local lane at once.
    pub kept: u64,
    /// Valve: settled with a receipt.
    pub diverted: u64,
    /// Valve: sent down the local lane after the cloud refused them.
    pub bounced: u64,
    /// Valve: dropped to the late output.
    pub late: u64,
    /// Local lane: what its rows stand for.
    pub local: u64,
    /// Cloud lane: in partials that a receipt names and that are what the receipt says.
    pub receipted: u64,
    /// Cloud lane: in receipts whose partial is missing or different.
    pub missing: u64,
    /// Cloud lane: in receipt lines beyond the first of their batch.
    pub repeated: u64,
    /// Lines of books beyond the first of their attempt and checkpoint.
    pub repeated_books: u64,
    /// Both lanes: records that the workload could not read; they are among the others.
    pub malformed: u64,
}

/// Whether a window of this size starts then.
pub fn is_start(size: WindowSize, start_ms: i64) -> bool {
    // The window around i64::MIN has a wrapped start, which need not be a multiple.
    size.start_of(start_ms) == start_ms || start_ms > i64::MAX - size.as_millis()
}

/// By how many records one side of a comparison exceeds the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imbalance {
    /// Records that are in no result.
    pub lost: u64,
    /// Records that are in the result more than once, or would be by plain adding up.
    pub duplicated: u64,
}

impl Imbalance {
    fn compare(&mut self, should: u64, is: u64) {
        self.lost += should.saturating_sub(is);
        self.duplicated += is.saturating_sub(should);
    }
}

impl Window {
    /// Adds one line's counts.
    pub fn add_books(&mut self, counts: &BooksWindow) {
        for (sum, count) in [
            (&mut self.received, counts.received),
            (&mut self.kept, counts.kept),
            (&mut self.diverted, counts.diverted),
            (&mut self.bounced, counts.bounced),
            (&mut self.late, counts.late),
        ] {
            *sum = sum.saturating_add(count);
        }
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in [
            (&mut self.received, other.received),
            (&mut self.kept, other.kept),
            (&mut self.diverted, other.diverted),
            (&mut self.bounced, other.bounced),
            (&mut self.late, other.late),
            (&mut self.local, other.local),
            (&mut self.receipted, other.receipted),
            (&mut self.missing, other.missing),
            (&mut self.repeated, other.repeated),
            (&mut self.repeated_books, other.repeated_books),
            (&mut self.malformed, other.malformed),
        ] {
            *sum = sum.saturating_add(count);
        }
    }

    /// Whether nothing can change any more and all sums agree.
    pub fn is_closed(&self, passed: bool) -> bool {
        let clean = self.missing == 0 && self.repeated == 0 && self.repeated_books == 0;
        passed && clean && self.imbalance(true) == Imbalance::default()
    }

    /// What is lost and what is there twice.
    ///
    /// Each lane is compared by itself, so that five records too few in one and five too many in
    /// the other do not cancel out. While the watermark has not passed the window's end the sums
    /// may differ for good reason; then only what can never be right counts: a receipt without its
    /// partial, and a batch with two receipts.
    pub fn imbalance(&self, passed: bool) -> Imbalance {
        let mut result = Imbalance::default();
        if passed {
            let local = self.kept.saturating_add(self.bounced);
            let all = local
                .saturating_add(self.diverted)
                .saturating_add(self.late);
            result.compare(self.received, all);
            result.compare(local, self.local);
            result.compare(self.diverted, self.receipted);
        } else {
            result.lost = self.missing;
        }
        result.duplicated += self.repeated;
        result
    }
}

/// All windows, by start in milliseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    by_start: HashMap<i64, Window>,
}

impl Windows {
    /// The window that starts at `start_ms`; a new one is empty.
    pub fn entry(&mut self, start_ms: i64) -> &mut Window {
        self.by_start.entry(start_ms).or_default()
    }

    /// Adds all counts of others.
    pub fn add(&mut self, others: &Self) {
        for (start_ms, window) in &others.by_start {
            self.entry(*start_ms).add(window);
        }
    }

    /// All windows by their start.
    pub fn into_sorted(self) -> Vec<(i64, Window)> {
        let mut windows: Vec<_> = self.by_start.into_iter().collect();
        windows.sort_unstable_by_key(|(start_ms, _)| *start_ms);
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 received: 4 kept, 1 bounced, 3 diverted, 2 late, and the lanes agree.
    fn balanced() -> Window {
        Window {
            received: 10,
            kept: 4,
            bounced: 1,
            diverted: 3,
            late: 2,
            local: 5,
            receipted: 3,
            ..Window::default()
        }
    }

    fn judge(change: impl FnOnce(&mut Window)) -> (bool, u64, u64) {
        let mut window = balanced();
        change(&mut window);
        let Imbalance { lost, duplicated } = window.imbalance(true);
        (window.is_closed(true), lost, duplicated)
    }

    #[test]
    fn a_window_that_balances_closes_once_the_watermark_has_passed() {
        assert_eq!(judge(|_| ()), (true, 0, 0));
        assert!(!balanced().is_closed(false));
    }

    #[test]
    fn a_difference_in_either_lane_or_in_the_books_keeps_it_open() {
        assert_eq!(judge(|w| w.local -= 2), (false, 2, 0));
        assert_eq!(judge(|w| w.local += 2), (false, 0, 2));
        assert_eq!(judge(|w| w.receipted -= 2), (false, 2, 0));
        assert_eq!(judge(|w| w.receipted += 2), (false, 0, 2));
        assert_eq!(judge(|w| w.received += 2), (false, 2, 0));
        assert_eq!(judge(|w| w.late += 2), (false, 0, 2));
    }

    #[test]
    fn differences_of_the_lanes_do_not_cancel_out() {
        let opposite = |w: &mut Window| {
            w.local -= 2;
            w.receipted += 2;
        };
        assert_eq!(judge(opposite), (false, 2, 2));
    }

    #[test]
    fn a_missing_partial_is_lost_once_whether_or_not_the_window_has_passed() {
        let missing = |w: &mut Window| {
            w.receipted -= 3;
            w.missing += 3;
        };
        assert_eq!(judge(missing), (false, 3, 0));
        let mut window = balanced();
        missing(&mut window);
        assert_eq!(
            window.imbalance(false),
            Imbalance {
                lost: 3,
                duplicated: 0
            }
        );
    }

    #[test]
    fn repeated_lines_keep_it_open_though_they_are_merged_once() {
        assert_eq!(judge(|w| w.repeated += 3), (false, 0, 3));
        assert_eq!(judge(|w| w.repeated_books += 1), (false, 0, 0));
    }

    #[test]
    fn a_window_that_still_fills_is_open_but_nothing_is_lost() {
        let window = Window {
            received: 10,
            ..Window::default()
        };
        assert_eq!(window.imbalance(false), Imbalance::default());
        assert!(!window.is_closed(false));
    }
}
