//! The real binary keeps its secrets to itself: nothing it logs, answers or writes has one in it, however
//! verbose it is and whatever goes wrong.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod sidecar;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use sidecar::Sidecar;
use spillway_core::batch::BatchBuilder;

/// In every secret, and in nothing else.
const MARK: &str = "5ecret";
const TOKEN: &str = "token-5ecret-of-the-sidecar";
const WRONG_TOKEN: &str = "token-5ecret-of-another-sidecar";
const SECRET_KEY: &str = "aws/5ecret/access/key/0123456789abcdefghij";
const SESSION_TOKEN: &str = "session-5ecret-token-0123456789";
const ID: &str = "9f3a6c1e2b7d4f08-0-42";

/// An AWS that refuses every request as AWS does: with the request that should have been signed.
fn refusing_cloud() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let message = format!(
        "The request signature we calculated does not match the signature you provided.\\n\\n\
         The Canonical String for this request should have been\\n'POST\\n/\\n\\nx-amz-security-token:{SESSION_TOKEN}\\n'"
    );
    let body = format!("{{\"message\":\"{message}\"}}");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut lines = (&mut reader).lines().map_while(Result::ok);
            let length = lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .filter_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .last();
            let mut request = vec![0; length.unwrap_or_default()];
            let read = reader.read_exact(&mut request);
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: InvalidSignatureException\r\nconnection: close\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            // The client may have given up; the next one is served all the same.
            drop(read.and_then(|()| reader.get_mut().write_all(answer.as_bytes())));
        }
    });
    url
}

/// Goes through everything that can be asked, rightly and wrongly; all that was answered.
fn ask_everything(sidecar: &Sidecar) -> String {
    let mut batch = BatchBuilder::new(ID, "wordcount", "wordcount", 1_000);
    batch.push(0, b"hello");
    let batch = batch.encode();
    let put = format!("PUT /v1/jobs/wordcount/batches/{ID}");
    let protobuf = "content-type: application/x-protobuf\r\nspillway-deadline-ms: 1500\r\n";
    let json = "content-type: application/json\r\nif-match: *\r\n";
    let mut answers = String::new();
    for token in [TOKEN, WRONG_TOKEN] {
        for (request, headers, body) in [
            (put.as_str(), protobuf, batch.as_slice()),
            (put.as_str(), protobuf, b"no batch"),
            ("POST /v1/jobs/wordcount/valves/valve/0", json, b"{}"),
            (
                "PATCH /v1/policy",
                json,
                b"{\"token\": 1, \"mode\": \"burst\"}",
            ),
            ("PATCH /v1/policy", json, b"{\"mode\": \"burst\"}"),
            ("GET /v1/policy", "", b""),
            ("GET /v1/status", "", b""),
            ("GET /metrics", "", b""),
            ("GET /readyz", "", b""),
            ("GET /nowhere", "", b""),
        ] {
            let headers = format!("authorization: Bearer {token}\r\n{headers}");
            answers += &sidecar.ask(request, &headers, body);
        }
    }
    answers
}

#[track_caller]
fn keeps_its_secrets(what: &str, text: &str) {
    let told: Vec<_> = text.lines().filter(|line| line.contains(MARK)).collect();
    assert!(told.is_empty(), "{what}: {told:#?}");
}

#[test]
fn no_secret_is_in_a_log_an_answer_or_a_trace_however_verbose_and_whatever_fails() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    for cloud in [refusing_cloud(), "http://127.0.0.1:9".to_owned()] {
        let environment = [
            ("SPILLWAY_LOG", "trace"),
            ("SPILLWAY_TOKEN", TOKEN),
            ("SPILLWAY_TRACE_PATH", trace.to_str().unwrap()),
            ("SPILLWAY_LAMBDA_ENDPOINT_URL", &cloud),
            ("SPILLWAY_PUBLISH_CLOUDWATCH", "true"),
            ("SPILLWAY_PUBLISH_REGION", "us-east-1"),
            ("SPILLWAY_PUBLISH_ENDPOINT_URL", &cloud),
            ("SPILLWAY_PUBLISH_INTERVAL", "1s"),
            ("SPILLWAY_FLINK_JOB", "wordcount"),
            ("SPILLWAY_FLINK_REST_URL", &cloud),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_SESSION_TOKEN", SESSION_TOKEN),
        ];
        let sidecar = Sidecar::start(&environment);
        let answers = ask_everything(&sidecar);
        assert!(answers.contains("HTTP/1.1 200") && answers.contains("HTTP/1.1 401"));
        assert!(
            answers.contains("the cloud") || answers.contains("InvalidSignature"),
            "{answers}"
        );
        keeps_its_secrets("answers", &answers);
        let status = Command::new(env!("CARGO_BIN_EXE_spillway"))
            .args(["status", "--url", sidecar.url()])
            .env_clear()
            .envs([("SPILLWAY_LOG", "trace"), ("SPILLWAY_TOKEN", WRONG_TOKEN)])
            .output()
            .unwrap();
        assert_eq!(status.status.code(), Some(77));
        keeps_its_secrets(
            "spillway status",
            &String::from_utf8(status.stderr).unwrap(),
        );
        let log = sidecar.end();
        // As verbose as can be, and about the requests to the cloud.
        assert!(log.contains(" TRACE ") && log.contains("aws"), "{log}");
        keeps_its_secrets("log", &log);
        keeps_its_secrets("trace", &std::fs::read_to_string(&trace).unwrap());
    }
}

#[test]
fn a_cloud_that_cannot_be_reached_is_one_clear_line() {
    let sidecar = Sidecar::start(&[]);
    let ready = loop {
        let ready = sidecar.ask("GET /readyz", "", b"");
        if ready.contains("HTTP/1.1 503") {
            break ready;
        }
    };
    let log = sidecar.end();
    let line = log
        .lines()
        .find(|line| line.contains("cannot be reached"))
        .unwrap();
    assert!(line.contains("Connection refused"), "{line}");
    assert!(line.len() < 300, "{line}");
    assert!(
        ready.contains("cannot be reached: ") && ready.len() < 500,
        "{ready}"
    );
}
