//! Records the steps of a running sidecar, never in the way of a decision.
//!
//! The recorder is an [`Observer`] with a bounded queue. When the queue is full, steps are dropped and
//! counted, the trace gets a [`Gap`], and each valve comes in anew with what its controller knows then.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use spillway_core::ids::{JobName, ValveName};
use tokio::sync::mpsc;

use super::{Change, Event, Gap, Header, Joined, Step, Writer};
use crate::decide::{Moment, State};
use crate::observe::{self, Observer, PolicyInForce};
use crate::valves::{Valves, When};

/// Steps that may wait to be written: some seconds of 64 subtasks, about 2 MB.
const QUEUE: usize = 2048;
/// So many lines are handed over at once.
const CHUNK: usize = 128;
/// Recordings of clients at once. Each has its own queue.
const MAX_RECORDINGS: usize = 4;

/// All recordings of a sidecar.
#[derive(Default)]
pub(crate) struct Recordings {
    inner: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    clients: Vec<Weak<Recorder>>,
    /// Those of the file that is always kept: two, while one file follows another.
    kept: Vec<Weak<Recorder>>,
    closed: bool,
}

/// Why there is no recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are as many as may be.
    Full,
    /// The sidecar is stopping.
    Closed,
}

impl Recordings {
    /// Begins one for a client, of all valves.
    pub(crate) fn begin(&self, valves: &Valves, when: When) -> Result<Recording, Refused> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clients.retain(|known| known.strong_count() > 0);
        if inner.closed {
            return Err(Refused::Closed);
        }
        if inner.clients.len() >= MAX_RECORDINGS {
            return Err(Refused::Full);
        }
        let recording = Recording::new(QUEUE);
        inner.clients.push(Arc::downgrade(&recording.recorder));
        drop(inner);
        valves.observe(&recording.recorder, when);
        Ok(recording)
    }

    /// Begins one for the file that is always kept, of all valves. It has a place of its own, so that no
    /// client can keep it out. `None`: the sidecar is stopping.
    pub(crate) fn begin_kept(&self, valves: &Valves, when: When) -> Option<Recording> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            return None;
        }
        inner.kept.retain(|known| known.strong_count() > 0);
        let recording = Recording::new(QUEUE);
        inner.kept.push(Arc::downgrade(&recording.recorder));
        drop(inner);
        valves.observe(&recording.recorder, when);
        Some(recording)
    }

    /// Ends all, each with its end marker, and begins no more.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        let Open { clients, kept, .. } = &mut *inner;
        let all = clients.drain(..).chain(kept.drain(..));
        for recorder in all.filter_map(|known| known.upgrade()) {
            recorder.close();
        }
    }
}

/// A trace as it comes into being.
pub(crate) struct Recording {
    /// Dropped with this, and then no longer shown anything.
    recorder: Arc<Recorder>,
    coming: mpsc::Receiver<Item>,
    writer: Option<Writer<Vec<u8>>>,
    /// Of the last line.
    last: When,
}

/// What a line is made of. States are written down only when it is the line's turn: that is too much to do
/// while decisions wait.
enum Item {
    Header(Box<Header>),
    Event(Box<Event>),
    Joined(Box<(Moment, JobName, ValveName, Option<State>)>),
}

impl Recording {
    fn new(queue: usize) -> Self {
        let (sender, coming) = mpsc::channel(queue);
        let recorder = Recorder {
            inner: Mutex::new(Inner {
                sender: Some(sender),
                begun: false,
                known: BTreeSet::new(),
                dropped: 0,
                policy: None,
                last: Moment::default(),
            }),
        };
        Self {
            recorder: Arc::new(recorder),
            coming,
            writer: None,
            last: When {
                now: Moment::default(),
                wall_ms: 0,
            },
        }
    }

    /// Ends it: what is on its way still comes, and then the end marker.
    pub(crate) fn close(&self) {
        self.recorder.close();
    }

