//! The valves that have reported, each with its controller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use spillway_core::directive::{Directive, Mode, Report};
use spillway_core::ids::{JobName, ValveName};

use crate::config;
use crate::decide::{
    CapacityEstimate, CloudLane, Decision, LaneLoad, Moment, Observation, Policy, PolicyMode,
    Reading, Spending, State, Usd, decide,
};
use crate::latency::{Latencies, Recent};
use crate::observe::{Observer, PolicyInForce, Step};

/// So many valves are steered at once; a report of a further one is turned away.
const MAX_VALVES: usize = 64;
/// A valve that has been silent for so long is forgotten, with all that was learned of its lane. What was
/// spent is not.
const FORGET: Duration = Duration::from_mins(10);
/// So many mode changes are remembered.
const MODES: usize = 100;

/// All valves.
pub struct Valves {
    inner: Mutex<Inner>,
}

struct Inner {
    policy: PolicyInForce,
    valves: BTreeMap<(JobName, ValveName), Valve>,
    /// Outlives the valves: the budget is of the hour, not of a valve's.
    spending: Spending,
    modes: VecDeque<ModeChange>,
    observers: Vec<Weak<dyn Observer>>,
}

/// Why the policy was not changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Unchanged {
    /// It is another version than the one that was to be changed.
    Stale {
        /// The one in force.
        present: Box<PolicyInForce>,
    },
    /// It would not be a policy that can be used: everything that is wrong with it.
    Invalid(Vec<String>),
}

/// One valve.
pub(crate) struct Valve {
    /// What its controller knows.
    pub(crate) state: State,
    /// The last report of each subtask.
    pub(crate) subtasks: BTreeMap<u32, Latest>,
    /// What was decided last.
    pub(crate) last: Option<Decision>,
    /// What the cloud lane had cost when its controller was last told.
    spent: Option<Usd>,
    /// Latencies of all subtasks over the last seconds.
    pub(crate) recent: Recent,
    heard_at: Moment,
}

/// The last that was heard of a subtask, and said to it.
pub(crate) struct Latest {
    /// Its report, latencies left out.
    pub(crate) report: Report,
    /// What it was told.
    pub(crate) directive: Directive,
    /// Latencies since the subtask was first heard of.
    pub(crate) latencies: Latencies,
    heard_at: Moment,
}

/// A change of what a valve is about.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ModeChange {
    pub(crate) time_ms: i64,
    pub(crate) job: JobName,
    pub(crate) valve: ValveName,
    pub(crate) mode: Mode,
    pub(crate) reason: String,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The job.
    pub job: JobName,
    /// The valve within it.
    pub valve: ValveName,
    /// The subtask of the valve.
    pub subtask: u32,
}

/// When something happened.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// For decisions.
    pub now: Moment,
    /// For people.
    pub wall_ms: i64,
}

impl Valves {
    /// No valve yet; each will be steered by `policy`.
    pub fn new(policy: Policy) -> Self {
        let policy = PolicyInForce {
            policy,
            version: 1,
            changed_ms: None,
            changes: Vec::new(),
        };
        Self {
            inner: Mutex::new(Inner {
                policy,
                valves: BTreeMap::new(),
                spending: Spending::default(),
                modes: VecDeque::new(),
                observers: Vec::new(),
            }),
        }
    }

    /// From now on `observer` sees every step, until it is dropped. It is shown first the policy in force
    /// and the valves that there are.
    pub fn observe(&self, observer: &Arc<impl Observer>, when: When) {
        let mut inner = self.lock();
        observer.policy(&inner.policy, when);
        for ((job, name), valve) in &inner.valves {
            observer.joined(job, name, Some(&valve.state), when);
        }
        inner.observers.retain(|known| known.strong_count() > 0);
        let observer = Arc::downgrade(observer);
        inner.observers.push(observer);
    }

    /// The policy in force.
    pub fn policy(&self) -> PolicyInForce {
        self.lock().policy.clone()
    }

