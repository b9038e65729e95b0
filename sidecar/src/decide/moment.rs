//! Time as the controller sees it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, counted from an origin that the caller chose (the start of the process, the start of
/// a trace). It never steps: wall clocks are for people and for event times, not for decisions.
///
/// Written down as nanoseconds, a whole number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(into = "u64", from = "u64")]
pub struct Moment(Duration);

impl Moment {
    /// The moment `elapsed` after the origin.
    pub const fn at(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment, later by `span`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Time since the origin.
    pub const fn elapsed(self) -> Duration {
        self.0
    }
}

impl From<Moment> for u64 {
    /// Nanoseconds since the origin; what is beyond 584 years is cut off.
    fn from(moment: Moment) -> Self {
        Self::try_from(moment.0.as_nanos()).unwrap_or(Self::MAX)
    }
}

impl From<u64> for Moment {
    fn from(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }
}
