//! Watches a job through Flink's REST interface.
//!
//! The `JobManager` fetches metrics lazily: a poll returns what an earlier poll caused to be fetched. So
//! the sensor polls steadily, throws the first answer away, and compares counters. At most
//! [`MAX_REQUESTS`] requests are made in one look, whatever the size of job and cluster: one *errand* (find
//! the job, look at its graph, list the workers, ask for the lag), one for each of at most five vertices,
//! and two for the workers.

mod client;
mod discover;
mod lag;
mod meter;
mod model;
mod sums;
mod watch;
mod workers;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::time::Duration;

use spillway_core::ids::ValveName;

use super::{JobSeen, Sensor, Sighting};
use crate::config::Flink;
use crate::decide::{LaneLoad, Moment};
use client::{Rest, RestError};
use discover::{Chosen, Topology, choose, is_alive};
use lag::Lag;
use model::{Job, JobLine, Overview, Setting, Vertex};
use watch::{Answer, MAX_VERTICES, Question, Watch};
use workers::{MAX_WORKERS, Workers};

/// The most requests in one look.
pub const MAX_REQUESTS: usize = 1 + MAX_VERTICES + MAX_WORKERS;
const _: () = assert!(MAX_REQUESTS <= 8, "what the sensor may cost the JobManager");
/// How often the job's state and graph, and the list of workers, are looked at again. Flink itself
/// answers from a cache for 3 s.
const REFRESH: Duration = Duration::from_secs(3);
/// How often it is looked whether a newer job has the name.
const RECHOOSE: Duration = Duration::from_secs(10);
/// Metrics that the `JobManager` fetches less often than this make the sensor's eyes dim.
const SLOW_FETCH: Duration = Duration::from_secs(1);
/// Counters further apart than this may belong to different attempts: start anew.
const GAP: Duration = Duration::from_secs(5);
/// A job that has run for so long without a single counter has none.
const NO_METRICS: Duration = Duration::from_secs(15);

/// The sensor for one job.
pub struct FlinkSensor {
    rest: Rest,
    job: String,
    gap: Duration,
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
    chosen_at: Moment,
    watch: Watch,
    workers: Workers,
    lag: Lag,
    /// When a vertex has last shown something new; at first, when the job was found running.
    news_at: Moment,
    /// The first answer is whatever an earlier poll, perhaps long ago, caused to be fetched.
    first_answer_thrown_away: bool,
}

/// What a look does besides measuring: at most one thing, and one request.
enum Errand {
    /// Look whether the job is there.
    Find,
    /// Look at its state and its graph.
    Job,
    /// Look whether metrics are fetched often enough.
    Configuration,
    /// Look who the workers are.
    Workers,
    /// Look whether a newer job has the name.
    Rechoose,
    /// Ask a source how much waits there.
    Lag(Vertex),
    /// None.
    Nothing,
}

impl FlinkSensor {
    /// A sensor for the job in `settings`. Fails if the machine's root certificates cannot be read.
    pub fn new(settings: &Flink) -> std::io::Result<Self> {
        Ok(Self {
            rest: Rest::new(&settings.rest_url)?,
            job: settings.job.clone(),
            gap: GAP.max(settings.poll_interval * 3),
            found: None,
            configuration_checked: false,
        })
    }

    async fn try_look(
        &mut self,
        now: Moment,
        valve: Option<&ValveName>,
    ) -> Result<Sighting, RestError> {
        let mut sighting = Sighting::default();
        match self.errand(now, valve) {
            Errand::Find => {
                sighting.warnings.extend(self.choose(now).await?);
                // Of a job that was just found no workers are known yet, so a request is left for this.
                self.refresh(now, valve, &mut sighting).await?;
            }
            Errand::Job => self.refresh(now, valve, &mut sighting).await?,
            Errand::Configuration => sighting.warnings.extend(self.check_configuration().await?),
            Errand::Rechoose => sighting.warnings.extend(self.choose(now).await?),
            Errand::Workers => {
                if let Some(found) = &mut self.found {
                    found.workers.list(&self.rest, now).await?;
                }
            }
            Errand::Lag(source) => {
                if let Some(found) = &mut self.found {
                    let asked = found.lag.ask(&self.rest, &found.id, &source, now).await;
                    match asked {
                        Err(error @ RestError::Unreachable { .. }) => return Err(error),
                        // A job can be steered without it.
                        Err(error) => tracing::debug!("no lag: {error}"),
                        Ok(()) => {}
                    }
                }
            }
            Errand::Nothing => {}
        }
        let Some(found) = &mut self.found else {
            sighting
                .warnings
                .push(format!("there is no job {:?} on the cluster yet", self.job));
            return Ok(sighting);
        };
        sighting.job = found.seen.clone();
        sighting.lane = found.measure(&self.rest, now).await?;
        sighting.warnings.extend(found.lacks_metrics(now, self.gap));
        Ok(sighting)
    }

