//! Writes what the fuzzers begin with: `cargo run --release --example seeds`, in `fuzz/`.
//!
//! Batches are the shared vectors; everything else is made of them by the code itself.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spillway_core::aggregate::aggregate;
use spillway_core::batch::{BatchBuilder, BatchView};
use spillway_core::envelope::{Answer, Invocation, Timing};
use spillway_core::ledger::{Books, BooksHead, BooksWindow};
use spillway_core::partial;
use spillway_core::receipt::Receipt;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = fs::read(here.join("../proto/vectors/batch.json"))?;
    let vectors: Vec<Value> = serde_json::from_slice(&vectors)?;
    let corpus = Corpus(here);
    for (index, vector) in vectors.iter().enumerate() {
        let message = STANDARD.decode(vector["batch_base64"].as_str().unwrap_or_default())?;
        if message.len() > 20_000 {
            continue;
        }
        corpus.put("batch", index, &message)?;
        let invocation = Invocation::pack(&message)?;
        corpus.put("invocation", index, &invocation.to_json()?)?;
        if let Ok(view) = BatchView::parse(&message) {
            of_batch(&corpus, index, &view)?;
        }
    }
    // Many rows: more than one page, dictionaries that overflow.
    let mut many = BatchBuilder::new("9f3a6c1e2b7d4f08-1-7", "job", "wordcount", 1000);
    for i in 0..3000_i64 {
        many.push(i * 3, format!("w{} x{}", i, i % 5).as_bytes());
    }
    let many = many.encode();
    of_batch(&corpus, vectors.len(), &BatchView::parse(&many)?)?;

    for (index, text) in reports().iter().enumerate() {
        corpus.put("report", index, text.as_bytes())?;
    }
    for (index, text) in directives().iter().enumerate() {
        corpus.put("directive", index, text.as_bytes())?;
    }
    for (index, line) in [
        "0\t1\t0\t1\t2\tword",
        "-1000\t3\t1\t-7\t9\tto\\t\\\\be",
        "0\t1\t0\t0\t0\t",
    ]
    .iter()
    .enumerate()
    {
        corpus.put("local_line", index, line.as_bytes())?;
    }
    Ok(())
}

fn of_batch(corpus: &Corpus<'_>, index: usize, view: &BatchView<'_>) -> Result<()> {
    let aggregate = aggregate(view)?;
    let content = partial::write(&view.id(), &aggregate)?;
    let windows = aggregate.windows().to_vec();
    let receipt = Receipt::new(view, windows, aggregate.rows().len() as u64, &content);
    if content.len() < 20_000 {
        corpus.put("partial_file", index, &content)?;
    }
    corpus.put("ledger_line", index, receipt.to_line().as_bytes())?;
    let head = BooksHead {
        job: view.job().clone(),
        valve: "valve".parse()?,
        attempt: view.id().attempt(),
        subtask: 0,
        parallelism: 2,
        restored: (index % 2 > 0).then_some(index as u64),
        window_size: view.window_size(),
    };
    let windows = view.records_per_window();
    let windows = windows.into_iter().map(|(start_ms, received)| BooksWindow {
        start_ms,
        received,
        ..BooksWindow::default()
    });
    let books = Books::new(
        head,
        (index % 3 > 0).then_some(index as u64),
        Some(5),
        windows.collect(),
    );
    corpus.put("ledger_line", index + 1000, books.to_line().as_bytes())?;
    let timing = Timing {
        cold: index == 0,
        init_us: 9800,
        ..Timing::default()
    };
    corpus.put(
        "answer",
        index,
        &serde_json::to_vec(&Answer { receipt, timing })?,
    )
}

fn reports() -> Vec<String> {
    let report = json!({
        "attempt": "9f3a6c1e2b7d4f08", "sequence": 17, "parallelism": 1, "workload": "wordcount",
        "window_size_ms": 1000, "time_ms": 1_767_225_612_345_i64, "received": 812_345, "kept": 500_000,
        "diverted": 300_000, "bounced": 0, "late": 0, "unsettled": 12_345, "in_flight_batches": 2,
        "settled_batches": 80, "bounced_batches": 0, "retries": 0, "local_unavailable_ms": 130,
        "watermark_ms": 1_767_225_610_999_i64, "first_diverted_ms": 1_767_225_611_020_i64,
        "last_diverted_ms": null,
        "latency": {"local": "HISTFAAAACF42pNpmSzMwMDABMQMUJoRTtv/BwMHAEqUCEU="},
    });
    let mut bare = report.clone();
    bare["latency"] = json!({});
    bare["watermark_ms"] = Value::Null;
    vec![report.to_string(), bare.to_string()]
}

fn directives() -> Vec<String> {
    [json!(120_000.0), Value::Null, json!(0)]
        .into_iter()
        .zip(["armed", "local", "burst"])
        .map(|(rate, mode)| {
            json!({"local_rate": rate, "divert": true, "credits": 8, "lease_ms": 2000, "mode": mode, "reason": "why"}).to_string()
        })
        .collect()
}

/// The folder of the corpora.
struct Corpus<'a>(&'a Path);

impl Corpus<'_> {
    fn put(&self, target: &str, index: usize, content: &[u8]) -> Result<()> {
        let folder = self.0.join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(format!("seed-{index:04}")), content)?)
    }
}