    /// Puts the policy that `change` makes of the present one in force, for all valves at once: each
    /// directive from now on follows it. With `expected`, only if that is the version in force. `change`
    /// fails with all that is wrong; then the running policy stays.
    pub fn change_policy(
        &self,
        expected: Option<u64>,
        change: impl FnOnce(&Policy) -> Result<Policy, Vec<String>>,
        when: When,
    ) -> Result<PolicyInForce, Unchanged> {
        let mut inner = self.lock();
        let version = inner.policy.version;
        if expected.is_some_and(|expected| expected != version) {
            let present = Box::new(inner.policy.clone());
            return Err(Unchanged::Stale { present });
        }
        let policy = change(&inner.policy.policy).map_err(Unchanged::Invalid)?;
        let changes = config::changes(&inner.policy.policy, &policy);
        if changes.is_empty() {
            let same = inner.policy.clone();
            return Ok(PolicyInForce { changes, ..same });
        }
        let words: Vec<_> = changes.iter().map(ToString::to_string).collect();
        tracing::info!(
            version = version + 1,
            "policy changed: {}",
            words.join(", ")
        );
        inner.policy = PolicyInForce {
            policy,
            version: version + 1,
            changed_ms: Some(when.wall_ms),
            changes,
        };
        for observer in inner.observers.iter().filter_map(Weak::upgrade) {
            observer.policy(&inner.policy, when);
        }
        Ok(inner.policy.clone())
    }

    /// Takes in a report and says what to do, given how the cloud lane is and what it has cost so far.
    /// `None`: there are too many valves already.
    pub fn report(
        &self,
        from: &Reporter,
        mut report: Report,
        cloud: CloudLane,
        spent: Usd,
        when: When,
    ) -> Option<Directive> {
        let mut inner = self.lock();
        inner
            .valves
            .retain(|_, valve| when.now.since(valve.heard_at) <= FORGET);
        let key = (from.job.clone(), from.valve.clone());
        if inner.valves.len() >= MAX_VALVES && !inner.valves.contains_key(&key) {
            return None;
        }
        let latency = std::mem::take(&mut report.latency);
        let spent = inner.spending.note(spent, when.now);
        let known = if inner.valves.contains_key(&key) {
            None
        } else {
            inner.spending.newcomer()
        };
        let (valves, mut steering) = inner.steering(when);
        let valve = valves.entry(key).or_insert_with(|| {
            for observer in steering.observers.iter().filter_map(Weak::upgrade) {
                observer.joined(&from.job, &from.valve, known.as_ref(), when);
            }
            Valve {
                state: known.unwrap_or_default(),
                subtasks: BTreeMap::new(),
                last: None,
                spent: None,
                recent: Recent::default(),
                heard_at: when.now,
            }
        });
        valve.heard_at = when.now;
        valve
            .subtasks
            .retain(|_, latest| when.now.since(latest.heard_at) <= FORGET);
        let (job, name) = (&from.job, &from.valve);
        valve.step(&Observation::Cloud(cloud), (job, name), &mut steering);
        if valve.spent.replace(spent) != Some(spent) {
            let observation = Observation::Spent { usd: spent };
            valve.step(&observation, (job, name), &mut steering);
        }
        let observation = Observation::Report {
            subtask: from.subtask,
            reading: Reading::from(&report),
        };
        let decision = valve.step(&observation, (job, name), &mut steering);
        let directive = decision.directive?;
        if decision.counted {
            let latencies = valve
                .subtasks
                .remove(&from.subtask)
                .map_or_else(Latencies::default, |latest| latest.latencies);
            let mut latest = Latest {
                report,
                directive: directive.clone(),
                latencies,
                heard_at: when.now,
            };
            latest.latencies.add(&latency);
            valve.recent.add(&latency, when.now);
            valve.subtasks.insert(from.subtask, latest);
        }
        Some(directive)
    }

    /// Takes in what the sensor saw of the job's lane. The sensor watches one job, so this is for the
    /// valves of that job; if no valve goes by its name, and there is only one job, it is that one.
    pub fn look(&self, job: &str, load: &LaneLoad, when: When) {
        let mut inner = self.lock();
        let (valves, mut steering) = inner.steering(when);
        let Some(watched) = watched(valves, job).map(|(name, _)| name.clone()) else {
            return;
        };
        for ((name, valve_name), valve) in valves {
            if *name == watched {
                valve.step(
                    &Observation::Lane(load.clone()),
                    (name, valve_name),
                    &mut steering,
                );
            }
        }
    }

