//! Fits the model of the local lane to what was measured.
//!
//! A worker's processor time is what it spends anyway, what its just-in-time compiler takes, which fades, and what
//! each kept and each diverted record costs it: `used = fixed + compile × fading + kept × local + diverted × divert`.
//! That is linear in what is unknown, so least squares give all four. A trace alone tells them apart badly: in a
//! spike kept and diverted records add up to the same arrival all the time. So there is a prior for each but `local`,
//! from the experiments, which what is measured overrules where it says something.

use std::time::Duration;

use crate::sim::Lane;

/// What was measured over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// How long it was.
    pub span: Duration,
    /// When it ended, since the trace's first report.
    pub end: Duration,
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
/// At first a record costs several times as much, for which the model has a factor of its own.
const COLD: Duration = Duration::from_secs(8);
/// After so long the compiler has hardly anything left to do (the model's `compile_time`, three times).
const WARM: Duration = Duration::from_secs(30);
/// How much the processor share of a second is off. Single ones scatter by 0.08 (`decide::usage`), but a core's pace
/// changes for seconds at a time (`experiments/first-burst/cores.py`), so that neighbours are off together.
const SCATTER: f64 = 0.2;
/// What a worker with one processor spends of it anyway, and how sure that is: 0.30 at rest (`experiments/deciding`, run
/// `curve`). It is no more where there are more processors.
const FIXED: f64 = 0.3;
const FIXED_SIGMA: f64 = 0.05;
/// How sure the model's `compile` is.
const COMPILE_SIGMA: f64 = 0.2;
/// What diverting costs, relative to keeping, before anything is measured, and how sure that is.
const DIVERT_COST: f64 = 0.1;
const DIVERT_COST_SIGMA: f64 = 0.05;
/// What keeping a million records takes of a processor, about: it makes a scale for the prior and no more.
const USUAL: f64 = 4.0;

/// Tells `lane` how its workers begin, from what they had done before the trace's first report: for how long records
/// had come (at the rate that they come at in the trace), and how many had been diverted.
pub fn at_work(lane: &mut Lane, before: Duration, diverted: u64) {
    if before < WARM {
        return;
    }
    lane.cold_factor = 1.0;
    lane.compile = 0.0;
    if diverted > 0 {
        lane.compile_diverting = 0.0;
    }
}

