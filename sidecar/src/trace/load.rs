//! What a trace says of the load: arrival over time, what became of it, and what the lane could take.

use std::collections::BTreeMap;
use std::time::Duration;

use spillway_core::ids::{AttemptId, JobName, ValveName};

use super::{Entry, Event, Step};
use crate::decide::{CapacityEstimate, Moment, Observation, Reading, RecordsPerSecond, Share};

/// Reports further apart than this say nothing about when between them the records came.
const SILENCE: Duration = Duration::from_secs(10);
/// A load has at most so many slots, some 600 MB: five days in slots of 100 ms.
const MAX_SLOTS: usize = 1 << 22;

/// Why a trace gives no load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// No subtask has reported twice.
    #[error("no valve reported twice in this trace: there is no load in it")]
    NoReports,
    /// It would have too many slots, or slots of no length.
    #[error("the trace is too long for slots of {0:?}: at most {MAX_SLOTS} fit")]
    TooLong(Duration),
}

/// The load of one valve, all subtasks together, in slots of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The length of a slot.
    pub slot: Duration,
    /// The slots, without a hole, from the first report on.
    pub slots: Vec<Slot>,
    /// The job that it is of.
    pub job: JobName,
    /// The valve that it is of: that which reported most.
    pub valve: ValveName,
    /// Subtasks of the valve, by the last report.
    pub parallelism: u32,
    /// Records that each subtask received in the slots.
    pub received: BTreeMap<u32, f64>,
    /// What had been done before the first reports: received, and of these diverted, all subtasks together.
    pub before: (u64, u64),
}

impl Load {
    /// Whether a step is of the valve that this is the load of.
    pub fn concerns(&self, step: &Step) -> bool {
        (&step.job, &step.valve) == (&self.job, &self.valve)
    }
}

/// One slot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slot {
    /// What the source handed to the valve. While the lane is congested and nothing is diverted, this is
    /// what the lane could take, not what the world had to offer.
    pub arrival: RecordsPerSecond,
    /// What went down the local lane.
    pub kept: RecordsPerSecond,
    /// What was put into batches.
    pub diverted: RecordsPerSecond,
    /// Share of the time during which the output of the subtask that waited most had no room.
    pub unavailable: Share,
    /// How much of the slot the reports cover, of the subtask that they cover best: less than 1 at the
    /// ends of the trace and while the valve was silent or the trace has a gap. Rates are those of the
    /// covered time.
    pub covered: Share,
    /// What the controller held for the lane's capacity at the end of the slot.
    pub capacity: Option<CapacityEstimate>,
    /// The lane's utilisation by the engine's own metrics, as last seen in the slot.
    pub utilization: Option<Share>,
    /// Records that waited at the source, as last seen in the slot.
    pub pending_records: Option<u64>,
}

impl Slot {
    /// What the lane took while it was congested for at least `threshold` of the time: evidence of its
    /// capacity. `None` if it was not.
    pub fn saturated(&self, threshold: Share) -> Option<RecordsPerSecond> {
        (self.covered > Share::ZERO && self.unavailable >= threshold).then_some(self.kept)
    }
}

impl Load {
    /// The load of the valve that reported most in `entries`, in slots of length `slot`. Fails if no
    /// subtask has reported twice, or if there were too many slots.
    pub fn of(entries: &[Entry], slot: Duration) -> Result<Self, LoadError> {
        let busiest = busiest(entries).ok_or(LoadError::NoReports)?;
        let steps = || {
            entries
                .iter()
                .filter_map(|entry| match &entry.event {
                    Event::Step(step) => Some(step),
                    _ => None,
                })
                .filter(|step| (&step.job, &step.valve) == busiest)
        };
        let first = steps().find(|step| reading(step).is_some());
        let origin = first.ok_or(LoadError::NoReports)?.at;
        let mut sheet = Sheet::new(origin, slot);
        for step in steps().filter(|step| step.at >= origin) {
            sheet.take(step)?;
        }
        sheet.load(busiest)
    }
}

/// The counted report in a step, and who made it.
fn reading(step: &Step) -> Option<(u32, &Reading)> {
    match &step.observation {
        Observation::Report { subtask, reading } if step.decision.counted => {
            Some((*subtask, reading))
        }
        _ => None,
    }
}

fn busiest(entries: &[Entry]) -> Option<(&JobName, &ValveName)> {
    let mut reports: BTreeMap<(&JobName, &ValveName), u64> = BTreeMap::new();
    for entry in entries {
        if let Event::Step(step) = &entry.event
            && reading(step).is_some()
        {
            *reports.entry((&step.job, &step.valve)).or_default() += 1;
        }
    }
    reports
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(valve, _)| valve)
}

/// Counters at a time.
#[derive(Clone)]
struct Mark {
    at: Moment,
    attempt: AttemptId,
    reading: Reading,
}

