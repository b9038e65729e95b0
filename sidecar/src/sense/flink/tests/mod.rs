//! The sensor against a `JobManager` that answers as it is told, over a real socket.

mod large;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::decide::Share;

/// Path (without query) → answer; and the requests that came.
#[derive(Default)]
struct JobManager {
    answers: Mutex<BTreeMap<String, String>>,
    requests: Mutex<Vec<String>>,
}

impl JobManager {
    fn set(&self, path: &str, answer: &str) {
        self.answers
            .lock()
            .unwrap()
            .insert(path.to_owned(), answer.to_owned());
    }

    fn remove(&self, path: &str) {
        self.answers.lock().unwrap().remove(path);
    }

    fn took(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// Counters of the valve (`a`) and of what follows it (`b`), and the worker's processor time.
    fn counters(&self, valve: [u64; 3], lane: [u64; 3], cpu_ms: u64) {
        let subtask = |[busy, idle, pressed]: [u64; 3]| {
            format!(
                r#"[{{"id": "0.accumulateBusyTimeMs", "value": "{busy}.0"}},
                    {{"id": "0.accumulateIdleTimeMs", "value": "{idle}"}},
                    {{"id": "0.accumulateBackPressuredTimeMs", "value": "{pressed}"}}]"#
            )
        };
        self.set("/jobs/j1/vertices/a/metrics", &subtask(valve));
        self.set("/jobs/j1/vertices/b/metrics", &subtask(lane));
        let cpu = format!(
            r#"[{{"id": "Status.JVM.CPU.Time", "value": "{}"}}]"#,
            cpu_ms * 1_000_000
        );
        self.set("/taskmanagers/tm1/metrics", &cpu);
    }
}

async fn answer(State(manager): State<Arc<JobManager>>, request: Request) -> Response {
    manager
        .requests
        .lock()
        .unwrap()
        .push(request.uri().to_string());
    let answers = manager.answers.lock().unwrap();
    match answers.get(request.uri().path()) {
        _ if answers.contains_key("leaderless") => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(text) => text.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

const OVERVIEW: &str = r#"{"jobs": [
    {"jid": "j0", "name": "wordcount", "state": "CANCELED", "start-time": 99},
    {"jid": "j1", "name": "wordcount", "state": "RUNNING", "start-time": 50},
    {"jid": "j2", "name": "other", "state": "RUNNING", "start-time": 70}]}"#;
const JOB: &str = r#"{"jid": "j1", "name": "wordcount", "state": "RUNNING",
    "vertices": [{"id": "a", "name": "Source: replay -> valve", "parallelism": 1},
                 {"id": "b", "name": "tokenize -> window -> Sink", "parallelism": 1}],
    "plan": {"nodes": [{"id": "b", "inputs": [{"id": "a"}]}, {"id": "a"}]}}"#;

struct Scene {
    manager: Arc<JobManager>,
    sensor: FlinkSensor,
    now_ms: u64,
    _server: oneshot::Sender<()>,
}

/// A server for `manager`, until the sender is dropped.
async fn serve(manager: &Arc<JobManager>) -> (String, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(manager));
    tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(async { drop(stopped.await) })
            .await
            .unwrap();
    });
    (url, stop)
}

async fn scene() -> Scene {
    let manager = Arc::new(JobManager::default());
    manager.set("/jobs/overview", OVERVIEW);
    manager.set("/jobs/j1", JOB);
    manager.set(
        "/jobmanager/config",
        r#"[{"key": "metrics.fetcher.update-interval", "value": "200 ms"}]"#,
    );
    manager.set(
        "/taskmanagers",
        r#"{"taskmanagers": [{"id": "tm1", "hardware": {"cpuCores": 1}}]}"#,
    );
    manager.counters([0, 0, 0], [0, 0, 0], 0);
    let (rest_url, stop) = serve(&manager).await;
    let settings = Flink {
        rest_url,
        job: "wordcount".into(),
        poll_interval: Duration::from_millis(200),
    };
    let sensor = FlinkSensor::new(&settings).unwrap();
    Scene {
        manager,
        sensor,
        now_ms: 0,
        _server: stop,
    }
}

impl Scene {
    async fn look(&mut self) -> Sighting {
        let now = Moment::at(Duration::from_millis(self.now_ms));
        self.now_ms += 200;
        self.sensor.look(now, None).await
    }

