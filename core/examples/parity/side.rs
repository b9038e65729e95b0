//! The two sides, and what they are asked.

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use spillway_core::window::WindowSize;
use spillway_core::workload::{Outcome, Wordcount, Workload};

use crate::generate::Case;

/// Kinds of requests to the Java side, see `ParitySide.java`.
const DIGEST: u8 = b'd';
const SHOW: u8 = b's';

/// FNV-1a, 64 bits: quick and plain in both languages, and nobody here wants to deceive it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

/// The Rust side: the very code that runs in the burst function.
#[derive(Debug, Default)]
pub(crate) struct RustSide {
    workload: Wordcount,
    /// Rows of all cases so far.
    pub(crate) rows: u64,
}

impl RustSide {
    pub(crate) fn digest(&mut self, cases: &[Case]) -> u64 {
        let mut digest = Fnv::new();
        for case in cases {
            let mut rows = 0_u32;
            digest.add(&start_of(case).to_be_bytes());
            let outcome = self.workload.process(&case.record, |key, measures| {
                rows += 1;
                digest.add(
                    &u32::try_from(key.bytes().len())
                        .unwrap_or(u32::MAX)
                        .to_be_bytes(),
                );
                digest.add(key.bytes());
                for measure in measures {
                    digest.add(&measure.to_be_bytes());
                }
            });
            digest.add(&rows.to_be_bytes());
            digest.add(&[u8::from(outcome == Outcome::Malformed)]);
            self.rows += u64::from(rows);
        }
        digest.value()
    }

    /// What it makes of one case, for people.
    pub(crate) fn show(&mut self, case: &Case) -> String {
        let mut rows = Vec::new();
        self.workload.process(&case.record, |key, _| {
            rows.push(String::from_utf8_lossy(key.bytes()).into_owned());
        });
        format!("window {}: {rows:?}", start_of(case))
    }
}

fn start_of(case: &Case) -> i64 {
    // The generator makes no window below 1 ms.
    WindowSize::from_millis(case.window_size_ms)
        .map(|window| window.start_of(case.event_time_ms))
        .unwrap_or_default()
}

/// The Java side: a process that answers requests in order.
#[derive(Debug)]
pub(crate) struct JavaSide {
    process: Child,
    requests: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl JavaSide {
    pub(crate) fn start(command: &[String]) -> io::Result<Self> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::other("no command for the Java side"))?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let piped = || io::Error::other("the Java side has no pipes");
        let requests = BufWriter::new(process.stdin.take().ok_or_else(piped)?);
        let answers = BufReader::new(process.stdout.take().ok_or_else(piped)?);
        Ok(Self {
            process,
            requests,
            answers,
        })
    }

    /// Asks for the digest of a block; the answers come in the order of the questions.
    pub(crate) fn ask(&mut self, cases: &[Case]) -> io::Result<()> {
        self.request(DIGEST, cases)
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> io::Result<u64> {
        let mut answer = [0; 8];
        self.answers.read_exact(&mut answer)?;
        Ok(u64::from_be_bytes(answer))
    }

    pub(crate) fn digest(&mut self, cases: &[Case]) -> io::Result<u64> {
        self.ask(cases)?;
        self.answer()
    }

    pub(crate) fn show(&mut self, case: &Case) -> io::Result<String> {
        self.request(SHOW, std::slice::from_ref(case))?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let mut text = vec![0; u32::from_be_bytes(length) as usize];
        self.answers.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Ends it, and says whether it went well.
    pub(crate) fn stop(self) -> io::Result<bool> {
        let Self {
            mut process,
            requests,
            ..
        } = self;
        drop(requests);
        Ok(process.wait()?.success())
    }

    fn request(&mut self, kind: u8, cases: &[Case]) -> io::Result<()> {
        let out = &mut self.requests;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
        out.write_all(&[kind])?;
        out.write_all(&length(cases.len()))?;
        for case in cases {
            out.write_all(&case.event_time_ms.to_be_bytes())?;
            out.write_all(&case.window_size_ms.to_be_bytes())?;
            out.write_all(&length(case.record.len()))?;
            out.write_all(&case.record)?;
        }
        out.flush()
    }
}
