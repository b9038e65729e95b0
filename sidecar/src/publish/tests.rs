//! The publisher against a place that keeps what it is sent, and real valves behind it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use spillway_core::directive::Report;
use tokio::sync::{Semaphore, oneshot};

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::decide::{CloudLane, Usd};
use crate::divert::Divert;
use crate::divert::tests::fake::{FakeFunction, StoppedClock};
use crate::valves::Reporter;
use datum::MAX_METRICS;

/// Keeps what it is sent; sends only as often as it is allowed to.
struct Shelf {
    requests: Mutex<Vec<Request>>,
    fail: bool,
    allowed: Semaphore,
}

impl Shelf {
    fn new(allowed: usize, fail: bool) -> Arc<Self> {
        Arc::new(Self {
            requests: Mutex::default(),
            fail,
            allowed: Semaphore::new(allowed),
        })
    }

    /// Metrics with their values by name, of all requests.
    fn metrics(&self) -> BTreeMap<&'static str, Vec<f64>> {
        let mut metrics = BTreeMap::<_, Vec<f64>>::new();
        for request in self.requests.lock().unwrap().iter() {
            for datum in &request.0 {
                let values = datum.values.iter().map(|(value, _)| *value);
                metrics.entry(datum.name).or_default().extend(values);
            }
        }
        metrics
    }
}

impl Sink for Shelf {
    fn put(&self, request: Request) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.allowed.acquire().await.unwrap().forget();
            if self.fail {
                return Err("AccessDenied".into());
            }
            self.requests.lock().unwrap().push(request);
            Ok(())
        })
    }
}

fn app() -> Arc<App> {
    let config = Config::default();
    let clock: Arc<dyn Clock> = Arc::new(StoppedClock::default());
    let divert = Divert::new(
        FakeFunction::new([]),
        Arc::clone(&clock),
        &config.divert,
        config.lambda.clone(),
    );
    Arc::new(App::new(&config, Arc::new(divert), clock))
}

fn report(app: &App, attempt: &str, sequence: u64, received: u64) {
    let from = Reporter {
        job: "wordcount".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        subtask: 0,
    };
    let report: Report = serde_json::from_value(serde_json::json!({
        "attempt": attempt, "sequence": sequence, "parallelism": 1,
        "workload": "wordcount", "window_size_ms": 1000, "time_ms": 1_000 * sequence,
        "received": received, "kept": received, "diverted": 0, "bounced": 0, "late": 0,
        "unsettled": 7, "in_flight_batches": 2, "settled_batches": 0, "bounced_batches": 0, "retries": 0,
        "local_unavailable_ms": 0, "watermark_ms": null,
        "first_diverted_ms": null, "last_diverted_ms": null, "latency": {},
    }))
    .unwrap();
    let cloud = CloudLane::Open { credits: 1 };
    app.valves
        .report(&from, report, cloud, Usd::ZERO, app.when())
        .unwrap();
}

fn sample(app: &App, sampler: &mut Sampler) -> BTreeMap<&'static str, Datum> {
    let data = sampler.sample(&app.valves, &app.divert, "burst", 1_767_225_600_000);
    data.into_iter().map(|datum| (datum.name, datum)).collect()
}

fn value(data: &BTreeMap<&'static str, Datum>, name: &str) -> f64 {
    let [(value, count)] = data[name].values[..] else {
        panic!("{name} has not one value")
    };
    assert!((count - 1.0).abs() < f64::EPSILON);
    value
}

#[test]
fn counters_are_published_as_what_they_grew_by_also_over_a_restart_of_the_job() {
    let app = app();
    let mut sampler = Sampler::default();
    let received = |sampler: &mut Sampler| value(&sample(&app, sampler), "ReceivedRecords");
    report(&app, "9f3a6c1e2b7d4f08", 5, 1_000);
    // Nobody knows how much of it is older than we are.
    assert!(received(&mut sampler).abs() < f64::EPSILON);
    report(&app, "9f3a6c1e2b7d4f08", 6, 1_250);
    assert!((received(&mut sampler) - 250.0).abs() < f64::EPSILON);
    assert!(received(&mut sampler).abs() < f64::EPSILON);
    report(&app, "00000000000000aa", 0, 30);
    assert!((received(&mut sampler) - 30.0).abs() < f64::EPSILON);
}

#[test]
fn a_valves_metrics_have_its_job_and_name_and_the_lanes_have_the_function() {
    let app = app();
    report(&app, "9f3a6c1e2b7d4f08", 0, 10);
    let data = sample(&app, &mut Sampler::default());
    let of_valve = [
        ("job", "wordcount".to_owned()),
        ("valve", "valve".to_owned()),
    ];
    assert_eq!(data["KeptRecords"].dimensions, of_valve);
    assert_eq!(data["KeptRecords"].time_ms, 1_767_225_600_000);
    let of_lane = [("function", "burst".to_owned())];
    assert_eq!(data["ConcurrencyLimit"].dimensions, of_lane);
    assert!((value(&data, "ConcurrencyLimit") - 8.0).abs() < f64::EPSILON);
    assert!((value(&data, "UnsettledRecords") - 7.0).abs() < f64::EPSILON);
    // What nobody knows is not published.
    assert!(!data.contains_key("LocalLatency") && !data.contains_key("LocalCapacity"));
    assert!(data.len() < MAX_METRICS);
}

/// Publishes each millisecond until told to stop.
fn start(app: &Arc<App>, sink: &Arc<Shelf>) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let publishing = Publishing {
        sink: Arc::clone(sink) as Arc<dyn Sink>,
        interval: Duration::from_millis(1),
        function: "burst".into(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(publish(Arc::clone(app), publishing, async {
        let _ = stopped.await;
    }));
    (stop, task)
}

#[tokio::test]
async fn the_last_sample_is_sent_before_the_end() {
    let app = app();
    report(&app, "9f3a6c1e2b7d4f08", 0, 10);
    let shelf = Shelf::new(Semaphore::MAX_PERMITS, false);
    let (stop, task) = start(&app, &shelf);
    while shelf.metrics().is_empty() {
        tokio::task::yield_now().await;
    }
    report(&app, "9f3a6c1e2b7d4f08", 1, 42);
    drop(stop);
    task.await.unwrap();
    let grown: f64 = shelf.metrics()["ReceivedRecords"].iter().sum();
    assert!((grown - 32.0).abs() < f64::EPSILON, "{grown}");
    let requests = shelf.requests.lock().unwrap();
    let metrics: u64 = requests.iter().map(|request| request.0.len() as u64).sum();
    assert_eq!(app.published.sent.get(), metrics);
}

#[tokio::test]
async fn a_place_that_does_not_answer_costs_a_bounded_queue_and_is_counted() {
    let app = app();
    let shelf = Shelf::new(0, false);
    let (stop, task) = start(&app, &shelf);
    let why = Why { why: "queue_full" };
    while app.published.dropped.get_or_create(&why).get() == 0 {
        tokio::task::yield_now().await;
    }
    // The valves are answered all the while.
    report(&app, "9f3a6c1e2b7d4f08", 0, 10);
    shelf.allowed.add_permits(1_000);
    drop(stop);
    task.await.unwrap();
    assert!(shelf.requests.lock().unwrap().len() <= QUEUE + 2);
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_counted() {
    let app = app();
    let shelf = Shelf::new(1_000, true);
    let (stop, task) = start(&app, &shelf);
    let why = Why { why: "refused" };
    while app.published.dropped.get_or_create(&why).get() == 0 {
        tokio::task::yield_now().await;
    }
    drop(stop);
    task.await.unwrap();
    assert_eq!(app.published.sent.get(), 0);
}
