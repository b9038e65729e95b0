//! Where time comes from.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::decide::Moment;

/// A source of time; tests pass in their own.
pub trait Clock: Send + Sync + 'static {
    /// Time that never steps, counted from the start of the process.
    fn now(&self) -> Moment;
    /// The wall clock, milliseconds since the Unix epoch, for people.
    fn wall_ms(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose origin is now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::at(self.start.elapsed())
    }

    fn wall_ms(&self) -> i64 {
        // A clock set before 1970, or beyond the year 292 million, reads 0.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or_default()
    }
}
