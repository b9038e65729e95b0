//! The worker processes, and how much of their processors they use.
//!
//! Tasks that share one processor never look busy although it is full, so the processor is watched too.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::{Rest, RestError};
use super::model::{Aggregate, Metric, TaskManager, TaskManagers};
use crate::decide::{Moment, Share};

/// With more workers than this, one aggregated request is made instead of one for each.
pub(crate) const MAX_WORKERS: usize = 2;
/// The counter of a worker's processor time, in nanoseconds.
const CPU_TIME: &str = "Status.JVM.CPU.Time";
/// How much of all processors a worker used lately, in 0..=1.
const CPU_LOAD: &str = "Status.JVM.CPU.Load";
/// A worker's processor time is compared over at least so long: what it is measured against is the time
/// of our looks, which is off by up to one fetch of the `JobManager`'s.
const CPU_WINDOW: Duration = Duration::from_secs(1);

/// All worker processes of the cluster.
#[derive(Debug)]
pub(crate) struct Workers {
    gap: Duration,
    list: Vec<TaskManager>,
    listed_at: Option<Moment>,
    meters: BTreeMap<String, CpuMeter>,
}

impl Workers {
    /// None is known yet. Readings further apart than `gap` are not compared.
    pub(crate) fn new(gap: Duration) -> Self {
        Self {
            gap,
            list: Vec::new(),
            listed_at: None,
            meters: BTreeMap::new(),
        }
    }

    /// When they were listed last.
    pub(crate) fn listed_at(&self) -> Option<Moment> {
        self.listed_at
    }

    /// Lists them: one request.
    pub(crate) async fn list(&mut self, rest: &Rest, now: Moment) -> Result<(), RestError> {
        self.list = rest
            .get::<TaskManagers>("/taskmanagers")
            .await?
            .taskmanagers;
        self.listed_at = Some(now);
        let list = &self.list;
        self.meters
            .retain(|id, _| list.iter().any(|worker| worker.id == *id));
        Ok(())
    }

    /// How many processors the largest of them has.
    pub(crate) fn cores(&self) -> Option<u32> {
        let cores = self.list.iter().map(|worker| worker.hardware.cpu_cores);
        cores.max()
    }

    /// Forgets what has been read so far, except who there is.
    pub(crate) fn forget(&mut self) {
        self.meters.clear();
    }

    /// The processor share of the busiest worker, and how long a time it is an average over if it is news:
    /// at most [`MAX_WORKERS`] requests.
    pub(crate) async fn load(
        &mut self,
        rest: &Rest,
        now: Moment,
    ) -> Result<(Option<Share>, Duration), RestError> {
        if self.list.len() > MAX_WORKERS {
            let path = format!("/taskmanagers/metrics?get={CPU_LOAD}&agg=max");
            let loads: Vec<Aggregate> = rest.get(&path).await?;
            let load = loads.iter().find(|load| load.id == CPU_LOAD);
            return Ok((
                load.and_then(|load| load.max).map(Share::new),
                Duration::ZERO,
            ));
        }
        let mut most: Option<(Share, Duration)> = None;
        for worker in &self.list {
            let path = format!("/taskmanagers/{}/metrics?get={CPU_TIME}", worker.id);
            let metrics: Vec<Metric> = match rest.get(&path).await {
                Ok(metrics) => metrics,
                // It is gone; the list of workers will tell soon.
                Err(RestError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Some(nanos) = metrics.first().and_then(Metric::number) else {
                continue;
            };
            let meter = self
                .meters
                .entry(worker.id.clone())
                .or_insert_with(|| CpuMeter::new(self.gap));
            if let Some(share) = meter.read(nanos, worker.hardware.cpu_cores, now)
                && most.is_none_or(|(most, _)| share > most)
            {
                most = Some((share, meter.news()));
            }
        }
        Ok((
            most.map(|(share, _)| share),
            most.map_or(Duration::ZERO, |(_, window)| window),
        ))
    }
}

/// Differences the processor time of one worker.
#[derive(Debug)]
struct CpuMeter {
    gap: Duration,
    last: Option<(Moment, f64)>,
    share: Option<Share>,
    news: Duration,
}

impl CpuMeter {
    fn new(gap: Duration) -> Self {
        Self {
            gap,
            last: None,
            share: None,
            news: Duration::ZERO,
        }
    }

    /// How long a time the share is an average over, if the last look has brought it; else zero.
    fn news(&self) -> Duration {
        self.news
    }

    /// Takes in the processor time `nanos` of a worker that may use `cores` processors, and gives the
    /// share of them that it used; `None` as long as that cannot be told.
    fn read(&mut self, nanos: f64, cores: u32, now: Moment) -> Option<Share> {
        self.news = Duration::ZERO;
        let Some((at, old)) = self.last else {
            self.last = Some((now, nanos));
            return None;
        };
        let wall = now.since(at);
        if nanos < old || wall > self.gap {
            self.last = Some((now, nanos));
            self.share = None;
            return None;
        }
        // The end of the window is when a new value is first seen, as its start was.
        if nanos > old && wall >= CPU_WINDOW {
            let share = (nanos - old) / 1e9 / wall.as_secs_f64() / f64::from(cores.max(1));
            self.last = Some((now, nanos));
            self.share = Some(Share::new(share));
            self.news = wall;
        }
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    #[test]
    fn processor_time_is_shared_out_over_the_processors_that_the_worker_may_use() {
        let mut meter = CpuMeter::new(Duration::from_secs(5));
        assert_eq!(meter.read(0.0, 2, at(0)), None);
        assert_eq!(meter.read(0.5e9, 2, at(500)), None);
        assert_eq!(meter.read(1.0e9, 2, at(1_000)), Some(Share::new(0.5)));
        assert_eq!(meter.news(), Duration::from_secs(1));
        // Between windows the last one counts.
        assert_eq!(meter.read(1.3e9, 2, at(1_200)), Some(Share::new(0.5)));
        assert_eq!(meter.news(), Duration::ZERO);
        // A new process.
        assert_eq!(meter.read(0.1e9, 2, at(1_400)), None);
    }
}
