//! A sidecar of the real binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails says so by panicking"
)]
#![allow(dead_code, reason = "each test binary needs some of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Runs until dropped.
pub(crate) struct Sidecar {
    child: Child,
    url: String,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Sidecar {
    /// One on a free port, with no function to invoke.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        // Nobody listens on the discard port.
        Self::invoking("http://127.0.0.1:9", &["--grace", "0s"], environment)
    }

    /// One on a free port that invokes functions at `lambda`.
    pub(crate) fn invoking(lambda: &str, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_spillway"))
            .args(["run", "--listen", "127.0.0.1:0"])
            .args(options)
            .env_clear()
            .envs([
                ("SPILLWAY_LAMBDA_ENDPOINT_URL", lambda),
                ("SPILLWAY_LAMBDA_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ])
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let url = loop {
            let line = lines.next().expect("it listens before it ends").unwrap();
            said.extend([&line, "\n"]);
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.split(' ').next().unwrap().to_owned();
            }
        };
        let log = Arc::new(Mutex::new(said));
        // What it logs from now on is read, so that it can go on logging.
        let reading = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    log.lock().unwrap().extend([&line, "\n"]);
                }
            }
        });
        Self {
            child,
            url,
            log,
            reading: Some(reading),
        }
    }

    /// Ends it; all that it has logged.
    pub(crate) fn end(mut self) -> String {
        self.terminate();
        assert!(self.ended().success());
        self.reading.take().unwrap().join().unwrap();
        self.log.lock().unwrap().clone()
    }

    /// What it has logged so far.
    pub(crate) fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The whole answer to a request, its head too; empty if there is none. The connection is closed after it.
    pub(crate) fn ask(&self, request: &str, headers: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok();
        answer
    }

    /// Reports as a valve's subtask, once; what the sidecar says to that.
    pub(crate) fn report(&self) -> String {
        let body = r#"{"attempt": "9f3a6c1e2b7d4f08", "sequence": 0, "parallelism": 1, "workload": "wordcount",
            "window_size_ms": 1000, "time_ms": 0, "received": 0, "kept": 0, "diverted": 0, "bounced": 0,
            "late": 0, "unsettled": 0, "in_flight_batches": 0, "settled_batches": 0, "bounced_batches": 0,
            "retries": 0, "local_unavailable_ms": 0, "watermark_ms": null, "first_diverted_ms": null,
            "last_diverted_ms": null}"#;
        let answer = self.ask(
            "POST /v1/jobs/wordcount/valves/valve/0",
            "content-type: application/json\r\n",
            body.as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// Asks it to stop, as systemd and Kubernetes do.
    pub(crate) fn terminate(&self) {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        )
        .unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
