//! The balance: what the valves say against what the lanes hold.

use serde::Serialize;
use spillway_core::window::WindowSize;
use spillway_core::workload::WorkloadKind;

use crate::books::{Imbalance, Ledger, Window, Windows};
use crate::lanes::Lanes;

/// One window's line in the balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLine {
    /// Start of the window, in milliseconds since the epoch.
    pub start_ms: i64,
    /// Its counts.
    pub counts: Window,
    /// Whether it can get no more records.
    pub passed: bool,
}

impl WindowLine {
    /// Whether it balances and can get no more records.
    pub fn is_closed(&self) -> bool {
        self.counts.is_closed(self.passed)
    }

    /// What is lost and what is there twice.
    pub fn imbalance(&self) -> Imbalance {
        self.counts.imbalance(self.passed)
    }

    /// Why it is open, in words; empty if it is closed.
    pub fn why_open(&self) -> String {
        let w = &self.counts;
        let mut reasons = Vec::new();
        if w.missing > 0 {
            reasons.push(format!(
                "{} records in partials that are missing or damaged",
                w.missing
            ));
        }
        if w.repeated > 0 {
            reasons.push(format!(
                "{} records in receipts that were committed again",
                w.repeated
            ));
        }
        if w.repeated_books > 0 {
            reasons.push(format!(
                "{} books that were committed again",
                w.repeated_books
            ));
        }
        if !self.passed {
            reasons.push("the watermark has not passed its end".into());
            return reasons.join("; ");
        }
        let (local, receipted) = (w.kept + w.bounced, w.receipted + w.missing);
        let all = local + w.diverted + w.late;
        for (should, is, what, but) in [
            (
                w.received,
                all,
                "received",
                "kept + diverted + bounced + late",
            ),
            (local, w.local, "kept + bounced", "in local rows"),
            (w.diverted, receipted, "diverted", "in receipts"),
        ] {
            if should != is {
                reasons.push(format!("{should} {what}, but {is} {but}"));
            }
        }
        reasons.join("; ")
    }
}

/// The whole balance.
#[derive(Debug, Clone)]
pub struct Balance {
    /// All windows by their start.
    pub windows: Vec<WindowLine>,
    /// Sums over all windows.
    pub totals: Window,
    /// Sums over all windows.
    pub imbalance: Imbalance,
}

impl Balance {
    /// Sets the ledger against the lanes.
    pub fn new(ledger: &Ledger, lanes: &Windows) -> Self {
        let mut windows = ledger.windows.clone();
        windows.add(lanes);
        let passed = |start_ms| {
            ledger
                .window_size()
                .is_some_and(|size| ledger.progress.has_passed(size.end_of(start_ms)))
        };
        let line = |(start_ms, counts)| WindowLine {
            start_ms,
            counts,
            passed: passed(start_ms),
        };
        let windows: Vec<_> = windows.into_sorted().into_iter().map(line).collect();
        let (mut totals, mut imbalance) = (Window::default(), Imbalance::default());
        for line in &windows {
            let Imbalance { lost, duplicated } = line.imbalance();
            totals.add(&line.counts);
            imbalance.lost = imbalance.lost.saturating_add(lost);
            imbalance.duplicated = imbalance.duplicated.saturating_add(duplicated);
        }
        Self {
            windows,
            totals,
            imbalance,
        }
    }

    /// The windows that are open.
    pub fn open(&self) -> impl Iterator<Item = &WindowLine> {
        self.windows.iter().filter(|line| !line.is_closed())
    }

    /// Whether this window is closed.
    pub fn is_closed(&self, start_ms: i64) -> bool {
        let found = self
            .windows
            .binary_search_by_key(&start_ms, |line| line.start_ms);
        found.is_ok_and(|index| self.windows[index].is_closed())
    }
}

/// Objects that no committed receipt names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Orphans {
    /// Partials.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Objects among the partials that are none, by their name.
    pub unknown: u64,
}

