//! Which vertices a look asks about, and what is known of each.
//!
//! A vertex costs one request, however many subtasks it has. With more vertices than a look may ask about,
//! the valve's and the busiest are asked about each time and the others take turns.

use std::collections::BTreeMap;
use std::time::Duration;

use super::discover::Topology;
use super::meter::{TASK_COUNTERS, TaskLoad, TaskMeter};
use super::model::{Aggregate, Metric, Vertex};
use super::sums::{SumMeter, TASK_GAUGES};
use crate::decide::{Moment, Share};

/// So many vertices are asked about in one look.
pub(crate) const MAX_VERTICES: usize = 5;
/// A request line beyond 4096 bytes is refused by Flink's server. The counters of more subtasks than fit
/// are asked for as sums.
const MAX_QUERY: usize = 3600;
/// What was seen of a vertex counts for so long, until its turn comes again.
const HOLD: Duration = Duration::from_millis(1500);
/// A share of time up to this is none worth naming.
const HARDLY: f64 = 0.1;
/// A vertex that is busy for this share of time, or a worker's processor, holds the others up.
const FULL: f64 = 0.9;
/// A vertex has the names of all its operators in its own; so many characters are enough to know it by.
const NAME: usize = 60;

/// What is known of the vertices.
#[derive(Debug)]
pub(crate) struct Watch {
    gap: Duration,
    vertices: BTreeMap<String, Watched>,
    turn: usize,
}

#[derive(Debug)]
struct Watched {
    parallelism: u32,
    meter: Meter,
    seen: Option<(Moment, TaskLoad)>,
}

#[derive(Debug)]
enum Meter {
    /// Subtask by subtask.
    Each(TaskMeter),
    /// All subtasks together.
    Sum(SumMeter),
}

/// What a look has shown of the valve's task and of what follows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Lane {
    /// News of the valve's task.
    pub(crate) valve: Option<TaskLoad>,
    /// The busiest of what follows.
    pub(crate) downstream: Option<TaskLoad>,
}

