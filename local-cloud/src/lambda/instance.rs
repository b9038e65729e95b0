//! One instance: a process of the function, one invocation at a time.
//!
//! The instance is a task that owns all its state. The runtime's calls, the pool's jobs, the end of
//! the process and the clock reach it as messages, one after the other, so no two of them race.
//!
//! An instance goes back to the pool as soon as it has answered, and gives its slot back, although
//! the runtime has yet to poll again: else a caller that invokes one after the other would at times
//! be throttled at a concurrency of 1. A job that such an instance never got to see, because it died
//! in between, is given to another.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::Answer;
use super::function::{Function, Job};
use super::process;
use super::runtime_api::{self, Ack, Call, Delivery};
use super::stats::billed_ms;
use crate::faults::LambdaFault;
use crate::server;

/// Lambda's limit for a function's start, from the start of its process to its first poll for work.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// Runs an instance, from the cold start that `first` caused until it ends.
pub(crate) async fn run(function: Arc<Function>, id: u64, first: Job) {
    if !function.config.cold_start.is_zero() {
        tokio::select! {
            () = function.stop.cancelled() => return,
            () = tokio::time::sleep(function.config.cold_start) => {}
        }
    }
    match Instance::start(&function, id).await {
        Ok(instance) => instance.run(first).await,
        Err(error) => {
            tracing::error!(function = function.config.name, binary = %function.config.binary.display(), %error, "cannot start");
            function.stats.update(|s| {
                s.crashes += 1;
                s.function_errors += 1;
            });
            let answer = Answer::no_entrypoint(&first.id, &error);
            first.answer(answer);
        }
    }
}

enum State {
    /// The process has not polled yet. `limit`: until when it may take.
    Starting {
        since: Instant,
        limit: Instant,
    },
    /// Nothing to do. The runtime is polling, or about to. `reap`: when to end.
    Idle {
        reap: Instant,
    },
    Running(Running),
    /// Answered, but the runtime has not polled again; `limit` is the invocation's deadline.
    Finishing {
        limit: Instant,
    },
}

struct Running {
    job: Job,
    started: Instant,
    deadline: Instant,
}

/// Whether the instance goes on.
type Ended = bool;

struct Instance {
    function: Arc<Function>,
    id: u64,
    child: Child,
    calls: mpsc::Receiver<Call>,
    jobs: mpsc::Receiver<Job>,
    /// What the pool sends jobs to.
    door: mpsc::Sender<Job>,
    state: State,
    /// The runtime waits for work here.
    poll: Option<oneshot::Sender<Result<Delivery, Ack>>>,
    /// Waits for the runtime's poll.
    queued: Option<Job>,
    /// A runtime whose answer is to be lost waits here: were it told anything, it would poll again.
    unanswered: Option<oneshot::Sender<Ack>>,
    /// Not yet billed.
    init: Option<Duration>,
    _listening: DropGuard,
}

impl Instance {
    async fn start(function: &Arc<Function>, id: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let runtime_api: SocketAddr = listener.local_addr()?;
        let (sender, calls) = mpsc::channel(4);
        let listening: CancellationToken = function.stop.child_token();
        tokio::spawn(server::serve(listener, listening.clone(), move |request| {
            runtime_api::handle(sender.clone(), request)
        }));
        // One place is enough: the pool gives a job only to an instance that is parked, once.
        let (door, jobs) = mpsc::channel(1);
        let since = Instant::now();
        let child = process::start(&function.config, id, runtime_api)?;
        function.stats.update(|s| s.cold_starts += 1);
        Ok(Self {
            function: Arc::clone(function),
            id,
            child,
            calls,
            jobs,
            door,
            state: State::Starting {
                since,
                limit: since + INIT_LIMIT,
            },
            poll: None,
            queued: None,
            unanswered: None,
            init: None,
            _listening: listening.drop_guard(),
        })
    }

