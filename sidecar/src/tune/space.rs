//! The policies that are looked at.
//!
//! Only what moves latency against cost: budgets are the user's own business, and what the estimator goes by
//! depends on the job and not on what it may cost.

use std::time::Duration;

use crate::decide::Policy;
use crate::sim::Noise;

/// A place in the unit cube.
pub(super) type Place = [f64; DIMENSIONS];

pub(super) const DIMENSIONS: usize = 7;

/// The policy at a place, with all else as in `base`.
pub(super) fn policy(place: &Place, base: &Policy) -> Policy {
    let [
        target,
        engage,
        release,
        engage_hold,
        release_hold,
        step,
        pause,
    ] = *place;
    // What may go wrong at a full lane is worth a look; below half of it there is little to be had.
    let target_utilization = percent(between(target, 0.4, 0.95));
    let engage_utilization = percent(between(engage, target_utilization, 1.0));
    Policy {
        target_utilization,
        engage_utilization,
        release_utilization: percent(between(release, 0.3, 0.95) * target_utilization),
        engage_hold: by_factor(engage_hold, 100.0, 2_000.0),
        release_hold: by_factor(release_hold, 200.0, 10_000.0),
        probe_step: percent(between(step, 0.01, 0.15)),
        probe_interval: by_factor(pause, 200.0, 2_000.0),
        ..base.clone()
    }
}

/// Places that are spread evenly over each dimension (a Latin hypercube: `McKay`, Beckman and Conover, 1979).
pub(super) fn spread(count: usize, noise: &mut Noise) -> Vec<Place> {
    let mut places = vec![[0.0; DIMENSIONS]; count];
    for dimension in 0..DIMENSIONS {
        let mut rows: Vec<usize> = (0..count).collect();
        // Fisher and Yates' shuffle.
        for last in (1..count).rev() {
            rows.swap(last, noise.below(last + 1));
        }
        for (place, row) in places.iter_mut().zip(rows) {
            place[dimension] = (row as f64 + noise.unit()) / count as f64;
        }
    }
    places
}

/// A place near `place`: some of its coordinates moved by up to `radius`.
pub(super) fn near(place: &Place, radius: f64, noise: &mut Noise) -> Place {
    let mut moved = *place;
    for coordinate in &mut moved {
        if noise.unit() < 0.5 {
            *coordinate = (*coordinate + radius * (2.0 * noise.unit() - 1.0)).clamp(0.0, 1.0);
        }
    }
    moved
}

fn between(share: f64, low: f64, high: f64) -> f64 {
    low + (high - low) * share
}

/// Rounded to a whole percent: people read policies.
fn percent(share: f64) -> f64 {
    (share * 100.0).round() / 100.0
}

/// Between two spans by equal factors, rounded to two digits.
fn by_factor(share: f64, low_ms: f64, high_ms: f64) -> Duration {
    let ms = low_ms * (high_ms / low_ms).powf(share);
    let unit = 10_f64.powf(ms.log10().floor() - 1.0);
    // Between the two, in ms.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let ms = ((ms / unit).round() * unit) as u64;
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_a_policy_that_can_be_used() {
        let mut noise = Noise::new(7);
        let base = Policy::default();
        let mut corners = vec![[0.0; DIMENSIONS], [1.0; DIMENSIONS]];
        corners.extend(spread(500, &mut noise));
        for place in corners {
            let found = policy(&place, &base);
            assert_eq!(found.problems(), Vec::<String>::new(), "{found:?}");
            let moved = policy(&near(&place, 0.5, &mut noise), &base);
            assert_eq!(moved.problems(), Vec::<String>::new(), "{moved:?}");
        }
    }

    #[test]
    fn places_are_spread_evenly_over_each_dimension() {
        let places = spread(10, &mut Noise::new(3));
        for dimension in 0..DIMENSIONS {
            let mut rows: Vec<u32> = places
                .iter()
                .map(|place| {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let row = (place[dimension] * 10.0) as u32;
                    row
                })
                .collect();
            rows.sort_unstable();
            assert_eq!(rows, (0..10).collect::<Vec<_>>());
        }
    }
}