    fn errand(&self, now: Moment, valve: Option<&ValveName>) -> Errand {
        let Some(found) = &self.found else {
            return Errand::Find;
        };
        let old = |at: Moment, age: Duration| now.since(at) >= age;
        if found.topology.is_none()
            || found.made_for.as_ref() != valve
            || old(found.refreshed_at, REFRESH)
        {
            Errand::Job
        } else if !self.configuration_checked {
            Errand::Configuration
        } else if found.workers.listed_at().is_none_or(|at| old(at, REFRESH)) {
            Errand::Workers
        } else if old(found.chosen_at, RECHOOSE) {
            Errand::Rechoose
        } else {
            let sources = found.topology.as_ref().map(|topology| &topology.sources);
            sources
                .and_then(|sources| found.lag.due(sources, now))
                .map_or(Errand::Nothing, |source| Errand::Lag(source.clone()))
        }
    }

    /// Looks for the job by id or name. Gives what an operator should know of the choice.
    async fn choose(&mut self, now: Moment) -> Result<Option<String>, RestError> {
        let overview: Overview = self.rest.get("/jobs/overview").await?;
        let Chosen { job, warning } = choose(overview.jobs, &self.job);
        match (&mut self.found, job) {
            (Some(found), Some(job)) if found.id == job.jid => found.chosen_at = now,
            (_, job) => self.found = job.map(|job| Found::new(job, now, self.gap)),
        }
        Ok(warning)
    }

    /// Looks at the job's state and graph.
    async fn refresh(
        &mut self,
        now: Moment,
        valve: Option<&ValveName>,
        sighting: &mut Sighting,
    ) -> Result<(), RestError> {
        let Some(found) = &mut self.found else {
            return Ok(());
        };
        let anew = found.topology.is_none() || found.made_for.as_ref() != valve;
        let job: Result<Job, _> = self.rest.get(&format!("/jobs/{}", found.id)).await;
        match job {
            Ok(job) if is_alive(&job.state) => found.take(&job, valve, now),
            // It has ended, or another `JobManager` does not know it: look for it by name again.
            Ok(_) | Err(RestError::NotFound { .. }) => {
                self.found = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let without = |topology: &Topology| topology.valve.is_none();
        if anew && found.topology.as_ref().is_some_and(without) {
            sighting.warnings.push(format!(
                "no vertex of job {:?} has a valve in its name; only its workers are watched",
                found.seen.name.as_deref().unwrap_or(&found.id)
            ));
        }
        Ok(())
    }

    async fn check_configuration(&mut self) -> Result<Option<String>, RestError> {
        let settings: Vec<Setting> = match self.rest.get("/jobmanager/config").await {
            Ok(settings) => settings,
            Err(error @ RestError::Unreachable { .. }) => return Err(error),
            // Somebody keeps it from us; that is no reason not to look at the job.
            Err(_) => Vec::new(),
        };
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

impl FlinkSensor {
    /// What to say of a look that failed.
    fn saw_nothing(&mut self, error: &RestError) -> Sighting {
        let job = self
            .found
            .as_ref()
            .map(|found| found.seen.clone())
            .unwrap_or_default();
        let mut sighting = Sighting {
            job,
            ..Sighting::default()
        };
        if let RestError::NotFound { .. } = error {
            // The job went away between two requests.
            self.found = None;
        } else {
            sighting.blind = Some(error.to_string());
        }
        sighting
    }
}

impl Sensor for FlinkSensor {
    fn look<'a>(
        &'a mut self,
        now: Moment,
        valve: Option<&'a ValveName>,
    ) -> Pin<Box<dyn Future<Output = Sighting> + Send + 'a>> {
        Box::pin(async move {
            let before = self.rest.requests();
            let looked = self.try_look(now, valve).await;
            let mut sighting = looked.unwrap_or_else(|error| self.saw_nothing(&error));
            sighting.requests = self.rest.requests() - before;
            sighting
        })
    }

    fn check(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async {
            let answer = self.rest.get::<Overview>("/jobs/overview").await;
            answer.map(drop).map_err(|error| error.to_string())
        })
    }
}

impl Found {
    fn new(job: JobLine, now: Moment, gap: Duration) -> Self {
        Self {
            seen: JobSeen {
                name: Some(job.name),
                id: Some(job.jid.clone()),
                state: Some(job.state),
                lane: None,
            },
            id: job.jid,
            topology: None,
            made_for: None,
            refreshed_at: now,
            chosen_at: now,
            watch: Watch::new(gap),
            workers: Workers::new(gap),
            lag: Lag::new(gap),
            news_at: now,
            first_answer_thrown_away: false,
        }
    }

