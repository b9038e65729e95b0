//! A function for the tests: it speaks the Runtime API over a plain socket and does what its event
//! says, `{"do": …}`. `INIT=error` and `INIT=exit` in its environment make its start fail.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::{env, process, thread};

use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let host = env::var("AWS_LAMBDA_RUNTIME_API").map_err(io::Error::other)?;
    let mut runtime = Runtime {
        stream: BufReader::new(TcpStream::connect(&host)?),
        host,
    };
    match env::var("INIT").as_deref() {
        Ok("exit") => process::exit(7),
        Ok("error") => {
            runtime.post(
                "init/error",
                br#"{"errorType":"NoConfig","errorMessage":"no configuration"}"#,
            )?;
            process::exit(1);
        }
        _ => {}
    }
    let mut held = Vec::new();
    loop {
        let (id, event) = runtime.request("GET", "invocation/next", b"")?;
        if id.is_empty() {
            // As lambda_runtime does with an answer that brings no work.
            process::exit(101);
        }
        let value: Value = serde_json::from_slice(&event).unwrap_or_default();
        let done = |body: &[u8]| (format!("invocation/{id}/response"), body.to_vec());
        let (path, answer) = match value["do"].as_str() {
            Some("fail") => (
                format!("invocation/{id}/error"),
                br#"{"errorType":"MalformedBatch","errorMessage":"bad magic"}"#.to_vec(),
            ),
            Some("exit") => process::exit(3),
            Some("abort") => process::abort(),
            Some("hang") => loop {
                thread::park();
            },
            Some("size") => {
                let size = usize::try_from(value["bytes"].as_u64().unwrap_or(2)).unwrap_or(2);
                done(format!("\"{}\"", "x".repeat(size - 2)).as_bytes())
            }
            // Connects, sends its process id, and goes on when the other side says so or hangs up.
            // The connection lasts as long as the process.
            Some("meet") => {
                let mut other = TcpStream::connect(value["at"].as_str().unwrap_or_default())?;
                other.write_all(&process::id().to_le_bytes())?;
                let _ = other.read(&mut [0; 1])?;
                held.push(other);
                done(b"\"met\"")
            }
            Some("describe") => {
                let environment: serde_json::Map<String, Value> =
                    env::vars().map(|(k, v)| (k, v.into())).collect();
                done(
                    json!({"pid": process::id(), "env": environment})
                        .to_string()
                        .as_bytes(),
                )
            }
            _ => done(&event),
        };
        runtime.post(&path, &answer)?;
    }
}

struct Runtime {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Runtime {
    fn post(&mut self, path: &str, body: &[u8]) -> io::Result<()> {
        self.request("POST", path, body).map(|_| ())
    }

    /// The answer's request id, if it has one, and its body.
    fn request(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<(String, Vec<u8>)> {
        let head = format!(
            "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.stream
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())?;
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                process::exit(0);
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "lambda-runtime-aws-request-id" => value.clone_into(&mut id),
                    "content-length" => length = value.parse().map_err(io::Error::other)?,
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((id, body))
    }
}
