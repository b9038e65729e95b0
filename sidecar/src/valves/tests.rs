use super::*;

fn when(ms: u64) -> When {
    When {
        now: Moment::at(Duration::from_millis(ms)),
        wall_ms: 0,
    }
}

fn report(valves: &Valves, ms: u64) {
    report_with(valves, ms, CloudLane::Open { credits: 8 });
}

fn report_with(valves: &Valves, ms: u64, cloud: CloudLane) {
    let from = Reporter {
        job: "wordcount".parse().unwrap(),
        valve: "valve".parse().unwrap(),
        subtask: 0,
    };
    let report = serde_json::from_str(
        r#"{"attempt": "9f3a6c1e2b7d4f08", "sequence": 0, "parallelism": 1, "workload": "wordcount",
            "window_size_ms": 1000, "time_ms": 0, "received": 0, "kept": 0, "diverted": 0, "bounced": 0,
            "late": 0, "unsettled": 0, "in_flight_batches": 0, "settled_batches": 0,
            "bounced_batches": 0, "retries": 0, "local_unavailable_ms": 0,
            "watermark_ms": null, "first_diverted_ms": null, "last_diverted_ms": null}"#,
    )
    .unwrap();
    assert!(
        valves
            .report(&from, report, cloud, Usd::ZERO, when(ms))
            .is_some()
    );
}

#[test]
fn the_lane_is_needed_while_a_valve_reports() {
    let valves = Valves::new(Policy::default());
    assert!(!valves.need_the_lane(when(0).now));
    report(&valves, 0);
    assert!(valves.need_the_lane(when(2_000).now));
    assert!(!valves.need_the_lane(when(2_001).now));
}

/// Writes down what it is shown.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Observer for Diary {
    fn stepped(&self, step: &Step<'_>) {
        let what = match step.observation {
            Observation::Cloud(_) => "cloud",
            Observation::Spent { .. } => "spent",
            Observation::Report { .. } => "report",
            Observation::Lane(_) => "lane",
        };
        self.0.lock().unwrap().push(what.into());
    }

    fn joined(&self, _job: &JobName, valve: &ValveName, known: Option<&State>, _when: When) {
        let text = format!("{valve} known {}", known.is_some());
        self.0.lock().unwrap().push(text);
    }

    fn policy(&self, policy: &PolicyInForce, _when: When) {
        let text = format!("policy {}", policy.version);
        self.0.lock().unwrap().push(text);
    }
}

impl Diary {
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn an_observer_sees_everything_in_its_order_until_it_is_dropped() {
    let valves = Valves::new(Policy::default());
    let (early, late) = (Arc::new(Diary::default()), Arc::new(Diary::default()));
    valves.observe(&early, when(0));
    report(&valves, 0);
    assert_eq!(
        early.seen(),
        ["policy 1", "valve known false", "cloud", "spent", "report"]
    );
    valves.observe(&late, when(1));
    assert_eq!(late.seen(), ["policy 1", "valve known true"]);
    let local = |policy: &Policy| {
        Ok(Policy {
            mode: PolicyMode::Local,
            ..policy.clone()
        })
    };
    valves.change_policy(Some(1), local, when(2)).unwrap();
    let left = Arc::downgrade(&early);
    drop(early);
    assert!(left.upgrade().is_none(), "the valves do not keep it");
    assert_eq!(late.seen(), ["policy 2"]);
}

#[test]
fn the_lane_is_not_needed_while_the_cloud_takes_nothing_anyway() {
    let valves = Valves::new(Policy::default());
    let closed = CloudLane::Closed {
        reason: "down".into(),
    };
    report_with(&valves, 0, closed);
    assert!(!valves.need_the_lane(when(0).now));
    report(&valves, 100);
    assert!(valves.need_the_lane(when(100).now));
}

#[test]
fn the_lane_is_not_needed_when_the_user_decides() {
    for mode in [PolicyMode::Local, PolicyMode::Burst] {
        let valves = Valves::new(Policy {
            mode,
            ..Policy::default()
        });
        report(&valves, 0);
        assert!(!valves.need_the_lane(when(0).now), "{mode:?}");
    }
}
