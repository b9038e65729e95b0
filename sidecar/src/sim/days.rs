//! Loads made of other loads: days from rows of counts, swings, and which part of a load is its spike.

use std::time::Duration;

use serde::Deserialize;

use super::curve::{Curve, Piece};
use super::model::share;
use super::outcome::Phase;

/// A swung load has at most so many pieces: a swing of a minute on a year.
const MAX_PIECES: u64 = 40 * 60 * 24 * 366;

/// A sine on top of the load.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Swing {
    /// How far it goes up and down, as a share of the load.
    #[serde(deserialize_with = "share")]
    by: f64,
    /// From one crest to the next.
    #[serde(with = "humantime_serde")]
    period: Duration,
}

/// Baseline, spike and after, as the demo's report has them: a piece belongs to the spike if it is at least twice
/// as high as the first one.
pub fn spike_phases(rate: &Curve) -> Vec<Phase> {
    let (mut start, mut spike) = (0, None);
    let first = rate.pieces().first().map_or(0.0, |piece| piece.from);
    for piece in rate.pieces() {
        if piece.from.max(piece.to) >= 2.0 * first && first > 0.0 {
            spike = Some((spike.map_or(start, |(from, _)| from), start + piece.ms));
        }
        start += piece.ms;
    }
    let Some((from, to)) = spike else {
        return Vec::new();
    };
    [
        ("baseline", 0, from),
        ("spike", from, to),
        ("after", to, start),
    ]
    .into_iter()
    .filter(|(_, from, to)| from < to)
    .map(|(name, start_ms, end_ms)| Phase {
        name: name.into(),
        start_ms,
        end_ms,
    })
    .collect()
}

/// A curve from rows `minute,requests`, a piece each. Minutes follow on each other; the first may be any.
pub fn day(text: &str, scale: f64, speedup: f64) -> Result<Curve, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut elapsed = 0.0;
    let mut last: Option<u64> = None;
    for (number, row) in text.lines().enumerate() {
        let row = row.trim();
        if row.is_empty()
            || row.starts_with('#')
            || (number == 0 && !row.contains(char::is_numeric))
        {
            continue;
        }
        let line = number + 1;
        let (minute, requests) = row
            .split_once(',')
            .and_then(|(minute, requests)| {
                let minute = minute.trim().parse::<u64>().ok()?;
                Some((minute, requests.trim().parse::<f64>().ok()?))
            })
            .filter(|(_, requests)| (0.0..=1e12).contains(requests))
            .ok_or_else(|| {
                format!("line {line}: {row:?} is no row minute,requests of 0 or more")
            })?;
        if let Some(before) = last
            && before.checked_add(1) != Some(minute)
        {
            return Err(format!(
                "line {line}: minute {minute} comes after minute {before}: give every minute, one after the other"
            ));
        }
        last = Some(minute);
        let value = requests / 60.0 * scale * speedup;
        // Pieces end where their minutes do, however short: rounding must not add up.
        let end = elapsed + 60_000.0 / speedup;
        let ms = whole(end.round()) - whole(f64::round(elapsed));
        elapsed = end;
        pieces.push(Piece {
            from: value,
            to: value,
            ms,
        });
    }
    if pieces.is_empty() {
        return Err("there is no row minute,requests in it".into());
    }
    Curve::new(pieces).map_err(|error| error.to_string())
}

pub(super) fn swung(rate: &Curve, swing: &Swing) -> Result<Curve, String> {
    let period = swing.period.as_secs_f64() * 1e3;
    if period < 100.0 {
        return Err("a swing's period is at least 100ms".into());
    }
    // Forty straight lines a period are a sine to within a third of a percent.
    let step = whole((period / 40.0).max(1.0));
    let end = rate.duration_ms();
    if end / step > MAX_PIECES {
        return Err("the swing is too quick for so long a load: give a longer period".into());
    }
    let mut cursor = rate.cursor();
    let mut value = |ms: u64| {
        let phase = ms as f64 / period * std::f64::consts::TAU;
        cursor.at(ms) * (1.0 + swing.by * phase.sin())
    };
    let mut pieces = Vec::new();
    let (mut start, mut from) = (0, value(0));
    while start < end {
        let next = (start + step).min(end);
        let to = value(next);
        pieces.push(Piece {
            from,
            to,
            ms: next - start,
        });
        (start, from) = (next, to);
    }
    Curve::new(pieces).map_err(|error| error.to_string())
}

fn whole(value: f64) -> u64 {
    // Times of a run: never negative, far below 2^63.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value as u64;
    whole
}
