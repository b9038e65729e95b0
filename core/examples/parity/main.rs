//! Differential fuzzing: the Java and the Rust workload get the same cases and must say the same.
//!
//! `experiments/parity/run.py` starts it. By hand:
//! `parity CASES SEED [TEXT FILE]... -- COMMAND OF THE JAVA SIDE`
//!
//! Both sides are long-lived and answer with a digest of a block of cases. Where digests differ the
//! block is halved until one case is left, that is cut down, and printed as a line for
//! `proto/vectors/wordcount.json`. Standard output is one JSON object; the exit code is 1 if anything
//! differed.

#![allow(clippy::unwrap_used, reason = "only in tests")]

mod generate;
#[path = "../../tests/plain/mod.rs"]
mod plain;
mod random;
mod search;
mod side;

use std::collections::VecDeque;
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use generate::{Case, Generator};
use side::{JavaSide, RustSide};

const BLOCK: usize = 1000;
/// Blocks that Java may lag behind.
const AHEAD: usize = 4;
/// Blocks with a difference after which the run is over: there is enough to look at.
const ENOUGH: usize = 8;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: parity CASES SEED [TEXT FILE]... -- COMMAND OF THE JAVA SIDE";
    let split = arguments
        .iter()
        .position(|argument| argument == "--")
        .ok_or(usage)?;
    let [cases, seed, texts @ ..] = &arguments[..split] else {
        return Err(usage.into());
    };
    let (cases, seed) = (cases.parse::<u64>()?, seed.parse::<u64>()?);
    let texts: Vec<_> = texts.iter().map(std::fs::read).collect::<Result<_, _>>()?;

    let mut run = Run {
        generator: Generator::new(seed, &texts),
        rust: RustSide::default(),
        java: JavaSide::start(&arguments[split + 1..])?,
    };
    let began = Instant::now();
    let mut tally = vec![0; Generator::kinds().count()];
    let (blocks, suspects, bytes) = run.compare(cases.div_ceil(BLOCK as u64), &mut tally)?;
    let seconds = began.elapsed().as_secs_f64();
    let rows = run.rust.rows;
    let mut differences: Vec<Value> = Vec::new();
    for block in suspects {
        let found = run.explain(block)?;
        // Most blocks that differ do so for the same reason.
        if !differences
            .iter()
            .any(|known| known["vector"] == found["vector"])
        {
            differences.push(found);
        }
    }
    let clean = run.java.stop()?;

    let kinds: Map<_, _> = Generator::kinds()
        .zip(&tally)
        .map(|(k, n)| (k.into(), json!(n)))
        .collect();
    let report = json!({
        "workload": "wordcount", "seed": seed, "cases": blocks * BLOCK as u64, "kinds": kinds,
        "bytes": bytes, "rows": rows, "seconds": (seconds * 10.0).round() / 10.0,
        "differences": differences,
    });
    println!("{report}");
    if !clean {
        return Err("the Java side failed: see what it said above".into());
    }
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Run {
    generator: Generator,
    rust: RustSide,
    java: JavaSide,
}

impl Run {
    /// Compares up to `blocks` blocks. How many it were, those that differ, and the records' bytes.
    fn compare(&mut self, blocks: u64, tally: &mut [u64]) -> std::io::Result<(u64, Vec<u64>, u64)> {
        let mut expected = VecDeque::new();
        let (mut suspects, mut bytes, mut done) = (Vec::new(), 0, 0);
        while done < blocks && suspects.len() < ENOUGH {
            let cases = self.generator.block(done, BLOCK, tally);
            self.java.ask(&cases)?;
            bytes += cases
                .iter()
                .map(|case| case.record.len() as u64)
                .sum::<u64>();
            expected.push_back((done, self.rust.digest(&cases)));
            done += 1;
            if expected.len() > AHEAD {
                self.check(&mut expected, &mut suspects)?;
            }
        }
        while !expected.is_empty() {
            self.check(&mut expected, &mut suspects)?;
        }
        Ok((done, suspects, bytes))
    }

    fn check(
        &mut self,
        expected: &mut VecDeque<(u64, u64)>,
        suspects: &mut Vec<u64>,
    ) -> std::io::Result<()> {
        if let Some((block, digest)) = expected.pop_front()
            && self.java.answer()? != digest
        {
            suspects.push(block);
        }
        Ok(())
    }

    /// What differs in a block, as a vector and in words.
    fn explain(&mut self, block: u64) -> std::io::Result<Value> {
        let cases = self
            .generator
            .block(block, BLOCK, &mut vec![0; Generator::kinds().count()]);
        let (rust, java) = (&mut self.rust, &mut self.java);
        let mut differ =
            |cases: &[Case]| Ok::<_, std::io::Error>(java.digest(cases)? != rust.digest(cases));
        let Some(case) = search::first(&cases, &mut differ)? else {
            return Ok(
                json!({"block": block, "what": "the block differs, but no case of it alone"}),
            );
        };
        let case = search::shrink(case, &mut differ)?;
        Ok(json!({
            "block": block,
            "vector": {
                "name": format!("found by parity: {}", case.record.escape_ascii()),
                "record_base64": STANDARD.encode(&case.record),
                "words": plain::words(&case.record),
            },
            "event_time_ms": case.event_time_ms, "window_size_ms": case.window_size_ms,
            "rust": self.rust.show(&case), "java": self.java.show(&case)?,
        }))
    }
}
