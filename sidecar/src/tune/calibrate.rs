//! Fits the model of the local lane to what was measured.
//!
//! A worker's processor time is what it spends anyway, plus what each kept and each diverted record costs it:
//! `used = fixed + kept × local + diverted × divert`. That is linear, so least squares give all three.

use std::time::Duration;

use crate::sim::Lane;

/// What was measured over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// How long it was.
    pub span: Duration,
    /// Records per second that were kept.
    pub kept: f64,
    /// Records per second that were diverted.
    pub diverted: f64,
    /// Share of its processors that the busiest worker used.
    pub cpu: f64,
    /// Share of the time in which the local output had no room.
    pub unavailable: f64,
}

/// What the fit rests on, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// One line for each number: what it is, and whether it was fitted or assumed.
    pub notes: Vec<String>,
}

/// A lane saturated for at least this share of the time shows its capacity.
const SATURATED: f64 = 0.5;
/// Up to this share of what is kept, diverting is taken for none.
const HARDLY: f64 = 0.01;
/// Stretches that the fit needs at least; with fewer, single ones decide.
const LEAST: usize = 8;
/// The first part is a cold worker's, whose compiler takes what a warm one has for records (20 s of a quarter of the
/// core, `experiments/deciding`, run `base`); the model has a factor for that of its own.
const COLD: Duration = Duration::from_secs(15);
/// What diverting costs, relative to keeping, before anything is measured, and how sure that is. In a spike kept and
/// diverted records add up to the same arrival all the time, so a trace alone tells them apart badly.
const DIVERT_COST: f64 = 0.1;
const DIVERT_COST_SIGMA: f64 = 0.05;
/// How much a second's processor share scatters (`decide::usage`).
const SCATTER: f64 = 0.08;
/// What keeping a million records takes of a worker, about: it makes a scale for the prior and no more.
const USUAL: f64 = 4.0;

/// Fits `lane` to `measured`, which is in the order of time. What cannot be told from it stays as it is.
pub fn fit(lane: &mut Lane, measured: &[Measured]) -> Fit {
    let mut notes = Vec::new();
    let mut elapsed = Duration::ZERO;
    let warm: Vec<Measured> = measured
        .iter()
        .filter(|stretch| {
            elapsed += stretch.span;
            elapsed > COLD
        })
        .copied()
        .collect();
    let used: Vec<&Measured> = warm.iter().filter(|stretch| stretch.cpu > 0.0).collect();
    let processors = lane.cores * f64::from(lane.workers);
    if let Some([fixed, local, divert]) = regress(&used) {
        if local > 0.0 {
            lane.fixed = fixed.clamp(0.0, 0.6);
            notes.push(format!(
                "fixed {:.0} % of a worker's processors, fitted to {} stretches of time",
                lane.fixed * 100.0,
                used.len()
            ));
            lane.capacity = (1.0 - lane.fixed) / local;
            notes.push(format!(
                "capacity {:.0} records/s, from {:.2} µs of processor for each kept record, fitted",
                lane.capacity,
                local * processors * 1e6
            ));
            if divert > 0.0 {
                lane.divert_cost = (divert / local).clamp(0.005, 0.95);
                notes.push(format!(
                    "diverting costs {:.1} % of keeping, fitted",
                    lane.divert_cost * 100.0
                ));
            }
        }
    } else {
        notes.push(
            "the worker's processor time tells too little: fixed cost and diverting's are assumed"
                .into(),
        );
    }
    let mut saturated: Vec<f64> = warm
        .iter()
        .filter(|stretch| {
            stretch.unavailable >= SATURATED && stretch.diverted <= HARDLY * stretch.kept
        })
        .map(|stretch| stretch.kept)
        .collect();
    if saturated.len() >= LEAST {
        saturated.sort_by(f64::total_cmp);
        lane.capacity = saturated[saturated.len() / 2];
        notes.push(format!(
            "capacity {:.0} records/s instead: what the lane took in {} stretches when it was saturated",
            lane.capacity,
            saturated.len()
        ));
    }
    Fit { notes }
}

