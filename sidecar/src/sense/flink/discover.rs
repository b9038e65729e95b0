//! Finds the valve in a job's graph, and what lies downstream of it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use spillway_core::ids::ValveName;

use super::model::{Job, Vertex};

/// What to watch of a job.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    /// The vertex that the valve is chained into.
    pub(crate) valve: Option<Vertex>,
    /// All that follows it, the nearest first.
    pub(crate) downstream: Vec<Vertex>,
}

/// `GET …/metrics?get=…&agg=max`
#[derive(Debug, Deserialize)]
pub(crate) struct Aggregate {
    #[serde(default)]
    pub(crate) max: Option<f64>,
}

impl Topology {
    /// The topology of `job`. The valve's vertex is the one that has the name under which a valve has
    /// reported in its own name; else the one that has the word "valve" in it.
    pub(crate) fn of(job: &Job, name: Option<&ValveName>) -> Self {
        let with = |word: &str| {
            let word = word.to_lowercase();
            job.vertices
                .iter()
                .find(|vertex| vertex.name.to_lowercase().contains(&word))
                .cloned()
        };
        let valve = name
            .and_then(|name| with(name.as_str()))
            .or_else(|| with("valve"));
        let downstream = valve
            .as_ref()
            .map(|valve| downstream(job, &valve.id))
            .unwrap_or_default();
        Self { valve, downstream }
    }
}

/// Breadth first, so that the nearest come first; a graph of any shape ends, since none is seen twice.
fn downstream(job: &Job, start: &str) -> Vec<Vertex> {
    let mut seen = BTreeSet::from([start.to_owned()]);
    let mut frontier = vec![start.to_owned()];
    let mut found = Vec::new();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for node in &job.plan.nodes {
            let follows = node.inputs.iter().any(|input| frontier.contains(&input.id));
            if follows && seen.insert(node.id.clone()) {
                found.extend(
                    job.vertices
                        .iter()
                        .find(|vertex| vertex.id == node.id)
                        .cloned(),
                );
                next.push(node.id.clone());
            }
        }
        frontier = next;
    }
    found
}

/// A duration as Flink's configuration has it: `200`, `200 ms`, `10 s`, `1min`. A bare number is
/// milliseconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => {
            Some(Duration::from_millis(number))
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Some(Duration::from_secs(number)),
        "m" | "min" | "minute" | "minutes" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" | "hour" | "hours" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        serde_json::from_str(
            r#"{"name": "wordcount", "state": "RUNNING",
                "vertices": [
                    {"id": "a", "name": "Source: replay -> valve", "parallelism": 2, "status": "RUNNING"},
                    {"id": "c", "name": "Sink: local", "parallelism": 1},
                    {"id": "b", "name": "tokenize -> window", "parallelism": 2},
                    {"id": "d", "name": "Sink: ledger", "parallelism": 1},
                    {"id": "x", "name": "Source: other", "parallelism": 1}],
                "plan": {"nodes": [
                    {"id": "c", "inputs": [{"num": 0, "id": "b"}]},
                    {"id": "b", "inputs": [{"num": 0, "id": "a"}]},
                    {"id": "d", "inputs": [{"num": 0, "id": "a"}]},
                    {"id": "a"}, {"id": "x"}]}}"#,
        )
        .unwrap()
    }

    fn ids(topology: &Topology) -> Vec<&str> {
        topology
            .downstream
            .iter()
            .map(|vertex| vertex.id.as_str())
            .collect()
    }

    #[test]
    fn the_vertex_with_the_valve_in_its_name_and_all_that_follows_it_are_found() {
        let topology = Topology::of(&job(), None);
        assert_eq!(topology.valve.as_ref().unwrap().id, "a");
        assert_eq!(ids(&topology), ["b", "d", "c"]);
    }

    #[test]
    fn the_reported_name_goes_before_the_word_valve() {
        let name: ValveName = "tokenize".parse().unwrap();
        assert_eq!(Topology::of(&job(), Some(&name)).valve.unwrap().id, "b");
        let unknown: ValveName = "elsewhere".parse().unwrap();
        assert_eq!(Topology::of(&job(), Some(&unknown)).valve.unwrap().id, "a");
    }

    #[test]
    fn a_job_without_a_valve_has_none() {
        let mut job = job();
        job.vertices[0].name = "Source: replay".into();
        let topology = Topology::of(&job, None);
        assert!(topology.valve.is_none());
        assert!(topology.downstream.is_empty());
    }

    #[test]
    fn durations_are_read_as_flink_writes_them() {
        let cases = [
            ("200", 200),
            ("200 ms", 200),
            ("10 s", 10_000),
            ("10000ms", 10_000),
            ("1 min", 60_000),
        ];
        for (text, ms) in cases {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(ms)),
                "{text}"
            );
        }
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_duration("5 parsecs"), None);
    }
}
