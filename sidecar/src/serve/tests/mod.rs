//! The whole sidecar, in this process, behind a real socket.

mod events;
mod hostile;
mod limits;
mod policy;
mod server;

use serde_json::{Value, json};

use crate::config::Config;
use crate::decide::{LaneLoad, Moment, Policy, PolicyMode};
use crate::divert::InvokeError;
use crate::divert::tests::fake::{FakeFunction, Reply, batch};
use crate::sense::{JobSeen, Sensor, Sighting};
use axum::http::StatusCode;
use server::Server;
use spillway_core::ids::ValveName;

const ID: &str = "9f3a6c1e2b7d4f08-0-42";

fn report(sequence: u64) -> Value {
    json!({"attempt": "9f3a6c1e2b7d4f08", "sequence": sequence, "parallelism": 1, "workload": "wordcount",
        "window_size_ms": 1000, "time_ms": 1_000 + 100 * sequence, "received": 1000 * sequence,
        "kept": 1000 * sequence, "diverted": 0, "bounced": 0, "late": 0, "unsettled": 0,
        "in_flight_batches": 0, "settled_batches": 0, "bounced_batches": 0, "retries": 0,
        "local_unavailable_ms": 0, "watermark_ms": null, "first_diverted_ms": null,
        "last_diverted_ms": null})
}

fn burst() -> Config {
    let policy = Policy {
        mode: PolicyMode::Burst,
        ..Policy::default()
    };
    Config {
        policy,
        ..Config::default()
    }
}

#[tokio::test]
async fn a_batch_is_answered_with_its_receipt() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let answer = server.put(ID, batch(ID)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["batch"], ID);
    assert_eq!(answer.json()["type"], "receipt");
}

#[tokio::test]
async fn a_report_is_answered_with_a_directive() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    let answer = server.report(&report(0)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let directive = answer.json();
    assert_eq!(directive["mode"], "burst");
    assert_eq!(directive["local_rate"], 0.0);
    assert_eq!(directive["credits"], 24);
    assert_eq!(directive["lease_ms"], 2000);
}

#[tokio::test]
async fn a_malformed_batch_is_refused_for_good_and_does_no_harm() {
    let function = FakeFunction::new([]);
    let server = Server::start(Config::default(), &function).await;
    let mut cut = batch(ID);
    cut.truncate(cut.len() - 5);
    for body in [cut, b"garbage".to_vec(), Vec::new()] {
        assert_eq!(
            server.put(ID, body).await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    assert_eq!(function.invocations(), 0);
    assert_eq!(server.put(ID, batch(ID)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_batch_under_another_id_or_job_than_its_own_is_refused() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let other = server.put("9f3a6c1e2b7d4f08-0-43", batch(ID)).await;
    assert_eq!(
        (other.status, other.slug().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "id-mismatch")
    );
    let path = format!("/v1/jobs/other/batches/{ID}");
    let headers = [("content-type", "application/x-protobuf")];
    assert_eq!(
        server.send("PUT", &path, &headers, batch(ID)).await.slug(),
        "id-mismatch"
    );
}

#[tokio::test]
async fn an_id_that_has_not_its_shape_is_a_bad_request() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    for path in [
        "/v1/jobs/%2e%2e/batches/9f3a6c1e2b7d4f08-0-42",
        "/v1/jobs/a%2Fb/batches/9f3a6c1e2b7d4f08-0-42",
        "/v1/jobs/wordcount/batches/9f3a-0-1",
        "/v1/jobs/wordcount/batches/9f3a6c1e2b7d4f08-0-042",
    ] {
        let answer = server
            .send(
                "PUT",
                path,
                &[("content-type", "application/x-protobuf")],
                batch(ID),
            )
            .await;
        assert_eq!(
            (answer.status, answer.slug().as_str()),
            (StatusCode::BAD_REQUEST, "bad-id"),
            "{path}"
        );
    }
    for path in [
        "/v1/jobs/wordcount/valves/valve/-1",
        "/v1/jobs/wordcount/valves/../0",
        "/v1/jobs/w/valves/v/99999",
    ] {
        let answer = server
            .send("POST", path, &[("content-type", "application/json")], "{}")
            .await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_malformed_report_is_refused_and_one_that_is_not_newer_is_still_answered() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    for body in ["", "{}", "[1", "{\"attempt\": 7}"] {
        let headers = [("content-type", "application/json")];
        let answer = server
            .send("POST", "/v1/jobs/wordcount/valves/valve/0", &headers, body)
            .await;
        assert_eq!(
            (answer.status, answer.slug().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "malformed-report")
        );
    }
    for sequence in [3, 3, 2] {
        assert_eq!(
            server.report(&report(sequence)).await.status,
            StatusCode::OK
        );
    }
    let status = server.get("/v1/status").await.json();
    assert_eq!(status["valves"][0]["received"], 3000);
}

#[tokio::test]
async fn the_functions_errors_become_the_answers_of_the_contract() {
    let missing = Reply::Fail(InvokeError::FunctionMissing("404".into()));
    let large = Reply::Fail(InvokeError::TooLarge("413".into()));
    let server = Server::start(Config::default(), &FakeFunction::new([large, missing])).await;
    let answer = server.put(ID, batch(ID)).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "batch-too-large")
    );
    let answer = server.put(ID, batch(ID)).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::BAD_GATEWAY, "cloud-lane-misconfigured")
    );
    // A function that is not there shuts the lane at once.
    let answer = server.put(ID, batch(ID)).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "cloud-lane-shut")
    );
    let wait: f64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(wait > 0.0 && wait <= 0.5, "{wait}");
    let directive = server.report(&report(0)).await.json();
    assert_eq!(
        (&directive["divert"], &directive["mode"]),
        (&json!(false), &json!("local"))
    );
}

