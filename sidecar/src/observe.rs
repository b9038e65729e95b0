//! A hook for whoever wants to see what the controllers see and decide: the recorder of traces, the
//! stream of events.

use spillway_core::ids::{JobName, ValveName};

use crate::decide::{Decision, Observation, Policy, State};
use crate::valves::When;

/// Sees every step of every valve's controller, and every policy, in the order in which they happened.
///
/// It is called while the valves are locked, which is what makes the order exact; so it must only hand
/// over what it is shown, and never wait.
pub trait Observer: Send + Sync + 'static {
    /// A controller took in an observation and decided.
    fn stepped(&self, step: &Step<'_>) {
        let _ = step;
    }

    /// A valve whose steps follow: one that is new, or, when the observer comes, each that there is, with what
    /// its controller knows by then.
    fn joined(&self, job: &JobName, valve: &ValveName, known: Option<&State>, when: When) {
        let _ = (job, valve, known, when);
    }

    /// The policy in force: told once when the observer comes, and then whenever it is changed.
    fn policy(&self, policy: &PolicyInForce, when: When) {
        let _ = (policy, when);
    }
}

/// One step of a controller.
#[derive(Debug)]
pub struct Step<'a> {
    /// The job that the valve is part of.
    pub job: &'a JobName,
    /// The valve.
    pub valve: &'a ValveName,
    /// When.
    pub when: When,
    /// What was observed.
    pub observation: &'a Observation,
    /// What was decided.
    pub decision: &'a Decision,
    /// What the controller knows after it.
    pub state: &'a State,
}

/// The policy that decisions follow, and how it came to be.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyInForce {
    /// The policy.
    pub policy: Policy,
    /// 1 for the one that the sidecar was started with; each change adds 1.
    pub version: u64,
    /// When it was changed last, milliseconds since the Unix epoch; `None` if it has not been.
    pub changed_ms: Option<i64>,
    /// What the last change changed.
    pub changes: Vec<KeyChange>,
}

impl PolicyInForce {
    /// What this version is called by a sidecar that was started then, in milliseconds since the Unix
    /// epoch: no two policies of it have the same name, not even before and after a restart.
    pub fn name(&self, started_ms: i64) -> String {
        format!("{started_ms:x}-{}", self.version)
    }
}

/// One key of a policy that has another value than before.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KeyChange {
    /// Its name, as in the configuration's section `policy`.
    pub key: String,
    /// The value before; null: none.
    pub old: serde_json::Value,
    /// The value now; null: none.
    pub new: serde_json::Value,
}

impl std::fmt::Display for KeyChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "none".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        write!(f, "{} {} → {}", self.key, show(&self.old), show(&self.new))
    }
}
