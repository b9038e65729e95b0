//! Watches a job through `CloudWatch`: Amazon Managed Service for Apache Flink publishes its metrics there
//! (namespace `AWS/KinesisAnalytics`) and has no REST interface.
//!
//! A metric is the average or maximum of a minute and appears about a minute after it, so what is seen is
//! one to three minutes old: enough to know the lane's utilisation at steady load, far too late for a
//! spike. Its [age](LaneLoad::age) goes with it. Which metrics there are depends on the application's
//! *metrics level*: tasks are visible from level TASK on; at level APPLICATION only its processors are.

mod client;
mod reading;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use spillway_core::ids::ValveName;

use super::{JobSeen, Sensor, Sighting};
use crate::clock::Clock;
use crate::config::CloudWatch;
use crate::decide::Moment;
use crate::divert::BoxFuture;
pub(crate) use client::AwsMetrics;
use reading::Reading;

/// The period of the service's metrics, which it publishes once a minute.
const PERIOD: Duration = Duration::from_mins(1);
/// How far back is looked: what is older is no news, however late it was published.
const WINDOW: Duration = Duration::from_mins(5);
/// How often it is looked which metrics there are: tasks change when the application is updated.
const RELIST: Duration = Duration::from_mins(10);
/// As many as one `GetMetricData` takes.
const MAX_SERIES: usize = 500;

/// One metric with its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    /// `busyTimeMsPerSecond`
    pub(crate) metric: String,
    /// Name and value: `Application`, `Task`, `Operator`, `Parallelism`.
    pub(crate) dimensions: Vec<(String, String)>,
}

/// The newest whole minute of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// Which of the series that were asked for.
    pub(crate) series: usize,
    /// The start of its minute, milliseconds since the Unix epoch.
    pub(crate) start_ms: i64,
    /// The maximum over the minute and over all that published.
    pub(crate) maximum: f64,
}

/// Where the metrics are.
pub(crate) trait Metrics: Send + Sync + 'static {
    /// The series of an application that say something of its lane. Fails with what is wrong and what to do.
    fn list<'a>(&'a self, application: &'a str) -> BoxFuture<'a, Result<Vec<Series>, String>>;

    /// The maxima per minute of these series, between these times. Fails with what is wrong and what to do.
    fn get<'a>(
        &'a self,
        series: &'a [Series],
        from_ms: i64,
        to_ms: i64,
    ) -> BoxFuture<'a, Result<Vec<Point>, String>>;
}

/// The sensor for one application.
pub struct CloudWatchSensor {
    metrics: Box<dyn Metrics>,
    clock: Arc<dyn Clock>,
    application: String,
    series: Vec<Series>,
    listed_at: Option<Moment>,
    /// The start of the youngest minute that was shown.
    shown_ms: Option<i64>,
}

impl CloudWatchSensor {
    /// A sensor with the credentials of the AWS environment, which need `cloudwatch:ListMetrics` and
    /// `cloudwatch:GetMetricData`.
    pub async fn new(settings: &CloudWatch, clock: Arc<dyn Clock>) -> Self {
        let metrics = Box::new(AwsMetrics::new(settings).await);
        Self::with(metrics, &settings.application, clock)
    }

