//! The sensor on metrics that are as a test says.

use std::sync::Mutex;

use super::*;
use crate::decide::{LaneLoad, Share};

/// A clock that stands where it is put.
struct Stopped(Mutex<i64>);

impl Clock for Stopped {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall_ms(&self) -> i64 {
        *self.0.lock().unwrap()
    }
}

#[derive(Default)]
struct Fake {
    series: Vec<(Series, Vec<(i64, f64)>)>,
    fails: Option<String>,
    lists: usize,
    asked: Vec<(i64, i64)>,
}

struct Shared(Arc<Mutex<Fake>>);

impl Metrics for Shared {
    fn list<'a>(&'a self, application: &'a str) -> BoxFuture<'a, Result<Vec<Series>, String>> {
        let mut fake = self.0.lock().unwrap();
        fake.lists += 1;
        let of =
            |series: &&(Series, Vec<_>)| series.0.dimension("Application") == Some(application);
        let series = fake
            .series
            .iter()
            .filter(of)
            .map(|(series, _)| series.clone());
        let result = fake.fails.clone().map_or(Ok(series.collect()), Err);
        Box::pin(std::future::ready(result))
    }

    fn get<'a>(
        &'a self,
        wanted: &'a [Series],
        from_ms: i64,
        to_ms: i64,
    ) -> BoxFuture<'a, Result<Vec<Point>, String>> {
        assert!(wanted.len() <= MAX_SERIES);
        let mut fake = self.0.lock().unwrap();
        fake.asked.push((from_ms, to_ms));
        let mut points = Vec::new();
        for (n, wanted) in wanted.iter().enumerate() {
            let values = fake.series.iter().filter(|(series, _)| series == wanted);
            for (start_ms, maximum) in values.flat_map(|(_, values)| values.clone()) {
                if (from_ms..to_ms).contains(&start_ms) {
                    points.push(Point {
                        series: n,
                        start_ms,
                        maximum,
                    });
                }
            }
        }
        let result = fake.fails.clone().map_or(Ok(points), Err);
        Box::pin(std::future::ready(result))
    }
}

const MINUTE: i64 = 60_000;

struct Scene {
    fake: Arc<Mutex<Fake>>,
    clock: Arc<Stopped>,
    sensor: CloudWatchSensor,
    now: Moment,
}

fn scene() -> Scene {
    let fake = Arc::new(Mutex::new(Fake::default()));
    let clock = Arc::new(Stopped(Mutex::new(100 * MINUTE + 10_000)));
    let dynamic: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let sensor = CloudWatchSensor::with(Box::new(Shared(Arc::clone(&fake))), "words", dynamic);
    Scene {
        fake,
        clock,
        sensor,
        now: Moment::default(),
    }
}

impl Scene {
    /// Publishes a value for minute `minute`; `task`: nothing for the application.
    fn publish(&self, metric: &str, task: &str, minute: i64, value: f64) {
        let mut dimensions = vec![("Application".to_owned(), "words".to_owned())];
        if !task.is_empty() {
            dimensions.push(("Task".into(), task.into()));
        }
        let series = Series {
            metric: metric.into(),
            dimensions,
        };
        let mut fake = self.fake.lock().unwrap();
        let point = (minute * MINUTE, value);
        match fake.series.iter_mut().find(|(known, _)| *known == series) {
            Some((_, points)) => points.push(point),
            None => fake.series.push((series, vec![point])),
        }
    }

    /// All that an application at level TASK publishes.
    fn publish_all(&self, minute: i64) {
        self.publish("cpuUtilization", "", minute, 62.5);
        self.publish("records_lag_max", "", minute, 5000.0);
        for (task, busy, pressed) in [
            ("Source__replay____valve", 1000.0, 700.0),
            ("tokenize", 300.0, 600.0),
            ("window", 950.0, 0.0),
            ("Sink__local", 100.0, 0.0),
        ] {
            self.publish("busyTimeMsPerSecond", task, minute, busy);
            self.publish("backPressuredTimeMsPerSecond", task, minute, pressed);
        }
    }

    async fn look(&mut self, after: Duration) -> Sighting {
        self.now = self.now.plus(after);
        *self.clock.0.lock().unwrap() += i64::try_from(after.as_millis()).unwrap();
        self.sensor.look(self.now, None).await
    }
}

#[tokio::test]
async fn a_minute_of_an_application_is_a_lane_with_its_age() {
    let mut scene = scene();
    scene.publish_all(97);
    scene.publish_all(98);
    // The minute that is not over yet.
    scene.publish("cpuUtilization", "", 100, 1.0);
    let sighting = scene.look(Duration::ZERO).await;
    let expected = LaneLoad {
        valve_back_pressured: Some(Share::new(0.7)),
        downstream_busy: Some(Share::new(0.95)),
        worker_cpu: Some(Share::new(0.625)),
        window: PERIOD,
        worker_cpu_window: PERIOD,
        worker_cores: None,
        pending_records: Some(5000),
        bottleneck: Some("window".into()),
        // Minute 98 ended 70 s ago.
        age: Duration::from_secs(70),
    };
    assert_eq!(sighting.lane, Some(expected));
    assert_eq!(sighting.job.name.as_deref(), Some("words"));
    assert_eq!((sighting.blind, sighting.warnings), (None, vec![]));
}