    fn take(&mut self, job: &Job, valve: Option<&ValveName>, now: Moment) {
        if self.seen.state.as_ref() != Some(&job.state) {
            self.news_at = now;
        }
        self.seen.state = Some(job.state.clone());
        self.seen.name = Some(job.name.clone());
        // A job that is being initialised has no vertices yet.
        self.topology = (!job.vertices.is_empty()).then(|| Topology::of(job, valve));
        self.made_for = valve.cloned();
        self.refreshed_at = now;
    }

    /// Reads the lane's metrics.
    async fn measure(&mut self, rest: &Rest, now: Moment) -> Result<Option<LaneLoad>, RestError> {
        let Some(topology) = self.topology.clone() else {
            return Ok(None);
        };
        let mut news = Vec::new();
        for vertex in self.watch.due(&topology) {
            let answer = self.ask(rest, &vertex).await?;
            if self.watch.take(&vertex, &answer, now) {
                news.push(vertex.id);
            }
        }
        let (worker_cpu, worker_cpu_window) = self.workers.load(rest, now).await?;
        if !std::mem::replace(&mut self.first_answer_thrown_away, true) {
            self.watch.forget();
            self.workers.forget();
            return Ok(None);
        }
        let lane = self.watch.lane(&topology, &news, now);
        if !news.is_empty() {
            self.news_at = now;
        }
        let window =
            |load: Option<meter::TaskLoad>| load.map_or(Duration::ZERO, |load| load.window);
        let load = LaneLoad {
            valve_back_pressured: lane.valve.map(|load| load.back_pressured),
            downstream_busy: lane.downstream.map(|load| load.busy),
            window: window(lane.valve).max(window(lane.downstream)),
            worker_cpu,
            worker_cpu_window,
            worker_cores: self.workers.cores(),
            pending_records: self.lag.pending(now),
            bottleneck: self.watch.bottleneck(&topology, worker_cpu, now),
            age: Duration::ZERO,
        };
        // Without news about a task there is no news: a worker's share is an average that lasts.
        let is_news = lane.valve.is_some() || lane.downstream.is_some() || topology.valve.is_none();
        Ok(is_news.then_some(load))
    }

    async fn ask(&self, rest: &Rest, vertex: &Vertex) -> Result<Answer, RestError> {
        let path = format!("/jobs/{}/vertices/{}", self.id, vertex.id);
        match Question::of(vertex.parallelism) {
            Question::Each(query) => Ok(Answer::Each(rest.get(&format!("{path}{query}")).await?)),
            Question::Sum(query) => Ok(Answer::Sum(rest.get(&format!("{path}{query}")).await?)),
        }
    }

    /// Says so if a running job with a valve shows no counters.
    fn lacks_metrics(&self, now: Moment, gap: Duration) -> Option<String> {
        let valve = self.topology.as_ref()?.valve.as_ref()?;
        let running = self.seen.state.as_deref() == Some("RUNNING");
        let lacks = running && now.since(self.news_at) > NO_METRICS.max(gap * 2);
        lacks.then(|| {
            format!(
                "the cluster shows no counters of {:?} and what follows it: decisions rest on the valve's \
                 reports alone",
                valve.name
            )
        })
    }
}
