//! What a policy has to achieve: `p99<300ms`, `p99<300ms, cost<$1/h`.

use std::fmt;
use std::str::FromStr;

use crate::sim::PhaseOutcome;

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    conditions: Vec<Condition>,
}

/// One bound.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Condition {
    of: Measure,
    /// In ms, in USD an hour, or a share.
    most: f64,
}

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    /// The latency, of records of both lanes, that this share of them does not exceed; 1 for the longest.
    Latency(f64),
    /// What the cloud lane costs an hour.
    Cost,
    /// The share of the records that are diverted.
    Diverted,
}

/// What is wrong with an objective, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("objective {text:?}, column {column}: {reason}")]
pub struct ObjectiveError {
    text: String,
    /// From 1.
    pub column: usize,
    reason: String,
}

impl Objective {
    /// Whether a run meets it.
    pub fn is_met(&self, seen: &PhaseOutcome) -> bool {
        self.excess(seen, 0.0) <= 0.0
    }

    /// By how much a run misses it, if bounds are tightened by the share `margin`: the sum of each bound's
    /// excess, relative to the bound; 0 if it is met.
    pub fn excess(&self, seen: &PhaseOutcome, margin: f64) -> f64 {
        let both = seen.both();
        let missed = self.conditions.iter().map(|condition| {
            let found = condition.of.measure(seen, &both);
            let most = condition.most * (1.0 - margin);
            // "p99<300ms": the bound itself is a miss.
            if found < most {
                0.0
            } else {
                (found - most) / most.max(1e-9) + 1e-9
            }
        });
        missed.sum()
    }

    /// The share of records that the first latency bound is about; 0.99 if there is none. What plots show.
    pub fn quantile(&self) -> f64 {
        let quantiles = self
            .conditions
            .iter()
            .filter_map(|condition| match condition.of {
                Measure::Latency(quantile) => Some(quantile),
                _ => None,
            });
        quantiles.into_iter().next().unwrap_or(0.99)
    }

    /// The first latency bound, in ms.
    pub fn latency_ms(&self) -> Option<f64> {
        self.conditions
            .iter()
            .find(|condition| matches!(condition.of, Measure::Latency(_)))
            .map(|condition| condition.most)
    }
}

impl Measure {
    fn measure(self, seen: &PhaseOutcome, both: &crate::sim::Histogram) -> f64 {
        match self {
            // What is not known meets no bound.
            Self::Latency(quantile) => both.quantile_ms(quantile).unwrap_or(f64::INFINITY),
            Self::Cost => seen.usd_per_hour(),
            Self::Diverted => seen.diverted_share(),
        }
    }
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let mut conditions = Vec::new();
        for (start, part) in parts(text) {
            conditions.push(condition(text, start, part)?);
        }
        Ok(Self { conditions })
    }
}

/// The conditions' texts with where they start: split at `,` and at the word `and`.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let stands_alone = |at: usize, word: &str| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        (before.is_empty() || before.ends_with(char::is_whitespace))
            && (after.is_empty() || after.starts_with(char::is_whitespace))
    };
    let words = text
        .match_indices("and")
        .filter(|(at, word)| stands_alone(*at, word));
    let mut ends: Vec<(usize, &str)> = text.match_indices(',').chain(words).collect();
    ends.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for (at, joint) in ends {
        pieces.push((start, &text[start..at]));
        start = at + joint.len();
    }
    pieces.push((start, &text[start..]));
    pieces
}

/// A latency bound beyond a day, in ms, is a slip of the pen.
const LONGEST_MS: f64 = 86_400_000.0;

const FORM: &str =
    "write p50, p90, p99, p99.9 or max < TIME, cost < $AMOUNT/h, or diverted < SHARE%";

fn condition(text: &str, start: usize, part: &str) -> Result<Condition, ObjectiveError> {
    let fail = |at: usize, reason: String| ObjectiveError {
        text: text.to_owned(),
        column: text[..at.min(text.len())].chars().count() + 1,
        reason,
    };
    let skipped = part.len() - part.trim_start().len();
    let (at, part) = (start + skipped, part.trim());
    if part.is_empty() {
        return Err(fail(at, format!("a condition is missing; {FORM}")));
    }
    let Some(sign) = part.find('<') else {
        let what = if part.contains('>') {
            "only upper bounds are known"
        } else {
            "there is no <"
        };
        return Err(fail(at, format!("{what}; {FORM}")));
    };
    let name = part[..sign].trim();
    let mut value = &part[sign + 1..];
    let mut value_at = at + sign + 1;
    if let Some(rest) = value.strip_prefix('=') {
        value = rest;
        value_at += 1;
    }
    value_at += value.len() - value.trim_start().len();
    let value = value.trim();
    let of = measure(name).ok_or_else(|| fail(at, format!("{name:?} is not known; {FORM}")))?;
    let most = match of {
        Measure::Latency(_) => milliseconds(value),
        Measure::Cost => per_hour(value),
        Measure::Diverted => value
            .strip_suffix('%')
            .and_then(number)
            .map(|percent| percent / 100.0),
    };
    let highest = match of {
        Measure::Latency(_) => LONGEST_MS,
        Measure::Cost => f64::MAX,
        Measure::Diverted => 1.0,
    };
    let most = most.filter(|most| *most > 0.0 && *most <= highest);
    let most = most.ok_or_else(|| {
        let wanted = match of {
            Measure::Latency(_) => "a time above 0 and of a day at most, such as 300ms or 1.5s",
            Measure::Cost => "an amount above 0, such as $1/h",
            Measure::Diverted => "a share above 0 and of 100% at most, such as 40%",
        };
        fail(value_at, format!("{value:?} is not {wanted}"))
    })?;
    Ok(Condition { of, most })
}