    fn with(metrics: Box<dyn Metrics>, application: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            metrics,
            clock,
            application: application.to_owned(),
            series: Vec::new(),
            listed_at: None,
            shown_ms: None,
        }
    }

    async fn try_look(
        &mut self,
        now: Moment,
        valve: Option<&ValveName>,
    ) -> Result<Sighting, String> {
        let mut sighting = Sighting {
            job: JobSeen {
                name: Some(self.application.clone()),
                id: None,
                state: None,
                lane: None,
            },
            ..Sighting::default()
        };
        let old = |at: Moment| now.since(at) >= RELIST;
        if self.series.is_empty() || self.listed_at.is_none_or(old) {
            sighting.warnings.extend(self.list(now).await?);
        }
        if self.series.is_empty() {
            return Ok(sighting);
        }
        let wall_ms = self.clock.wall_ms();
        let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        // Whole minutes: what is still being published counts for less than it will.
        let to_ms = wall_ms - wall_ms.rem_euclid(ms(PERIOD));
        let from_ms = to_ms.saturating_sub(ms(WINDOW));
        let points = self.metrics.get(&self.series, from_ms, to_ms).await?;
        let Some(youngest) = youngest(&points) else {
            sighting.warnings.push(format!(
                "CloudWatch has nothing of application {:?} in the last {} minutes: is it running?",
                self.application,
                WINDOW.as_secs() / 60
            ));
            return Ok(sighting);
        };
        sighting.job.state = Some("PUBLISHING".into());
        if self.shown_ms.is_some_and(|shown| youngest <= shown) {
            return Ok(sighting);
        }
        self.shown_ms = Some(youngest);
        let reading = Reading::of(&self.series, &points, youngest, valve);
        let end_ms = youngest.saturating_add(ms(PERIOD));
        let age = u64::try_from(wall_ms.saturating_sub(end_ms)).unwrap_or_default();
        sighting.lane = Some(reading.lane(PERIOD, Duration::from_millis(age)));
        Ok(sighting)
    }

    /// Looks which series there are. Gives what an operator should know of them.
    async fn list(&mut self, now: Moment) -> Result<Vec<String>, String> {
        let mut series = self.metrics.list(&self.application).await?;
        self.listed_at = Some(now);
        // The coarse ones first, should there be too many: the maximum of a task is that of its subtasks.
        series.sort_by_key(|series| (series.dimensions.len(), series.clone()));
        series.dedup();
        let mut warnings = Vec::new();
        if series.is_empty() {
            warnings.push(format!(
                "CloudWatch has no metrics of an application {:?}: check cloudwatch.application and \
                 cloudwatch.region, and that it has run within three hours",
                self.application
            ));
        } else if !series.iter().any(|series| series.task().is_some()) {
            warnings.push(format!(
                "application {:?} publishes no metrics of its tasks: set its metrics level to TASK, or \
                 decisions rest on its processors and the valve's reports alone",
                self.application
            ));
        }
        if series.len() > MAX_SERIES {
            warnings.push(format!(
                "application {:?} publishes {} series: only {MAX_SERIES} are watched, coarse ones first; \
                 metrics level TASK is enough",
                self.application,
                series.len()
            ));
            series.truncate(MAX_SERIES);
        }
        self.series = series;
        Ok(warnings)
    }
}

/// The start of the youngest minute to go by: one that most series are there of, since they do not come all at once.
fn youngest(points: &[Point]) -> Option<i64> {
    let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
    for point in points {
        *minutes.entry(point.start_ms).or_default() += 1;
    }
    let most = minutes.values().copied().max()?;
    let mut whole = minutes.iter().rev().filter(|(_, count)| **count * 2 > most);
    whole.next().map(|(start_ms, _)| *start_ms)
}

impl Series {
    /// The value of a dimension.
    pub(crate) fn dimension(&self, name: &str) -> Option<&str> {
        let mut dimensions = self.dimensions.iter();
        dimensions
            .find(|(dimension, _)| dimension == name)
            .map(|(_, value)| value.as_str())
    }

    /// The task that it is of.
    pub(crate) fn task(&self) -> Option<&str> {
        self.dimension("Task")
    }
}

impl Sensor for CloudWatchSensor {
    fn look<'a>(
        &'a mut self,
        now: Moment,
        valve: Option<&'a ValveName>,
    ) -> Pin<Box<dyn Future<Output = Sighting> + Send + 'a>> {
        Box::pin(async move {
            self.try_look(now, valve)
                .await
                .unwrap_or_else(|error| Sighting {
                    job: JobSeen {
                        name: Some(self.application.clone()),
                        id: None,
                        state: None,
                        lane: None,
                    },
                    blind: Some(error),
                    ..Sighting::default()
                })
        })
    }

    fn check(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async { self.metrics.list(&self.application).await.map(drop) })
    }
}
