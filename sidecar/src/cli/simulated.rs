//! What a simulated run showed, as text and JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::sim::{Check, Histogram, Outcome, PhaseOutcome, Scenario};

/// A scenario that was run.
pub(super) struct Ran {
    pub(super) scenario: Scenario,
    pub(super) outcome: Outcome,
    /// What was expected, and what came.
    pub(super) checks: Vec<Check>,
    /// How long that took.
    pub(super) took: Duration,
}

/// What was missed, each in one phrase.
pub(super) fn misses(scenario: &Scenario, checks: &[Check]) -> Vec<String> {
    let missed = checks.iter().filter(|check| !check.good);
    missed
        .map(|check| {
            let found = check.found.map_or("nothing".into(), number);
            format!(
                "{}: {} is {found}, expected {} to {}",
                scenario.name,
                check.what,
                number(check.low),
                number(check.high)
            )
        })
        .collect()
}

/// A number with at most four significant digits behind the point.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || value.abs() >= 1000.0 {
        return format!("{value:.0}");
    }
    // Above -12 for what is not rounded away, and at most 3.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

pub(super) fn as_text(ran: &Ran) -> String {
    let Ran {
        scenario,
        outcome,
        checks,
        took,
    } = ran;
    let mut out = format!("{}\n  {}\n", scenario.name, scenario.about);
    let mut put = |line: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{line}");
    };
    let simulated = Duration::from_millis(outcome.simulated_ms);
    put(format!(
        "  {:.0} s simulated in {:.0} ms ({:.0} times as fast), {} decisions",
        simulated.as_secs_f64(),
        took.as_secs_f64() * 1e3,
        simulated.as_secs_f64() / took.as_secs_f64().max(1e-9),
        outcome.decisions
    ));
    put(format!(
        "  {:<10} {:>9} {:>17} {:>17} {:>6} {:>10}",
        "", "diverted", "local p50/p99 ms", "cloud p50/p99 ms", "modes", "USD"
    ));
    for phase in outcome.phases.iter().chain([&outcome.whole]) {
        put(format!(
            "  {:<10} {:>8.1}% {:>17} {:>17} {:>6} {:>10}",
            phase.name,
            phase.diverted_share() * 100.0,
            latencies(&phase.local),
            latencies(&phase.cloud),
            phase.mode_changes,
            number(phase.spend_usd)
        ));
    }
    if let (Some(reaction), Some(release)) = (outcome.reaction_ms, outcome.release_ms) {
        put(format!("  reaction {reaction} ms, release {release} ms"));
    }
    put(format!(
        "  batches {}, of these bounced {}; throttled attempts {}, lowest limit {}; cold starts {}",
        outcome.settled_batches + outcome.bounced_batches,
        outcome.bounced_batches,
        outcome.throttled,
        outcome.lowest_limit,
        outcome.cold_starts
    ));
    for change in &outcome.modes {
        put(format!(
            "  {:>7.1} s  {:<5} {}",
            change.offset_ms as f64 / 1e3,
            change.mode,
            change.reason
        ));
    }
    for check in checks {
        let verdict = if check.good { "ok    " } else { "MISSED" };
        let found = check.found.map_or("nothing".into(), number);
        put(format!(
            "  {verdict} {} = {found}, expected {} to {}",
            check.what,
            number(check.low),
            number(check.high)
        ));
    }
    out
}

fn latencies(histogram: &Histogram) -> String {
    match (histogram.quantile_ms(0.5), histogram.quantile_ms(0.99)) {
        (Some(p50), Some(p99)) => format!("{p50:.0}/{p99:.0}"),
        _ => "-".into(),
    }
}

/// A phase with its latencies as JSON.
pub(super) fn phase_json(phase: &PhaseOutcome) -> serde_json::Value {
    let lane = |histogram: &Histogram| {
        json!({
            "records": histogram.count().round(),
            "p50_ms": histogram.quantile_ms(0.5),
            "p99_ms": histogram.quantile_ms(0.99),
            "max_ms": histogram.max_ms(),
        })
    };
    json!({
        "name": phase.name,
        "duration_ms": phase.ms,
        "diverted_share": phase.diverted_share(),
        "local": lane(&phase.local),
        "cloud": lane(&phase.cloud),
        "both": lane(&phase.both()),
        "mode_changes": phase.mode_changes,
        "spend_usd": phase.spend_usd,
        "usd_per_hour": phase.usd_per_hour(),
    })
}

pub(super) fn as_json(ran: &Ran) -> serde_json::Value {
    let outcome = &ran.outcome;
    json!({
        "name": ran.scenario.name,
        "good": ran.checks.iter().all(|check| check.good),
        "checks": ran.checks,
        "whole": phase_json(&outcome.whole),
        "phases": outcome.phases.iter().map(phase_json).collect::<Vec<_>>(),
        "reaction_ms": outcome.reaction_ms,
        "release_ms": outcome.release_ms,
        "capacity_per_s": outcome.capacity_per_s,
        "settled_batches": outcome.settled_batches,
        "bounced_batches": outcome.bounced_batches,
        "throttled": outcome.throttled,
        "lowest_limit": outcome.lowest_limit,
        "cold_starts": outcome.cold_starts,
        "modes": outcome.modes,
        "timeline": outcome.timeline,
        "simulated_ms": outcome.simulated_ms,
        "took_ms": ran.took.as_secs_f64() * 1e3,
        "decisions": outcome.decisions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1234.56, "1235"),
            (12.3456, "12.35"),
            (0.001_234_56, "0.001235"),
            (0.5, "0.5"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