/// Fits `lane` to `measured`, which is in the order of time. What cannot be told from it stays as it is.
pub fn fit(lane: &mut Lane, measured: &[Measured]) -> Fit {
    let mut notes = Vec::new();
    let young = lane.compile > 0.0;
    let warm: Vec<Measured> = measured
        .iter()
        .filter(|stretch| !young || stretch.end.saturating_sub(stretch.span) >= COLD)
        .copied()
        .collect();
    let used: Vec<&Measured> = warm.iter().filter(|stretch| stretch.cpu > 0.0).collect();
    let processors = lane.cores * f64::from(lane.workers);
    let diverts_from = measured
        .iter()
        .find(|stretch| stretch.diverted > HARDLY * stretch.kept)
        .map(|stretch| stretch.end);
    let costs = regress(&used, lane, diverts_from).filter(|costs| costs.local > 0.0);
    if let Some(costs) = costs {
        lane.fixed = costs.fixed.clamp(0.0, 0.6);
        notes.push(format!(
            "fixed {:.0} % of a worker's processors, fitted to {} stretches of time",
            lane.fixed * 100.0,
            used.len()
        ));
        if young {
            let compile = costs.compile.clamp(0.0, 1.0);
            notes.push(format!(
                "the compiler {:.0} % of one of them at first, fitted",
                compile * 100.0
            ));
            lane.compile_diverting *= compile / lane.compile;
            lane.compile = compile;
        } else {
            notes.push("the workers were at work before, and are warm".into());
        }
        lane.capacity = (1.0 - lane.fixed) / costs.local;
        notes.push(format!(
            "capacity {:.0} records/s, from {:.2} µs of processor for each kept record, fitted",
            lane.capacity,
            costs.local * processors * 1e6
        ));
        if costs.divert > 0.0 {
            lane.divert_cost = (costs.divert / costs.local).clamp(0.005, 0.95);
            notes.push(format!(
                "diverting costs {:.1} % of keeping, fitted",
                lane.divert_cost * 100.0
            ));
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

/// What takes a worker's processors, as shares of them.
struct Costs {
    fixed: f64,
    /// When the worker starts, of one of its processors.
    compile: f64,
    /// Of a kept record a second.
    local: f64,
    /// Of a diverted record a second.
    divert: f64,
}

/// Least squares with normal priors, weighted by time; `None` if that does not determine `local`. Without diverting
/// its cost is 0.
fn regress(stretches: &[&Measured], lane: &Lane, diverts_from: Option<Duration>) -> Option<Costs> {
    if stretches.len() < LEAST {
        return None;
    }
    let mut equations = Equations::default();
    // Rates in millions, so that all terms are about 1.
    for stretch in stretches {
        let middle = stretch.end.saturating_sub(stretch.span / 2);
        let row = [
            1.0,
            fading(lane, middle, diverts_from) / lane.cores,
            stretch.kept / 1e6,
            stretch.diverted / 1e6,
        ];
        equations.add(
            row,
            stretch.cpu,
            SCATTER / stretch.span.as_secs_f64().sqrt(),
        );
    }
    equations.add(
        [1.0, 0.0, 0.0, 0.0],
        FIXED / lane.cores,
        FIXED_SIGMA / lane.cores,
    );
    if lane.compile > 0.0 {
        equations.add([0.0, 1.0, 0.0, 0.0], lane.compile, COMPILE_SIGMA);
    } else {
        equations.leave_out(1);
    }
    let diverting = stretches
        .iter()
        .any(|stretch| stretch.diverted > HARDLY * stretch.kept);
    if diverting {
        // Diverted − 0.1 × kept is 0, give or take.
        let row = [0.0, 0.0, -DIVERT_COST, 1.0];
        equations.add(row, 0.0, DIVERT_COST_SIGMA * USUAL / lane.cores);
    } else {
        equations.leave_out(3);
    }
    let [fixed, compile, local, divert] = equations.solve()?;
    Some(Costs {
        fixed,
        compile,
        local: local / 1e6,
        divert: divert / 1e6,
    })
}

/// What the compiler takes at `since` the start, relative to then: it fades, and has more to do when the worker diverts
/// for the first time.
fn fading(lane: &Lane, since: Duration, diverts_from: Option<Duration>) -> f64 {
    let time = lane.compile_time.as_secs_f64();
    let left = |since: Duration| {
        if time > 0.0 {
            (-since.as_secs_f64() / time).exp()
        } else {
            0.0
        }
    };
    let again = diverts_from.map_or(0.0, |from| since.checked_sub(from).map_or(0.0, left));
    if lane.compile > 0.0 {
        left(since) + lane.compile_diverting / lane.compile * again
    } else {
        0.0
    }
}

/// Normal equations of four unknowns.
#[derive(Default)]
struct Equations([[f64; 5]; 4]);

impl Equations {
    /// One more observation: `row` times the unknowns is `value`, give or take `sigma`.
    fn add(&mut self, row: [f64; 4], value: f64, sigma: f64) {
        let [a, b, c, d] = row;
        let whole = [a, b, c, d, value];
        let weight = sigma.powi(-2);
        for (i, sums) in self.0.iter_mut().enumerate() {
            for (sum, cell) in sums.iter_mut().zip(whole) {
                *sum += weight * whole[i] * cell;
            }
        }
    }

    /// This unknown is 0.
    fn leave_out(&mut self, unknown: usize) {
        for row in &mut self.0 {
            row[unknown] = 0.0;
        }
        self.0[unknown] = [0.0; 5];
        self.0[unknown][unknown] = 1.0;
    }

    /// Gauss' elimination with pivots; `None` if the equations depend on each other.
    fn solve(self) -> Option<[f64; 4]> {
        let mut a = self.0;
        for column in 0..4 {
            let pivot =
                (column..4).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
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
        Some(std::array::from_fn(|index| a[index][4] / a[index][index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second that ends so many seconds after the start of a worker that spends 30 % anyway, at first 45 % for its
    /// compiler, 5 µs for a kept record, half a µs for a diverted one.
    fn stretch(second: u32, kept: f64, diverted: f64) -> Measured {
        let end = Duration::from_secs(second.into());
        let middle = end.saturating_sub(Duration::from_millis(500));
        Measured {
            span: Duration::from_secs(1),
            end,
            kept,
            diverted,
            cpu: 0.3
                + 0.45 * fading(&Lane::default(), middle, None)
                + kept * 5e-6
                + diverted * 0.5e-6,
            unavailable: 0.0,
        }
    }

    fn many_loads() -> Vec<Measured> {
        (1..60)
            .map(|n| stretch(n, 20e3 + 1e3 * f64::from(n), 0.0))
            .collect()
    }

    fn near(found: f64, wanted: f64, by: f64) -> bool {
        (found / wanted - 1.0).abs() <= by
    }

    #[test]
    fn costs_are_found_again_in_what_they_add_up_to() {
        let mut lane = Lane::default();
        fit(&mut lane, &many_loads());
        assert!(near(lane.fixed, 0.3, 0.01), "{lane:?}");
        assert!(near(lane.compile, 0.45, 0.01), "{lane:?}");
        assert!(near(lane.capacity, 140e3, 0.01), "{lane:?}");
        assert!(
            near(lane.divert_cost, Lane::default().divert_cost, 0.0),
            "{lane:?}"
        );
    }

    #[test]
    fn what_the_compiler_takes_is_not_put_down_to_the_records() {
        let young: Vec<Measured> = (1..30).map(|n| stretch(n, 40e3, 0.0)).collect();
        let mut lane = Lane::default();
        fit(&mut lane, &young);
        assert!(near(lane.capacity, 140e3, 0.05), "{lane:?}");
    }

    #[test]
    fn a_worker_that_was_at_work_before_is_warm() {
        let mut lane = Lane::default();
        at_work(&mut lane, COLD, 0);
        assert_eq!(lane, Lane::default());
        at_work(&mut lane, COLD * 4, 0);
        assert!(lane.cold_factor < 1.001 && lane.compile < 1e-9, "{lane:?}");
        assert!(lane.compile_diverting > 0.0);
        at_work(&mut lane, COLD * 4, 1);
        assert!(lane.compile_diverting < 1e-9);
        let rows: Vec<Measured> = (1..60)
            .map(|n| Measured {
                cpu: 0.5,
                ..stretch(n, 40e3, 0.0)
            })
            .collect();
        fit(&mut lane, &rows);
        assert!(near(lane.capacity, 140e3, 0.01), "{lane:?}");
        assert!(lane.compile < 0.01, "{lane:?}");
    }

    #[test]
    fn with_more_processors_less_of_a_worker_is_spent_anyway() {
        let mut lane = Lane {
            cores: 8.0,
            ..Lane::default()
        };
        // 300 k/s take 0.04 + 0.36 of 8 processors, at first 0.45 of one more.
        let rows: Vec<Measured> = (1..60)
            .map(|n| {
                let row = stretch(n, 300e3, 0.0);
                let compiler = row.cpu - 0.3 - 300e3 * 5e-6;
                Measured {
                    cpu: 0.0375 + 0.36 + compiler / 8.0,
                    ..row
                }
            })
            .collect();
        fit(&mut lane, &rows);
        assert!(near(lane.capacity, 800e3, 0.02), "{lane:?}");
    }

    #[test]
    fn a_cold_start_does_not_count() {
        let mut rows = many_loads();
        for row in &mut rows[..8] {
            row.cpu = 1.0;
        }
        let (mut cold, mut lane) = (Lane::default(), Lane::default());
        fit(&mut cold, &rows);
        fit(&mut lane, &many_loads());
        assert_eq!(cold, lane);
    }

    #[test]
    fn costs_that_a_trace_does_not_tell_apart_are_as_expected() {
        let mut lane = Lane::default();
        // All that arrives is kept or diverted, and one second's share is off by a little.
        let rows: Vec<Measured> = (1..60)
            .map(|n| {
                let kept = 80e3 + 1e3 * f64::from(n % 3);
                let row = stretch(n, kept, 400e3 - kept);
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
        let mut rows = many_loads();
        rows.extend((60..70).map(|n| Measured {
            unavailable: 0.9,
            ..stretch(n, 150e3, 0.0)
        }));
        fit(&mut lane, &rows);
        assert!((lane.capacity - 150e3).abs() < 1.0, "{lane:?}");
    }

    #[test]
    fn what_cannot_be_told_stays_as_it_was() {
        let before = Lane::default();
        let idle = Measured {
            cpu: 0.0,
            ..stretch(20, 50e3, 0.0)
        };
        for rows in [
            Vec::new(),
            vec![stretch(20, 50e3, 0.0); LEAST - 1],
            vec![idle; 40],
        ] {
            let mut lane = before.clone();
            let fitted = fit(&mut lane, &rows);
            assert_eq!(lane, before, "{fitted:?}");
        }
    }
}
