//! Shows what the sensor of a recorded trace saw, at the pace at which it was seen.

use std::collections::VecDeque;
use std::pin::Pin;

use spillway_core::ids::ValveName;

use super::{JobSeen, Sensor, Sighting};
use crate::decide::{LaneLoad, Moment, Observation};
use crate::trace::{Entry, Event, Header};

/// A sensor whose eyes are a trace. Its clock starts with the first look.
#[derive(Debug)]
pub struct RecordedSensor {
    job: JobSeen,
    /// Since the beginning of the trace; oldest first.
    seen: VecDeque<(Moment, LaneLoad)>,
    started: Option<Moment>,
}

impl RecordedSensor {
    /// A sensor for what was seen of the first job in a trace. Several valves of a job were shown the same
    /// thing; it is shown once.
    pub fn new(header: &Header, entries: &[Entry]) -> Self {
        let steps = || {
            entries.iter().filter_map(|entry| match &entry.event {
                Event::Step(step) => Some(step),
                _ => None,
            })
        };
        let first = steps().next().map(|step| (&step.job, &step.valve));
        let seen = steps()
            .filter(|step| Some((&step.job, &step.valve)) == first)
            .filter_map(|step| match &step.observation {
                Observation::Lane(load) => {
                    Some((Moment::at(step.at.since(header.at)), load.clone()))
                }
                _ => None,
            })
            .collect();
        let job = JobSeen {
            name: first.map(|(job, _)| job.to_string()),
            id: None,
            state: first.map(|_| "RECORDED".into()),
            lane: None,
        };
        Self {
            job,
            seen,
            started: None,
        }
    }

    /// What has been seen up to `now` and was not shown yet: the newest of it.
    fn newest(&mut self, now: Moment) -> Option<LaneLoad> {
        let started = *self.started.get_or_insert(now);
        let elapsed = Moment::at(now.since(started));
        let mut newest = None;
        while self.seen.front().is_some_and(|(at, _)| *at <= elapsed) {
            newest = self.seen.pop_front();
        }
        newest.map(|(at, mut load)| {
            load.age += elapsed.since(at);
            load
        })
    }
}

impl Sensor for RecordedSensor {
    fn look<'a>(
        &'a mut self,
        now: Moment,
        _valve: Option<&'a ValveName>,
    ) -> Pin<Box<dyn Future<Output = Sighting> + Send + 'a>> {
        let lane = self.newest(now);
        let over = lane.is_none() && self.seen.is_empty();
        let sighting = Sighting {
            lane,
            job: self.job.clone(),
            blind: over.then(|| "the trace has no more to show".into()),
            ..Sighting::default()
        };
        Box::pin(std::future::ready(sighting))
    }

    fn check(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::{Policy, Share, State, decide};
    use crate::trace::{Step, VERSION};

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn seen(ms: u64, job: &str, busy: f64) -> Entry {
        let load = LaneLoad {
            downstream_busy: Some(Share::new(busy)),
            ..LaneLoad::default()
        };
        let observation = Observation::Lane(load);
        let (_, decision) = decide(&Policy::default(), State::default(), &observation, at(ms));
        let step = Step {
            at: at(ms),
            wall_ms: 0,
            job: job.parse().unwrap(),
            valve: "valve".parse().unwrap(),
            observation,
            decision,
        };
        Entry {
            line: 0,
            event: Event::Step(step),
        }
    }

    fn sensor() -> RecordedSensor {
        let header = Header::new(at(1_000), 0, Policy::default(), "test");
        assert_eq!(header.spillway_trace, VERSION);
        let entries = [
            seen(1_100, "wordcount", 0.1),
            seen(1_100, "other", 0.9),
            seen(1_300, "wordcount", 0.2),
            seen(1_500, "wordcount", 0.3),
        ];
        RecordedSensor::new(&header, &entries)
    }

    #[tokio::test]
    async fn what_was_seen_comes_when_it_was_seen_and_once() {
        let mut sensor = sensor();
        let mut shown = Vec::new();
        // The sidecar that looks has been up for an hour.
        for ms in [0, 150, 200, 700, 800] {
            let sighting = sensor.look(at(3_600_000 + ms), None).await;
            assert_eq!(sighting.job.name.as_deref(), Some("wordcount"));
            shown.push(sighting.lane.map(|lane| (lane.downstream_busy, lane.age)));
        }
        let showed = |busy, age| Some((Some(Share::new(busy)), Duration::from_millis(age)));
        assert_eq!(shown, [None, showed(0.1, 50), None, showed(0.3, 200), None]);
    }

    #[tokio::test]
    async fn after_its_end_the_sensor_is_blind() {
        let mut sensor = sensor();
        for ms in [0, 600] {
            assert_eq!(sensor.look(at(ms), None).await.blind, None);
        }
        assert!(sensor.look(at(700), None).await.blind.is_some());
    }
}
