//! Charts of runs and of searches.

use crate::plot::{Axis, Chart, PALETTE, Panel, Series};
use crate::sim::Second;

fn axis(name: &str, logarithmic: bool) -> Axis {
    Axis {
        name: name.into(),
        logarithmic,
    }
}

fn line(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Series {
    Series {
        name: name.into(),
        colour: PALETTE[colour % PALETTE.len()],
        points,
        joined: true,
        dashed: false,
    }
}

/// Rates and latencies over time; those of `measured`, if there are any, dashed.
fn panels(seconds: &[Second], measured: &[Second]) -> Vec<Panel> {
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let both = |name: &str, colour: usize, of: &dyn Fn(&Second) -> f64| {
        let over_time = |seconds: &[Second]| -> Vec<(f64, f64)> {
            seconds
                .iter()
                .map(|second| (second.offset_s as f64, of(second)))
                .collect()
        };
        let mut series = vec![line(name, colour, over_time(seconds))];
        if !measured.is_empty() {
            series.push(Series {
                dashed: true,
                ..line("measured", colour, over_time(measured))
            });
        }
        series
    };
    let mut rates = vec![line(
        "due",
        5,
        seconds
            .iter()
            .map(|second| (second.offset_s as f64, second.due_per_s))
            .collect(),
    )];
    rates.extend(both("kept", 0, &|second| second.kept_per_s));
    rates.extend(both("diverted", 1, &|second| second.diverted_per_s));
    let mut latencies = both("local", 0, &|second| known(second.p99_local_ms));
    latencies.extend(both("cloud", 1, &|second| known(second.p99_cloud_ms)));
    [("records/s", false, rates), ("p99 in ms", true, latencies)]
        .into_iter()
        .map(|(name, logarithmic, series)| Panel {
            x: axis("s", false),
            y: axis(name, logarithmic),
            series,
        })
        .collect()
}

/// A simulated run, and a measured one beside it.
pub(super) fn timeline(title: &str, seconds: &[Second], measured: &[Second]) -> Chart {
    Chart {
        title: format!("{title} (simulated)"),
        panels: panels(seconds, measured),
    }
}

/// What a search found: each policy by its cost and latency, and the recommended one over time.
pub(super) fn search(
    title: &str,
    latency: &str,
    bound_ms: Option<f64>,
    tried: &[(f64, f64)],
    front: &[(f64, f64)],
    best: Option<(f64, f64)>,
    seconds: &[Second],
) -> Chart {
    let dots = |name: &str, colour: [u8; 3], points: Vec<(f64, f64)>| Series {
        name: name.into(),
        colour,
        points,
        ..Series::default()
    };
    let mut series = vec![
        dots("tried", [170, 170, 170], tried.to_vec()),
        line("Pareto front", 0, front.to_vec()),
        dots("", PALETTE[0], front.to_vec()),
        dots("recommended", PALETTE[1], best.into_iter().collect()),
    ];
    if let Some(bound) = bound_ms {
        let widest = tried.iter().map(|point| point.0).fold(0.0, f64::max);
        series.push(Series {
            dashed: true,
            ..line("objective", 2, vec![(0.0, bound), (widest, bound)])
        });
    }
    let mut panels_of_all = vec![Panel {
        x: axis("USD/h", false),
        y: axis(&format!("{latency} in ms"), true),
        series,
    }];
    panels_of_all.extend(panels(seconds, &[]));
    Chart {
        title: title.into(),
        panels: panels_of_all,
    }
}