/// Least squares of `cpu` on 1, `kept` and `diverted`, weighted by time; `None` if they do not determine it.
/// Without diverting its cost is 0.
fn regress(stretches: &[&Measured]) -> Option<[f64; 3]> {
    if stretches.len() < LEAST {
        return None;
    }
    let diverting = stretches
        .iter()
        .any(|stretch| stretch.diverted > HARDLY * stretch.kept);
    // Normal equations; rates in millions, so that all terms are about 1.
    let mut a = [[0.0; 4]; 3];
    for stretch in stretches {
        let row = [1.0, stretch.kept / 1e6, stretch.diverted / 1e6, stretch.cpu];
        let weight = stretch.span.as_secs_f64();
        for i in 0..3 {
            for j in 0..4 {
                a[i][j] += weight * row[i] * row[j];
            }
        }
    }
    if diverting {
        // The prior as one more stretch: diverted − 0.1 × kept is 0, give or take.
        let row = [0.0, -DIVERT_COST, 1.0, 0.0];
        let weight = (SCATTER / (DIVERT_COST_SIGMA * USUAL)).powi(2);
        for i in 0..3 {
            for j in 0..4 {
                a[i][j] += weight * row[i] * row[j];
            }
        }
    } else {
        a[2] = [0.0, 0.0, 1.0, 0.0];
        a[0][2] = 0.0;
        a[1][2] = 0.0;
    }
    let [fixed, local, divert] = solve(a)?;
    Some([fixed, local / 1e6, divert / 1e6])
}

/// Gauss' elimination with pivots; `None` if the equations depend on each other.
fn solve(mut a: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    for column in 0..3 {
        let pivot =
            (column..3).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
        a.swap(column, pivot);
        let whole = a[column];
        if whole[column].abs() < 1e-9 {
            return None;
        }
        for (index, row) in a.iter_mut().enumerate() {
            if index != column {
                let factor = row[column] / whole[column];
                for (cell, above) in row.iter_mut().zip(whole) {
                    *cell -= factor * above;
                }
            }
        }
    }
    Some([a[0][3] / a[0][0], a[1][3] / a[1][1], a[2][3] / a[2][2]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(kept: f64, diverted: f64, unavailable: f64) -> Measured {
        Measured {
            span: Duration::from_secs(1),
            kept,
            diverted,
            // 10 % anyway, 5 µs a kept record, half a µs a diverted one.
            cpu: 0.1 + kept * 5e-6 + diverted * 0.5e-6,
            unavailable,
        }
    }

    #[test]
    fn costs_are_found_again_in_what_they_add_up_to() {
        let mut lane = Lane::default();
        let rows: Vec<Measured> = (0..30)
            .map(|n| stretch(20e3 + 1e3 * f64::from(n), 40e3 * f64::from(n % 7), 0.0))
            .collect();
        fit(&mut lane, &rows);
        assert!((lane.fixed - 0.1).abs() < 1e-6, "{lane:?}");
        assert!((lane.capacity - 180e3).abs() < 1.0, "{lane:?}");
        assert!((lane.divert_cost - 0.1).abs() < 1e-6, "{lane:?}");
    }

    #[test]
    fn a_cold_start_does_not_count() {
        let mut lane = Lane::default();
        let cold = (0..12).map(|_| Measured {
            cpu: 0.6,
            ..stretch(30e3, 0.0, 0.0)
        });
        let warm =
            (0..30).map(|n| stretch(20e3 + 1e3 * f64::from(n), 40e3 * f64::from(n % 7), 0.0));
        fit(&mut lane, &cold.chain(warm).collect::<Vec<_>>());
        assert!((lane.fixed - 0.1).abs() < 1e-6, "{lane:?}");
    }

    #[test]
    fn costs_that_a_trace_does_not_tell_apart_are_as_expected() {
        let mut lane = Lane::default();
        // All that arrives is kept or diverted, and one second's share is off by a little.
        let rows: Vec<Measured> = (0..40)
            .map(|n| {
                let kept = 150e3 + 1e3 * f64::from(n % 3);
                let row = stretch(kept, 400e3 - kept, 0.0);
                Measured {
                    cpu: row.cpu + 0.02 * f64::from(n % 2),
                    ..row
                }
            })
            .collect();
        fit(&mut lane, &rows);
        assert!((lane.divert_cost - 0.1).abs() < 0.03, "{lane:?}");
    }

    #[test]
    fn what_a_saturated_lane_took_goes_before_what_is_inferred() {
        let mut lane = Lane::default();
        let mut rows: Vec<Measured> = (0..20)
            .map(|n| stretch(20e3 + 1e3 * f64::from(n), 0.0, 0.0))
            .collect();
        rows.extend((0..10).map(|_| stretch(150e3, 0.0, 0.9)));
        fit(&mut lane, &rows);
        assert!((lane.capacity - 150e3).abs() < 1.0, "{lane:?}");
    }

    #[test]
    fn what_cannot_be_told_stays_as_it_was() {
        let before = Lane::default();
        for rows in [Vec::new(), vec![stretch(50e3, 0.0, 0.0); 40]] {
            let mut lane = before.clone();
            let fitted = fit(&mut lane, &rows);
            assert_eq!(lane, before, "{fitted:?}");
        }
    }
}