#[tokio::test]
async fn the_status_shows_everything_that_the_contract_names() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    for sequence in 0..3 {
        server.report(&report(sequence)).await;
    }
    server.put(ID, batch(ID)).await;
    let status = server.get("/v1/status").await.json();
    for pointer in [
        "/version",
        "/uptime_ms",
        "/mode",
        "/reason",
        "/job/name",
        "/job/id",
        "/job/state",
        "/capacity_per_s",
        "/time_ms",
        "/problems",
        "/policy/version",
        "/policy/changed_ms",
        "/policy/mode",
        "/policy/max_usd_per_hour",
        "/totals/0/job",
        "/totals/0/valve",
        "/totals/0/mode",
        "/totals/0/reason",
        "/totals/0/subtasks",
        "/totals/0/capacity",
        "/totals/0/bound_by",
        "/totals/0/received_per_s",
        "/totals/0/kept_per_s",
        "/totals/0/diverted_per_s",
        "/totals/0/latency_ms/local/p99",
        "/totals/0/latency_ms/cloud/count",
        "/cloud/open",
        "/cloud/credits",
        "/cloud/reason",
        "/cost_usd/total",
        "/cost_usd/per_hour",
        "/valves/0/job",
        "/valves/0/valve",
        "/valves/0/subtask",
        "/valves/0/attempt",
        "/valves/0/time_ms",
        "/valves/0/unsettled",
        "/valves/0/in_flight_batches",
        "/valves/0/received_per_s",
        "/valves/0/kept_per_s",
        "/valves/0/diverted_per_s",
        "/valves/0/directive/reason",
        "/valves/0/first_diverted_ms",
        "/valves/0/last_diverted_ms",
        "/valves/0/latency_ms/local/count",
        "/valves/0/latency_ms/cloud/p99",
        "/divert/batches",
        "/divert/failed",
        "/divert/retries",
        "/divert/throttled",
        "/divert/in_flight",
        "/divert/p50_ms",
        "/divert/p99_ms",
        "/divert/bytes_in",
        "/divert/bytes_out",
        "/function/invocations",
        "/function/cold_starts",
        "/function/init_ms",
        "/function/ns_per_record",
        "/function/billed_ms",
        "/function/records",
        "/cost_usd/lambda",
        "/cost_usd/s3_puts",
        "/modes/0/time_ms",
        "/modes/0/mode",
        "/modes/0/reason",
    ] {
        assert!(
            status.pointer(pointer).is_some(),
            "{pointer} is missing in {status}"
        );
    }
    assert_eq!(status["valves"][0]["received_per_s"], 10_000.0);
    assert_eq!(status["function"]["init_ms"], 9.0);
    assert_eq!(status["mode"], "burst");
}

#[tokio::test]
async fn the_metrics_have_the_prefix_and_count() {
    let server = Server::start(burst(), &FakeFunction::new([])).await;
    server.report(&report(0)).await;
    server.report(&report(1)).await;
    server.put(ID, batch(ID)).await;
    let metrics = server.get("/metrics").await;
    for line in [
        "spillway_reports_total 2",
        "spillway_divert_batches_total 1",
        "spillway_divert_duration_seconds_count 1",
        "spillway_valve_received_records_total{job=\"wordcount\",valve=\"valve\",subtask=\"0\"} 1000",
        "spillway_mode{job=\"wordcount\",valve=\"valve\"} 2",
        "spillway_credits{job=\"wordcount\",valve=\"valve\"} 24",
        "spillway_arrival_records_per_second{job=\"wordcount\",valve=\"valve\"} 10000.0",
        "spillway_budget_exhausted{job=\"wordcount\",valve=\"valve\",budget=\"spend\"} 0",
        "spillway_policy_version 1",
        "spillway_policy{key=\"engage_utilization\"} 0.9",
        "spillway_events_clients 0",
        "spillway_events_dropped_clients_total 0",
    ] {
        assert!(
            metrics.text.contains(line),
            "{line} is missing in\n{}",
            metrics.text
        );
    }
    assert!(
        metrics
            .text
            .lines()
            .all(|line| line.starts_with('#') || line.starts_with("spillway_"))
    );
}

