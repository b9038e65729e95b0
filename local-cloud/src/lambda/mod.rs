//! Lambda: the Invoke API in front, a Runtime API per instance behind.
//!
//! Why not what exists: `cargo lambda watch` (1.9.2) freezes beyond about 100 queued invocations,
//! never restarts an instance that crashed, and neither throttles nor times out; AWS's interface
//! emulator runs one invocation at a time. Throttling, time-outs and crashes are what a caller of
//! Lambda has to get right, so a stand-in without them would test nothing.
//!
//! What is left out: `Event` invocations are run once and not repeated, there are no versions or
//! aliases (each resolves to `$LATEST`), no log tail, and requests are not authenticated.

mod admin;
mod answer;
mod api;
mod function;
mod instance;
mod name;
mod payload;
mod process;
mod runtime_api;
mod stats;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::{Fault, Faults, LambdaFault};
use crate::server;
use answer::{Answer, Refusal};
use function::{Function, Job};
use stats::Stats;

pub(crate) use name::percent_decode;

pub use function::FunctionConfig;
pub use stats::Snapshot;

/// All functions, and what they share.
pub(crate) struct Lambda {
    functions: HashMap<String, Arc<Function>>,
    stats: Arc<Stats>,
    faults: Arc<Mutex<Faults>>,
    tasks: TaskTracker,
    /// Request ids are this and a number: unique enough, and without randomness.
    started_ns: u64,
    requests: AtomicU64,
}

impl Lambda {
    pub(crate) fn new(
        functions: Vec<FunctionConfig>,
        faults: Arc<Mutex<Faults>>,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let stats = Arc::new(Stats::default());
        let tasks = TaskTracker::new();
        let functions = functions
            .into_iter()
            .map(|config| {
                let name = config.name.clone();
                (
                    name,
                    Function::new(config, Arc::clone(&stats), stop.clone(), tasks.clone()),
                )
            })
            .collect();
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let started_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or_default();
        Arc::new(Self {
            functions,
            stats,
            faults,
            tasks,
            started_ns,
            requests: AtomicU64::new(0),
        })
    }

    /// Serves until `stop` is cancelled and every function process is gone.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let tasks = self.tasks.clone();
        server::serve(listener, stop, move |request| {
            api::handle(Arc::clone(&self), request)
        })
        .await;
        tasks.close();
        tasks.wait().await;
    }

    /// A request id in the shape of a UUID.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let at = self.started_ns;
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{number:012x}",
            at >> 32,
            (at >> 16) & 0xffff,
            (at >> 4) & 0xfff,
            at & 0xf
        )
    }

    /// What the rules want for the next invocation.
    fn next_fault(&self) -> Option<Fault<LambdaFault>> {
        self.faults
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .for_invocation()
    }

    /// Starts an invocation: the answer comes through the channel. Once started it runs to its end,
    /// also when nobody waits for it any more.
    ///
    /// # Errors
    /// The function's concurrency is used up.
    fn begin(
        function: &Arc<Function>,
        id: String,
        trace: String,
        payload: Bytes,
        fault: Option<Fault<LambdaFault>>,
    ) -> Result<oneshot::Receiver<Answer>, Refusal> {
        let slot = function.take_slot()?;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            id,
            trace,
            payload,
            fault: fault.map(|fault| fault.kind),
            slot,
            reply,
        };
        match fault {
            Some(Fault {
                kind: LambdaFault::Slow,
                delay,
            }) => {
                let (later, stop) = (Arc::clone(function), function.stop.clone());
                function.tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(delay) => later.dispatch(job),
                    }
                });
            }
            Some(Fault {
                kind: LambdaFault::ErrorUnhandled,
                ..
            }) => {
                function.stats.update(|s| s.function_errors += 1);
                let by_fault = Answer::by_fault(&job.id);
                job.answer(by_fault);
            }
            _ => function.dispatch(job),
        }
        Ok(answer)
    }
}
