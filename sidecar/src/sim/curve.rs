//! A quantity over time: pieces that are constant or rise and fall evenly.
//!
//! ```text
//! 30k:12s,740k:20s,30k:8s     constant pieces, as the demo's `--profile` has them
//! 50k..400k:1m                a ramp
//! ```

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Above this a number is a slip of the pen; it also keeps sums finite.
const MOST: f64 = 1e12;

/// A curve lasts at most a year, which keeps sums and what is made of it bounded.
const LONGEST_MS: u64 = 366 * 86_400_000;

/// Pieces one after the other. Never empty; values are finite and never negative.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pieces: Vec<Piece>,
}

/// A piece of a curve, from one value to another in an even line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// The value at the piece's start.
    pub from: f64,
    /// The value that it reaches at its end.
    pub to: f64,
    /// How long it lasts, in ms.
    pub ms: u64,
}

/// What is wrong with a curve's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CurveError(String);

impl Curve {
    /// A curve of these pieces; an error if there is none, or a value cannot be.
    pub fn new(pieces: Vec<Piece>) -> Result<Self, CurveError> {
        if pieces.iter().all(|piece| piece.ms == 0) {
            return Err(CurveError("a curve has to last some time".into()));
        }
        let whole = pieces
            .iter()
            .fold(0, |sum: u64, piece| sum.saturating_add(piece.ms));
        if whole > LONGEST_MS {
            return Err(CurveError(format!(
                "a curve lasts at most a year, and not {whole} ms"
            )));
        }
        for value in pieces.iter().flat_map(|piece| [piece.from, piece.to]) {
            // Written so that NaN fails too.
            if !(0.0..=MOST).contains(&value) {
                return Err(CurveError(format!(
                    "{value} is no value for a curve: give 0 to {MOST:.0}"
                )));
            }
        }
        Ok(Self { pieces })
    }

    /// Always `value`.
    pub fn constant(value: f64) -> Self {
        Self {
            pieces: vec![Piece {
                from: value,
                to: value,
                ms: 1,
            }],
        }
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How long the curve lasts, in ms.
    pub fn duration_ms(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.ms).sum()
    }

    /// The highest value.
    pub fn highest(&self) -> f64 {
        let ends = self.pieces.iter().flat_map(|piece| [piece.from, piece.to]);
        ends.fold(0.0, f64::max)
    }

    /// How many records come from `from_ms` to `to_ms`, if the values are records per second.
    pub fn records(&self, from_ms: u64, to_ms: u64) -> f64 {
        let (mut start, mut sum) = (0, 0.0);
        for piece in &self.pieces {
            let end = start + piece.ms;
            let (from, to) = (from_ms.max(start), to_ms.min(end));
            if from < to {
                let mean = f64::midpoint(piece.at(from - start), piece.at(to - start));
                sum += mean * (to - from) as f64 / 1e3;
            }
            start = end;
        }
        sum
    }

    /// The curve up to `ms`, and at least a moment of it.
    #[must_use]
    pub fn before(&self, ms: u64) -> Self {
        let mut left = ms.max(1);
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let taken = piece.ms.min(left);
            if taken > 0 {
                pieces.push(Piece {
                    from: piece.from,
                    to: piece.at(taken),
                    ms: taken,
                });
            }
            left -= taken;
        }
        Self { pieces }
    }

    /// Reads the curve step by step; quicker than [`Curve::at`] for each.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor {
            curve: self,
            index: 0,
            start: 0,
        }
    }

    /// The value at `ms`; after the end, the last one.
    pub fn at(&self, ms: u64) -> f64 {
        self.cursor().at(ms)
    }
}

impl Piece {
    fn at(&self, ms: u64) -> f64 {
        if self.ms == 0 {
            return self.to;
        }
        self.from + (self.to - self.from) * (ms.min(self.ms) as f64 / self.ms as f64)
    }
}

/// A place on a curve that only moves forward.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    curve: &'a Curve,
    index: usize,
    start: u64,
}

