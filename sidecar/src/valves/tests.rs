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
    report_of(valves, ("wordcount", "valve"), ms, cloud, Usd::ZERO);
}

fn report_of(valves: &Valves, (job, valve): (&str, &str), ms: u64, cloud: CloudLane, spent: Usd) {
    let from = Reporter {
        job: job.parse().unwrap(),
        valve: valve.parse().unwrap(),
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
            .report(&from, report, cloud, spent, when(ms))
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

#[test]
fn the_sensor_looks_for_a_valve_of_the_job_that_it_watches() {
    let valves = Valves::new(Policy::default());
    let name = |job| valves.watched_name(job).map(|name| name.to_string());
    let report = |of| report_of(&valves, of, 0, CloudLane::Open { credits: 8 }, Usd::ZERO);
    assert_eq!(name("wordcount"), None);
    report(("clicks", "first"));
    // An only job may go by another name.
    assert_eq!(name("wordcount").as_deref(), Some("first"));
    report(("wordcount", "valve"));
    assert_eq!(name("wordcount").as_deref(), Some("valve"));
    assert_eq!(name("clicks").as_deref(), Some("first"));
    assert_eq!(name("another"), None);
}

#[test]
fn what_the_sensor_saw_is_for_the_job_that_it_watches() {
    let valves = Valves::new(Policy::default());
    let diary = Arc::new(Diary::default());
    valves.observe(&diary, when(0));
    let looked = |job| {
        diary.seen();
        valves.look(job, &LaneLoad::default(), when(0));
        diary.seen().len()
    };
    let report = |of| report_of(&valves, of, 0, CloudLane::Open { credits: 8 }, Usd::ZERO);
    report(("clicks", "first"));
    report(("clicks", "second"));
    assert_eq!(looked("wordcount"), 2);
    report(("wordcount", "valve"));
    assert_eq!(looked("wordcount"), 1);
    assert_eq!(looked("another"), 0);
}

const MINUTE: u64 = 60_000;

/// The valve `name` reports when the cloud lane has cost `usd`; what its controller then holds for the last
/// hour's spending.
fn spent_by(valves: &Valves, name: &str, ms: u64, usd: f64) -> Usd {
    let open = CloudLane::Open { credits: 8 };
    report_of(valves, ("wordcount", name), ms, open, Usd::new(usd));
    valves.inspect(|valves, _| {
        let of = |(key, valve): (&(JobName, ValveName), &Valve)| {
            (key.1.as_str() == name).then(|| valve.state.spent_last_hour())
        };
        valves.iter().find_map(of).unwrap()
    })
}

#[test]
fn a_new_valve_and_one_that_was_forgotten_know_what_the_last_hour_has_cost() {
    let valves = Valves::new(Policy::default());
    assert_eq!(spent_by(&valves, "first", 0, 0.0), Usd::new(0.0));
    assert_eq!(spent_by(&valves, "first", MINUTE, 0.75), Usd::new(0.75));
    assert_eq!(
        spent_by(&valves, "second", 2 * MINUTE, 0.75),
        Usd::new(0.75)
    );
    assert_eq!(spent_by(&valves, "second", 3 * MINUTE, 1.0), Usd::new(1.0));
    // By now both were forgotten.
    assert_eq!(spent_by(&valves, "first", 30 * MINUTE, 1.0), Usd::new(1.0));
    // What was spent at 1 min is older than an hour by 62 min, and what was at 3 min by 64 min.
    assert_eq!(
        spent_by(&valves, "second", 62 * MINUTE, 1.0),
        Usd::new(0.25)
    );
    assert_eq!(spent_by(&valves, "third", 65 * MINUTE, 1.0), Usd::new(0.0));
}

#[test]
fn what_was_spent_before_the_first_report_counts_too() {
    let valves = Valves::new(Policy::default());
    assert_eq!(spent_by(&valves, "first", 0, 0.5), Usd::new(0.5));
}

#[test]
fn reports_that_overtake_each_other_do_not_spend_everything_again() {
    let valves = Valves::new(Policy::default());
    assert_eq!(spent_by(&valves, "first", 0, 5.0), Usd::new(5.0));
    assert_eq!(spent_by(&valves, "first", 1, 4.0), Usd::new(5.0));
    assert_eq!(spent_by(&valves, "first", 2, 6.0), Usd::new(6.0));
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
