//! The stream of events, over a real socket.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpSocket;
use tokio::net::tcp::OwnedReadHalf;

use super::server::Server;
use super::{ID, burst, report};
use crate::config::{Config, Events, Http};
use crate::divert::InvokeError;
use crate::divert::tests::fake::{FakeFunction, Reply, batch};

/// A client of `/v1/events`.
struct Client {
    reader: BufReader<OwnedReadHalf>,
    _writer: tokio::net::tcp::OwnedWriteHalf,
}

/// An event: id, name, data.
#[derive(Debug)]
struct Told {
    id: Option<String>,
    name: String,
    data: Value,
}

impl Client {
    async fn listen(server: &Server, last: Option<&str>) -> Self {
        // A small buffer is soon full when nothing is read.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(server.address).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        let request = format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
        writer.write_all(request.as_bytes()).await.unwrap();
        let mut reader = BufReader::new(reader);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        assert!(head.contains("text/event-stream"), "{head}");
        Self {
            reader,
            _writer: writer,
        }
    }

    /// The next line that is not of the transfer's own framing; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).await.unwrap() == 0 {
                return None;
            }
            let chunk_size = line.ends_with("\r\n");
            if !chunk_size {
                return Some(line);
            }
        }
    }

    /// The next event that is no tick.
    async fn next(&mut self) -> Option<Told> {
        loop {
            let told = self.any().await?;
            if told.name != "tick" {
                return Some(told);
            }
        }
    }

    async fn any(&mut self) -> Option<Told> {
        let (mut id, mut name) = (None, String::new());
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.trim().to_owned());
            } else if let Some(text) = line.strip_prefix("event: ") {
                name = text.trim().to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(text).unwrap();
                return Some(Told { id, name, data });
            }
        }
    }
}

fn with(events: Events) -> Config {
    Config {
        events,
        ..Config::default()
    }
}

/// Asks until the metrics are as expected.
async fn until_metrics(server: &Server, expected: impl Fn(&str) -> bool) {
    let waiting = async {
        while !expected(&server.get("/metrics").await.text) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting)
        .await
        .unwrap();
}

async fn set_mode(server: &Server, mode: &str) {
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    let body = json!({"mode": mode}).to_string();
    let answer = server.send("PATCH", "/v1/policy", &headers, body).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_hears_how_things_stand_and_then_what_changes() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    server.report(&report(0)).await;
    let mut client = Client::listen(&server, None).await;
    let first = client.any().await.unwrap();
    assert_eq!((first.name.as_str(), first.id), ("tick", None));
    assert_eq!(first.data["valves"][0]["mode"], "local");

    set_mode(&server, "burst").await;
    let policy = client.next().await.unwrap();
    assert_eq!(policy.name, "policy");
    assert_eq!(
        policy.data["changed"],
        json!([{"key": "mode", "old": "auto", "new": "burst"}])
    );
    server.report(&report(1)).await;
    let mode = client.next().await.unwrap();
    assert_eq!(
        (mode.name.as_str(), &mode.data["mode"]),
        ("mode", &json!("burst"))
    );
    assert_eq!(mode.data["job"], "wordcount");
    assert!(mode.data["reason"].is_string());
}

#[tokio::test]
async fn a_shut_lane_is_told() {
    let missing = Reply::Fail(InvokeError::FunctionMissing("404".into()));
    let server = Server::start(burst(), &FakeFunction::new([missing])).await;
    server.report(&report(0)).await;
    let mut client = Client::listen(&server, None).await;
    server.put(ID, batch(ID)).await;
    server.report(&report(1)).await;
    let breaker = client.next().await.unwrap();
    assert_eq!(breaker.name, "breaker");
    assert_eq!(breaker.data["open"], false);
}

#[tokio::test]
async fn a_client_that_comes_back_hears_what_it_missed_and_stopping_ends_the_stream() {
    let server = Server::start(Config::default(), &FakeFunction::new([])).await;
    let mut client = Client::listen(&server, None).await;
    set_mode(&server, "burst").await;
    let seen = client.next().await.unwrap().id.unwrap();
    drop(client);
    set_mode(&server, "local").await;
    set_mode(&server, "auto").await;
    let mut client = Client::listen(&server, Some(&seen)).await;
    for mode in ["local", "auto"] {
        assert_eq!(client.next().await.unwrap().data["changed"][0]["new"], mode);
    }
    server.stop();
    let stopping = client.next().await.unwrap();
    assert_eq!(
        (stopping.name.as_str(), &stopping.data["part"]),
        ("readiness", &json!("sidecar"))
    );
    while client.next().await.is_some() {}
    server.ended().await;
}

#[tokio::test]
async fn a_silent_stream_has_heartbeats_and_a_busy_one_ticks() {
    let events = Events {
        tick: Duration::from_mins(10),
        heartbeat: Duration::from_millis(20),
        ..Events::default()
    };
    let server = Server::start(with(events), &FakeFunction::new([])).await;
    let mut client = Client::listen(&server, None).await;
    client.any().await.unwrap();
    while client.line().await.unwrap() != ": heartbeat\n" {}

    let events = Events {
        tick: Duration::from_millis(20),
        ..Events::default()
    };
    let server = Server::start(with(events), &FakeFunction::new([])).await;
    let mut client = Client::listen(&server, None).await;
    for _ in 0..3 {
        assert_eq!(client.any().await.unwrap().name, "tick");
    }
}

#[tokio::test]
async fn clients_beyond_the_limit_are_turned_away() {
    let events = Events {
        max_clients: 1,
        ..Events::default()
    };
    let server = Server::start(with(events), &FakeFunction::new([])).await;
    let first = Client::listen(&server, None).await;
    let answer = server.get("/v1/events").await;
    assert_eq!(
        (answer.status, answer.slug().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "too-many-clients")
    );
    assert!(answer.headers.contains_key("retry-after"));
    drop(first);
    until_metrics(&server, |text| text.contains("spillway_events_clients 0")).await;
    Client::listen(&server, None).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_place_and_its_connection() {
    let config = Config {
        events: Events {
            tick: Duration::from_millis(10),
            ..Events::default()
        },
        http: Http {
            write_timeout: Duration::from_millis(50),
            ..Http::default()
        },
        ..Config::default()
    };
    let server = Server::start(config, &FakeFunction::new([])).await;
    let mut client = Client::listen(&server, None).await;
    // Many valves make long ticks, which soon fill what the kernel buffers on both sides.
    let headers = [("content-type", "application/json")];
    for job in 0..64 {
        let path = format!("/v1/jobs/job{job}/valves/valve/0");
        server
            .send("POST", &path, &headers, report(0).to_string())
            .await;
    }
    until_metrics(&server, |text| {
        text.contains("spillway_stuck_connections_total 1")
    })
    .await;
    until_metrics(&server, |text| text.contains("spillway_events_clients 0")).await;
    // What was buffered can still be read; then the connection is over, long before it would be for
    // idling.
    let mut rest = Vec::new();
    let reading = client.reader.read_to_end(&mut rest);
    let over = tokio::time::timeout(Duration::from_secs(30), reading).await;
    assert!(over.is_ok() && !rest.is_empty());
}
