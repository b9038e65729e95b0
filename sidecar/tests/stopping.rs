//! The real binary is asked to stop while a batch is in flight.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod sidecar;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use sidecar::Sidecar;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::envelope::{Answer, Invocation, Timing};
use spillway_core::receipt::{Receipt, WindowCount};

const ID: &str = "9f3a6c1e2b7d4f08-0-0";

/// Lambda with a function that answers when it is told to.
struct SlowLambda {
    url: String,
    /// Says when an invocation has come.
    invoked: Receiver<()>,
    /// Lets one be answered.
    go_on: Sender<()>,
}

impl SlowLambda {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ((came, invoked), (go_on, told)) = (channel(), channel());
        let told = Arc::new(Mutex::new(told));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (came, told) = (came.clone(), Arc::clone(&told));
                thread::spawn(move || serve(&stream.unwrap(), &came, &told));
            }
        });
        Self {
            url,
            invoked,
            go_on,
        }
    }
}

fn serve(stream: &TcpStream, came: &Sender<()>, told: &Mutex<Receiver<()>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut dry) = (0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            dry |= line == "x-amz-invocation-type: dryrun";
            if line.is_empty() {
                break;
            }
        }
        let mut payload = vec![0; length];
        reader.read_exact(&mut payload).unwrap();
        let (status, body) = if dry {
            ("204 No Content", Vec::new())
        } else {
            came.send(()).unwrap();
            // The test is over if nobody can tell any more.
            if told.lock().unwrap().recv().is_err() {
                return;
            }
            ("200 OK", answer(&payload))
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        stream.write_all(&[head.as_bytes(), &body].concat()).ok();
    }
}

fn answer(payload: &[u8]) -> Vec<u8> {
    let message = Invocation::from_json(payload).unwrap().unpack().unwrap();
    let batch = BatchView::parse(&message).unwrap();
    let windows = batch
        .records_per_window()
        .into_iter()
        .map(|(start_ms, records)| WindowCount {
            start_ms,
            records,
            malformed: 0,
        })
        .collect();
    let answer = Answer {
        receipt: Receipt::new(&batch, windows, 1, b"parquet"),
        timing: Timing {
            cold: false,
            init_us: 0,
            decode_us: 1,
            aggregate_us: 1,
            encode_us: 1,
            write_us: 1,
        },
    };
    serde_json::to_vec(&answer).unwrap()
}

fn put(sidecar: &Sidecar) -> String {
    let batch = BatchBuilder::new(ID, "wordcount", "wordcount", 1000)
        .push(10, b"to be or not to be")
        .encode();
    sidecar.ask(
        &format!("PUT /v1/jobs/wordcount/batches/{ID}"),
        "content-type: application/x-protobuf\r\n",
        &batch,
    )
}

#[test]
fn sigterm_settles_what_is_in_flight_and_tells_the_valves_before_it_ends_with_0() {
    let lambda = SlowLambda::start();
    let options = ["--grace", "1m", "--policy-mode", "burst"];
    let mut sidecar = Sidecar::invoking(&lambda.url, &options, &[]);
    assert!(sidecar.report().contains("\"divert\":true"));
    let settled = thread::scope(|scope| {
        let sending = scope.spawn(|| put(&sidecar));
        lambda.invoked.recv().unwrap();
        sidecar.terminate();
        while !sidecar.report().contains("the sidecar is stopping") {}
        assert!(sidecar.report().contains("\"divert\":false"));
        assert!(!sending.is_finished());
        lambda.go_on.send(()).unwrap();
        sending.join().unwrap()
    });
    assert!(settled.starts_with("HTTP/1.1 200"), "{settled}");
    assert!(settled.contains(ID), "{settled}");
    assert_eq!(sidecar.ended().code(), Some(0));
}

#[test]
fn a_function_that_never_answers_does_not_hold_up_the_end_beyond_the_grace_period() {
    let lambda = SlowLambda::start();
    let mut sidecar = Sidecar::invoking(&lambda.url, &["--grace", "200ms"], &[]);
    let answer = thread::scope(|scope| {
        let sending = scope.spawn(|| put(&sidecar));
        lambda.invoked.recv().unwrap();
        sidecar.terminate();
        sending.join().unwrap()
    });
    assert_eq!(answer, "", "nothing can have answered");
    assert_eq!(sidecar.ended().code(), Some(0));
}