fn measure(name: &str) -> Option<Measure> {
    match name {
        "max" => Some(Measure::Latency(1.0)),
        "cost" => Some(Measure::Cost),
        "diverted" => Some(Measure::Diverted),
        _ => {
            let percent = number(name.strip_prefix('p')?)?;
            (percent > 0.0 && percent < 100.0).then_some(Measure::Latency(percent / 100.0))
        }
    }
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    units
        .iter()
        .find_map(|(unit, factor)| Some(number(text.strip_suffix(unit)?)? * factor))
}

fn per_hour(text: &str) -> Option<f64> {
    let (amount, per) = text.strip_prefix('$')?.split_once('/')?;
    let factor = match per.trim() {
        "h" => 1.0,
        "day" => 1.0 / 24.0,
        "month" => 1.0 / 730.0,
        _ => return None,
    };
    Some(number(amount.trim())? * factor)
}

/// Digits and at most one point: no sign, no exponent, no NaN.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    (plain && !text.is_empty()).then(|| text.parse().ok())?
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, condition) in self.conditions.iter().enumerate() {
            if index > 0 {
                f.write_str(" and ")?;
            }
            let most = condition.most;
            match condition.of {
                Measure::Latency(quantile) if quantile >= 1.0 => write!(f, "max < {most} ms")?,
                Measure::Latency(quantile) => {
                    // 0.999 × 100 is not 99.9 in binary.
                    write!(f, "p{} < {most} ms", (quantile * 1e5).round() / 1e3)?;
                }
                Measure::Cost => write!(f, "cost < ${most}/h")?,
                Measure::Diverted => write!(f, "diverted < {} %", most * 100.0)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_joined_by_commas_or_and() {
        for (text, meaning) in [
            ("p99<300ms", "p99 < 300 ms"),
            (" p50 <= 1.5s , max<10s", "p50 < 1500 ms and max < 10000 ms"),
            ("p99.9<1s and cost<$1/h", "p99.9 < 1000 ms and cost < $1/h"),
            ("diverted<40%", "diverted < 40 %"),
            ("cost<$24/day", "cost < $1/h"),
        ] {
            assert_eq!(text.parse::<Objective>().unwrap().to_string(), meaning);
        }
    }

    #[test]
    fn an_objective_that_does_not_parse_is_refused_with_its_column() {
        for (text, column) in [
            ("", 1),
            ("p99", 1),
            ("p99>300ms", 1),
            ("p99<300", 5),
            ("p99<-3ms", 5),
            ("p99<0ms", 5),
            ("p100<3ms", 1),
            ("p99<300ms,", 11),
            ("p99<300ms, cots<$1/h", 12),
            ("p99<300ms and cost<1$/h", 20),
            ("p99<NaNms", 5),
            ("p99<3ms, é<1s", 10),
            ("p99<3é, p50<1s", 5),
            ("p99<1441m", 5),
            ("diverted<140%", 10),
        ] {
            let error = text.parse::<Objective>().unwrap_err();
            assert_eq!(error.column, column, "{error}");
        }
    }

    #[test]
    fn an_and_that_joins_nothing_is_told_that_a_condition_is_missing() {
        for (text, column) in [
            ("p99<300ms and", 14),
            ("p99<300ms and ", 15),
            ("and p99<300ms", 1),
            ("p99<300ms and and cost<$1/h", 15),
        ] {
            let error = text.parse::<Objective>().unwrap_err();
            assert_eq!(error.column, column, "{error}");
            let said = error.to_string();
            assert!(said.contains("a condition is missing"), "{said}");
        }
    }

    #[test]
    fn a_latency_that_is_not_known_meets_no_bound() {
        let nothing = PhaseOutcome::default();
        let met = |text: &str| text.parse::<Objective>().unwrap().is_met(&nothing);
        assert!(!met("p99<1m"));
        assert!(!met("cost<$1/h and max<1m"));
    }

    #[test]
    fn a_run_misses_what_it_does_not_stay_below() {
        let mut seen = PhaseOutcome {
            ms: 3_600_000,
            spend_usd: 2.0,
            ..PhaseOutcome::default()
        };
        seen.local.record(100.0, 99.0);
        seen.cloud.record(500.0, 1.0);
        let met = |text: &str| text.parse::<Objective>().unwrap().is_met(&seen);
        assert!(met("p50<110ms, cost<$2.01/h, diverted<2%"));
        assert!(met("p99<110ms"));
        assert!(!met("max<500ms"));
        assert!(!met("p50<110ms and cost<$2/h"));
        let excess = |text: &str| text.parse::<Objective>().unwrap().excess(&seen, 0.0);
        assert!((excess("max<250ms") - 1.0).abs() < 1e-6);
    }
}