    /// Whether a decision may rest on what the sensor sees: a valve is reporting, it could divert if it had
    /// to, and the controller decides rather than the user.
    pub fn need_the_lane(&self, now: Moment) -> bool {
        let inner = self.lock();
        let policy = &inner.policy.policy;
        policy.mode == PolicyMode::Auto
            && inner.valves.values().any(|valve| {
                now.since(valve.heard_at) <= policy.lease && valve.state.could_divert()
            })
    }

    /// The name of a valve of the job that is watched, for the sensor to look for. Which job that is, see
    /// [`Valves::look`].
    pub fn watched_name(&self, job: &str) -> Option<ValveName> {
        watched(&self.lock().valves, job).map(|(_, valve)| valve.clone())
    }

    /// Shows all valves and the last mode changes.
    pub(crate) fn inspect<T>(
        &self,
        look: impl FnOnce(&BTreeMap<(JobName, ValveName), Valve>, &VecDeque<ModeChange>) -> T,
    ) -> T {
        let inner = self.lock();
        look(&inner.valves, &inner.modes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a step needs beside the valve.
struct Steering<'a> {
    policy: &'a Policy,
    when: When,
    modes: &'a mut VecDeque<ModeChange>,
    observers: &'a [Weak<dyn Observer>],
}

/// The valves by job and name.
type ByName = BTreeMap<(JobName, ValveName), Valve>;

/// The first valve of this job; if none goes by its name, and there is only one job, of that one.
fn watched<'a>(valves: &'a ByName, job: &str) -> Option<&'a (JobName, ValveName)> {
    let named = valves.keys().find(|(name, _)| name.as_str() == job);
    named.or_else(|| {
        let first = valves.keys().next()?;
        // Sorted by job: if the last one's is the first one's, there is no other.
        let last = valves.keys().next_back()?;
        (first.0 == last.0).then_some(first)
    })
}

impl Inner {
    fn steering(&mut self, when: When) -> (&mut ByName, Steering<'_>) {
        let steering = Steering {
            policy: &self.policy.policy,
            when,
            modes: &mut self.modes,
            observers: &self.observers,
        };
        (&mut self.valves, steering)
    }
}

impl Valve {
    /// What the local lane could take when something was decided last, and how sure that was.
    pub(crate) fn last_capacity(&self) -> Option<CapacityEstimate> {
        self.last.as_ref()?.capacity
    }

    fn step(
        &mut self,
        observation: &Observation,
        (job, valve): (&JobName, &ValveName),
        Steering {
            policy,
            when,
            modes,
            observers,
        }: &mut Steering<'_>,
    ) -> Decision {
        let (state, decision) = decide(
            policy,
            std::mem::take(&mut self.state),
            observation,
            when.now,
        );
        self.state = state;
        let step = Step {
            job,
            valve,
            when: *when,
            observation,
            decision: &decision,
            state: &self.state,
        };
        for observer in observers.iter().filter_map(Weak::upgrade) {
            observer.stepped(&step);
        }
        if decision.mode_changed {
            tracing::info!(%job, %valve, mode = %decision.mode, "{}", decision.reason);
            if modes.len() >= MODES {
                modes.pop_front();
            }
            modes.push_back(ModeChange {
                time_ms: when.wall_ms,
                job: job.clone(),
                valve: valve.clone(),
                mode: decision.mode,
                reason: decision.reason.clone(),
            });
        }
        self.last = Some(decision.clone());
        decision
    }
}

impl From<&Report> for Reading {
    fn from(report: &Report) -> Self {
        Self {
            attempt: report.attempt,
            sequence: report.sequence,
            parallelism: report.parallelism,
            time_ms: report.time_ms,
            received: report.received,
            to_local: report.kept.saturating_add(report.bounced),
            // Everything that was ever put into a batch: settled, returned or still unsettled.
            to_cloud: report
                .diverted
                .saturating_add(report.bounced)
                .saturating_add(report.unsettled),
            in_flight_batches: report.in_flight_batches,
            unavailable_ms: report.local_unavailable_ms,
        }
    }
}

#[cfg(test)]
mod tests;
