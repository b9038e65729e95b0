//! How many rows a second, and how much memory: makes a job of text rows, and reconciles it.
//!
//! `cargo run --release -p spillway-reconcile --example throughput -- ROWS KEYS MEMORY_MIB`
//!
//! ROWS rows of the local lane over 20 files and 60 windows, with KEYS different keys; an input
//! whose result does not fit into that memory goes through the disk.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use spillway_core::ledger::{Books, BooksHead, BooksWindow};
use spillway_core::window::WindowSize;
use spillway_reconcile::budget::Budget;
use spillway_reconcile::run::Reconcile;
use spillway_reconcile::store::DirectoryStore;

const FILES: u64 = 20;
const WINDOWS: u64 = 60;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |n, default| {
        std::env::args()
            .nth(n)
            .map_or(Ok(default), |text| text.parse())
    };
    let rows: u64 = argument(1, 20_000_000)?;
    let keys: u64 = argument(2, 100_000)?;
    let memory_mib: u64 = argument(3, 256)?;

    let folder = tempfile::tempdir()?;
    let bytes = make(folder.path(), rows, keys)?;
    let before = peak_rss_mib();
    let cores = std::thread::available_parallelism()?.get();
    let reconcile = Reconcile {
        store: &DirectoryStore::new(folder.path().into()),
        out: &DirectoryStore::new(folder.path().join("final")),
        workload: None,
        budget: Budget::new(usize::try_from(memory_mib << 20)?, cores),
        temp_dir: &std::env::temp_dir(),
    };
    let started = Instant::now();
    let outcome = reconcile.run()?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{rows} rows, {} MB in, {} rows out, {} runs spilled: {seconds:.2} s, {:.2} M rows/s, \
         peak RSS {} MiB ({before} MiB before), balanced: {}",
        bytes / 1_000_000,
        outcome.summary.rows,
        outcome.spilled_runs,
        rows as f64 / seconds / 1e6,
        peak_rss_mib(),
        outcome.summary.balanced,
    );
    Ok(())
}

/// Writes the rows, window after window as a job would, and the books that fit them.
fn make(folder: &Path, rows: u64, keys: u64) -> Result<u64, Box<dyn Error>> {
    fs::create_dir_all(folder.join("local"))?;
    fs::create_dir_all(folder.join("ledger"))?;
    let mut received = vec![0; usize::try_from(WINDOWS)?];
    let mut bytes = 0;
    // A full-period linear congruential generator, so that keys come in no order.
    let mut state: u64 = 1;
    for file in 0..FILES {
        let path = folder.join(format!("local/part-{file:02}"));
        let mut out = BufWriter::new(File::create(&path)?);
        for row in (file * rows / FILES)..((file + 1) * rows / FILES) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let window = row * WINDOWS / rows;
            writeln!(
                out,
                "{}\t1\t0\t1\tword{}",
                window * 1000,
                (state >> 33) % keys
            )?;
            received[usize::try_from(window)?] += 1;
        }
        out.flush()?;
        bytes += fs::metadata(&path)?.len();
    }
    let head = BooksHead {
        job: "job".parse()?,
        valve: "valve".parse()?,
        attempt: "9f3a6c1e2b7d4f08".parse()?,
        subtask: 0,
        parallelism: 1,
        restored: Some(0),
        window_size: WindowSize::from_millis(1000)?,
    };
    let window = |(start_ms, received): (i64, u64)| BooksWindow {
        start_ms,
        received,
        kept: received,
        ..BooksWindow::default()
    };
    let windows = (0..).step_by(1000).zip(received).map(window).collect();
    let line = Books::new(head, None, Some(i64::MAX), windows).to_line();
    fs::write(folder.join("ledger/part-0"), line + "\n")?;
    Ok(bytes)
}

/// Linux only; 0 elsewhere.
fn peak_rss_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}