#[tokio::test]
async fn the_same_minute_is_shown_once() {
    let mut scene = scene();
    scene.publish_all(98);
    assert!(scene.look(Duration::ZERO).await.lane.is_some());
    assert_eq!(scene.look(Duration::from_mins(1)).await.lane, None);
    scene.publish_all(99);
    assert!(scene.look(Duration::from_secs(5)).await.lane.is_some());
}

#[tokio::test]
async fn at_level_application_only_the_processors_are_seen_and_that_is_said() {
    let mut scene = scene();
    scene.publish("cpuUtilization", "", 98, 40.0);
    let sighting = scene.look(Duration::ZERO).await;
    let lane = sighting.lane.unwrap();
    assert_eq!(lane.worker_cpu, Some(Share::new(0.4)));
    assert_eq!(
        (lane.valve_back_pressured, lane.downstream_busy),
        (None, None)
    );
    assert!(
        sighting.warnings[0].contains("metrics level to TASK"),
        "{:?}",
        sighting.warnings
    );
}

#[tokio::test]
async fn an_application_that_publishes_nothing_is_warned_of() {
    let mut scene = scene();
    let unknown = scene.look(Duration::ZERO).await;
    assert!(unknown.warnings[0].contains("no metrics of an application \"words\""));
    scene.publish_all(20);
    let stopped = scene.look(Duration::from_secs(1)).await;
    assert_eq!((stopped.lane, stopped.job.state), (None, None));
    assert!(
        stopped.warnings[0].contains("in the last 5 minutes"),
        "{:?}",
        stopped.warnings
    );
}

#[tokio::test]
async fn what_is_missing_or_not_a_number_is_not_zero() {
    let mut scene = scene();
    scene.publish("busyTimeMsPerSecond", "window", 98, f64::NAN);
    scene.publish("cpuUtilization", "", 98, 50.0);
    let lane = scene.look(Duration::ZERO).await.lane.unwrap();
    assert_eq!((lane.downstream_busy, lane.pending_records), (None, None));
    assert_eq!(lane.worker_cpu, Some(Share::new(0.5)));
}

#[tokio::test]
async fn a_task_that_the_valve_was_in_before_an_update_is_not_taken_for_its_task() {
    let mut scene = scene();
    // Comes first in order, and is still listed.
    scene.publish(
        "backPressuredTimeMsPerSecond",
        "Source__kafka____valve",
        60,
        900.0,
    );
    scene.publish_all(98);
    let lane = scene.look(Duration::ZERO).await.lane.unwrap();
    assert_eq!(lane.valve_back_pressured, Some(Share::new(0.7)));
    assert_eq!(lane.bottleneck.as_deref(), Some("window"));
}

#[tokio::test]
async fn whole_minutes_are_asked_for() {
    let mut scene = scene();
    scene.publish_all(98);
    scene.look(Duration::ZERO).await;
    assert_eq!(
        scene.fake.lock().unwrap().asked,
        [(95 * MINUTE, 100 * MINUTE)]
    );
}

#[tokio::test]
async fn a_minute_that_is_still_coming_in_is_left_until_it_is_there() {
    let mut scene = scene();
    scene.publish_all(97);
    scene.publish("cpuUtilization", "", 98, 99.0);
    let lane = scene.look(Duration::ZERO).await.lane.unwrap();
    assert_eq!(lane.worker_cpu, Some(Share::new(0.625)));
    assert_eq!(lane.age, Duration::from_secs(130));
    scene.publish_all(98);
    let lane = scene.look(Duration::from_secs(30)).await.lane.unwrap();
    assert_eq!(lane.age, Duration::from_secs(100));
}

#[tokio::test]
async fn a_failure_blinds_the_sensor_until_it_is_over() {
    let mut scene = scene();
    scene.publish_all(98);
    scene.fake.lock().unwrap().fails = Some("CloudWatch ListMetrics failed: denied".into());
    let blind = scene.look(Duration::ZERO).await;
    assert!(blind.blind.unwrap().contains("denied") && blind.lane.is_none());
    scene.fake.lock().unwrap().fails = None;
    let sighting = scene.look(Duration::ZERO).await;
    assert!(sighting.lane.is_some() && sighting.blind.is_none());
}

#[tokio::test]
async fn the_series_are_listed_seldom_and_never_more_asked_for_than_one_request_takes() {
    let mut scene = scene();
    scene.publish_all(98);
    for subtask in 0..1000 {
        scene.publish(
            "busyTimeMsPerSecond",
            &format!("window-{subtask}"),
            98,
            10.0,
        );
    }
    let first = scene.look(Duration::ZERO).await;
    assert!(
        first.warnings[0].contains("only 500 are watched"),
        "{:?}",
        first.warnings
    );
    assert!(first.lane.unwrap().worker_cpu.is_some());
    for _ in 0..9 {
        scene.look(Duration::from_mins(1)).await;
    }
    assert_eq!(scene.fake.lock().unwrap().lists, 1);
    scene.look(Duration::from_mins(1)).await;
    assert_eq!(scene.fake.lock().unwrap().lists, 2);
}
