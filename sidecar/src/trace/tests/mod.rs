//! Traces that a steered valve leaves, and what can be wrong with them.

use std::time::Duration;

use super::*;
use crate::decide::{CloudLane, LaneLoad, Reading, Share, State, decide};

/// A valve with two subtasks that is steered and recorded.
struct Recording {
    policy: Policy,
    state: State,
    now_ms: u64,
    writer: Writer<Vec<u8>>,
    received: [u64; 2],
    to_local: [u64; 2],
    sequence: u64,
}

fn at(ms: u64) -> Moment {
    Moment::at(Duration::from_millis(ms))
}

fn job() -> JobName {
    "wordcount".parse().unwrap()
}

fn valve() -> ValveName {
    "valve".parse().unwrap()
}

impl Recording {
    fn new() -> Self {
        let mut recording = Self::without_valve();
        recording.join(None);
        recording
    }

    fn without_valve() -> Self {
        let policy = Policy::default();
        let header = Header::new(at(0), 1_767_225_600_000, policy.clone(), "test.toml");
        Self {
            policy,
            state: State::default(),
            now_ms: 0,
            writer: Writer::new(Vec::new(), &header).unwrap(),
            received: [0; 2],
            to_local: [0; 2],
            sequence: 0,
        }
    }

    fn join(&mut self, state: Option<serde_json::Value>) {
        let joined = Joined {
            at: at(self.now_ms),
            job: job(),
            valve: valve(),
            state,
        };
        self.writer.write(&Event::Valve(joined)).unwrap();
    }

    fn step(&mut self, observation: Observation, recorded: bool) {
        let now = at(self.now_ms);
        let (state, decision) = decide(
            &self.policy,
            std::mem::take(&mut self.state),
            &observation,
            now,
        );
        self.state = state;
        if recorded {
            let step = Step {
                at: now,
                wall_ms: 0,
                job: job(),
                valve: valve(),
                observation,
                decision,
            };
            self.writer.write(&Event::Step(step)).unwrap();
        }
    }

    /// `ticks` of 100 ms at `rate` records/s, all of subtask 1, of which a third is diverted.
    fn run(&mut self, ticks: u64, rate: u64, recorded: bool) {
        for _ in 0..ticks {
            self.now_ms += 100;
            self.received[1] += rate / 10;
            self.to_local[1] += rate / 10 - rate / 30;
            self.sequence += 1;
            self.step(Observation::Cloud(CloudLane::Open { credits: 8 }), recorded);
            for subtask in [0, 1] {
                let (received, to_local) = (self.received[subtask], self.to_local[subtask]);
                let reading = Reading {
                    attempt: "9f3a6c1e2b7d4f08".parse().unwrap(),
                    sequence: self.sequence,
                    parallelism: 2,
                    time_ms: i64::try_from(self.now_ms).unwrap(),
                    received,
                    to_local,
                    to_cloud: received - to_local,
                    in_flight_batches: 1,
                    unavailable_ms: self.now_ms / 4,
                };
                let subtask = u32::try_from(subtask).unwrap();
                self.step(Observation::Report { subtask, reading }, recorded);
            }
            // A third and a seventh have no finite binary form, and nanoseconds no finite one in ms.
            let load = LaneLoad {
                downstream_busy: Some(Share::new(1.0 / 3.0)),
                worker_cpu: Some(Share::new(rate as f64 / 7e5)),
                window: Duration::from_nanos(200_000_001),
                pending_records: Some(self.now_ms),
                ..LaneLoad::default()
            };
            self.step(Observation::Lane(load), recorded);
        }
    }

    fn end(self) -> Vec<u8> {
        self.writer.end(at(self.now_ms), 0).unwrap()
    }
}

fn reader(trace: &[u8]) -> Result<Reader<&[u8]>, TraceError> {
    Reader::new(trace, "t.jsonl")
}

/// The first error of a trace, as the user reads it.
fn error(trace: &[u8]) -> String {
    reader(trace)
        .and_then(Reader::all)
        .expect_err("the trace should be refused")
        .to_string()
}

fn recorded() -> Vec<u8> {
    let mut recording = Recording::new();
    recording.run(30, 40_000, true);
    recording.run(30, 600_000, true);
    recording.end()
}

