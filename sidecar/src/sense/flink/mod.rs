//! Watches a job through Flink's REST interface.
//!
//! The `JobManager` fetches metrics lazily: a poll returns what an earlier poll caused to be fetched. So
//! the sensor polls steadily, throws the first answer away, and compares counters. At most
//! [`MAX_REQUESTS`] requests are made in one look, whatever the parallelism: finding out about the job is
//! spread over several looks.

mod client;
mod discover;
mod meter;
mod model;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use spillway_core::ids::ValveName;

use super::{JobSeen, Sensor, Sighting};
use crate::config::Flink;
use crate::decide::{LaneLoad, Moment, Share};
use client::{Rest, RestError};
use discover::Topology;
use meter::{CPU_LOAD, CPU_TIME, CpuMeter, TASK_COUNTERS, TaskLoad, TaskMeter};
use model::{Job, JobLine, Metric, Overview, Setting, TaskManager, TaskManagers};

/// The most requests in one look.
pub const MAX_REQUESTS: usize = 8;
/// So many vertices downstream of the valve are watched, the nearest first.
const MAX_DOWNSTREAM: usize = 4;
/// With more workers than this, one aggregated request is made instead of one for each.
const MAX_WORKERS: usize = 2;
/// How often the job's state and graph, and the list of workers, are looked at again. Flink itself
/// answers from a cache for 3 s.
const REFRESH: Duration = Duration::from_secs(3);
/// A request line beyond 4096 bytes is refused by Flink's server; subtasks that do not fit into one are
/// not watched.
const MAX_QUERY: usize = 3600;
/// Metrics that the `JobManager` fetches less often than this make the sensor's eyes dim.
const SLOW_FETCH: Duration = Duration::from_secs(1);

/// The sensor for one job.
pub struct FlinkSensor {
    rest: Rest,
    job: String,
    found: Option<Found>,
    /// Has the `JobManager`'s configuration been looked at?
    configuration_checked: bool,
}

/// A job that is there.
struct Found {
    id: String,
    seen: JobSeen,
    topology: Option<Topology>,
    /// Which valve name the topology was made for.
    made_for: Option<ValveName>,
    refreshed_at: Moment,
    workers: Vec<TaskManager>,
    workers_at: Option<Moment>,
    meters: BTreeMap<String, TaskMeter>,
    cpus: BTreeMap<String, CpuMeter>,
    /// The first answer is whatever an earlier poll, perhaps long ago, caused to be fetched.
    first_answer_thrown_away: bool,
}

impl FlinkSensor {
    /// A sensor for the job in `settings`. Fails if the machine's root certificates cannot be read.
    pub fn new(settings: &Flink) -> std::io::Result<Self> {
        Ok(Self {
            rest: Rest::new(&settings.rest_url)?,
            job: settings.job.clone(),
            found: None,
            configuration_checked: false,
        })
    }

