//! Recordings of valves that report.

use std::time::Duration;

use futures_like::lines;

use super::*;
use crate::decide::{CloudLane, LaneLoad, Policy, PolicyMode, Share, Usd};
use crate::trace::{Entry, Reader, Replayed, replay};
use crate::valves::Reporter;

/// Polls without a runtime: nothing here waits for anything but the queue.
mod futures_like {
    use std::task::{Context, Poll, Waker};

    use super::Recording;

    /// All lines that are there, and whether the trace has ended.
    pub(super) fn lines(recording: &mut Recording) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match recording.poll_lines(&mut context) {
                Poll::Ready(Some(lines)) => all.extend_from_slice(&lines),
                Poll::Ready(None) => return (all, true),
                Poll::Pending => return (all, false),
            }
        }
    }
}

fn when(ms: u64) -> When {
    When {
        now: Moment::at(Duration::from_millis(ms)),
        wall_ms: 1_767_225_600_000 + i64::try_from(ms).unwrap(),
    }
}

/// The valve reports at 40 k/s every 100 ms from tick `from` to `to`, and the sensor looks.
fn run(valves: &Valves, from: u64, to: u64) {
    run_valve(valves, "valve", Usd::ZERO, from, to);
}

/// The same for the valve of this name, when the cloud lane has cost `spent`.
fn run_valve(valves: &Valves, name: &str, spent: Usd, from: u64, to: u64) {
    for tick in from..to {
        let reporter = Reporter {
            job: "wordcount".parse().unwrap(),
            valve: name.parse().unwrap(),
            subtask: 0,
        };
        let received = tick * 4000;
        let report = serde_json::json!({
            "attempt": "9f3a6c1e2b7d4f08", "sequence": tick, "parallelism": 1, "workload": "wordcount",
            "window_size_ms": 1000, "time_ms": tick * 100, "received": received, "kept": received,
            "diverted": 0, "bounced": 0, "late": 0, "unsettled": 0, "in_flight_batches": 0,
            "settled_batches": 0, "bounced_batches": 0, "retries": 0, "local_unavailable_ms": 0,
            "watermark_ms": null, "first_diverted_ms": null, "last_diverted_ms": null
        });
        let report = serde_json::from_value(report).unwrap();
        let cloud = CloudLane::Open { credits: 8 };
        assert!(
            valves
                .report(&reporter, report, cloud, spent, when(tick * 100))
                .is_some()
        );
        let load = LaneLoad {
            downstream_busy: Some(Share::new(1.0 / 3.0)),
            ..LaneLoad::default()
        };
        valves.look("wordcount", &load, when(tick * 100));
    }
}

fn recording(valves: &Valves, queue: usize, ms: u64) -> Recording {
    let recording = Recording::new(queue);
    valves.observe(&recording.recorder, when(ms));
    recording
}

fn finish(mut recording: Recording) -> Vec<u8> {
    recording.close();
    let (trace, ended) = lines(&mut recording);
    assert!(ended);
    trace
}

fn replayed(trace: &[u8]) -> Replayed {
    replay(Reader::new(trace, "t").unwrap()).unwrap()
}

fn events(trace: &[u8]) -> Vec<Event> {
    let (_, entries) = Reader::new(trace, "t").unwrap().all().unwrap();
    entries
        .into_iter()
        .map(|Entry { event, .. }| event)
        .collect()
}

#[test]
fn a_recording_from_the_start_replays() {
    let valves = Valves::new(Policy::default());
    let recording = recording(&valves, 1000, 0);
    run(&valves, 0, 50);
    let trace = finish(recording);
    let replayed = replayed(&trace);
    // At least the cloud lane, the report and the look of each tick.
    assert!(replayed.steps >= 150, "{replayed:?}");
    assert_eq!((replayed.differences, replayed.missing), (0, 0));
    assert!(matches!(&events(&trace)[0], Event::Valve(joined) if joined.state.is_none()));
}