/// A sensor that sees one thing only.
struct Fixed(Sighting);

impl Sensor for Fixed {
    fn look<'a>(
        &'a mut self,
        _now: Moment,
        _valve: Option<&'a ValveName>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Sighting> + Send + 'a>> {
        let sighting = self.0.clone();
        Box::pin(async move { sighting })
    }

    fn check(&self) -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn watching() -> Config {
    let flink = toml::from_str("job = \"wordcount\"\npoll_interval = \"20ms\"").unwrap();
    Config {
        flink: Some(flink),
        ..Config::default()
    }
}

/// Asks until the answer is as expected; the test's own time limit ends a wait in vain.
async fn until(server: &Server, path: &str, expected: impl Fn(&Value) -> bool) -> Value {
    loop {
        let value = server.get(path).await.json();
        if expected(&value) {
            return value;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn readiness_says_what_is_missing_and_liveness_does_not_care() {
    let blind = Sighting {
        blind: Some("refused".into()),
        ..Sighting::default()
    };
    let function = FakeFunction::new([]);
    *function.check.lock().unwrap() = Err(InvokeError::Unreachable("no route".into()));
    let server = Server::start_with(watching(), &function, Some(Box::new(Fixed(blind)))).await;
    let ready = until(&server, "/readyz", |ready| {
        ready["problems"]["flink"].is_string() && ready["problems"]["function"].is_string()
    })
    .await;
    assert_eq!(ready["ready"], false);
    assert_eq!(
        server.get("/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_sensor_sees_reaches_the_controller_and_the_status() {
    let sighting = Sighting {
        job: JobSeen {
            name: Some("wordcount".into()),
            id: Some("00ff".into()),
            state: Some("RUNNING".into()),
            lane: None,
        },
        lane: Some(LaneLoad {
            worker_cpu: Some(crate::decide::Share::new(0.5)),
            worker_cpu_window: std::time::Duration::from_secs(1),
            worker_cores: Some(1),
            ..LaneLoad::default()
        }),
        ..Sighting::default()
    };
    let server = Server::start_with(
        watching(),
        &FakeFunction::new([]),
        Some(Box::new(Fixed(sighting))),
    )
    .await;
    // 10 k/s take half of the processor, of which a worker spends three tenths anyway.
    for sequence in 0..5 {
        server.report(&report(sequence)).await;
    }
    let status = until(&server, "/v1/status", |status| {
        status["capacity_per_s"].is_number()
    })
    .await;
    assert_eq!(status["job"]["id"], "00ff");
    assert_eq!(status["job"]["lane"]["worker_cpu"], 0.5);
    assert!((status["capacity_per_s"].as_f64().unwrap() - 35_000.0).abs() < 1.0);
    assert_eq!(server.report(&report(5)).await.json()["mode"], "armed");
}

#[tokio::test]
async fn stopping_tells_the_valves_and_waits_for_what_is_in_flight() {
    let function = FakeFunction::new([Reply::Hold]);
    let server = Server::start(burst(), &function).await;
    server.report(&report(0)).await;
    let settled = {
        let sending = server.put(ID, batch(ID));
        tokio::pin!(sending);
        tokio::select! {
            _ = &mut sending => panic!("the function holds it"),
            () = function.begun(1) => {}
        }
        server.stop();
        let mut directive = server.report(&report(1)).await.json();
        while directive["mode"] != "local" {
            directive = server.report(&report(2)).await.json();
        }
        assert_eq!(directive["divert"], false);
        assert_eq!(
            server.get("/readyz").await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        function.release(1);
        sending.await
    };
    assert_eq!(settled.status, StatusCode::OK);
    server.ended().await;
}

#[tokio::test]
async fn a_batch_that_never_settles_does_not_outlive_the_grace_period() {
    let function = FakeFunction::new([Reply::Hold]);
    let config = Config {
        grace: std::time::Duration::from_millis(50),
        ..burst()
    };
    let server = Server::start(config, &function).await;
    let address = server.address;
    let sending = tokio::spawn(async move {
        let client: hyper_util::client::legacy::Client<_, http_body_util::Full<bytes::Bytes>> =
            hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
                .build_http();
        let request =
            axum::http::Request::put(format!("http://{address}/v1/jobs/wordcount/batches/{ID}"))
                .header("content-type", "application/x-protobuf")
                .body(http_body_util::Full::new(batch(ID).into()))
                .unwrap();
        client.request(request).await.is_ok()
    });
    function.begun(1).await;
    server.stop();
    server.ended().await;
    assert!(!sending.await.unwrap(), "nothing can have answered");
}
