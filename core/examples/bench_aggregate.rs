//! Measures the aggregation against the plain definition, in one run on one core:
//! `cargo run --release -p spillway-core --example bench_aggregate -- TEXT_FILE [LINES]`

#[path = "../tests/plain/mod.rs"]
mod plain;

use std::hint::black_box;
use std::time::{Duration, Instant};

use spillway_core::aggregate::aggregate;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::partial;
use spillway_core::workload::{Wordcount, Workload};

/// Each step is measured this often; the quickest run counts.
const RUNS: u32 = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args
        .next()
        .ok_or("usage: bench_aggregate TEXT_FILE [LINES]")?;
    let lines: usize = args.next().map_or(Ok(45_000), |n| n.parse())?;

    let text = std::fs::read(&file)?;
    let mut batch = BatchBuilder::new("9f3a6c1e2b7d4f08-0-0", "bench", "wordcount", 1000);
    let input = text.strip_suffix(b"\n").unwrap_or(&text);
    for (i, line) in input.split(|b| *b == b'\n').cycle().take(lines).enumerate() {
        // 450 k/s: a batch spans a window's end.
        batch.push(1_767_225_599_950 + i64::try_from(i)? / 450, line);
    }
    let message = batch.encode();
    let view = BatchView::parse(&message)?;
    let report = |step: &str, time: Duration| {
        let ns = time.as_nanos() as f64;
        let per_record = ns / lines as f64;
        let mb_per_s = view.record_bytes() as f64 * 1000.0 / ns;
        println!("{step:<28} {per_record:>8.1} ns/record {mb_per_s:>8.0} MB/s");
    };
    println!("{lines} records, {} bytes", view.record_bytes());

    report(
        "parse",
        quickest(|| BatchView::parse(&message).map(|view| view.len())),
    );
    let mut workload = Wordcount::default();
    report(
        "tokenize",
        quickest(|| {
            let mut bytes = 0;
            for (_, record) in view.records() {
                workload.process(record, |key, _| bytes += key.bytes().len());
            }
            bytes
        }),
    );
    let fast = quickest(|| aggregate(&view).map(|aggregate| aggregate.rows().len()));
    report("aggregate", fast);
    let aggregate = aggregate(&view)?;
    let content = partial::write(&view.id(), &aggregate)?;
    report(
        "write Parquet",
        quickest(|| partial::write(&view.id(), &aggregate)),
    );
    let slow = quickest(|| plain::wordcount(view.records(), 1000).len());
    report("plain definition", slow);
    println!(
        "{} rows, {} bytes of Parquet; {:.1} times as fast as the plain definition",
        aggregate.rows().len(),
        content.len(),
        slow.as_secs_f64() / fast.as_secs_f64()
    );
    Ok(())
}

fn quickest<T>(mut step: impl FnMut() -> T) -> Duration {
    let run = |_| {
        let start = Instant::now();
        black_box(step());
        start.elapsed()
    };
    (0..RUNS).map(run).min().unwrap_or_default()
}