    /// Asks whether the `JobManager` answers at all.
    pub async fn check(&self) -> Result<(), String> {
        self.rest
            .get::<Overview>("/jobs/overview")
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    async fn try_look(
        &mut self,
        now: Moment,
        valve: Option<&ValveName>,
    ) -> Result<Sighting, RestError> {
        let mut sighting = Sighting::default();
        let due = |found: &Found| now.since(found.refreshed_at) >= REFRESH;
        if self.found.is_none() {
            self.find(now).await?;
        } else if self.found.as_ref().is_some_and(due) {
            self.refresh(now).await?;
        } else if !self.configuration_checked {
            sighting.warnings.extend(self.check_configuration().await?);
        } else if let Some(found) = &mut self.found
            && found.workers_at.is_none_or(|at| now.since(at) >= REFRESH)
        {
            found.workers = self
                .rest
                .get::<TaskManagers>("/taskmanagers")
                .await?
                .taskmanagers;
            found.workers_at = Some(now);
        }
        let Some(found) = &mut self.found else {
            sighting
                .warnings
                .push(format!("there is no job {:?} on the cluster yet", self.job));
            return Ok(sighting);
        };
        sighting.job = found.seen.clone();
        if found.topology.is_none() || found.made_for.as_ref() != valve {
            let job: Job = self.rest.get(&format!("/jobs/{}", found.id)).await?;
            found.take(&job, valve, now);
            if found
                .topology
                .as_ref()
                .is_some_and(|topology| topology.valve.is_none())
            {
                sighting.warnings.push(format!(
                    "no vertex of job {:?} has a valve in its name; only its workers are watched",
                    job.name
                ));
            }
        }
        sighting.lane = found.measure(&self.rest, now).await?;
        Ok(sighting)
    }

    /// Looks for the job by id or name: the running one, else the one started last.
    async fn find(&mut self, now: Moment) -> Result<(), RestError> {
        let overview: Overview = self.rest.get("/jobs/overview").await?;
        let best = overview
            .jobs
            .into_iter()
            .filter(|job| job.jid == self.job || job.name == self.job)
            .max_by_key(|job| (is_alive(&job.state), job.start_time));
        self.found = best
            .filter(|job| is_alive(&job.state))
            .map(|job| Found::new(job, now));
        Ok(())
    }

    /// Looks at the job's state and graph again.
    async fn refresh(&mut self, now: Moment) -> Result<(), RestError> {
        let Some(found) = &mut self.found else {
            return Ok(());
        };
        let job: Result<Job, _> = self.rest.get(&format!("/jobs/{}", found.id)).await;
        match job {
            Ok(job) if is_alive(&job.state) => {
                let valve = found.made_for.clone();
                found.take(&job, valve.as_ref(), now);
            }
            // It has ended, or another `JobManager` does not know it: look for it by name again.
            Ok(_) | Err(RestError::NotFound { .. }) => self.found = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn check_configuration(&mut self) -> Result<Option<String>, RestError> {
        let settings: Vec<Setting> = self.rest.get("/jobmanager/config").await?;
        self.configuration_checked = true;
        let key = "metrics.fetcher.update-interval";
        let interval = settings
            .iter()
            .find(|setting| setting.key == key)
            .map_or("10 s", |setting| setting.value.as_str());
        let slow = discover::parse_duration(interval).is_none_or(|interval| interval > SLOW_FETCH);
        Ok(slow.then(|| {
            format!(
                "the cluster fetches metrics every {interval}: set {key} to 200 ms in its configuration, \
                 or decisions rest on the valve's reports alone"
            )
        }))
    }
}

impl Sensor for FlinkSensor {
    fn look<'a>(
        &'a mut self,
        now: Moment,
        valve: Option<&'a ValveName>,
    ) -> Pin<Box<dyn Future<Output = Sighting> + Send + 'a>> {
        Box::pin(async move {
            match self.try_look(now, valve).await {
                Ok(sighting) => sighting,
                Err(error) => {
                    let job = self
                        .found
                        .as_ref()
                        .map(|found| found.seen.clone())
                        .unwrap_or_default();
                    if let RestError::NotFound { .. } = error {
                        // The job went away between two requests.
                        self.found = None;
                        return Sighting {
                            job,
                            ..Sighting::default()
                        };
                    }
                    Sighting {
                        job,
                        blind: Some(error.to_string()),
                        ..Sighting::default()
                    }
                }
            }
        })
    }
}

/// Whether a job in this state has, or will have, tasks.
fn is_alive(state: &str) -> bool {
    !matches!(state, "FINISHED" | "CANCELED" | "FAILED" | "SUSPENDED")
}

impl Found {
    fn new(job: JobLine, now: Moment) -> Self {
        Self {
            seen: JobSeen {
                name: Some(job.name),
                id: Some(job.jid.clone()),
                state: Some(job.state),
            },
            id: job.jid,
            topology: None,
            made_for: None,
            refreshed_at: now,
            workers: Vec::new(),
            workers_at: None,
            meters: BTreeMap::new(),
            cpus: BTreeMap::new(),
            first_answer_thrown_away: false,
        }
    }

