//! Quantities of the controller that cannot be mixed up, and cannot be NaN.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A rate of records; always finite and never negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct RecordsPerSecond(f64);

impl RecordsPerSecond {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// Above anything a valve can do; keeps sums of rates finite.
    const MAX: f64 = 1e15;

    /// The rate `value`; NaN and negative values become 0, huge ones are capped.
    pub fn new(value: f64) -> Self {
        // `max` picks the number over a NaN; `clamp` would pass it on.
        #[expect(clippy::manual_clamp)]
        Self(value.max(0.0).min(Self::MAX))
    }

    /// `records` in `span`; 0 for an empty span.
    pub fn of(records: u64, span: Duration) -> Self {
        if span.is_zero() {
            return Self::ZERO;
        }
        Self::new(records as f64 / span.as_secs_f64())
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The rate times `factor`.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self::new(self.0 * factor)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.0 + other.0)
    }

    /// The difference, at least 0.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self::new(self.0 - other.0)
    }

    /// The higher of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// The lower of both.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl fmt::Display for RecordsPerSecond {
    /// For people: `412 k/s`, `1.25 M/s`, `73/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 999_500.0 {
            write!(f, "{:.2} M/s", self.0 / 1e6)
        } else if self.0 >= 10_000.0 {
            write!(f, "{:.0} k/s", self.0 / 1e3)
        } else if self.0 >= 1000.0 {
            write!(f, "{:.1} k/s", self.0 / 1e3)
        } else {
            write!(f, "{:.0}/s", self.0)
        }
    }
}

/// A share of a whole; always in 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Share(f64);

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// The share `value`, clamped to 0..=1; NaN becomes 0.
    pub fn new(value: f64) -> Self {
        // As above: not `clamp`, because of NaN.
        #[expect(clippy::manual_clamp)]
        Self(value.max(0.0).min(1.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The higher of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} %", self.0 * 100.0)
    }
}

/// US dollars; always finite and never negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct Usd(f64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// More than there is; keeps sums finite.
    const MAX: f64 = 1e15;

    /// The amount `value`; NaN and negative values become 0, huge ones are capped.
    pub fn new(value: f64) -> Self {
        // As above: not `clamp`, because of NaN.
        #[expect(clippy::manual_clamp)]
        Self(value.max(0.0).min(Self::MAX))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Usd {
    /// For people: `$1.50`, and small amounts with three significant digits: `$0.00123`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 0.1 || self.0 == 0.0 {
            return write!(f, "${:.2}", self.0);
        }
        // Between -15 and -1 for what is not rounded to zero below.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let digits = (2.0 - self.0.log10().floor()).min(12.0) as usize;
        write!(f, "${:.digits$}", self.0)
    }
}

/// A number that is written down, but not what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{value} is no {what}: give {expected}")]
pub struct NotAQuantity {
    value: f64,
    what: &'static str,
    expected: &'static str,
}

macro_rules! written_as_a_number {
    ($($quantity:ty, $what:literal, $expected:literal;)*) => {$(
        impl From<$quantity> for f64 {
            fn from(quantity: $quantity) -> Self {
                quantity.0
            }
        }

        impl TryFrom<f64> for $quantity {
            type Error = NotAQuantity;

            fn try_from(value: f64) -> Result<Self, NotAQuantity> {
                let quantity = Self::new(value);
                // Exactly: what `new` bends is no quantity. NaN is unequal to everything.
                #[expect(clippy::float_cmp)]
                if quantity.0 == value {
                    Ok(quantity)
                } else {
                    Err(NotAQuantity { value, what: $what, expected: $expected })
                }
            }
        }
    )*};
}

written_as_a_number! {
    RecordsPerSecond, "rate", "0 to 1e15 records per second";
    Share, "share", "0 to 1";
    Usd, "amount", "0 to 1e15 dollars";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_never_nan_infinite_or_negative() {
        for value in [f64::NAN, f64::NEG_INFINITY, -1.0] {
            assert_eq!(RecordsPerSecond::new(value), RecordsPerSecond::ZERO);
        }
        assert!(RecordsPerSecond::new(f64::INFINITY).get().is_finite());
        assert_eq!(
            RecordsPerSecond::of(5, Duration::ZERO),
            RecordsPerSecond::ZERO
        );
    }

    #[test]
    fn a_share_stays_between_nothing_and_all() {
        assert_eq!(Share::new(f64::NAN), Share::ZERO);
        assert_eq!(Share::new(-0.5), Share::ZERO);
        assert_eq!(Share::new(7.0), Share::new(1.0));
    }

    #[test]
    fn what_is_no_quantity_is_refused_rather_than_bent() {
        for value in ["-1", "1e300", "null"] {
            assert!(
                serde_json::from_str::<RecordsPerSecond>(value).is_err(),
                "{value}"
            );
            assert!(serde_json::from_str::<Share>(value).is_err(), "{value}");
            assert!(serde_json::from_str::<Usd>(value).is_err(), "{value}");
        }
        assert_eq!(
            serde_json::from_str::<Share>("0.25").unwrap(),
            Share::new(0.25)
        );
    }

    #[test]
    fn an_amount_of_money_keeps_three_digits_however_small_it_is() {
        let cases = [
            (0.0, "$0.00"),
            (12.0, "$12.00"),
            (0.00123, "$0.00123"),
            (1.5e-7, "$0.000000150"),
        ];
        for (usd, text) in cases {
            assert_eq!(Usd::new(usd).to_string(), text);
        }
    }

    #[test]
    fn a_rate_reads_like_a_person_would_write_it() {
        let cases = [
            (73.4, "73/s"),
            (1234.0, "1.2 k/s"),
            (411_900.0, "412 k/s"),
            (999_999.0, "1.00 M/s"),
        ];
        for (rate, text) in cases {
            assert_eq!(RecordsPerSecond::new(rate).to_string(), text);
        }
    }
}