/// What one subtask did in one slot.
#[derive(Clone, Copy, Default)]
struct Cell {
    received: f64,
    kept: f64,
    diverted: f64,
    unavailable: Duration,
    covered: Duration,
}

/// Spreads counters over slots.
struct Sheet {
    origin: Moment,
    slot: Duration,
    slots: Vec<Slot>,
    cells: BTreeMap<(usize, u32), Cell>,
    marks: BTreeMap<u32, Mark>,
    parallelism: u32,
    before: (u64, u64),
}

impl Sheet {
    fn new(origin: Moment, slot: Duration) -> Self {
        Self {
            origin,
            slot,
            slots: Vec::new(),
            cells: BTreeMap::new(),
            marks: BTreeMap::new(),
            parallelism: 1,
            before: (0, 0),
        }
    }

    /// The slot that `at` falls into, from 0.
    fn index(&self, at: Moment) -> Result<usize, LoadError> {
        at.since(self.origin)
            .as_nanos()
            .checked_div(self.slot.as_nanos())
            .and_then(|index| usize::try_from(index).ok())
            .filter(|index| *index < MAX_SLOTS)
            .ok_or(LoadError::TooLong(self.slot))
    }

    fn take(&mut self, step: &Step) -> Result<(), LoadError> {
        let index = self.index(step.at)?;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        let slot = &mut self.slots[index];
        slot.capacity = step.decision.capacity;
        if let Observation::Lane(lane) = &step.observation {
            slot.utilization = lane.utilization().or(slot.utilization);
            slot.pending_records = lane.pending_records.or(slot.pending_records);
        }
        if let Some((subtask, reading)) = reading(step) {
            let mark = Mark {
                at: step.at,
                attempt: reading.attempt,
                reading: reading.clone(),
            };
            self.parallelism = reading.parallelism.max(1);
            if let Some(before) = self.marks.insert(subtask, mark.clone()) {
                self.spread(subtask, &before, &mark)?;
            } else {
                self.before.0 = self.before.0.saturating_add(reading.received);
                self.before.1 = self.before.1.saturating_add(reading.to_cloud);
            }
        }
        Ok(())
    }

    /// Spreads what happened between two reports evenly over the time between them.
    fn spread(&mut self, subtask: u32, from: &Mark, to: &Mark) -> Result<(), LoadError> {
        let span = to.at.since(from.at);
        // Counters of another attempt have nothing to do with those before.
        if span.is_zero() || span > SILENCE || from.attempt != to.attempt {
            return Ok(());
        }
        let (a, b) = (&from.reading, &to.reading);
        let delta = |a: u64, b: u64| b.saturating_sub(a) as f64;
        let unavailable = Duration::from_millis(b.unavailable_ms.saturating_sub(a.unavailable_ms));
        for index in self.index(from.at)?..=self.index(to.at)? {
            // An index below MAX_SLOTS fits into a u32.
            let nth = |n: usize| {
                self.slot
                    .saturating_mul(u32::try_from(n).unwrap_or(u32::MAX))
            };
            let begin = self.origin.plus(nth(index)).max(from.at);
            let end = self.origin.plus(nth(index + 1)).min(to.at);
            let part = end.since(begin);
            let share = part.as_secs_f64() / span.as_secs_f64();
            let cell = self.cells.entry((index, subtask)).or_default();
            cell.received += delta(a.received, b.received) * share;
            cell.kept += delta(a.to_local, b.to_local) * share;
            cell.diverted += delta(a.to_cloud, b.to_cloud) * share;
            cell.unavailable += unavailable.min(span).mul_f64(share);
            cell.covered += part;
        }
        Ok(())
    }

    fn load(mut self, (job, valve): (&JobName, &ValveName)) -> Result<Load, LoadError> {
        if self.cells.is_empty() {
            return Err(LoadError::NoReports);
        }
        let mut received: BTreeMap<u32, f64> = BTreeMap::new();
        for ((index, subtask), cell) in self.cells {
            *received.entry(subtask).or_default() += cell.received;
            let slot = &mut self.slots[index];
            let seconds = cell.covered.as_secs_f64();
            if seconds == 0.0 {
                continue;
            }
            let rate = |records: f64| RecordsPerSecond::new(records / seconds);
            slot.arrival = slot.arrival.plus(rate(cell.received));
            slot.kept = slot.kept.plus(rate(cell.kept));
            slot.diverted = slot.diverted.plus(rate(cell.diverted));
            slot.unavailable = slot
                .unavailable
                .max(Share::new(cell.unavailable.as_secs_f64() / seconds));
            slot.covered = slot
                .covered
                .max(Share::new(seconds / self.slot.as_secs_f64()));
        }
        Ok(Load {
            slot: self.slot,
            slots: self.slots,
            job: job.clone(),
            valve: valve.clone(),
            parallelism: self.parallelism,
            received,
            before: self.before,
        })
    }
}