    /// Looks while the lane works at these shares; gives the last sighting.
    async fn run(&mut self, looks: u64, valve_pressed: u64, lane_busy: u64) -> Sighting {
        let mut last = Sighting::default();
        for _ in 0..looks {
            let t = self.now_ms;
            let of = |percent: u64| t * percent / 100;
            self.manager.counters(
                [0, t - of(valve_pressed), of(valve_pressed)],
                [of(lane_busy), t - of(lane_busy), 0],
                of(lane_busy),
            );
            last = self.look().await;
        }
        last
    }
}

#[tokio::test]
async fn the_running_job_of_the_name_is_found_and_its_lane_measured() {
    let mut scene = scene().await;
    let sighting = scene.run(20, 75, 50).await;
    assert_eq!(sighting.job.id.as_deref(), Some("j1"));
    assert_eq!(sighting.job.state.as_deref(), Some("RUNNING"));
    let lane = sighting.lane.unwrap();
    assert!(
        (lane.valve_back_pressured.unwrap().get() - 0.75).abs() < 1e-9,
        "{lane:?}"
    );
    assert!(
        (lane.downstream_busy.unwrap().get() - 0.5).abs() < 1e-9,
        "{lane:?}"
    );
    assert!(
        (lane.worker_cpu.unwrap().get() - 0.5).abs() < 0.01,
        "{lane:?}"
    );
    assert_eq!((sighting.blind, sighting.warnings), (None, vec![]));
}

#[tokio::test]
async fn no_look_makes_more_requests_than_allowed() {
    let mut scene = scene().await;
    for _ in 0..40 {
        scene.run(1, 10, 10).await;
        let requests = scene.manager.took();
        assert!(requests.len() <= MAX_REQUESTS, "{requests:?}");
    }
}

#[tokio::test]
async fn the_first_answer_is_thrown_away() {
    let mut scene = scene().await;
    // What somebody's poll caused to be fetched an hour ago.
    scene.manager.counters([0, 1, 0], [1, 0, 0], 1);
    assert_eq!(scene.look().await.lane, None);
    scene
        .manager
        .counters([0, 3_600_000, 0], [0, 3_600_000, 0], 1);
    assert_eq!(scene.look().await.lane, None);
    scene
        .manager
        .counters([0, 3_600_200, 0], [100, 3_600_100, 0], 1);
    assert_eq!(
        scene.look().await.lane.unwrap().downstream_busy,
        Some(Share::new(0.5))
    );
}

