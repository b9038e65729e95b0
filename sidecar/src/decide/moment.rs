//! Time as the controller sees it.

use std::time::Duration;

/// A point in time, counted from an origin that the caller chose (the start of the process, the start of
/// a trace). It never steps: wall clocks are for people and for event times, not for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
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
