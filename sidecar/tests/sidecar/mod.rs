//! A sidecar of the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails says so by panicking"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// Runs until dropped.
pub(crate) struct Sidecar {
    child: Child,
    url: String,
}

impl Sidecar {
    /// One on a free port, with no function to invoke.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_spillway"))
            .args(["run", "--listen", "127.0.0.1:0", "--grace", "0s"])
            // Nobody listens on the discard port.
            .args([
                "--lambda-endpoint-url",
                "http://127.0.0.1:9",
                "--lambda-region",
                "us-east-1",
            ])
            .env_clear()
            .envs([
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it listens before it ends").unwrap();
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.split(' ').next().unwrap().to_owned();
            }
        };
        // What it logs from now on is read, so that it can go on logging.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, url }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Reports as a valve's subtask, once.
    pub(crate) fn report(&self) {
        let body = r#"{"attempt": "9f3a6c1e2b7d4f08", "sequence": 0, "parallelism": 1, "workload": "wordcount",
            "window_size_ms": 1000, "time_ms": 0, "received": 0, "kept": 0, "diverted": 0, "bounced": 0,
            "late": 0, "unsettled": 0, "in_flight_batches": 0, "settled_batches": 0, "bounced_batches": 0,
            "retries": 0, "local_unavailable_ms": 0, "watermark_ms": null, "first_diverted_ms": null,
            "last_diverted_ms": null}"#;
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /v1/jobs/wordcount/valves/valve/0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
