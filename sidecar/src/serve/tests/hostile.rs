//! Clients that mean no good, over raw sockets: slow ones, greedy ones, and such as speak no HTTP.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::Instant;

use super::ID;
use super::server::Server;
use crate::config::{Config, Divert, Http};
use crate::divert::tests::fake::{FakeFunction, batch};

/// Long enough for what is answered at once, on a busy machine too.
const SHORT: Duration = Duration::from_millis(200);
/// What takes longer has no limit.
const FOREVER: Duration = Duration::from_secs(30);
const DRIP: Duration = Duration::from_millis(20);

async fn serve(http: Http, divert: Divert) -> Server {
    let config = Config {
        divert,
        http,
        ..Config::default()
    };
    Server::start(config, &FakeFunction::new([])).await
}

fn short() -> Http {
    Http {
        idle_timeout: SHORT,
        body_timeout: SHORT,
        ..Http::default()
    }
}

/// All that comes until the server ends the connection, in whatever way.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut all = Vec::new();
    let reading = stream.read_to_end(&mut all);
    let ended = tokio::time::timeout(FOREVER, reading).await;
    assert!(ended.is_ok(), "the connection does not end");
    String::from_utf8(all).unwrap()
}

async fn say(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    rest(stream).await
}

/// Sends one byte after the other, each in time by itself, until nobody takes them.
async fn drip(mut writer: OwnedWriteHalf) {
    let mut ticks = tokio::time::interval(DRIP);
    while writer.write_all(b"a").await.is_ok() {
        ticks.tick().await;
    }
}

fn put(length: usize, headers: &str) -> String {
    format!(
        "PUT /v1/jobs/wordcount/batches/{ID} HTTP/1.1\r\nhost: localhost\r\n\
         content-type: application/x-protobuf\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn a_header_that_trickles_in_is_given_up_however_steady_it_is() {
    let server = serve(short(), Divert::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nx: ")
        .await
        .unwrap();
    let began = Instant::now();
    let (reader, writer) = stream.into_split();
    let dripping = tokio::spawn(drip(writer));
    assert_eq!(rest(reader).await, "");
    assert!(began.elapsed() >= SHORT);
    dripping.abort();
}

#[tokio::test]
async fn a_body_that_trickles_in_is_given_up_and_its_place_is_free_again() {
    let divert = Divert {
        max_concurrency: 1,
        queue: 0,
        ..Divert::default()
    };
    let server = serve(short(), divert).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(put(1_000_000, "").as_bytes())
        .await
        .unwrap();
    let (reader, writer) = stream.into_split();
    let dripping = tokio::spawn(drip(writer));
    let answer = rest(reader).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("body-timeout"),
        "{answer}"
    );
    dripping.abort();
    assert_eq!(server.put(ID, batch(ID)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn headers_beyond_the_limit_are_answered_431() {
    let server = serve(Http::default(), Divert::default()).await;
    let long = "a".repeat(17 * 1024);
    let many = "x: y\r\n".repeat(101);
    for request in [
        format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
        format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
        format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {long}"),
    ] {
        let answer = say(&server, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let answer = say(&server, format!("GET /{long} HTTP/1.1\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_idles_is_ended_and_makes_room_for_one_that_waits() {
    let http = Http {
        max_connections: 2,
        ..short()
    };
    let server = serve(http, Divert::default()).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut once = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    once.write_all(request).await.unwrap();
    let began = Instant::now();
    // Taken in by the kernel, and by the server once a place is free.
    let third = say(&server, request).await;
    assert!(third.starts_with("HTTP/1.1 200"), "{third}");
    assert!(began.elapsed() >= SHORT / 2, "{:?}", began.elapsed());
    assert_eq!(rest(idle).await, "");
    assert!(rest(once).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn requests_in_one_go_are_all_answered_until_one_is_none() {
    let server = serve(Http::default(), Divert::default()).await;
    let good = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    let garbage = [good.as_bytes(), b"\x00\xff\x16\x03\x01 garbage\r\n\r\n"].concat();
    let answer = say(&server, &garbage).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1_000);
    let last = answer.rsplit("HTTP/1.1 ").next().unwrap();
    assert!(last.starts_with("400"), "{last}");
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_of_two_lengths_is_no_way_round_the_limit() {
    let server = serve(Http::default(), Divert::default()).await;
    for request in [
        put(5, "transfer-encoding: chunked\r\n"),
        put(5, "content-length: 6\r\n"),
        put(5, "transfer-encoding: gzip\r\n"),
        put(5, "").replace("content-length: 5", "content-length: 5, 6"),
        put(5, "").replace("content-length: 5", "content-length: +5"),
        put(5, "").replace("content-length: 5", "content-length: 99999999999999999999"),
    ] {
        let request = request.replace("host:", "connection: close\r\nhost:");
        let answer = say(
            &server,
            format!("{request}5\r\nabcde\r\n0\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}{answer}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_asked_for_is_not_taken_in() {
    let server = serve(Http::default(), Divert::default()).await;
    for (method, path) in [
        ("GET", "/v1/status"),
        ("POST", "/livez"),
        ("PUT", "/nowhere"),
    ] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000000\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).await.unwrap();
        let filling = tokio::spawn(async move {
            let block = vec![0; 1 << 16];
            let mut sent = 0_u64;
            while writer.write_all(&block).await.is_ok() {
                sent += block.len() as u64;
            }
            sent
        });
        // The connection may be reset with what was not read; what matters is that it ends.
        let mut answer = Vec::new();
        let mut reader = reader;
        let reading = reader.read_to_end(&mut answer);
        drop(tokio::time::timeout(FOREVER, reading).await.unwrap());
        let sent = tokio::time::timeout(FOREVER, filling)
            .await
            .unwrap()
            .unwrap();
        // What both kernels buffer.
        assert!(sent < 64 << 20, "{path}: {sent}");
    }
}
