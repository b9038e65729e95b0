//! What a client may not do.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server::Server;
use super::{ID, report};
use crate::config::{Config, Divert, Http, Secret};
use crate::divert::tests::fake::{FakeFunction, Reply, batch};

fn short() -> Http {
    let short = Duration::from_millis(50);
    Http {
        idle_timeout: short,
        body_timeout: short,
        ..Http::default()
    }
}

async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_without_reading_it() {
    let divert = Divert {
        max_batch_bytes: 100,
        ..Divert::default()
    };
    let function = FakeFunction::new([]);
    let server = Server::start(
        Config {
            divert,
            ..Config::default()
        },
        &function,
    )
    .await;
    let answer = server.put(ID, vec![0; 101]).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large")
    );
    assert_eq!(function.invocations(), 0);
}

#[tokio::test]
async fn a_chunked_body_is_refused() {
    let server = Server::start(
        Config {
            http: short(),
            ..Config::default()
        },
        &FakeFunction::new([]),
    )
    .await;
    let path = format!("/v1/jobs/wordcount/batches/{ID}");
    let request = format!(
        "PUT {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-protobuf\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let answer = raw(&server, &request).await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("length-required"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_header_that_does_not_come_ends_the_connection() {
    let server = Server::start(
        Config {
            http: short(),
            ..Config::default()
        },
        &FakeFunction::new([]),
    )
    .await;
    assert_eq!(raw(&server, "GET /livez HT").await, "");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let server = Server::start(
        Config {
            http: short(),
            ..Config::default()
        },
        &FakeFunction::new([]),
    )
    .await;
    let path = format!("/v1/jobs/wordcount/batches/{ID}");
    let request = format!(
        "PUT {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-protobuf\r\n\
         content-length: 5\r\n\r\nab"
    );
    let answer = raw(&server, &request).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("body-timeout"),
        "{answer}"
    );
}

#[tokio::test]
async fn another_media_type_method_or_path_is_refused_with_a_problem() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let path = format!("/v1/jobs/wordcount/batches/{ID}");
    let json = [("content-type", "application/json")];
    let answer = server.send("PUT", &path, &json, batch(ID)).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type")
    );
    let answer = server.get(&path).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
    );
    let answer = server.send("POST", "/livez", &[], "").await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
    );
    assert_eq!(server.get("/v2").await.slug(), "not-found");
}

#[tokio::test]
async fn ids_that_lead_elsewhere_or_are_no_text_are_refused_with_a_problem() {
    let function = FakeFunction::new([]);
    let server = Server::start(Config::default(), &function).await;
    let long = "a".repeat(4000);
    for id in [
        "%ff",
        "..",
        "%2e%2e",
        "%2e%2e%2f",
        "a%2f..%2fb",
        "a%00",
        "%c0%ae",
        "%5c..",
        &long,
    ] {
        for path in [
            format!("/v1/jobs/{id}/batches/{ID}"),
            format!("/v1/jobs/wordcount/batches/{id}"),
        ] {
            let headers = [("content-type", "application/x-protobuf")];
            let answer = server.send("PUT", &path, &headers, batch(ID)).await;
            assert_eq!(
                (answer.status, answer.slug().as_str()),
                (StatusCode::BAD_REQUEST, "bad-id"),
                "{path}"
            );
        }
        for path in [
            format!("/v1/jobs/{id}/valves/valve/0"),
            format!("/v1/jobs/wordcount/valves/{id}/0"),
            format!("/v1/jobs/wordcount/valves/valve/{id}"),
        ] {
            let headers = [("content-type", "application/json")];
            let answer = server
                .send("POST", &path, &headers, report(0).to_string())
                .await;
            assert_eq!(answer.slug(), "bad-id", "{path}");
        }
    }
    assert_eq!(function.invocations(), 0);
}

