//! The binary against a Runtime API and an S3 that are played here, over plain sockets: what comes first,
//! the answer or the metrics, and what becomes of a partial that is there already.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use spillway_core::batch::BatchBuilder;
use spillway_core::digest::Digest;
use spillway_core::envelope::Invocation;

/// A request as it came.
struct Request {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| {
            let (found, value) = header.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A connection that the function opened.
struct Peer(BufReader<TcpStream>);

impl Peer {
    fn accept(listener: &TcpListener) -> Self {
        Self(BufReader::new(listener.accept().unwrap().0))
    }

    fn request(&mut self) -> Request {
        let mut lines = (&mut self.0).lines().map(Result::unwrap);
        let line = lines.next().unwrap();
        let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let mut request = Request {
            line,
            headers,
            body: Vec::new(),
        };
        let length = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        request.body.resize(length, 0);
        self.0.read_exact(&mut request.body).unwrap();
        request
    }

    fn answer(&mut self, head: &str, body: &[u8]) {
        let length = body.len();
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n");
        self.0
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())
            .unwrap();
    }
}

/// The function, and the sockets it speaks to.
struct Function {
    process: Child,
    runtime: Peer,
    s3: TcpListener,
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Function {
    /// Starts it with standard output going to `out`.
    fn start(out: &Path) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (runtime, s3) = (listen(), listen());
        let process = Command::new(env!("CARGO_BIN_EXE_spillway-burst"))
            .env_clear()
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                runtime.local_addr().unwrap().to_string(),
            )
            .env("AWS_LAMBDA_FUNCTION_NAME", "burst")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env(
                "AWS_ENDPOINT_URL_S3",
                format!("http://{}", s3.local_addr().unwrap()),
            )
            .env("SPILLWAY_DESTINATION", "s3://bucket/prefix")
            .env("SPILLWAY_METRICS", "emf")
            .stdin(Stdio::null())
            .stdout(File::create(out).unwrap())
            .spawn()
            .unwrap();
        Self {
            process,
            runtime: Peer::accept(&runtime),
            s3,
        }
    }

    /// Gives it a batch once it asks for work.
    fn invoke(&mut self) {
        let next = self.runtime.request();
        assert!(
            next.line
                .starts_with("GET /2018-06-01/runtime/invocation/next ")
        );
        let message = BatchBuilder::new("9f3a6c1e2b7d4f08-0-42", "job", "wordcount", 1000)
            .push(5, b"to be, or not to be")
            .encode();
        let payload = Invocation::pack(&message).unwrap().to_json().unwrap();
        let head = "200 OK\r\nLambda-Runtime-Aws-Request-Id: request-1\r\nLambda-Runtime-Deadline-Ms: 99999999999999\r\nLambda-Runtime-Invoked-Function-Arn: arn";
        self.runtime.answer(head, &payload);
    }

    /// Waits until it does nothing but wait for an answer. It has one thread that matters: the main one.
    fn wait_until_asleep(&self) {
        let stat = format!("/proc/{}/stat", self.process.id());
        loop {
            let text = fs::read_to_string(&stat).unwrap();
            // The state follows the name, which stands in brackets.
            if text.rsplit_once(") ").unwrap().1.starts_with('S') {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// The checksum that S3 has been told of an object, as it comes with a PUT.
fn checksum(put: &Request) -> String {
    put.header("x-amz-checksum-sha256").unwrap().to_owned()
}

#[test]
fn the_answer_is_taken_before_the_metrics_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("stdout");
    let mut function = Function::start(&out);
    function.invoke();
    let mut s3 = Peer::accept(&function.s3);
    let put = s3.request();
    assert_eq!(put.header("if-none-match"), Some("*"));
    s3.answer("200 OK", b"");

    let response = function.runtime.request();
    assert!(response.line.contains("/invocation/request-1/response "));
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(answer["receipt"]["records"], 1);
    // The answer is here, its acknowledgement is held back, and the function has nothing left to do.
    function.wait_until_asleep();
    assert_eq!(fs::read_to_string(&out).unwrap(), "");

    function.runtime.answer("202 Accepted", b"");
    let next = function.runtime.request();
    assert!(next.line.contains("/invocation/next "));
    let text = fs::read_to_string(&out).unwrap();
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&line["Records"], &line["job"]),
        (&1.0.into(), &"job".into())
    );
}

#[test]
fn a_partial_that_is_there_with_the_same_bytes_is_as_good_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut function = Function::start(&folder.path().join("stdout"));
    function.invoke();
    let mut s3 = Peer::accept(&function.s3);
    let put = s3.request();
    s3.answer(
        "412 Precondition Failed",
        b"<Error><Code>PreconditionFailed</Code></Error>",
    );
    let head = s3.request();
    assert!(
        head.line.starts_with("HEAD ") && head.header("x-amz-checksum-mode") == Some("ENABLED")
    );
    s3.answer(
        &format!("200 OK\r\nx-amz-checksum-sha256: {}", checksum(&put)),
        b"",
    );
    let response = function.runtime.request();
    assert!(response.line.contains("/invocation/request-1/response "));
}

#[test]
fn a_partial_that_is_there_with_other_bytes_is_left_alone_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut function = Function::start(&folder.path().join("stdout"));
    function.invoke();
    let mut s3 = Peer::accept(&function.s3);
    s3.request();
    s3.answer(
        "412 Precondition Failed",
        b"<Error><Code>PreconditionFailed</Code></Error>",
    );
    s3.request();
    let other = STANDARD.encode(Digest::of(b"another version's").as_bytes());
    s3.answer(&format!("200 OK\r\nx-amz-checksum-sha256: {other}"), b"");
    let response = function.runtime.request();
    assert!(response.line.contains("/invocation/request-1/error "));
    let error: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(error["errorType"], "PartialConflict");
}