impl Cursor<'_> {
    /// The value at `ms`, which must not be before the last one asked for.
    pub fn at(&mut self, ms: u64) -> f64 {
        let pieces = &self.curve.pieces;
        while self.index + 1 < pieces.len() && ms >= self.start + pieces[self.index].ms {
            self.start += pieces[self.index].ms;
            self.index += 1;
        }
        pieces[self.index].at(ms.saturating_sub(self.start))
    }
}

impl FromStr for Curve {
    type Err = CurveError;

    fn from_str(text: &str) -> Result<Self, CurveError> {
        let pieces: Result<Vec<Piece>, CurveError> = text.split(',').map(piece).collect();
        Self::new(pieces?)
    }
}

fn piece(text: &str) -> Result<Piece, CurveError> {
    let text = text.trim();
    let wrong = |what: &str| {
        CurveError(format!(
            "{text:?} {what}; give VALUE:DURATION or FROM..TO:DURATION, such as 50k:10s or 50k..1M:30s"
        ))
    };
    let (values, duration) = text
        .split_once(':')
        .ok_or_else(|| wrong("has no duration"))?;
    let ms =
        duration_ms(duration).ok_or_else(|| wrong("has no duration such as 500ms, 10s, 2m"))?;
    let (from, to) = values.split_once("..").unwrap_or((values, values));
    match (number(from), number(to)) {
        (Some(from), Some(to)) => Ok(Piece { from, to, ms }),
        _ if values.contains('-') => Err(wrong("has a negative value")),
        _ => Err(wrong("has no value such as 800, 50k, 1.2M")),
    }
}

/// A number with `k` or `M` behind it, if it has one.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let plain = digits.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    plain
        .then(|| digits.parse::<f64>().ok())?
        .map(|value| value * factor)
}

/// A whole number of `ms`, `s`, `m` or `h`, in milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let factor = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(factor)
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, piece) in self.pieces.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if (piece.from - piece.to).abs() < f64::EPSILON {
                write!(f, "{comma}{}:{}ms", piece.from, piece.ms)?;
            } else {
                write!(f, "{comma}{}..{}:{}ms", piece.from, piece.to, piece.ms)?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Curve {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_one_another_and_the_last_value_lasts() {
        let curve: Curve = "30k:2s, 1M:500ms,100..200:1s".parse().unwrap();
        assert_eq!(curve.duration_ms(), 3_500);
        let cases = [
            (0, 30e3),
            (1_999, 30e3),
            (2_000, 1e6),
            (2_500, 100.0),
            (3_000, 150.0),
            (9_999, 200.0),
        ];
        let mut cursor = curve.cursor();
        for (ms, value) in cases {
            assert!((curve.at(ms) - value).abs() < 1e-9, "at {ms}");
            assert!((cursor.at(ms) - value).abs() < 1e-9, "cursor at {ms}");
        }
    }

    #[test]
    fn the_first_part_of_a_curve_ends_where_it_was_cut() {
        let curve: Curve = "0..100:100ms,7:1s".parse().unwrap();
        assert_eq!(curve.before(50).to_string(), "0..50:50ms");
        assert_eq!(curve.before(600).to_string(), "0..100:100ms,7:500ms");
        assert_eq!(curve.before(9_999), curve);
    }

    #[test]
    fn a_slip_of_the_pen_is_refused_with_what_would_be_right() {
        for (text, word) in [
            ("30k", "no duration"),
            ("30k:", "no duration"),
            ("30k:10", "no duration"),
            ("-5:10s", "negative"),
            ("fast:10s", "no value"),
            ("NaN:10s", "no value"),
            ("1..:10s", "no value"),
            ("1e5:10s", "no value"),
            ("5:0s", "some time"),
            ("5:9000h", "a year"),
            ("5:5000000000000h,5:5000000000000h", "a year"),
            ("9999999999M:1s", "no value for a curve"),
            ("", "no duration"),
        ] {
            let error = text.parse::<Curve>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
