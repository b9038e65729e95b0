//! Makes shares out of the counters of a vertex with more subtasks than one request can name.

use std::time::Duration;

use super::meter::{TASK_COUNTERS, TaskLoad};
use super::model::Aggregate;
use crate::decide::{Moment, Share};

/// Averages over a minute, in milliseconds per second. They are slow, but tell how uneven the subtasks are.
pub(crate) const TASK_GAUGES: [&str; 2] = ["busyTimeMsPerSecond", "backPressuredTimeMsPerSecond"];
/// The busiest of many subtasks is taken to be at most so many times busier than their average.
const MAX_SKEW: f64 = 100.0;

/// Differences the counters of one vertex, summed up over its subtasks.
///
/// A sum gives the average subtask. How much busier the busiest is than the average, the gauges tell.
#[derive(Debug)]
pub(crate) struct SumMeter {
    gap: Duration,
    last: Option<(Moment, Sums)>,
}

/// All counters over all subtasks.
#[derive(Debug, Clone, Copy)]
struct Sums {
    sum: [f64; 3],
    min: [f64; 3],
}

impl SumMeter {
    /// A meter that has read nothing. Counters further apart than `gap` are not compared.
    pub(crate) fn new(gap: Duration) -> Self {
        Self { gap, last: None }
    }

    /// Takes in what a look has brought of `subtasks` subtasks. `None` if it has brought nothing new.
    pub(crate) fn read(
        &mut self,
        metrics: &[Aggregate],
        subtasks: u32,
        now: Moment,
    ) -> Option<TaskLoad> {
        let of = |name: &str| metrics.iter().find(|metric| metric.id == name);
        let mut new = Sums {
            sum: [0.0; 3],
            min: [0.0; 3],
        };
        for (index, name) in TASK_COUNTERS.iter().enumerate() {
            // A missing counter is not zero.
            (new.sum[index], new.min[index]) = of(name).and_then(|m| Some((m.sum?, m.min?)))?;
        }
        let Some((at, old)) = self.last else {
            self.last = Some((now, new));
            return None;
        };
        let wall = new.sum.iter().sum::<f64>() - old.sum.iter().sum::<f64>();
        if wall == 0.0 && now.since(at) <= self.gap {
            return None;
        }
        self.last = Some((now, new));
        // A subtask of a new attempt counts from zero, and so lowers the smallest of each counter that all
        // the others have worked on.
        let fell = (0..3).any(|i| new.min[i] < old.min[i] || new.sum[i] < old.sum[i]);
        if fell || wall <= 0.0 || now.since(at) > self.gap {
            return None;
        }
        let skew = |name: &str| {
            let (max, avg) = of(name).and_then(|m| Some((m.max?, m.avg?)))?;
            (avg > 0.0).then(|| (max / avg).clamp(1.0, MAX_SKEW))
        };
        let share = |index: usize, gauge: &str| {
            let average = (new.sum[index] - old.sum[index]) / wall;
            Share::new(average * skew(gauge).unwrap_or(1.0))
        };
        let window = wall / 1e3 / f64::from(subtasks.max(1));
        Some(TaskLoad {
            busy: share(0, TASK_GAUGES[0]),
            back_pressured: share(2, TASK_GAUGES[1]),
            window: Duration::from_secs_f64(window.min(self.gap.as_secs_f64())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(5);

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    /// Sums over 64 subtasks that all did the same, but for the gauges' skew.
    fn sums(ms: [f64; 3], busy_gauge: (f64, f64)) -> Vec<Aggregate> {
        let counter = |(name, ms): (&&str, f64)| Aggregate {
            id: (*name).to_owned(),
            min: Some(ms),
            sum: Some(64.0 * ms),
            ..Aggregate::default()
        };
        let mut sums: Vec<_> = TASK_COUNTERS.iter().zip(ms).map(counter).collect();
        sums.push(Aggregate {
            id: TASK_GAUGES[0].to_owned(),
            max: Some(busy_gauge.0),
            avg: Some(busy_gauge.1),
            ..Aggregate::default()
        });
        sums
    }

    #[test]
    fn of_many_subtasks_the_busiest_is_told_from_the_average_and_how_uneven_they_are() {
        let mut meter = SumMeter::new(GAP);
        assert_eq!(meter.read(&sums([0.0; 3], (0.0, 0.0)), 64, at(0)), None);
        let load = meter
            .read(&sums([80.0, 80.0, 40.0], (600.0, 400.0)), 64, at(200))
            .unwrap();
        assert!((load.busy.get() - 0.6).abs() < 1e-9, "{load:?}");
        assert!((load.back_pressured.get() - 0.2).abs() < 1e-9, "{load:?}");
        assert_eq!(load.window, Duration::from_millis(200));
    }

    #[test]
    fn one_new_attempt_among_many_subtasks_starts_the_sums_anew() {
        let mut meter = SumMeter::new(GAP);
        meter.read(&sums([9e3, 9e3, 0.0], (0.0, 0.0)), 64, at(0));
        // One of them counts from zero; the sums still grow, by less than the time that has passed.
        let mut one_new = sums([9.4e3, 9.4e3, 0.0], (0.0, 0.0));
        one_new[0].min = Some(10.0);
        assert_eq!(meter.read(&one_new, 64, at(800)), None);
        let mut later = sums([9.6e3, 9.4e3, 0.0], (0.0, 0.0));
        later[0].min = Some(110.0);
        assert_eq!(
            meter.read(&later, 64, at(1_000)).unwrap().busy,
            Share::new(1.0)
        );
    }

    #[test]
    fn sums_that_are_missing_or_not_a_number_are_not_zero() {
        let mut meter = SumMeter::new(GAP);
        meter.read(&sums([0.0; 3], (0.0, 0.0)), 64, at(0));
        assert_eq!(meter.read(&[], 64, at(200)), None);
        let mut nan = sums([100.0, 100.0, 0.0], (0.0, 0.0));
        nan[1] = serde_json::from_str(r#"{"id": "accumulateIdleTimeMs", "sum": "NaN", "min": 1}"#)
            .unwrap();
        assert_eq!(meter.read(&nan, 64, at(400)), None);
    }
}
