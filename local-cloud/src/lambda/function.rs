//! One function: its settings, its concurrency slots and its idle instances.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Refusal};
use super::instance;
use super::stats::Stats;
use crate::faults::LambdaFault;

/// How a function is run.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// The name it is invoked by.
    pub name: String,
    /// The binary, which speaks the Runtime API.
    pub binary: PathBuf,
    /// Environment variables on top of Lambda's own, which they override.
    pub environment: Vec<(String, String)>,
    /// Memory in MB. Told to the function, not enforced.
    pub memory_mb: u32,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// How many invocations may run at once.
    pub concurrency: usize,
    /// Added before a process is started: Lambda's own part of a cold start. Not billed, not in `init_ms`.
    pub cold_start: Duration,
    /// An instance that had nothing to do for so long is stopped.
    pub idle_timeout: Duration,
}

/// One invocation that has a concurrency slot.
pub(crate) struct Job {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub(crate) id: String,
    /// `Lambda-Runtime-Trace-Id`.
    pub(crate) trace: String,
    /// The event.
    pub(crate) payload: Bytes,
    /// What is to go wrong.
    pub(crate) fault: Option<LambdaFault>,
    /// Given back when the job is dropped: the invocation counts as running also when its caller is gone.
    pub(crate) slot: Slot,
    /// Where the caller waits.
    pub(crate) reply: oneshot::Sender<Answer>,
}

impl Job {
    /// Ends the job: first the slot is free, then the caller hears.
    pub(crate) fn answer(self, answer: Answer) {
        drop(self.slot);
        // The caller may be gone, as with Lambda.
        let _ = self.reply.send(answer);
    }
}

/// An instance that waits for a job.
struct Idle {
    id: u64,
    jobs: mpsc::Sender<Job>,
}

#[derive(Default)]
struct Pool {
    running: usize,
    /// Most recently used last.
    idle: Vec<Idle>,
    next_id: u64,
}

/// A function and everything that runs of it.
pub(crate) struct Function {
    pub(crate) config: FunctionConfig,
    pub(crate) stats: Arc<Stats>,
    /// Cancelled when everything is to stop.
    pub(crate) stop: CancellationToken,
    /// The instances' tasks, waited for on stop, so that no process is left.
    pub(crate) tasks: TaskTracker,
    pool: Mutex<Pool>,
    /// For the fault `wrong_answer`.
    last_success: Mutex<Option<Bytes>>,
}

impl Function {
    pub(crate) fn new(
        config: FunctionConfig,
        stats: Arc<Stats>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            stats,
            stop,
            tasks,
            pool: Mutex::default(),
            last_success: Mutex::default(),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Nothing under this lock panics half-way.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a concurrency slot.
    ///
    /// # Errors
    /// All are taken.
    pub(crate) fn take_slot(self: &Arc<Self>) -> Result<Slot, Refusal> {
        {
            let mut pool = self.pool();
            if pool.running >= self.config.concurrency {
                self.stats.update(|s| s.throttles += 1);
                return Err(Refusal::FunctionBusy);
            }
            pool.running += 1;
        }
        self.stats.began();
        Ok(Slot(Arc::clone(self)))
    }

    /// Gives a job to the instance that was used last, or to a new one.
    pub(crate) fn dispatch(self: &Arc<Self>, mut job: Job) {
        loop {
            let idle = self.pool().idle.pop();
            let Some(idle) = idle else { break };
            match idle.jobs.try_send(job) {
                Ok(()) => return,
                // It has just ended.
                Err(
                    mpsc::error::TrySendError::Closed(back) | mpsc::error::TrySendError::Full(back),
                ) => job = back,
            }
        }
        let id = {
            let mut pool = self.pool();
            pool.next_id += 1;
            pool.next_id
        };
        self.tasks.spawn(instance::run(Arc::clone(self), id, job));
    }

    /// An instance can take a job from now on.
    pub(crate) fn park(&self, id: u64, jobs: mpsc::Sender<Job>) {
        self.pool().idle.push(Idle { id, jobs });
    }

    /// An instance wants to end. False if a job is on its way to it.
    pub(crate) fn retire(&self, id: u64) -> bool {
        let mut pool = self.pool();
        let before = pool.idle.len();
        pool.idle.retain(|idle| idle.id != id);
        pool.idle.len() < before
    }

    /// Remembers a successful answer, and returns the one before.
    pub(crate) fn swap_last_success(&self, payload: &Bytes) -> Option<Bytes> {
        let mut last = self
            .last_success
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.replace(payload.clone())
    }
}

/// The right to run one invocation.
pub(crate) struct Slot(Arc<Function>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.pool().running -= 1;
        self.0.stats.ended();
    }
}