fn lines(trace: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(trace).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_recorded_trace_replays_to_the_same_decisions() {
    let replayed = replay(reader(&recorded()).unwrap()).unwrap();
    let expected = Replayed {
        steps: 240,
        ..Replayed::default()
    };
    assert_eq!(replayed, expected);
}

#[test]
fn a_decision_that_would_be_another_today_is_found_with_its_line() {
    let mut changed = lines(&recorded());
    changed[99] = changed[99].replace(r#""counted":true"#, r#""counted":false"#);
    let replayed = replay(reader(changed.concat().as_bytes()).unwrap()).unwrap();
    assert_eq!(replayed.differences, 1);
    let first = replayed.first.unwrap();
    assert_eq!((first.line, first.decided.counted), (100, true));
}

#[test]
fn a_changed_policy_counts_from_its_line_on() {
    let mut recording = Recording::new();
    recording.run(30, 40_000, true);
    recording.policy.mode = crate::decide::PolicyMode::Burst;
    let change = Change {
        at: at(recording.now_ms),
        wall_ms: 0,
        policy: recording.policy.clone(),
    };
    recording.writer.write(&Event::Policy(change)).unwrap();
    recording.run(10, 40_000, true);
    let replayed = replay(reader(&recording.end()).unwrap()).unwrap();
    assert_eq!((replayed.steps, replayed.differences), (160, 0));
}

#[test]
fn a_trace_that_begins_in_the_middle_carries_what_the_controller_knew() {
    let mut recording = Recording::without_valve();
    recording.run(25, 600_000, false);
    let state = serde_json::to_value(&recording.state).unwrap();
    recording.join(Some(state));
    recording.run(25, 100_000, true);
    let replayed = replay(reader(&recording.end()).unwrap()).unwrap();
    assert_eq!((replayed.steps, replayed.differences), (100, 0));
}

#[test]
fn after_a_gap_each_valve_comes_in_anew_and_replays_from_there() {
    let mut recording = Recording::new();
    recording.run(20, 600_000, true);
    recording.run(5, 600_000, false);
    let gap = Gap {
        at: at(recording.now_ms),
        lines: 20,
    };
    recording.writer.write(&Event::Gap(gap)).unwrap();
    let state = serde_json::to_value(&recording.state).unwrap();
    recording.join(Some(state));
    recording.run(20, 100_000, true);
    let replayed = replay(reader(&recording.end()).unwrap()).unwrap();
    assert_eq!((replayed.steps, replayed.missing), (160, 20));
    assert_eq!(replayed.differences, 0);
}

#[test]
fn a_state_of_another_program_version_is_refused_with_its_line() {
    let mut recording = Recording::without_valve();
    recording.join(Some(serde_json::json!({"phase": "flood"})));
    let error = replay(reader(&recording.end()).unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("t.jsonl line 2: malformed: the controller's state"),
        "{error}"
    );
}

#[test]
fn a_trace_cut_short_anywhere_is_refused() {
    let whole = recorded();
    let lines = lines(&whole);
    let half: String = lines[..100].concat();
    assert_eq!(
        error(half.as_bytes()),
        "t.jsonl line 100: the trace was cut short: it stops here without its end marker"
    );
    assert_eq!(
        error(&half.as_bytes()[..half.len() - 1]),
        "t.jsonl line 100: the trace was cut short: it stops here without its end marker"
    );
    assert!(reader(&whole[..10]).is_err());
    assert!(
        reader(&whole[..0])
            .unwrap_err()
            .to_string()
            .contains("empty")
    );
}

#[test]
fn a_line_that_was_taken_out_or_put_in_is_noticed() {
    let mut fewer = lines(&recorded());
    fewer.remove(50);
    let fewer = fewer.concat();
    assert!(
        error(fewer.as_bytes())
            .contains("line 242: the end marker says that the trace has 243 lines")
    );
    let mut more = recorded();
    more.extend_from_slice(b"{}\n");
    assert!(error(&more).contains("line 244: something follows the end marker"));
}

#[test]
fn another_version_is_refused_before_anything_else_is_read() {
    let trace = b"{\"spillway_trace\": 2, \"new\": []}\n";
    assert_eq!(
        error(trace),
        "t.jsonl line 1: the trace is of version 2; this program reads version 1: record it anew"
    );
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    for text in [
        "\n",
        "time,rate\n",
        "[]\n",
        "{\"spillway_trace\": \"one\"}\n",
    ] {
        let error = error(text.as_bytes());
        assert!(
            error.starts_with("t.jsonl line 1: this is no trace: "),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_malformed_line_is_refused_with_its_number_and_column() {
    let mut changed = lines(&recorded());
    changed[6] = changed[6].replace("\"wall_ms\"", "\"wall_s\"");
    let error = error(changed.concat().as_bytes());
    assert!(
        error.starts_with("t.jsonl line 7: malformed: unknown field `wall_s`"),
        "{error}"
    );
    assert!(
        error.ends_with(')') && error.contains("(column "),
        "{error}"
    );
}

#[test]
fn a_policy_that_could_not_be_in_force_is_refused() {
    let mut changed = lines(&recorded());
    changed[0] = changed[0].replace("\"release_utilization\":0.6", "\"release_utilization\":6.0");
    assert!(
        error(changed.concat().as_bytes()).starts_with("t.jsonl line 1: malformed: policy.release")
    );
}

#[test]
fn lines_out_of_order_are_refused() {
    let mut swapped = lines(&recorded());
    swapped.swap(40, 60);
    assert!(
        error(swapped.concat().as_bytes()).contains("out of order: it is 500000000 ns earlier")
    );
    let mut strange = lines(&recorded());
    strange.remove(1);
    assert_eq!(
        error(strange.concat().as_bytes()),
        "t.jsonl line 2: out of order: a step of valve wordcount/valve, which has no valve line before it"
    );
}

#[test]
fn the_load_of_a_trace_has_the_rates_that_were_recorded() {
    let trace = recorded();
    let (_, entries) = reader(&trace).unwrap().all().unwrap();
    let load = Load::of(&entries, Duration::from_millis(500)).unwrap();
    // The first report comes at 100 ms; 6 s in all.
    assert_eq!(load.slots.len(), 12);
    let close = |rate: crate::decide::RecordsPerSecond, expected: f64| {
        assert!(
            (rate.get() / expected - 1.0).abs() < 0.01,
            "{rate} not {expected}"
        );
    };
    close(load.slots[1].arrival, 40_000.0);
    close(load.slots[8].arrival, 600_000.0);
    close(load.slots[8].kept, 400_000.0);
    close(load.slots[8].diverted, 200_000.0);
    assert!((load.slots[8].unavailable.get() - 0.25).abs() < 0.01);
    assert!((load.slots[8].covered.get() - 1.0).abs() < 1e-9);
    assert!(load.slots[8].pending_records.is_some());
    close(load.slots[8].saturated(Share::new(0.2)).unwrap(), 400_000.0);
    assert_eq!(load.slots[8].saturated(Share::new(0.5)), None);
}

#[test]
fn the_load_is_that_of_one_valve_from_its_first_report_on() {
    let trace = recorded();
    let (_, entries) = reader(&trace).unwrap().all().unwrap();
    let second = Duration::from_secs(1);
    let load = Load::of(&entries, second).unwrap();
    assert_eq!((load.parallelism, load.before), (2, (4_000, 1_333)));
    assert!(load.received[&0] < 1.0, "{:?}", load.received);
    assert!(
        (load.received[&1] / 1_916_000.0 - 1.0).abs() < 1e-6,
        "{:?}",
        load.received
    );
    // Another valve, larger and in the same trace, which reports less often.
    let other: ValveName = "other".parse().unwrap();
    let mut both = entries.clone();
    both.extend(entries.iter().step_by(3).cloned().map(|mut entry| {
        if let Event::Step(step) = &mut entry.event {
            step.valve = other.clone();
            if let Observation::Report { reading, .. } = &mut step.observation {
                reading.received += 1_000_000;
                reading.parallelism = 16;
            }
            assert!(!load.concerns(step));
        }
        entry
    }));
    assert_eq!(Load::of(&both, second).unwrap(), load);
}

#[test]
fn a_trace_without_reports_or_slots_without_length_give_no_load() {
    let (_, entries) = reader(&Recording::new().end()).unwrap().all().unwrap();
    let second = Duration::from_secs(1);
    assert_eq!(Load::of(&entries, second), Err(LoadError::NoReports));
    let (_, entries) = reader(&recorded()).unwrap().all().unwrap();
    assert_eq!(
        Load::of(&entries, Duration::ZERO),
        Err(LoadError::TooLong(Duration::ZERO))
    );
    let nano = Duration::from_nanos(1);
    assert_eq!(Load::of(&entries, nano), Err(LoadError::TooLong(nano)));
}