/// The balance as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The job.
    pub job: String,
    /// What was computed.
    pub workload: &'static str,
    /// Size of the windows in milliseconds.
    pub window_size_ms: i64,
    /// Whether everything is as it should be: the exit code is 0.
    pub balanced: bool,
    /// Whether every valve has come to the end of its input.
    pub ended: bool,
    /// Number of windows.
    pub windows: usize,
    /// Windows that balance and can get no more records.
    pub closed: usize,
    /// The other windows.
    pub open: usize,
    /// Records that are in no result.
    pub lost: u64,
    /// Records that are there more than once.
    pub duplicated: u64,
    /// Records that the source handed to the valves.
    pub received: u64,
    /// Records sent down the local lane at once.
    pub kept: u64,
    /// Records settled with a receipt.
    pub diverted: u64,
    /// Records sent down the local lane after their batch was refused.
    pub bounced: u64,
    /// Records dropped to the late output.
    pub late: u64,
    /// Records that the workload could not read.
    pub malformed: u64,
    /// Records that the local rows stand for.
    pub local: u64,
    /// Records in partials that a receipt names.
    pub receipted: u64,
    /// Number of batches with a receipt.
    pub receipts: u64,
    /// Bytes of their partials.
    pub partial_bytes: u64,
    /// Partials that no committed receipt names.
    pub orphans: u64,
    /// Their size in bytes.
    pub orphan_bytes: u64,
    /// Objects among the partials that are none.
    pub unknown_objects: u64,
    /// Partials that a receipt names and that are missing or damaged.
    pub bad_partials: u64,
    /// Receipt lines beyond the first of their batch.
    pub repeated_receipts: u64,
    /// Lines of books beyond the first of their attempt and checkpoint.
    pub repeated_books: u64,
    /// How often a stretch of the job is told by two attempts; see [`Replay`](crate::books::Replay).
    pub replayed_books: u64,
    /// Rows of the result.
    pub rows: u64,
    /// The open windows.
    pub windows_detail: Vec<WindowDetail>,
    /// What is wrong with the bad partials.
    pub bad_partials_detail: Vec<String>,
}

/// One open window as JSON.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "as in Summary")]
pub struct WindowDetail {
    pub start_ms: i64,
    /// Whether it can get no more records.
    pub passed: bool,
    /// Why it is open.
    pub why: String,
    pub lost: u64,
    pub duplicated: u64,
    pub received: u64,
    pub kept: u64,
    pub diverted: u64,
    pub bounced: u64,
    pub late: u64,
    pub local: u64,
    pub receipted: u64,
}

impl Summary {
    /// Sums everything up; `rows` is the number of rows of the result.
    pub fn new(
        ledger: &Ledger,
        lanes: &Lanes,
        balance: &Balance,
        orphans: Orphans,
        workload: WorkloadKind,
        rows: u64,
    ) -> Self {
        let totals = &balance.totals;
        let windows_detail: Vec<_> = balance.open().map(WindowDetail::of).collect();
        let open = windows_detail.len();
        let lineage = &ledger.lineage;
        let (replayed_books, _) = lineage.replays();
        // A repeated line keeps a window open, unless it names none.
        let clean = lanes.bad_partial_count == 0
            && ledger.repeated_receipts == 0
            && lineage.repeated == 0
            && replayed_books == 0;
        Self {
            job: ledger.job().map(ToString::to_string).unwrap_or_default(),
            workload: workload.name(),
            window_size_ms: ledger.window_size().map_or(0, WindowSize::as_millis),
            balanced: open == 0 && clean,
            ended: ledger.progress.has_ended(),
            windows: balance.windows.len(),
            closed: balance.windows.len() - open,
            open,
            lost: balance.imbalance.lost,
            duplicated: balance.imbalance.duplicated,
            received: totals.received,
            kept: totals.kept,
            diverted: totals.diverted,
            bounced: totals.bounced,
            late: totals.late,
            malformed: totals.malformed,
            local: totals.local,
            receipted: totals.receipted,
            receipts: ledger.receipts,
            partial_bytes: lanes.partial_bytes,
            orphans: orphans.count,
            orphan_bytes: orphans.bytes,
            unknown_objects: orphans.unknown,
            bad_partials: lanes.bad_partial_count,
            repeated_receipts: ledger.repeated_receipts,
            repeated_books: lineage.repeated,
            replayed_books,
            rows,
            windows_detail,
            bad_partials_detail: lanes.bad_partials.iter().map(ToString::to_string).collect(),
        }
    }
}

impl WindowDetail {
    fn of(line: &WindowLine) -> Self {
        let counts = &line.counts;
        let Imbalance { lost, duplicated } = line.imbalance();
        Self {
            start_ms: line.start_ms,
            passed: line.passed,
            why: line.why_open(),
            lost,
            duplicated,
            received: counts.received,
            kept: counts.kept,
            diverted: counts.diverted,
            bounced: counts.bounced,
            late: counts.late,
            local: counts.local,
            receipted: counts.receipted,
        }
    }
}
