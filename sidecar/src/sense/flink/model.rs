//! The parts of Flink's REST answers that matter here. Unknown fields are ignored, so that another
//! version of Flink does no harm.

use serde::Deserialize;

/// `GET /jobs/overview`
#[derive(Debug, Deserialize)]
pub(crate) struct Overview {
    pub(crate) jobs: Vec<JobLine>,
}

/// One job of the overview.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JobLine {
    pub(crate) jid: String,
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(rename = "start-time", default)]
    pub(crate) start_time: i64,
}

/// `GET /jobs/:id`
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) plan: Plan,
}

/// A chain of operators that run as one task.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Vertex {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) parallelism: u32,
}

/// The job's graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
}

/// One vertex in the graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) inputs: Vec<Input>,
}

/// An edge.
#[derive(Debug, Deserialize)]
pub(crate) struct Input {
    pub(crate) id: String,
}

/// `GET …/metrics?get=…`: one entry for each metric that is known; the others are left out.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metric {
    pub(crate) id: String,
    /// Absent when only names were asked for.
    #[serde(default)]
    pub(crate) value: Option<String>,
}

impl Metric {
    /// The value, if it is a number. Flink writes "NaN" for what it cannot tell.
    pub(crate) fn number(&self) -> Option<f64> {
        self.value
            .as_ref()?
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
    }
}

/// `GET …/subtasks/metrics?get=…&agg=…`, `GET /taskmanagers/metrics?get=…&agg=…`: one metric over all
/// subtasks or workers that have it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Aggregate {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) min: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) max: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) avg: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) sum: Option<f64>,
}

/// A number; one NaN among the subtasks makes the aggregate `"NaN"`, a string, which is none.
fn lenient<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(value.as_f64().filter(|number| number.is_finite()))
}

/// `GET /taskmanagers`
#[derive(Debug, Deserialize)]
pub(crate) struct TaskManagers {
    pub(crate) taskmanagers: Vec<TaskManager>,
}

/// One worker process.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TaskManager {
    pub(crate) id: String,
    pub(crate) hardware: Hardware,
}

/// What it runs on.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Hardware {
    /// As many processors as the JVM may use, pinning and containers considered.
    #[serde(rename = "cpuCores")]
    pub(crate) cpu_cores: u32,
}

/// `GET /jobmanager/config`
#[derive(Debug, Deserialize)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: String,
}