    /// The next lines; `None` after the end marker.
    pub(crate) fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut items = Vec::new();
        match self.coming.poll_recv_many(context, &mut items, CHUNK) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(0) => return Poll::Ready(self.end()),
            Poll::Ready(_) => {}
        }
        for item in items {
            self.put(item);
        }
        let lines = self
            .writer
            .as_mut()
            .map(|writer| std::mem::take(writer.get_mut()));
        Poll::Ready(Some(lines.unwrap_or_default().into()))
    }

    fn put(&mut self, item: Item) {
        let event = match item {
            Item::Header(header) => {
                self.last = When {
                    now: header.at,
                    wall_ms: header.wall_ms,
                };
                self.writer = Writer::new(Vec::new(), &header).ok();
                return;
            }
            Item::Event(event) => *event,
            Item::Joined(joined) => {
                let (at, job, valve, state) = *joined;
                // A state is plain data; should it ever fail, the valve would replay from nothing.
                let state = state.and_then(|state| serde_json::to_value(state).ok());
                Event::Valve(Joined {
                    at,
                    job,
                    valve,
                    state,
                })
            }
        };
        self.last.now = event.at();
        if let Event::Step(Step { wall_ms, .. }) | Event::Policy(Change { wall_ms, .. }) = &event {
            self.last.wall_ms = *wall_ms;
        }
        if let Some(writer) = &mut self.writer {
            // Writing to memory does not fail.
            drop(writer.write(&event));
        }
    }

    fn end(&mut self) -> Option<Bytes> {
        let mut writer = self.writer.take()?;
        let (dropped, at) = {
            let recorder = self.recorder.lock();
            (recorder.dropped, recorder.last.max(self.last.now))
        };
        if dropped > 0 {
            // What was missed at the very end must not look as if nothing had happened.
            drop(writer.write(&Event::Gap(Gap { at, lines: dropped })));
        }
        self.last.now = at;
        let lines = writer.end(self.last.now, self.last.wall_ms).ok()?;
        Some(lines.into())
    }
}

/// What the valves show their steps to.
pub(crate) struct Recorder {
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` once it is closed.
    sender: Option<mpsc::Sender<Item>>,
    begun: bool,
    /// The valves that have come in.
    known: BTreeSet<(JobName, ValveName)>,
    /// Lines dropped since the last gap was written.
    dropped: u64,
    /// A change of the policy that was dropped too, and has to be told yet.
    policy: Option<Change>,
    last: Moment,
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().sender = None;
    }
}

impl Observer for Recorder {
    fn stepped(&self, step: &observe::Step<'_>) {
        let mut inner = self.lock();
        let at = step.when.now;
        if at < inner.last {
            // Two threads took their time in one order and came here in the other.
            inner.drop_line();
            return;
        }
        let key = (step.job.clone(), step.valve.clone());
        let line = if inner.dropped == 0 && inner.known.contains(&key) {
            Item::Event(Box::new(Event::Step(Step {
                at,
                wall_ms: step.when.wall_ms,
                job: step.job.clone(),
                valve: step.valve.clone(),
                observation: step.observation.clone(),
                decision: step.decision.clone(),
            })))
        } else {
            // What was known before this step is gone; what is known after it will do.
            let (job, valve) = key.clone();
            Item::Joined(Box::new((at, job, valve, Some(step.state.clone()))))
        };
        if inner.send(at, line) {
            inner.known.insert(key);
        }
    }

    fn joined(&self, job: &JobName, valve: &ValveName, known: Option<&State>, when: When) {
        let mut inner = self.lock();
        let at = when.now.max(inner.last);
        let key = (job.clone(), valve.clone());
        let line = Item::Joined(Box::new((at, job.clone(), valve.clone(), known.cloned())));
        if inner.send(at, line) {
            inner.known.insert(key);
        }
    }

    fn policy(&self, policy: &PolicyInForce, when: When) {
        let mut inner = self.lock();
        if !inner.begun {
            inner.begun = true;
            let from = match policy.version {
                1 => "the configuration".to_owned(),
                version => format!("PATCH /v1/policy, version {version}"),
            };
            let header = Header::new(when.now, when.wall_ms, policy.policy.clone(), from);
            inner.send(when.now, Item::Header(Box::new(header)));
            return;
        }
        let change = Change {
            at: when.now.max(inner.last),
            wall_ms: when.wall_ms,
            policy: policy.policy.clone(),
        };
        let line = Item::Event(Box::new(Event::Policy(change.clone())));
        if !inner.send(change.at, line) {
            inner.policy = Some(change);
        }
    }
}

impl Inner {
    /// Sends a line, and before it what is due after a gap: all of it or nothing. False if there was no
    /// room.
    fn send(&mut self, at: Moment, line: Item) -> bool {
        let mut due = Vec::with_capacity(3);
        if self.dropped > 0 {
            let gap = Gap {
                at,
                lines: self.dropped,
            };
            due.push(Item::Event(Box::new(Event::Gap(gap))));
            if let Some(change) = &self.policy {
                let change = Change {
                    at,
                    ..change.clone()
                };
                due.push(Item::Event(Box::new(Event::Policy(change))));
            }
        }
        due.push(line);
        let Some(sender) = &self.sender else {
            return false;
        };
        let Ok(permits) = sender.try_reserve_many(due.len()) else {
            self.drop_line();
            return false;
        };
        for (permit, item) in permits.zip(due) {
            permit.send(item);
        }
        if self.dropped > 0 {
            tracing::warn!(
                lines = self.dropped,
                "the recorder of a trace could not keep up: lines are missing"
            );
            self.dropped = 0;
            self.policy = None;
            self.known.clear();
        }
        self.last = at;
        true
    }

    fn drop_line(&mut self) {
        self.dropped += 1;
        self.known.clear();
    }
}

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