#[tokio::test]
async fn a_deadline_that_is_no_number_is_refused_and_a_short_one_is_kept() {
    let server = Server::start(Config::default(), &FakeFunction::new([Reply::Hold])).await;
    let path = format!("/v1/jobs/wordcount/batches/{ID}");
    let with = |deadline| {
        [
            ("content-type", "application/x-protobuf"),
            ("spillway-deadline-ms", deadline),
        ]
    };
    for bad in ["soon", "0", "-5"] {
        assert_eq!(
            server
                .send("PUT", &path, &with(bad), batch(ID))
                .await
                .slug(),
            "bad-deadline"
        );
    }
    let answer = server.send("PUT", &path, &with("60"), batch(ID)).await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded")
    );
}

#[tokio::test]
async fn a_full_queue_is_answered_429_with_a_time_to_come_back() {
    let function = FakeFunction::new([Reply::Hold]);
    let divert = Divert {
        max_concurrency: 1,
        queue: 0,
        ..Divert::default()
    };
    let server = Server::start(
        Config {
            divert,
            ..Config::default()
        },
        &function,
    )
    .await;
    let first = server.put(ID, batch(ID));
    tokio::pin!(first);
    tokio::select! {
        _ = &mut first => panic!("the function holds it"),
        () = function.begun(1) => {}
    }
    let second = server
        .put("9f3a6c1e2b7d4f08-0-43", batch("9f3a6c1e2b7d4f08-0-43"))
        .await;
    assert_eq!(
        (second.status, second.slug().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "queue-full")
    );
    assert_eq!(second.headers["retry-after"], "0.100");
    function.release(1);
    assert_eq!(first.await.status, StatusCode::OK);
}

#[tokio::test]
async fn with_a_token_only_its_bearer_gets_in_except_for_health() {
    let config = Config {
        token: Some(Secret::new("s3cret")),
        ..Config::default()
    };
    let server = Server::start(config, &FakeFunction::new([])).await;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "s3cret")],
    ] {
        for path in ["/v1/status", "/metrics", "/nowhere"] {
            let answer = server.send("GET", path, &headers, "").await;
            assert_eq!(
                (answer.status, answer.slug().as_str()),
                (StatusCode::UNAUTHORIZED, "unauthorized"),
                "{path}"
            );
        }
    }
    let right = [
        ("authorization", "bearer s3cret"),
        ("content-type", "application/json"),
    ];
    let answer = server
        .send(
            "POST",
            "/v1/jobs/wordcount/valves/valve/0",
            &right,
            report(0).to_string(),
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_only_who_asks_for_loopback_is_answered() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    for path in ["/v1/policy", "/readyz", "/nowhere"] {
        let rebound = [("host", "evil.example:7077")];
        let answer = server.send("GET", path, &rebound, "").await;
        assert_eq!(
            (answer.status, answer.slug().as_str()),
            (StatusCode::MISDIRECTED_REQUEST, "misdirected"),
            "{path}"
        );
    }
    let answer = server
        .send("GET", "/metrics", &[("host", "localhost:7077")], "")
        .await;
    assert!(
        answer.text.contains("misdirected_requests_total 3"),
        "{}",
        answer.text
    );

    let config = Config {
        token: Some(Secret::new("s3cret")),
        ..Config::default()
    };
    let server = Server::start(config, &FakeFunction::new([])).await;
    let known = [
        ("host", "sidecar.example"),
        ("authorization", "Bearer s3cret"),
    ];
    let answer = server.send("GET", "/v1/policy", &known, "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn valves_beyond_the_limit_are_turned_away_and_the_known_ones_still_answered() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let json = [("content-type", "application/json")];
    let mut last = StatusCode::OK;
    for job in 0..65 {
        let path = format!("/v1/jobs/job{job}/valves/valve/0");
        last = server
            .send("POST", &path, &json, report(0).to_string())
            .await
            .status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let known = server
        .send(
            "POST",
            "/v1/jobs/job0/valves/valve/0",
            &json,
            report(1).to_string(),
        )
        .await;
    assert_eq!(known.status, StatusCode::OK);
}
