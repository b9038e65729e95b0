//! The binary: command line, ready file, end.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use aws_sdk_lambda::primitives::Blob;
use common::lambda_client;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const BINARY: &str = env!("CARGO_BIN_EXE_spillway-local-cloud");
const FUNCTION: &str = env!("CARGO_BIN_EXE_spillway-test-function");

/// A running binary; killed at the end if it still runs.
struct Process {
    child: Child,
    ready: Value,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let ready = folder.join("ready.json");
        let mut child = Command::new(BINARY)
            .args([
                "--bucket",
                "test-bucket",
                "--function",
                &format!("f={FUNCTION}"),
                "--s3-root",
            ])
            .arg(folder.join("s3"))
            .arg("--ready-file")
            .arg(&ready)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its first line says that it is ready.
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("Lambda at http://127.0.0.1:"), "{line}");
        let ready = serde_json::from_slice(&std::fs::read(ready).unwrap()).unwrap();
        Self { child, ready }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_raw(self.pid()).unwrap(), signal)
            .unwrap();
    }

    /// Starts an invocation that stays; the connection to its process.
    async fn occupy(&self) -> (TcpStream, u32) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let event =
            json!({"do": "meet", "at": listener.local_addr().unwrap().to_string()}).to_string();
        let client = lambda_client(self.ready["lambda_url"].as_str().unwrap());
        tokio::spawn(async move {
            client
                .invoke()
                .function_name("f")
                .payload(Blob::new(event))
                .send()
                .await
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let pid = stream.read_u32_le().await.unwrap();
        (stream, pid)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_ready_file_says_where_everything_is() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    assert_eq!(process.ready["pid"], process.child.id());
    for url in ["lambda_url", "s3_url"] {
        let address = process.ready[url]
            .as_str()
            .unwrap()
            .strip_prefix("http://")
            .unwrap()
            .to_owned();
        TcpStream::connect(address).await.unwrap();
    }
}

#[tokio::test]
async fn sigterm_ends_it_in_order_with_its_function_processes() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let (_stream, pid) = process.occupy().await;
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_hard_kill_leaves_no_function_process() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let (mut stream, _) = process.occupy().await;
    process.signal(rustix::process::Signal::KILL);
    // The function holds this connection as long as it lives: reading would last for ever.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn refused(arguments: &[&str], code: i32, part: &str) {
    let output = run(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(message.contains(part), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("spillway-local-cloud: "), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn bad_input_has_its_exit_code_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s3");
    let root = root.to_str().unwrap();
    refused(&["--nonsense"], 64, "--nonsense");
    refused(&[], 64, "--s3-root");
    refused(&["--s3-root", root, "--timeout", "10"], 64, "250ms");
    refused(
        &["--s3-root", root, "--function", "f=/no/such/file"],
        66,
        "/no/such/file",
    );
    refused(&["--s3-root", root, "--bucket", "Bad_Name"], 65, "Bad_Name");
    refused(&["--s3-root", "/proc/nowhere"], 73, "/proc/nowhere");
    refused(
        &["--s3-root", root, "--ready-file", "/no/such/folder/ready"],
        73,
        "/no/such/folder/ready",
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(&["--s3-root", root, "--lambda-port", &port], 69, &port);
}

#[test]
fn help_is_no_error() {
    let output = run(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("--s3-root"));
    assert_eq!(output.status.code(), Some(0));
}