    async fn run(mut self, first: Job) {
        self.queued = Some(first);
        let stop = self.function.stop.clone();
        loop {
            let wake = match &self.state {
                State::Starting { limit, .. } | State::Finishing { limit } => *limit,
                State::Idle { reap } => *reap,
                State::Running(running) => running.deadline,
            };
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.kill().await;
                    true
                }
                Some(call) = self.calls.recv() => self.called(call),
                status = self.child.wait() => {
                    self.exited(status.unwrap_or_default());
                    true
                }
                Some(job) = self.jobs.recv(), if self.queued.is_none() => {
                    self.queued = Some(job);
                    false
                }
                () = tokio::time::sleep_until(wake) => self.woken().await,
            };
            if ended {
                break;
            }
            self.deliver();
        }
        self.hand_back();
    }

    /// Jobs that the process never saw go to another instance.
    fn hand_back(mut self) {
        self.function.retire(self.id);
        self.jobs.close();
        let waiting = self.queued.take().into_iter().chain(self.jobs.try_recv());
        if !self.function.stop.is_cancelled() {
            waiting.for_each(|job| self.function.dispatch(job));
        }
    }

    fn called(&mut self, call: Call) -> Ended {
        match call {
            Call::Next(poll) => self.polled(poll),
            Call::Response { id, payload, ack } => self.responded(&id, payload, ack),
            Call::Error {
                id,
                handled,
                payload,
                ack,
            } => {
                let kind = if handled { "Handled" } else { "Unhandled" };
                if self.current(&id) {
                    self.conclude(Answer::error(kind, payload), true);
                    reply(ack, Ack::Accepted);
                } else {
                    reply(ack, Ack::InvalidRequestId);
                }
            }
            Call::InitError { payload, ack } => {
                if let State::Starting { since, .. } = self.state {
                    self.init_failed(since, |_| Answer::error("Unhandled", payload));
                    reply(ack, Ack::Accepted);
                    // It has to exit now; its end will be noticed like any other.
                    self.strike();
                } else {
                    reply(ack, Ack::InvalidState);
                }
            }
        }
        false
    }

    fn polled(&mut self, poll: oneshot::Sender<Result<Delivery, Ack>>) {
        match self.state {
            State::Starting { since, .. } => {
                let init = since.elapsed();
                self.function.stats.initialised(init);
                self.init = Some(init);
            }
            State::Idle { .. } | State::Finishing { .. } => {}
            State::Running(_) => {
                // The receiver may be gone with its connection.
                let _ = poll.send(Err(Ack::InvalidState));
                return;
            }
        }
        self.state = State::Idle {
            reap: Instant::now() + self.function.config.idle_timeout,
        };
        self.poll = Some(poll);
    }

    /// Starts the queued job if the runtime is polling.
    fn deliver(&mut self) {
        if !matches!(self.state, State::Idle { .. }) || self.poll.is_none() {
            return;
        }
        let Some(job) = self.queued.take() else {
            return;
        };
        let Some(poll) = self.poll.take() else { return };
        let config = &self.function.config;
        let started = Instant::now();
        let running = |job| {
            State::Running(Running {
                job,
                started,
                deadline: started + config.timeout,
            })
        };
        if job.fault == Some(LambdaFault::CrashBeforeInvoke) {
            self.state = running(job);
            self.strike();
            return;
        }
        let wall_clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            + config.timeout;
        let delivery = Delivery {
            id: job.id.clone(),
            trace: job.trace.clone(),
            arn: format!(
                "arn:aws:lambda:us-east-1:123456789012:function:{}",
                config.name
            ),
            deadline_ms: u64::try_from(wall_clock.as_millis()).unwrap_or(u64::MAX),
            payload: job.payload.clone(),
        };
        match poll.send(Ok(delivery)) {
            Ok(()) => self.state = running(job),
            // The runtime has hung up: it will poll anew, or is dying.
            Err(_) => self.queued = Some(job),
        }
    }

    fn responded(&mut self, id: &str, payload: Option<Bytes>, ack: oneshot::Sender<Ack>) {
        if !self.current(id) {
            return reply(ack, Ack::InvalidRequestId);
        }
        let State::Running(Running { job, .. }) = &self.state else {
            return;
        };
        let fault = job.fault;
        let Some(payload) = payload else {
            self.conclude(Answer::too_large(), true);
            return reply(ack, Ack::TooLarge);
        };
        match fault {
            // The invocation stays open; the end of the process or the deadline will close it.
            Some(LambdaFault::CrashBeforeResponse) => return self.strike(),
            Some(LambdaFault::Timeout) => {
                self.unanswered = Some(ack);
                return;
            }
            _ => {}
        }
        let previous = self.function.swap_last_success(&payload);
        let payload = match fault {
            Some(LambdaFault::WrongAnswer) => previous.unwrap_or(Bytes::from_static(b"{}")),
            Some(LambdaFault::TruncatedAnswer) => payload.slice(..payload.len() / 2),
            _ => payload,
        };
        let crash = fault == Some(LambdaFault::CrashAfterResponse);
        self.conclude(Answer::success(payload), !crash);
        if crash {
            self.strike();
        }
        reply(ack, Ack::Accepted);
    }

    /// Whether `id` is the invocation that runs here.
    fn current(&self, id: &str) -> bool {
        matches!(&self.state, State::Running(running) if running.job.id == id)
    }

    /// Answers the running invocation. `park`: the instance can take another.
    fn conclude(&mut self, answer: Answer, park: bool) {
        let next = State::Finishing {
            limit: Instant::now(),
        };
        let State::Running(running) = std::mem::replace(&mut self.state, next) else {
            return;
        };
        self.state = State::Finishing {
            limit: running.deadline,
        };
        self.account(&running.job.id, running.started.elapsed(), &answer);
        if park {
            self.function.park(self.id, self.door.clone());
        }
        running.job.answer(answer);
    }

    /// Puts an invocation on the bill and in the log.
    fn account(&mut self, id: &str, duration: Duration, answer: &Answer) {
        let init = self.init.take().unwrap_or_default();
        let billed = billed_ms(init + duration);
        self.function.stats.update(|s| {
            s.billed_ms += billed;
            s.function_errors += u64::from(answer.error.is_some());
        });
        tracing::debug!(
            "REPORT RequestId: {id} Duration: {:.2} ms Billed Duration: {billed} ms Memory Size: {} MB Init Duration: {:.2} ms",
            duration.as_secs_f64() * 1e3,
            self.function.config.memory_mb,
            init.as_secs_f64() * 1e3,
        );
    }

    /// The process could not start: the job that it was started for pays, or it would go on for ever.
    fn init_failed(&mut self, since: Instant, answer: impl FnOnce(&str) -> Answer) {
        let Some(job) = self.queued.take() else {
            return;
        };
        self.init = Some(since.elapsed());
        let answer = answer(&job.id);
        self.account(&job.id, Duration::ZERO, &answer);
        job.answer(answer);
    }

    /// The process has ended by itself, or by a fault.
    fn exited(&mut self, status: ExitStatus) {
        tracing::warn!(function = self.function.config.name, instance = self.id, %status, "a function process ended");
        self.function.stats.update(|s| s.crashes += 1);
        match &self.state {
            State::Running(running) => {
                let answer = Answer::exited(&running.job.id, status);
                self.conclude(answer, false);
            }
            State::Starting { since, .. } => {
                let since = *since;
                self.init_failed(since, |id| Answer::exited(id, status));
            }
            State::Idle { .. } | State::Finishing { .. } => {}
        }
    }

    /// The time that the state allows is over.
    async fn woken(&mut self) -> Ended {
        match &self.state {
            State::Idle { .. } => {
                // With a job queued, the runtime has not polled for all that time: it hangs.
                if self.queued.is_none() && !self.function.retire(self.id) {
                    // A job is on its way.
                    self.state = State::Idle {
                        reap: Instant::now() + self.function.config.timeout,
                    };
                    return false;
                }
                self.kill().await;
            }
            State::Running(running) => {
                let answer = Answer::timed_out(&running.job.id, self.function.config.timeout);
                self.function.stats.update(|s| s.timeouts += 1);
                self.kill().await;
                self.conclude(answer, false);
            }
            State::Starting { since, .. } => {
                let since = *since;
                self.function.stats.update(|s| s.timeouts += 1);
                self.kill().await;
                self.init_failed(since, |id| Answer::timed_out(id, INIT_LIMIT));
            }
            State::Finishing { .. } => {
                self.function.stats.update(|s| s.timeouts += 1);
                self.kill().await;
            }
        }
        true
    }

    /// Kills the process; its end will be noticed like any other.
    fn strike(&mut self) {
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "the process had already ended");
        }
    }

    async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, "the process had already ended");
        }
    }
}

fn reply(ack: oneshot::Sender<Ack>, value: Ack) {
    // The runtime may have hung up.
    let _ = ack.send(value);
}
