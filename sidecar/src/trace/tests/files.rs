//! Files of traces, in a folder of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::decide::{CloudLane, Moment, Policy, Usd};
use crate::trace::record::Recordings;
use crate::trace::{Reader, replay};
use crate::valves::{Reporter, Valves, When};

fn when(ms: u64) -> When {
    When {
        now: Moment::at(Duration::from_millis(ms)),
        wall_ms: 0,
    }
}

fn report(valves: &Valves, sequence: u64) {
    let from = Reporter {
        job: "wordcount".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        subtask: 0,
    };
    let report = serde_json::json!({
        "attempt": "9f3a6c1e2b7d4f08", "sequence": sequence, "parallelism": 1, "workload": "wordcount",
        "window_size_ms": 1000, "time_ms": sequence * 100, "received": 0, "kept": 0, "diverted": 0,
        "bounced": 0, "late": 0, "unsettled": 0, "in_flight_batches": 0, "settled_batches": 0,
        "bounced_batches": 0, "retries": 0, "local_unavailable_ms": 0, "watermark_ms": null,
        "first_diverted_ms": null, "last_diverted_ms": null
    });
    let report = serde_json::from_value(report).unwrap();
    let cloud = CloudLane::Open { credits: 8 };
    valves.report(&from, report, cloud, Usd::ZERO, when(sequence * 100));
}

/// As many as there may be.
fn clients(recordings: &Recordings, valves: &Valves) -> Vec<Recording> {
    let clients: Vec<_> = std::iter::from_fn(|| recordings.begin(valves, when(0)).ok()).collect();
    assert!(!clients.is_empty());
    clients
}

#[tokio::test]
async fn a_full_file_is_followed_by_another_and_each_replays_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spillway.trace");
    std::fs::write(&path, "what an earlier run left behind").unwrap();
    let settings = Trace {
        path: Some(path.clone()),
        max_file_bytes: 20_000,
        keep_files: 3,
    };
    let valves = Arc::new(Valves::new(Policy::default()));
    let recordings = Arc::new(Recordings::default());
    let (shared, open) = (Arc::clone(&valves), Arc::clone(&recordings));
    let keeper = tokio::spawn(async move {
        keep(&settings, RETRY, || open.begin_kept(&shared, when(0))).await;
    });
    // No client can be in the way.
    let _clients = clients(&recordings, &valves);
    let mut sequence = 0;
    while !folder.path().join("spillway.trace.2").exists() {
        assert!(sequence < 500_000, "no other file was begun");
        report(&valves, sequence);
        sequence += 1;
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        report(&valves, sequence);
        sequence += 1;
        tokio::task::yield_now().await;
    }
    recordings.close();
    keeper.await.unwrap();
    for name in ["spillway.trace", "spillway.trace.1"] {
        let trace = Reader::open(&folder.path().join(name)).unwrap();
        let replayed = replay(trace).unwrap();
        assert_eq!(replayed.differences, 0, "{name}");
        // The newest one may have been begun with the last step of the one before.
        assert!(replayed.steps > 0 || name == "spillway.trace", "{name}");
    }
    assert!(!folder.path().join("spillway.trace.3").exists());
}

#[tokio::test]
async fn after_a_failure_it_is_written_again_whoever_else_listens() {
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later");
    let path = later.join("spillway.trace");
    let settings = Trace {
        path: Some(path.clone()),
        ..Trace::default()
    };
    let valves = Arc::new(Valves::new(Policy::default()));
    let recordings = Arc::new(Recordings::default());
    let attempts = Arc::new(AtomicUsize::new(0));
    let (shared, open, count) = (
        Arc::clone(&valves),
        Arc::clone(&recordings),
        Arc::clone(&attempts),
    );
    let keeper = tokio::spawn(async move {
        let begin = || {
            count.fetch_add(1, Ordering::Relaxed);
            open.begin_kept(&shared, when(0))
        };
        keep(&settings, Duration::from_millis(1), begin).await;
    });
    while attempts.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let _clients = clients(&recordings, &valves);
    // There is no folder for the file: it fails, and is tried again.
    while attempts.load(Ordering::Relaxed) < 3 {
        assert!(!keeper.is_finished());
        tokio::task::yield_now().await;
    }
    std::fs::create_dir(&later).unwrap();
    while !path.exists() {
        assert!(!keeper.is_finished());
        tokio::task::yield_now().await;
    }
    report(&valves, 0);
    recordings.close();
    keeper.await.unwrap();
    let replayed = replay(Reader::open(&path).unwrap()).unwrap();
    assert!(replayed.steps > 0);
}
