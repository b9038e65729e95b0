//! Takes controllers through a trace again.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{Entry, Event, Fault, Joined, Reader, TraceError};
use crate::decide::{Decision, State, decide};

/// How a replay went.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replayed {
    /// Steps that were decided again.
    pub steps: u64,
    /// Lines that the recorder had dropped.
    pub missing: u64,
    /// The steps that were decided otherwise than recorded: none, if the controller and the policy are
    /// those of the recording.
    pub differences: u64,
    /// The first of them.
    pub first: Option<Difference>,
}

/// A step that was decided otherwise than recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its line.
    pub line: u64,
    /// What the trace says.
    pub recorded: Decision,
    /// What was decided now.
    pub decided: Decision,
}

/// Gives the observations of a trace to the controller, with the policies and at the times of the
/// recording, and compares the decisions. Fails at the first line that cannot be used.
pub fn replay<R: BufRead>(mut trace: Reader<R>) -> Result<Replayed, TraceError> {
    let mut policy = trace.header().policy.clone();
    let mut valves = BTreeMap::new();
    let mut replayed = Replayed::default();
    while let Some(entry) = trace.next() {
        let Entry { line, event } = entry?;
        match event {
            Event::Valve(joined) => {
                let state = state(&joined).map_err(|fault| TraceError {
                    name: trace.name().to_owned(),
                    line,
                    fault,
                })?;
                valves.insert((joined.job, joined.valve), state);
            }
            Event::Step(step) => {
                let before = valves.entry((step.job, step.valve)).or_default();
                let (after, decided) =
                    decide(&policy, std::mem::take(before), &step.observation, step.at);
                *before = after;
                replayed.steps += 1;
                if decided != step.decision {
                    replayed.differences += 1;
                    replayed.first.get_or_insert(Difference {
                        line,
                        recorded: step.decision,
                        decided,
                    });
                }
            }
            Event::Policy(change) => policy = change.policy,
            Event::Gap(gap) => replayed.missing = replayed.missing.saturating_add(gap.lines),
            Event::End(_) => {}
        }
    }
    Ok(replayed)
}

/// What the controller of a valve knew when it came into the trace.
fn state(joined: &Joined) -> Result<State, Fault> {
    let Some(state) = &joined.state else {
        return Ok(State::default());
    };
    serde::Deserialize::deserialize(state).map_err(|error: serde_json::Error| {
        Fault::Malformed(format!(
            "the controller's state is of another version of spillway: {error}"
        ))
    })
}