#[test]
fn a_valve_that_begins_with_what_was_spent_before_replays() {
    let valves = Valves::new(Policy {
        max_usd_per_hour: Some(1.0),
        ..Policy::default()
    });
    let recording = recording(&valves, 1000, 0);
    for (valve, from) in [("first", 0), ("second", 20)] {
        run_valve(&valves, valve, Usd::new(2.0), from, from + 20);
    }
    let trace = finish(recording);
    let replayed = replayed(&trace);
    assert!(replayed.steps >= 120, "{replayed:?}");
    assert_eq!((replayed.differences, replayed.missing), (0, 0));
    let begun = events(&trace)
        .into_iter()
        .filter(|event| matches!(event, Event::Valve(joined) if joined.state.is_some()));
    assert_eq!(begun.count(), 2);
}

#[test]
fn a_recording_from_the_middle_replays_from_there() {
    let valves = Valves::new(Policy::default());
    run(&valves, 0, 50);
    let recording = recording(&valves, 1000, 5_000);
    run(&valves, 50, 100);
    let replayed = replayed(&finish(recording));
    assert!(replayed.steps >= 150, "{replayed:?}");
    assert_eq!((replayed.differences, replayed.missing), (0, 0));
}

#[test]
fn what_finds_no_room_is_counted_and_replay_goes_on_behind_the_gap() {
    let valves = Valves::new(Policy::default());
    let whole = recording(&valves, 1000, 0);
    let mut narrow = recording(&valves, 31, 0);
    run(&valves, 0, 20);
    let (mut trace, _) = lines(&mut narrow);
    run(&valves, 20, 25);
    trace.extend(finish(narrow));
    let (narrow, all) = (replayed(&trace), replayed(&finish(whole)).steps);
    // The first step behind the gap is in the state of the valve.
    assert_eq!(narrow.steps + narrow.missing + 1, all);
    assert!(narrow.missing > 0 && narrow.steps > 29, "{narrow:?}");
    assert_eq!(narrow.differences, 0);
}

#[test]
fn a_gap_at_the_very_end_is_told_too() {
    let valves = Valves::new(Policy::default());
    let whole = recording(&valves, 1000, 0);
    let narrow = recording(&valves, 10, 0);
    run(&valves, 0, 20);
    let trace = finish(narrow);
    let all = replayed(&finish(whole)).steps;
    assert_eq!(replayed(&trace).missing, all - 8);
    assert!(matches!(
        &events(&trace)[9..],
        [Event::Gap(_), Event::End(_)]
    ));
}

#[test]
fn a_policy_that_is_changed_is_told_even_if_there_was_no_room() {
    let valves = Valves::new(Policy::default());
    let mut recording = recording(&valves, 10, 0);
    run(&valves, 0, 20);
    let local = |policy: &Policy| {
        Ok(Policy {
            mode: PolicyMode::Local,
            ..policy.clone()
        })
    };
    valves.change_policy(None, local, when(2_000)).unwrap();
    let (mut trace, _) = lines(&mut recording);
    run(&valves, 20, 22);
    trace.extend(finish(recording));
    let replayed = replayed(&trace);
    assert!(replayed.steps >= 8 + 5, "{replayed:?}");
    assert_eq!(replayed.differences, 0);
    assert!(events(&trace).iter().any(
        |event| matches!(event, Event::Policy(change) if change.policy.mode == PolicyMode::Local)
    ));
}

#[test]
fn a_recording_that_is_dropped_is_shown_nothing_more() {
    let valves = Valves::new(Policy::default());
    let recordings = Recordings::default();
    for _ in 0..2 {
        let open: Vec<_> = (0..MAX_RECORDINGS)
            .map(|_| recordings.begin(&valves, when(0)).ok().unwrap())
            .collect();
        assert_eq!(
            recordings.begin(&valves, when(0)).err(),
            Some(Refused::Full)
        );
        drop(open);
    }
}

#[test]
fn when_the_sidecar_stops_every_recording_gets_its_end() {
    let valves = Valves::new(Policy::default());
    let recordings = Recordings::default();
    let mut recording = recordings.begin(&valves, when(0)).ok().unwrap();
    run(&valves, 0, 2);
    recordings.close();
    let (trace, ended) = lines(&mut recording);
    assert!(ended);
    assert!(replayed(&trace).steps >= 6);
    assert_eq!(
        recordings.begin(&valves, when(0)).err(),
        Some(Refused::Closed)
    );
}
