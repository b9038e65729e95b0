//! Jobs and clusters of a size that no look can ask about one by one.

use super::*;

/// A job of ten vertices with `parallelism` subtasks each on five workers: a source, the valve, and eight
/// that follow it one after another.
fn large_job(manager: &JobManager, parallelism: u32) {
    let vertex = |n: u32| {
        let name = match n {
            0 => "Source: kafka".to_owned(),
            1 => "valve".to_owned(),
            _ => format!("step {n}"),
        };
        format!(r#"{{"id": "v{n}", "name": "{name}", "parallelism": {parallelism}}}"#)
    };
    let node = |n: u32| match n {
        0 => r#"{"id": "v0"}"#.to_owned(),
        _ => format!(r#"{{"id": "v{n}", "inputs": [{{"id": "v{}"}}]}}"#, n - 1),
    };
    let list = |of: &dyn Fn(u32) -> String| (0..10).map(of).collect::<Vec<_>>().join(", ");
    let job = format!(
        r#"{{"name": "wordcount", "state": "RUNNING", "vertices": [{}], "plan": {{"nodes": [{}]}}}}"#,
        list(&vertex),
        list(&node)
    );
    manager.set("/jobs/j1", &job);
    let worker = |n: u32| format!(r#"{{"id": "tm{n}", "hardware": {{"cpuCores": 8}}}}"#);
    let workers: Vec<_> = (0..5).map(worker).collect();
    let workers = format!(r#"{{"taskmanagers": [{}]}}"#, workers.join(", "));
    manager.set("/taskmanagers", &workers);
    manager.set(
        "/taskmanagers/metrics",
        r#"[{"id": "Status.JVM.CPU.Load", "max": 0.4}]"#,
    );
}

/// Sums over the subtasks of vertex `n` after `ms`, of which these shares were busy and back-pressured.
fn set_sums(manager: &JobManager, n: u32, parallelism: u32, ms: u64, busy: f64, pressed: f64) {
    let line = |name: &str, share: f64| {
        let each = ms as f64 * share;
        let sum = each * f64::from(parallelism);
        format!(r#"{{"id": "{name}", "min": {each}, "max": {each}, "avg": {each}, "sum": {sum}}}"#)
    };
    let mut lines = vec![
        line("accumulateBusyTimeMs", busy),
        line("accumulateIdleTimeMs", 1.0 - busy - pressed),
        line("accumulateBackPressuredTimeMs", pressed),
        r#"{"id": "busyTimeMsPerSecond", "min": "NaN", "max": "NaN", "avg": "NaN", "sum": "NaN"}"#
            .into(),
    ];
    if n == 0 {
        // Names and values in one: whichever was asked for.
        lines.push(r#"{"id": "Source__kafka.pendingRecords", "sum": 123456.0}"#.into());
    }
    let path = format!("/jobs/j1/vertices/v{n}/subtasks/metrics");
    manager.set(&path, &format!("[{}]", lines.join(", ")));
}

#[tokio::test]
async fn ten_vertices_of_a_hundred_subtasks_on_five_workers_cost_no_more_requests() {
    let mut scene = scene().await;
    large_job(&scene.manager, 100);
    let mut last = None;
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let ms = scene.now_ms;
        for n in 0..10 {
            // All wait for the last but one.
            let (busy, pressed) = match n {
                0..8 => (0.2, 0.7),
                8 => (0.95, 0.0),
                _ => (0.3, 0.0),
            };
            set_sums(&scene.manager, n, 100, ms, busy, pressed);
        }
        let sighting = scene.look().await;
        last = sighting.lane.or(last);
        let requests = scene.manager.took();
        assert_eq!(sighting.requests, requests.len() as u64, "{requests:?}");
        assert!(requests.len() <= MAX_REQUESTS, "{requests:?}");
        for request in requests {
            assert!(request.len() < 4096, "{request}");
            asked.insert(request.split('?').next().unwrap().to_owned());
        }
    }
    let lane = last.unwrap();
    assert!(
        (lane.valve_back_pressured.unwrap().get() - 0.7).abs() < 1e-6,
        "{lane:?}"
    );
    assert!(
        (lane.downstream_busy.unwrap().get() - 0.95).abs() < 1e-6,
        "{lane:?}"
    );
    assert_eq!(lane.worker_cpu, Some(Share::new(0.4)));
    assert_eq!(lane.bottleneck.as_deref(), Some("step 8"));
    assert_eq!(lane.pending_records, Some(123_456));
    for n in 0..10 {
        assert!(
            asked.contains(&format!("/jobs/j1/vertices/v{n}/subtasks/metrics")),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_rescaled_job_is_measured_anew() {
    let mut scene = scene().await;
    large_job(&scene.manager, 100);
    let mut shown = 0;
    for look in 0..60 {
        let ms = scene.now_ms;
        let parallelism = if look < 30 { 100 } else { 64 };
        if look == 30 {
            large_job(&scene.manager, parallelism);
        }
        // Another attempt, which counts from zero.
        let ms = if look < 30 { ms } else { ms - 30 * 200 + 50 };
        for n in 0..10 {
            set_sums(&scene.manager, n, parallelism, ms, 0.5, 0.0);
        }
        if let Some(lane) = scene.look().await.lane {
            let busy = lane.downstream_busy.map_or(0.5, Share::get);
            assert!((busy - 0.5).abs() < 1e-6, "{look}: {lane:?}");
            shown += 1;
        }
    }
    assert!(shown > 50, "{shown}");
}
