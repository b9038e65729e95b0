//! Makes shares out of Flink's counters.
//!
//! Its gauges of rates are averages over a minute. The counters are fresh, and they bring their own
//! clock: a subtask's busy, idle and back-pressured times add up to the time that has passed, so that a
//! share needs no assumption about when the `JobManager` fetched them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::Metric;
use crate::decide::{Moment, Share};

/// The counters of one subtask that a meter reads.
pub(crate) const TASK_COUNTERS: [&str; 3] = [
    "accumulateBusyTimeMs",
    "accumulateIdleTimeMs",
    "accumulateBackPressuredTimeMs",
];
/// What the subtasks of one vertex did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct TaskLoad {
    /// Of the busiest subtask.
    pub(crate) busy: Share,
    /// Of the subtask that waited most.
    pub(crate) back_pressured: Share,
    /// The longest time that any of it is an average over.
    pub(crate) window: Duration,
}

/// Differences the counters of one vertex, subtask by subtask.
#[derive(Debug)]
pub(crate) struct TaskMeter {
    gap: Duration,
    last: BTreeMap<u32, (Moment, [f64; 3])>,
}

impl TaskMeter {
    /// A meter that has read nothing. Counters further apart than `gap` may belong to different attempts
    /// and are not compared.
    pub(crate) fn new(gap: Duration) -> Self {
        Self {
            gap,
            last: BTreeMap::new(),
        }
    }

    /// Takes in what a look has brought. `None` if it has brought nothing new.
    pub(crate) fn read(&mut self, metrics: &[Metric], now: Moment) -> Option<TaskLoad> {
        let mut seen: BTreeMap<u32, [Option<f64>; 3]> = BTreeMap::new();
        for metric in metrics {
            let Some((subtask, name)) = metric.id.split_once('.') else {
                continue;
            };
            let (Ok(subtask), Some(index)) = (
                subtask.parse(),
                TASK_COUNTERS.iter().position(|counter| *counter == name),
            ) else {
                continue;
            };
            seen.entry(subtask).or_default()[index] = metric.number();
        }
        let mut load: Option<TaskLoad> = None;
        for (subtask, counters) in seen {
            // A missing counter is not zero: without all three there is no clock.
            let [Some(busy), Some(idle), Some(pressed)] = counters else {
                continue;
            };
            let new = [busy, idle, pressed];
            let Some((at, old)) = self.last.get(&subtask).copied() else {
                self.last.insert(subtask, (now, new));
                continue;
            };
            let wall: f64 = new.iter().sum::<f64>() - old.iter().sum::<f64>();
            if wall == 0.0 && now.since(at) <= self.gap {
                continue;
            }
            self.last.insert(subtask, (now, new));
            if wall <= 0.0 || now.since(at) > self.gap {
                // Another attempt, which counts from zero; or too long ago to be sure it is the same.
                continue;
            }
            let load = load.get_or_insert_default();
            load.busy = load.busy.max(Share::new((new[0] - old[0]) / wall));
            load.back_pressured = load
                .back_pressured
                .max(Share::new((new[2] - old[2]) / wall));
            load.window = load.window.max(Duration::from_secs_f64(
                (wall / 1e3).min(self.gap.as_secs_f64()),
            ));
        }
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(5);

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn counters(subtask: u32, values: [&str; 3]) -> Vec<Metric> {
        TASK_COUNTERS
            .iter()
            .zip(values)
            .map(|(name, value)| Metric {
                id: format!("{subtask}.{name}"),
                value: Some(value.into()),
            })
            .collect()
    }

    #[test]
    fn shares_are_of_the_time_that_the_counters_themselves_say_has_passed() {
        let mut meter = TaskMeter::new(GAP);
        assert_eq!(meter.read(&counters(0, ["1000", "500", "0"]), at(0)), None);
        // 400 ms of the task's time, although the looks are 200 ms apart.
        let load = meter
            .read(&counters(0, ["1300", "500", "100"]), at(200))
            .unwrap();
        assert_eq!(
            (load.busy, load.back_pressured),
            (Share::new(0.75), Share::new(0.25))
        );
        assert_eq!(load.window, Duration::from_millis(400));
    }

    #[test]
    fn a_look_that_brings_the_same_values_is_no_look() {
        let mut meter = TaskMeter::new(GAP);
        meter.read(&counters(0, ["1000", "500", "0"]), at(0));
        assert_eq!(
            meter.read(&counters(0, ["1000", "500", "0"]), at(200)),
            None
        );
        assert_eq!(
            meter
                .read(&counters(0, ["1200", "500", "0"]), at(400))
                .unwrap()
                .busy,
            Share::new(1.0)
        );
    }

    #[test]
    fn a_new_attempt_starts_from_its_own_counters() {
        let mut meter = TaskMeter::new(GAP);
        meter.read(&counters(0, ["100000", "500", "0"]), at(0));
        assert_eq!(meter.read(&counters(0, ["50", "50", "0"]), at(200)), None);
        assert_eq!(
            meter
                .read(&counters(0, ["100", "100", "0"]), at(400))
                .unwrap()
                .busy,
            Share::new(0.5)
        );
    }

    #[test]
    fn a_missing_or_unknown_counter_is_not_zero() {
        let mut meter = TaskMeter::new(GAP);
        meter.read(&counters(0, ["1000", "500", "0"]), at(0));
        assert_eq!(meter.read(&counters(0, ["NaN", "600", "0"]), at(200)), None);
        assert_eq!(meter.read(&[], at(400)), None);
    }

    #[test]
    fn the_busiest_subtask_counts() {
        let mut meter = TaskMeter::new(GAP);
        let look = |busy: [&str; 2], idle: [&str; 2]| {
            let mut metrics = counters(0, [busy[0], idle[0], "0"]);
            metrics.extend(counters(1, [busy[1], idle[1], "0"]));
            metrics
        };
        meter.read(&look(["0", "0"], ["0", "0"]), at(0));
        let load = meter
            .read(&look(["20", "180"], ["180", "20"]), at(200))
            .unwrap();
        assert_eq!(load.busy, Share::new(0.9));
    }
}