    fn take(&mut self, job: &Job, valve: Option<&ValveName>, now: Moment) {
        self.seen.state = Some(job.state.clone());
        self.seen.name = Some(job.name.clone());
        // A job that is being initialised has no vertices yet.
        self.topology = (!job.vertices.is_empty()).then(|| Topology::of(job, valve));
        self.made_for = valve.cloned();
        self.refreshed_at = now;
    }

    /// Reads the lane's metrics: one request for each vertex, and for each worker.
    async fn measure(&mut self, rest: &Rest, now: Moment) -> Result<Option<LaneLoad>, RestError> {
        let Some(topology) = self.topology.clone() else {
            return Ok(None);
        };
        let mut valve = None;
        if let Some(vertex) = &topology.valve {
            valve = self
                .vertex(rest, &vertex.id, vertex.parallelism, now)
                .await?;
        }
        let mut downstream: Option<TaskLoad> = None;
        for vertex in topology.downstream.iter().take(MAX_DOWNSTREAM) {
            if let Some(load) = self
                .vertex(rest, &vertex.id, vertex.parallelism, now)
                .await?
            {
                let most = downstream.get_or_insert(load);
                most.busy = most.busy.max(load.busy);
                most.window = most.window.max(load.window);
            }
        }
        let (worker_cpu, worker_cpu_window) = self.workers(rest, now).await?;
        if !std::mem::replace(&mut self.first_answer_thrown_away, true) {
            self.meters.clear();
            self.cpus.clear();
            return Ok(None);
        }
        let window = valve.map_or(Duration::ZERO, |load| load.window);
        let load = LaneLoad {
            valve_back_pressured: valve.map(|load| load.back_pressured),
            downstream_busy: downstream.map(|load| load.busy),
            worker_cpu,
            worker_cpu_window,
            worker_cores: self
                .workers
                .iter()
                .map(|worker| worker.hardware.cpu_cores)
                .max(),
            window: downstream.map_or(window, |load| window.max(load.window)),
            ..LaneLoad::default()
        };
        // Without news about a task there is no news: a worker's share is an average that lasts.
        Ok((valve.is_some() || downstream.is_some() || topology.valve.is_none()).then_some(load))
    }

    async fn vertex(
        &mut self,
        rest: &Rest,
        vertex: &str,
        parallelism: u32,
        now: Moment,
    ) -> Result<Option<TaskLoad>, RestError> {
        let (mut names, mut length) = (Vec::new(), 0);
        for subtask in 0..parallelism {
            for counter in TASK_COUNTERS {
                names.push(format!("{subtask}.{counter}"));
            }
            // Numbers of subtasks have up to five digits; each name is followed by a comma.
            length += TASK_COUNTERS
                .iter()
                .map(|counter| counter.len() + 7)
                .sum::<usize>();
            if length > MAX_QUERY {
                break;
            }
        }
        let path = format!(
            "/jobs/{}/vertices/{vertex}/metrics?get={}",
            self.id,
            names.join(",")
        );
        let metrics: Vec<Metric> = rest.get(&path).await?;
        Ok(self
            .meters
            .entry(vertex.to_owned())
            .or_default()
            .read(&metrics, now))
    }

    /// The processor share of the busiest worker, and how long a time it is an average over if it is news.
    async fn workers(
        &mut self,
        rest: &Rest,
        now: Moment,
    ) -> Result<(Option<Share>, Duration), RestError> {
        if self.workers.len() > MAX_WORKERS {
            let path = format!("/taskmanagers/metrics?get={CPU_LOAD}&agg=max");
            let loads: Vec<discover::Aggregate> = rest.get(&path).await?;
            let most = loads.first().and_then(|load| load.max).map(Share::new);
            return Ok((most, Duration::ZERO));
        }
        let mut most: Option<(Share, Duration)> = None;
        for worker in self.workers.clone() {
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
            let meter = self.cpus.entry(worker.id).or_default();
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