impl Watch {
    /// Nothing is known yet. Counters that are further apart than `gap` are not compared.
    pub(crate) fn new(gap: Duration) -> Self {
        Self {
            gap,
            vertices: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Forgets what has been read so far, except whose turn it is.
    pub(crate) fn forget(&mut self) {
        self.vertices.clear();
    }

    /// Whom to ask about now: at most [`MAX_VERTICES`].
    pub(crate) fn due(&mut self, topology: &Topology) -> Vec<Vertex> {
        let lane = topology.valve.iter().chain(&topology.downstream);
        let all = lane.chain(&topology.upstream);
        if all.clone().count() <= MAX_VERTICES {
            return all.cloned().collect();
        }
        let busiest = topology.downstream.iter().max_by(|a, b| {
            let busy = |vertex: &Vertex| self.load(&vertex.id).map_or(0.0, |load| load.busy.get());
            // The nearest of equally busy ones: `max_by` takes the last.
            busy(a)
                .total_cmp(&busy(b))
                .then(std::cmp::Ordering::Greater)
        });
        let mut due: Vec<Vertex> = topology.valve.iter().chain(busiest).cloned().collect();
        let others: Vec<&Vertex> = all
            .filter(|vertex| due.iter().all(|other| other.id != vertex.id))
            .collect();
        let places = MAX_VERTICES - due.len();
        due.extend(
            others
                .iter()
                .cycle()
                .skip(self.turn % others.len().max(1))
                .take(places.min(others.len()))
                .map(|vertex| (*vertex).clone()),
        );
        self.turn = (self.turn + places) % others.len().max(1);
        due
    }

    /// Takes in what was read of `vertex`. True if it was news.
    pub(crate) fn take(&mut self, vertex: &Vertex, answer: &Answer, now: Moment) -> bool {
        let gap = self.gap;
        let fresh = || Watched {
            parallelism: vertex.parallelism,
            meter: match answer {
                Answer::Each(_) => Meter::Each(TaskMeter::new(gap)),
                Answer::Sum(_) => Meter::Sum(SumMeter::new(gap)),
            },
            seen: None,
        };
        let watched = self.vertices.entry(vertex.id.clone()).or_insert_with(fresh);
        if watched.parallelism != vertex.parallelism {
            // Rescaled: other subtasks, which count anew.
            *watched = fresh();
        }
        let load = match (&mut watched.meter, answer) {
            (Meter::Each(meter), Answer::Each(metrics)) => meter.read(metrics, now),
            (Meter::Sum(meter), Answer::Sum(sums)) => meter.read(sums, vertex.parallelism, now),
            // The kind of question follows from the parallelism, which is the same.
            _ => None,
        };
        if let Some(load) = load {
            watched.seen = Some((now, load));
        }
        load.is_some()
    }

    /// What is known of the lane. `news`: the vertices that have shown something new in this look.
    pub(crate) fn lane(&self, topology: &Topology, news: &[String], now: Moment) -> Lane {
        let is_new = |vertex: &&Vertex| news.contains(&vertex.id);
        let valve = topology.valve.as_ref().filter(is_new);
        let mut downstream: Option<TaskLoad> = None;
        if topology.downstream.iter().any(|vertex| is_new(&vertex)) {
            for load in topology
                .downstream
                .iter()
                .filter_map(|vertex| self.held(&vertex.id, now))
            {
                let most = downstream.get_or_insert(load);
                most.busy = most.busy.max(load.busy);
                most.window = most.window.max(load.window);
            }
        }
        Lane {
            valve: valve.and_then(|vertex| self.held(&vertex.id, now)),
            downstream,
        }
    }

    /// The part of the job that holds up the others: itself not back-pressured, busier than all others that
    /// are not, and back-pressured is what comes before it. If none is busy although the valve waits, it is
    /// the processors that tasks share.
    pub(crate) fn bottleneck(
        &self,
        topology: &Topology,
        worker_cpu: Option<Share>,
        now: Moment,
    ) -> Option<String> {
        let valve = topology.valve.as_ref()?;
        let pressed = |vertex: &Vertex| {
            self.held(&vertex.id, now)
                .is_some_and(|load| load.back_pressured.get() > HARDLY)
        };
        let candidates: Vec<&Vertex> = if pressed(valve) {
            topology.downstream.iter().collect()
        } else if topology.upstream.iter().any(pressed) {
            vec![valve]
        } else {
            return None;
        };
        let free = candidates.into_iter().filter(|vertex| !pressed(vertex));
        let (busy, vertex) = free
            .filter_map(|vertex| Some((self.held(&vertex.id, now)?.busy.get(), vertex)))
            .max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        let processors = worker_cpu.is_some_and(|cpu| cpu.get() >= FULL);
        match (busy >= FULL, processors) {
            (false, true) => Some("the workers' processors".into()),
            _ => (busy > HARDLY).then(|| short(&vertex.name)),
        }
    }

    fn load(&self, vertex: &str) -> Option<TaskLoad> {
        let (_, load) = self.vertices.get(vertex)?.seen?;
        Some(load)
    }

    fn held(&self, vertex: &str, now: Moment) -> Option<TaskLoad> {
        let (at, load) = self.vertices.get(vertex)?.seen?;
        (now.since(at) <= HOLD.max(self.gap / 2)).then_some(load)
    }
}

/// What to ask for, after `/jobs/:id/vertices/:id`, and how the answer reads.
pub(crate) enum Question {
    /// Each subtask's counters by name.
    Each(String),
    /// Sums over all subtasks.
    Sum(String),
}

/// The answer.
pub(crate) enum Answer {
    /// One number each.
    Each(Vec<Metric>),
    /// Sums, minima and maxima.
    Sum(Vec<Aggregate>),
}

impl Question {
    /// The question for a vertex with so many subtasks.
    pub(crate) fn of(parallelism: u32) -> Self {
        // A number of up to five digits, a dot, and a comma.
        let counters: usize = TASK_COUNTERS.iter().map(|name| name.len() + 7).sum();
        if counters.saturating_mul(parallelism as usize) > MAX_QUERY {
            let names = TASK_COUNTERS.iter().chain(&TASK_GAUGES).copied();
            let names: Vec<&str> = names.collect();
            return Self::Sum(format!(
                "/subtasks/metrics?get={}&agg=min,max,avg,sum",
                names.join(",")
            ));
        }
        let names: Vec<String> = (0..parallelism)
            .flat_map(|subtask| TASK_COUNTERS.map(|name| format!("{subtask}.{name}")))
            .collect();
        Self::Each(format!("/metrics?get={}", names.join(",")))
    }
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(NAME - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::at(Duration::from_millis(ms))
    }

    fn vertex(id: &str, parallelism: u32) -> Vertex {
        Vertex {
            id: id.into(),
            name: format!("operators of {id}"),
            parallelism,
        }
    }

    fn topology(downstream: &[&str], upstream: &[&str]) -> Topology {
        let all = |ids: &[&str]| ids.iter().map(|id| vertex(id, 1)).collect::<Vec<_>>();
        Topology {
            valve: Some(vertex("v", 1)),
            downstream: all(downstream),
            upstream: all(upstream),
            sources: vec![],
        }
    }

    /// `ms` of a task's time, of which these shares were busy and back-pressured.
    fn counters(ms: f64, busy: f64, pressed: f64) -> Answer {
        let values = [busy, 1.0 - busy - pressed, pressed];
        let metric = |(name, share): (&&str, f64)| Metric {
            id: format!("0.{name}"),
            value: Some((ms * share).to_string()),
        };
        Answer::Each(TASK_COUNTERS.iter().zip(values).map(metric).collect())
    }

    fn watched(topology: &Topology, shares: &[(&str, f64, f64)]) -> Watch {
        let mut watch = Watch::new(Duration::from_secs(5));
        for (ms, now) in [(0.0, 0), (1e3, 1000)] {
            for (id, busy, pressed) in shares {
                watch.take(&vertex(id, 1), &counters(ms, *busy, *pressed), at(now));
            }
        }
        assert_eq!(topology.valve.as_ref().unwrap().id, "v");
        watch
    }

    #[test]
    fn a_small_job_is_asked_about_whole_in_every_look() {
        let topology = topology(&["a", "b"], &["s"]);
        let mut watch = Watch::new(Duration::from_secs(5));
        for _ in 0..3 {
            let due: Vec<_> = watch.due(&topology).into_iter().map(|v| v.id).collect();
            assert_eq!(due, ["v", "a", "b", "s"]);
        }
    }

    #[test]
    fn in_a_large_job_the_valve_and_the_busiest_come_every_time_and_the_others_in_turn() {
        let topology = topology(&["a", "b", "c", "d", "e", "f"], &["s"]);
        let mut watch = watched(&topology, &[("d", 0.9, 0.0), ("a", 0.2, 0.0)]);
        let mut turns = Vec::new();
        for _ in 0..4 {
            let due: Vec<_> = watch.due(&topology).into_iter().map(|v| v.id).collect();
            assert_eq!(
                (due.len(), &due[..2]),
                (MAX_VERTICES, &["v".into(), "d".into()][..])
            );
            turns.extend(due.into_iter().skip(2));
        }
        assert_eq!(turns.concat(), "abcefsabcefs");
    }

    #[test]
    fn what_was_seen_of_a_vertex_counts_until_its_turn_comes_again() {
        let topology = topology(&["a", "b"], &[]);
        let watch = watched(&topology, &[("a", 0.8, 0.0), ("b", 0.3, 0.0)]);
        let busy = |now| {
            let lane = watch.lane(&topology, &["b".to_owned()], at(now));
            lane.downstream.map(|load| load.busy.get())
        };
        assert_eq!(busy(1_200), Some(0.8));
        assert_eq!(busy(9_000), None);
        assert_eq!(watch.lane(&topology, &[], at(1_200)), Lane::default());
    }

    #[test]
    fn a_rescaled_vertex_starts_anew() {
        let topology = topology(&["a"], &[]);
        let mut watch = watched(&topology, &[("a", 0.8, 0.0)]);
        let rescaled = vertex("a", 2);
        assert!(!watch.take(&rescaled, &counters(2e3, 0.1, 0.0), at(1_200)));
        assert!(watch.take(&rescaled, &counters(3e3, 0.1, 0.0), at(1_400)));
    }

    #[test]
    fn the_bottleneck_is_the_busy_vertex_that_waits_for_nobody() {
        type Case<'a> = (&'a [(&'a str, f64, f64)], Option<f64>, Option<&'a str>);
        let topology = topology(&["a", "b", "c"], &["s"]);
        let cases: [Case<'_>; 5] = [
            // The valve waits for a, which waits for b.
            (
                &[
                    ("v", 0.1, 0.8),
                    ("a", 0.3, 0.6),
                    ("b", 0.95, 0.0),
                    ("c", 0.2, 0.0),
                ],
                None,
                Some("operators of b"),
            ),
            // Nobody waits.
            (&[("v", 0.1, 0.0), ("a", 0.95, 0.0)], None, None),
            // Only the source waits: for the valve's own task.
            (
                &[("s", 0.1, 0.9), ("v", 0.9, 0.0), ("a", 0.5, 0.0)],
                None,
                Some("operators of v"),
            ),
            // All share one processor, and none gets enough of it to look busy.
            (
                &[("v", 0.1, 0.8), ("a", 0.4, 0.0), ("b", 0.3, 0.0)],
                Some(1.0),
                Some("the workers' processors"),
            ),
            (
                &[("v", 0.1, 0.8), ("a", 0.4, 0.0), ("b", 0.3, 0.0)],
                Some(0.5),
                Some("operators of a"),
            ),
        ];
        for (shares, cpu, expected) in cases {
            let watch = watched(&topology, shares);
            let found = watch.bottleneck(&topology, cpu.map(Share::new), at(1_000));
            assert_eq!(found.as_deref(), expected, "{shares:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(short("tokenize"), "tokenize");
        let long = short(&"ö".repeat(100));
        assert_eq!((long.chars().count(), long.ends_with('…')), (NAME, true));
    }

    #[test]
    fn one_question_is_enough_for_any_number_of_subtasks() {
        for parallelism in [1, 30, 64, 32_768] {
            let (Question::Each(path) | Question::Sum(path)) = Question::of(parallelism);
            assert!(
                path.len() < MAX_QUERY + 100,
                "{parallelism}: {}",
                path.len()
            );
        }
        assert!(matches!(Question::of(30), Question::Each(_)));
        assert!(matches!(Question::of(64), Question::Sum(_)));
    }
}
