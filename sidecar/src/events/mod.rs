//! What happens, told to whoever listens: changes of mode, of policy, of readiness and of the cloud lane,
//! and how things stand at every tick.
//!
//! A listener has a short queue of its own. One that does not keep up is let go rather than waited for or
//! buffered without bound; when it comes back it says what it has seen last, and is told what it missed,
//! as long as that is remembered.

mod message;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use spillway_core::directive::Mode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use message::{Event, EventId, Message};

use crate::config::Events as Settings;
use crate::decide::{CloudLane, Observation};
use crate::observe::{Observer, PolicyInForce, Step};
use crate::valves::When;

/// So many events are remembered for listeners that come back.
const REMEMBERED: usize = 256;

/// Tells events to listeners.
pub(crate) struct Hub {
    inner: Mutex<Inner>,
    seats: Arc<AtomicU32>,
    settings: Settings,
    started_ms: i64,
    pub(crate) tally: Tally,
}

#[derive(Default)]
struct Inner {
    last: u64,
    remembered: VecDeque<Message>,
    listeners: Vec<mpsc::Sender<Bytes>>,
    /// Whether the cloud lane was shut when it was last looked at.
    shut: bool,
    closed: bool,
}

/// Counters of the events.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    events: Counter,
    dropped: Counter,
    refused: Counter,
    listeners: Gauge,
}

/// A place among the listeners; given back when dropped.
pub(crate) struct Seat {
    seats: Arc<AtomicU32>,
    gauge: Gauge,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

/// What a new listener gets.
pub(crate) struct Listening {
    /// What it has missed, oldest first.
    pub(crate) missed: VecDeque<Bytes>,
    /// What comes from now on. Ends when the listener has been too slow, or the sidecar stops.
    pub(crate) coming: mpsc::Receiver<Bytes>,
    /// Its place.
    pub(crate) seat: Seat,
}

/// Why somebody may not listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// All places are taken.
    Full,
    /// The sidecar stops.
    Closed,
}

impl Hub {
    /// Nobody listens yet. `started_ms` tells events of this run from those of an earlier one.
    pub(crate) fn new(settings: Settings, started_ms: i64) -> Self {
        Self {
            inner: Mutex::default(),
            seats: Arc::default(),
            settings,
            started_ms,
            tally: Tally::default(),
        }
    }

