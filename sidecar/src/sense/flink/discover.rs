//! Finds the valve in a job's graph, and what lies downstream of it.

use std::collections::BTreeSet;
use std::time::Duration;

use spillway_core::ids::ValveName;

use super::model::{Job, JobLine, Node, Vertex};

/// What to watch of a job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topology {
    /// The vertex that the valve is chained into.
    pub(crate) valve: Option<Vertex>,
    /// All that follows it, the nearest first.
    pub(crate) downstream: Vec<Vertex>,
    /// All that comes before it, the nearest first.
    pub(crate) upstream: Vec<Vertex>,
    /// Those among the valve's and the upstream vertices that nothing comes before.
    pub(crate) sources: Vec<Vertex>,
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
        let Some(start) = valve.as_ref().map(|valve| valve.id.as_str()) else {
            return Self::default();
        };
        let downstream = walk(job, start, |node, frontier| {
            node.inputs.iter().any(|input| frontier.contains(&input.id))
        });
        let upstream = walk(job, start, |node, frontier| {
            let feeds = |fed: &Node| fed.inputs.iter().any(|input| input.id == node.id);
            let mut fed = job
                .plan
                .nodes
                .iter()
                .filter(|fed| frontier.contains(&fed.id));
            fed.any(feeds)
        });
        let is_source = |vertex: &&Vertex| {
            let mut nodes = job.plan.nodes.iter();
            nodes.any(|node| node.id == vertex.id && node.inputs.is_empty())
        };
        let sources = valve.iter().chain(&upstream).filter(is_source).cloned();
        Self {
            sources: sources.collect(),
            valve,
            downstream,
            upstream,
        }
    }
}

/// All vertices that come `next` to `start` or to what was found, the nearest first; a graph of any shape
/// ends, since none is seen twice.
fn walk(job: &Job, start: &str, next_to: impl Fn(&Node, &[String]) -> bool) -> Vec<Vertex> {
    let mut seen = BTreeSet::from([start.to_owned()]);
    let mut frontier = vec![start.to_owned()];
    let mut found = Vec::new();
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for node in &job.plan.nodes {
            if next_to(node, &frontier) && seen.insert(node.id.clone()) {
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

/// Which job to watch.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// It, if there is one that has not ended.
    pub(crate) job: Option<JobLine>,
    /// What an operator should know about the choice.
    pub(crate) warning: Option<String>,
}

/// The job with this id or name: the one that runs, and of several the one that was started last.
pub(crate) fn choose(jobs: Vec<JobLine>, wanted: &str) -> Chosen {
    let mut alive: Vec<JobLine> = jobs
        .into_iter()
        .filter(|job| is_alive(&job.state))
        .filter(|job| job.jid == wanted || job.name == wanted)
        .collect();
    alive.sort_by_key(|job| {
        (
            job.jid == wanted,
            job.state == "RUNNING",
            job.start_time,
            job.jid.clone(),
        )
    });
    let count = alive.len();
    let job = alive.pop();
    let warning = job.as_ref().filter(|job| count > 1 && job.jid != wanted).map(|job| {
        format!(
            "there are {count} jobs named {wanted:?}: watching {}, the one started last; give the id as \
             flink.job to watch another",
            job.jid
        )
    });
    Chosen { job, warning }
}

/// Whether a job in this state has, or will have, tasks.
pub(crate) fn is_alive(state: &str) -> bool {
    !matches!(state, "FINISHED" | "CANCELED" | "FAILED" | "SUSPENDED")
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

    fn ids(vertices: &[Vertex]) -> Vec<&str> {
        vertices.iter().map(|vertex| vertex.id.as_str()).collect()
    }

    #[test]
    fn the_vertex_with_the_valve_in_its_name_and_all_that_follows_it_are_found() {
        let topology = Topology::of(&job(), None);
        assert_eq!(topology.valve.as_ref().unwrap().id, "a");
        assert_eq!(ids(&topology.downstream), ["b", "d", "c"]);
        assert_eq!(ids(&topology.upstream), [""; 0]);
        assert_eq!(ids(&topology.sources), ["a"]);
    }

    #[test]
    fn what_comes_before_the_valve_is_found_up_to_the_sources() {
        let name: ValveName = "window".parse().unwrap();
        let topology = Topology::of(&job(), Some(&name));
        assert_eq!(ids(&topology.downstream), ["c"]);
        assert_eq!(ids(&topology.upstream), ["a"]);
        assert_eq!(ids(&topology.sources), ["a"]);
    }

    #[test]
    fn of_several_jobs_the_newest_that_runs_is_watched_and_that_is_said() {
        let line = |jid: &str, name: &str, state: &str, start_time| JobLine {
            jid: jid.into(),
            name: name.into(),
            state: state.into(),
            start_time,
        };
        let jobs = vec![
            line("j1", "words", "RUNNING", 10),
            line("j2", "words", "RUNNING", 20),
            line("j3", "words", "RESTARTING", 30),
            line("j4", "words", "FAILED", 40),
            line("j5", "other", "RUNNING", 50),
        ];
        let chosen = choose(jobs.clone(), "words");
        assert_eq!(chosen.job.unwrap().jid, "j2");
        let warning = chosen.warning.unwrap();
        assert!(
            warning.contains("3 jobs named \"words\"") && warning.contains("j2"),
            "{warning}"
        );
        let by_id = choose(jobs.clone(), "j3");
        assert_eq!(
            (by_id.job.unwrap().jid.as_str(), by_id.warning),
            ("j3", None)
        );
        let ended = choose(jobs, "j4");
        assert!(ended.job.is_none() && ended.warning.is_none());
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
