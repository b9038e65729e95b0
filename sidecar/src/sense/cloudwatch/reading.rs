//! What the metrics of a minute say of the lane.

use std::time::Duration;

use spillway_core::ids::ValveName;

use super::{Point, Series};
use crate::decide::{LaneLoad, Share};

const BUSY: &str = "busyTimeMsPerSecond";
const BACK_PRESSURED: &str = "backPressuredTimeMsPerSecond";
/// Percent of the processors, one sample for each `TaskManager`'s JVM.
const CPU: &str = "cpuUtilization";
/// The same for its whole container, where that is published.
const CONTAINER_CPU: &str = "containerCPUUtilization";
/// Of the Kafka partition that is furthest behind.
const KAFKA_LAG: &str = "records_lag_max";
/// What is asked for.
pub(super) const METRICS: [&str; 5] = [BUSY, BACK_PRESSURED, CPU, CONTAINER_CPU, KAFKA_LAG];
/// Tasks back-pressured up to this share of time hold nobody up.
const HARDLY: f64 = 0.1;

/// A minute's metrics by what they mean. What is `None` was not published.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Reading {
    valve_back_pressured: Option<Share>,
    downstream_busy: Option<Share>,
    worker_cpu: Option<Share>,
    /// At least so many: what lags behind in one partition.
    pending_records: Option<u64>,
    bottleneck: Option<String>,
}

impl Reading {
    /// Reads the minute that starts at `start_ms`.
    ///
    /// The job's graph is not published. So a task that is neither a source nor the valve's is taken to be
    /// downstream of the valve. (A source that sleeps reports itself busy, and is not asked.)
    pub(super) fn of(
        series: &[Series],
        points: &[Point],
        start_ms: i64,
        valve: Option<&ValveName>,
    ) -> Self {
        let minute: Vec<(&Series, f64)> = points
            .iter()
            .filter(|point| point.start_ms == start_ms && point.maximum.is_finite())
            .filter_map(|point| Some((series.get(point.series)?, point.maximum)))
            .collect();
        let of = |metric: &'static str| {
            let minute = minute.iter();
            minute.filter(move |(series, _)| series.metric == metric)
        };
        let max = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
        let valve = valve_task(&minute, valve);
        let is_valve = |series: &Series| series.task().is_some() && series.task() == valve;
        let downstream = |series: &Series| {
            let not_a_source = |task: &str| !task.to_lowercase().starts_with("source");
            !is_valve(series) && series.task().is_some_and(not_a_source)
        };
        let pressed = |task: Option<&str>| {
            let of_task = of(BACK_PRESSURED).filter(|(series, _)| series.task() == task);
            max(&mut of_task.map(|(_, ms)| ms / 1e3))
        };
        let busiest = of(BUSY)
            .filter(|(series, _)| downstream(series))
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        let free = of(BUSY)
            .filter(|(series, _)| downstream(series))
            .filter(|(series, _)| pressed(series.task()).is_none_or(|share| share <= HARDLY))
            .max_by(|(_, a), (_, b)| a.total_cmp(b));
        let valve_back_pressured = valve.and_then(|valve| pressed(Some(valve)));
        let waits = valve_back_pressured.is_some_and(|share| share > HARDLY);
        let cpu = max(&mut of(CPU).map(|(_, percent)| *percent))
            .or_else(|| max(&mut of(CONTAINER_CPU).map(|(_, percent)| *percent)));
        Self {
            valve_back_pressured: valve_back_pressured.map(Share::new),
            downstream_busy: busiest.map(|(_, ms)| Share::new(ms / 1e3)),
            worker_cpu: cpu.map(|percent| Share::new(percent / 100.0)),
            pending_records: max(&mut of(KAFKA_LAG).map(|(_, records)| *records)).map(records),
            bottleneck: free
                .filter(|_| waits)
                .and_then(|(series, _)| series.task())
                .map(str::to_owned),
        }
    }

    /// As an observation, of metrics that are averages over `window` and have been true `age` ago.
    pub(super) fn lane(self, window: Duration, age: Duration) -> LaneLoad {
        LaneLoad {
            valve_back_pressured: self.valve_back_pressured,
            downstream_busy: self.downstream_busy,
            window,
            worker_cpu_window: self.worker_cpu.map_or(Duration::ZERO, |_| window),
            worker_cpu: self.worker_cpu,
            worker_cores: None,
            pending_records: self.pending_records,
            bottleneck: self.bottleneck,
            age,
        }
    }
}

/// The task that the valve is chained into: the one that has the name under which a valve has reported in
/// its own name, else the one that has the word "valve" in it. Of those that published in this minute: tasks of before
/// the application was updated are listed for hours.
fn valve_task<'a>(minute: &[(&'a Series, f64)], name: Option<&ValveName>) -> Option<&'a str> {
    let with = |word: &str| {
        let word = word.to_lowercase();
        let mut tasks = minute.iter().filter_map(|(series, _)| series.task());
        tasks.find(|task| task.to_lowercase().contains(&word))
    };
    name.and_then(|name| with(name.as_str()))
        .or_else(|| with("valve"))
}

/// A lag is a whole number of records, at least 0; Kafka's client says -1 or NaN for unknown.
fn records(lag: f64) -> u64 {
    // Clamped, so that the cast neither wraps nor loses a sign.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let records = lag.clamp(0.0, 1e18) as u64;
    records
}
