//! An event as it goes over the wire (WHATWG HTML, "Server-sent events").

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::Serialize;
use spillway_core::directive::Mode;
use spillway_core::ids::{JobName, ValveName};

use crate::observe::KeyChange;

/// Names an event among all of all runs of a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// When the run began, milliseconds since the Unix epoch.
    pub(crate) run: i64,
    /// The number of the event within it, from 1.
    pub(crate) number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.number)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, number) = text.split_once('-').ok_or(())?;
        Ok(Self {
            run: i64::from_str_radix(run, 16).map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
        })
    }
}

/// What is remembered of an event.
pub(super) struct Message {
    pub(super) number: u64,
    pub(super) text: Bytes,
}

/// Something that happened.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Event<'a> {
    /// A valve is about something else now.
    Mode {
        time_ms: i64,
        job: &'a JobName,
        valve: &'a ValveName,
        mode: Mode,
        reason: &'a str,
    },
    /// The policy was changed.
    Policy {
        time_ms: i64,
        version: String,
        changed: &'a [KeyChange],
    },
    /// A part became ready, or ceased to be.
    Readiness {
        time_ms: i64,
        part: &'static str,
        ready: bool,
        problem: Option<&'a str>,
    },
    /// The cloud lane was shut or opened.
    Breaker {
        time_ms: i64,
        open: bool,
        reason: Option<&'a str>,
    },
}

impl Event<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Mode { .. } => "mode",
            Self::Policy { .. } => "policy",
            Self::Readiness { .. } => "readiness",
            Self::Breaker { .. } => "breaker",
        }
    }
}

/// Says that events were missed for good.
#[derive(Serialize)]
pub(super) struct Gap {
    pub(super) reason: &'static str,
}

/// The event on the wire. `None`: it cannot be written as JSON, which is logged.
pub(super) fn frame(id: Option<EventId>, name: &str, data: &impl Serialize) -> Option<Bytes> {
    // JSON has no raw line breaks, so that it always is one line of data.
    let json = serde_json::to_string(data)
        .inspect_err(|error| tracing::warn!("a {name} event cannot be written: {error}"))
        .ok()?;
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    Some(format!("{id}event: {name}\ndata: {json}\n\n").into())
}