#[tokio::test]
async fn slow_metrics_are_warned_of_once() {
    let mut scene = scene().await;
    scene.manager.set(
        "/jobmanager/config",
        r#"[{"key": "rest.port", "value": "8081"}]"#,
    );
    let mut warnings = Vec::new();
    for _ in 0..20 {
        warnings.extend(scene.run(1, 10, 10).await.warnings);
    }
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("metrics.fetcher.update-interval"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_job_that_is_not_there_yet_is_looked_for_until_it_is() {
    let mut scene = scene().await;
    scene.manager.set("/jobs/overview", r#"{"jobs": []}"#);
    let none = scene.look().await;
    assert_eq!((none.job.state, none.blind), (None, None));
    scene.manager.set("/jobs/overview", OVERVIEW);
    assert_eq!(scene.look().await.job.id.as_deref(), Some("j1"));
}

#[tokio::test]
async fn a_job_that_is_being_initialised_has_no_vertices_yet_and_that_is_no_reason_to_warn() {
    let mut scene = scene().await;
    let empty =
        r#"{"name": "wordcount", "state": "INITIALIZING", "vertices": [], "plan": {"nodes": []}}"#;
    scene.manager.set("/jobs/j1", empty);
    for _ in 0..3 {
        let sighting = scene.look().await;
        assert_eq!((sighting.lane, sighting.warnings), (None, vec![]));
    }
    scene.manager.set("/jobs/j1", JOB);
    assert!(scene.run(3, 10, 50).await.lane.is_some());
}

#[tokio::test]
async fn a_job_that_was_resubmitted_under_its_name_is_found_again() {
    let mut scene = scene().await;
    scene.run(5, 10, 50).await;
    scene.manager.remove("/jobs/j1");
    scene.manager.remove("/jobs/j1/vertices/a/metrics");
    scene
        .manager
        .set("/jobs/overview", &OVERVIEW.replace("\"j1\"", "\"j9\""));
    scene
        .manager
        .set("/jobs/j9", &JOB.replace("\"j1\"", "\"j9\""));
    scene.look().await;
    assert_eq!(scene.look().await.job.id.as_deref(), Some("j9"));
}

#[tokio::test]
async fn a_job_manager_that_goes_away_blinds_the_sensor_until_it_is_back() {
    let mut scene = scene().await;
    scene.run(5, 10, 50).await;
    scene
        .manager
        .set("/jobs/j1/vertices/a/metrics", "<html>starting</html>");
    let blind = scene.look().await;
    assert!(blind.blind.is_some() && blind.lane.is_none());
    let sighting = scene.run(5, 10, 50).await;
    assert!(sighting.lane.is_some() && sighting.blind.is_none());
}

#[tokio::test]
async fn missing_metrics_are_not_zero() {
    let mut scene = scene().await;
    scene.run(5, 10, 50).await;
    scene.manager.set("/jobs/j1/vertices/b/metrics", "[]");
    scene.manager.set("/taskmanagers/tm1/metrics", "[]");
    scene.manager.set(
        "/jobs/j1/vertices/a/metrics",
        r#"[{"id": "0.accumulateBusyTimeMs", "value": "NaN"}]"#,
    );
    assert_eq!(scene.look().await.lane, None);
}

#[tokio::test]
async fn a_refused_connection_says_where() {
    let settings = Flink {
        rest_url: "http://127.0.0.1:1".into(),
        job: "wordcount".into(),
        poll_interval: Duration::from_millis(200),
    };
    let mut sensor = FlinkSensor::new(&settings).unwrap();
    let blind = sensor.look(Moment::default(), None).await.blind.unwrap();
    assert!(
        blind.contains("http://127.0.0.1:1") && blind.contains("not reachable"),
        "{blind}"
    );
}

#[tokio::test]
async fn when_a_job_manager_is_gone_or_not_the_leader_the_next_is_asked() {
    let mut scene = scene().await;
    let standby = Arc::new(JobManager::default());
    standby
        .answers
        .lock()
        .unwrap()
        .insert("leaderless".into(), String::new());
    let (standby_url, _standby) = serve(&standby).await;
    let (leader_url, _leader) = serve(&scene.manager).await;
    let settings = Flink {
        rest_url: format!("http://127.0.0.1:1, {standby_url},{leader_url}/"),
        job: "wordcount".into(),
        poll_interval: Duration::from_millis(200),
    };
    scene.sensor = FlinkSensor::new(&settings).unwrap();
    let gone = scene.look().await.blind.unwrap();
    assert!(
        gone.contains("http://127.0.0.1:1 is not reachable"),
        "{gone}"
    );
    let leaderless = scene.look().await.blind.unwrap();
    assert!(
        leaderless.contains(&standby_url) && leaderless.contains("leader"),
        "{leaderless}"
    );
    assert!(scene.run(5, 10, 50).await.lane.is_some());
}

#[tokio::test]
async fn a_newer_job_of_the_name_is_found_while_the_old_one_runs_and_that_is_said() {
    let mut scene = scene().await;
    scene.run(5, 10, 50).await;
    let newer =
        r#"{"jid": "j9", "name": "wordcount", "state": "RUNNING", "start-time": 90}, {"jid": "j2""#;
    let overview = OVERVIEW.replace(r#"{"jid": "j2""#, newer);
    scene.manager.set("/jobs/overview", &overview);
    scene
        .manager
        .set("/jobs/j9", &JOB.replace("\"j1\"", "\"j9\""));
    let mut warnings = Vec::new();
    for _ in 0..60 {
        warnings.extend(scene.look().await.warnings);
    }
    assert_eq!(scene.look().await.job.id.as_deref(), Some("j9"));
    assert!(
        warnings[0].contains("there are 2 jobs named \"wordcount\": watching j9"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn a_running_job_without_counters_is_warned_of() {
    let mut scene = scene().await;
    scene.manager.set("/jobs/j1/vertices/a/metrics", "[]");
    scene.manager.set("/jobs/j1/vertices/b/metrics", "[]");
    let mut warnings = Vec::new();
    for _ in 0..70 {
        warnings.extend(scene.look().await.warnings);
    }
    assert_eq!(warnings, [""; 0]);
    for _ in 0..10 {
        warnings.extend(scene.look().await.warnings);
    }
    assert!(
        warnings[0].contains("no counters of \"Source: replay -> valve\""),
        "{warnings:?}"
    );
}