    /// Makes the counters visible under `registry`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("events");
        let tally = &self.tally;
        registry.register(
            "published",
            "Events told, ticks included",
            tally.events.clone(),
        );
        registry.register(
            "dropped_clients",
            "Clients let go because they did not keep up",
            tally.dropped.clone(),
        );
        registry.register(
            "refused_clients",
            "Clients turned away because all places were taken",
            tally.refused.clone(),
        );
        registry.register("clients", "Clients listening", tally.listeners.clone());
    }

    /// Takes in a listener that has seen everything up to `seen`, if it says so.
    pub(crate) fn listen(&self, seen: Option<EventId>) -> Result<Listening, Refused> {
        let taken = self
            .seats
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < self.settings.max_clients).then_some(taken + 1)
            });
        if taken.is_err() {
            self.tally.refused.inc();
            return Err(Refused::Full);
        }
        self.tally.listeners.inc();
        let seat = Seat {
            seats: Arc::clone(&self.seats),
            gauge: self.tally.listeners.clone(),
        };
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refused::Closed);
        }
        let missed = match seen {
            Some(seen) => inner.since(seen, self.started_ms),
            None => VecDeque::new(),
        };
        let (sender, coming) = mpsc::channel(self.settings.queue as usize);
        inner.listeners.push(sender);
        Ok(Listening {
            missed,
            coming,
            seat,
        })
    }

    /// Whether anybody listens.
    pub(crate) fn heard(&self) -> bool {
        self.seats.load(Ordering::Relaxed) > 0
    }

    /// A part of the sidecar is as it should be (`None`), or is not, and why.
    pub(crate) fn readiness(&self, part: &'static str, problem: Option<&str>, when: When) {
        self.remember(&Event::Readiness {
            time_ms: when.wall_ms,
            part,
            ready: problem.is_none(),
            problem,
        });
    }

    /// The cloud lane as it is now; told if it was shut or opened since.
    pub(crate) fn lane(&self, lane: &CloudLane, when: When) {
        let shut = match lane {
            CloudLane::Open { .. } => None,
            CloudLane::Closed { reason } => Some(reason.clone()),
        };
        {
            let mut inner = self.lock();
            if std::mem::replace(&mut inner.shut, shut.is_some()) == shut.is_some() {
                return;
            }
        }
        self.remember(&Event::Breaker {
            time_ms: when.wall_ms,
            open: shut.is_none(),
            reason: shut.as_deref(),
        });
    }

    /// How things stand. Not remembered: the next tick says it better.
    pub(crate) fn tick(&self, state: &impl serde::Serialize) {
        if let Some(text) = tick(state) {
            self.tally.events.inc();
            self.tell(&mut self.lock(), &text);
        }
    }

    /// Lets all listeners go, and takes in no more.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.listeners.clear();
    }

    fn remember(&self, event: &Event<'_>) {
        let mut inner = self.lock();
        inner.last += 1;
        let id = EventId {
            run: self.started_ms,
            number: inner.last,
        };
        let Some(text) = message::frame(Some(id), event.name(), event) else {
            return;
        };
        self.tally.events.inc();
        self.tell(&mut inner, &text);
        if inner.remembered.len() >= REMEMBERED {
            inner.remembered.pop_front();
        }
        inner.remembered.push_back(Message {
            number: id.number,
            text,
        });
    }

    fn tell(&self, inner: &mut Inner, text: &Bytes) {
        inner
            .listeners
            .retain(|listener| match listener.try_send(text.clone()) {
                Ok(()) => true,
                Err(TrySendError::Closed(_)) => false,
                Err(TrySendError::Full(_)) => {
                    self.tally.dropped.inc();
                    tracing::warn!(
                        queue = self.settings.queue,
                        "a client of /v1/events does not keep up: let go"
                    );
                    false
                }
            });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The event that tells how things stand.
pub(crate) fn tick(state: &impl serde::Serialize) -> Option<Bytes> {
    message::frame(None, "tick", state)
}

impl Inner {
    /// All that is remembered since `seen`, after a word that there was more, if there was.
    fn since(&self, seen: EventId, run: i64) -> VecDeque<Bytes> {
        let first = self
            .remembered
            .front()
            .map_or(self.last + 1, |oldest| oldest.number);
        let known = seen.run == run && seen.number <= self.last;
        let after = if known { seen.number } else { 0 };
        let mut missed: VecDeque<_> = self
            .remembered
            .iter()
            .filter(|message| message.number > after)
            .map(|message| message.text.clone())
            .collect();
        if !known || after + 1 < first {
            let reason = if known {
                "some events are too long ago to be remembered"
            } else {
                "the sidecar has been started since"
            };
            missed.extend(message::frame(None, "gap", &message::Gap { reason }));
            // To the front: the others came after.
            missed.rotate_right(1);
        }
        missed
    }
}

impl Observer for Hub {
    fn stepped(&self, step: &Step<'_>) {
        if let Observation::Cloud(lane) = step.observation {
            self.lane(lane, step.when);
        }
        if step.decision.mode_changed {
            let mode: Mode = step.decision.mode;
            self.remember(&Event::Mode {
                time_ms: step.when.wall_ms,
                job: step.job,
                valve: step.valve,
                mode,
                reason: &step.decision.reason,
            });
        }
    }

    fn policy(&self, policy: &PolicyInForce, _when: When) {
        // Told at the start too, when nothing has changed.
        if let (Some(time_ms), false) = (policy.changed_ms, policy.changes.is_empty()) {
            self.remember(&Event::Policy {
                time_ms,
                version: policy.name(self.started_ms),
                changed: &policy.changes,
            });
        }
    }
}
