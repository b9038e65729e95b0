//! Tumbling event-time windows, aligned to the epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The size of a tumbling window: at least one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct WindowSize(i64);

/// A window size below one millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid window size {0} ms: expected at least 1 ms")]
pub struct InvalidWindowSize(pub i64);

impl WindowSize {
    /// A window of `ms` milliseconds; less than one is refused.
    pub fn from_millis(ms: i64) -> Result<Self, InvalidWindowSize> {
        if ms >= 1 {
            Ok(Self(ms))
        } else {
            Err(InvalidWindowSize(ms))
        }
    }

    /// The size in milliseconds.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// The start of the window that holds the time `t_ms`, both in milliseconds since the epoch.
    ///
    /// Floors, so that times before 1970 land in the window that began before them. Within one
    /// window of `i64::MIN` the subtraction wraps, as it does in Java's `t - floorMod(t, size)`.
    pub fn start_of(self, t_ms: i64) -> i64 {
        t_ms.wrapping_sub(t_ms.rem_euclid(self.0))
    }

    /// The first millisecond after the window that starts at `start_ms`; saturates.
    pub fn end_of(self, start_ms: i64) -> i64 {
        start_ms.saturating_add(self.0)
    }
}

impl TryFrom<i64> for WindowSize {
    type Error = InvalidWindowSize;

    fn try_from(ms: i64) -> Result<Self, InvalidWindowSize> {
        Self::from_millis(ms)
    }
}

impl From<WindowSize> for i64 {
    fn from(size: WindowSize) -> i64 {
        size.0
    }
}

impl fmt::Display for WindowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned_to_the_epoch_and_floor_before_it() {
        let second = WindowSize::from_millis(1000).unwrap();
        for (t, start) in [
            (0, 0),
            (999, 0),
            (1000, 1000),
            (-1, -1000),
            (-1000, -1000),
            (-1001, -2000),
        ] {
            assert_eq!(second.start_of(t), start, "t = {t}");
        }
    }

    #[test]
    fn the_ends_of_time_wrap_as_in_java() {
        let second = WindowSize::from_millis(1000).unwrap();
        // Java: Long.MIN_VALUE - Math.floorMod(Long.MIN_VALUE, 1000L) == 9223372036854775616
        assert_eq!(
            second.start_of(i64::MIN),
            9_223_372_036_854_775_616_u64.cast_signed()
        );
        assert_eq!(second.start_of(i64::MAX), 9_223_372_036_854_775_000);
        let all = WindowSize::from_millis(i64::MAX).unwrap();
        assert_eq!(all.start_of(5), 0);
        assert_eq!(all.end_of(5), i64::MAX);
    }

    #[test]
    fn a_window_of_no_size_is_refused() {
        assert_eq!(WindowSize::from_millis(0), Err(InvalidWindowSize(0)));
        assert_eq!(WindowSize::from_millis(-5), Err(InvalidWindowSize(-5)));
        assert!(serde_json::from_str::<WindowSize>("0").is_err());
        assert_eq!(
            serde_json::from_str::<WindowSize>("1").unwrap().as_millis(),
            1
        );
    }
}
