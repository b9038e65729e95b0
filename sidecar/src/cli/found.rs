//! What a search found, as text, JSON and a chart.

use std::fmt::Write as _;

use serde_json::json;

use super::simulated::{number, phase_json};
use crate::decide::{Policy, PolicyMode};
use crate::plot;
use crate::sim::PhaseOutcome;
use crate::tune::{Candidate, Found, Search};

fn latency_name(search: &Search) -> String {
    let quantile = search.objective.quantile();
    if quantile >= 1.0 {
        "max".into()
    } else {
        format!("p{}", number((quantile * 1e5).round() / 1e3))
    }
}

/// What a run shows of what the objective is about.
fn measures(search: &Search, seen: &PhaseOutcome) -> String {
    let latency = seen.both().quantile_ms(search.objective.quantile());
    format!(
        "{} {}, ${}/h, {:.1} % diverted",
        latency_name(search),
        latency.map_or("unknown".into(), |ms| format!("{} ms", number(ms.round()))),
        number(seen.usd_per_hour()),
        seen.diverted_share() * 100.0
    )
}

fn name(policy: &Policy) -> String {
    match policy.mode {
        PolicyMode::Local => "mode local".into(),
        PolicyMode::Burst => "mode burst".into(),
        PolicyMode::Auto => format!(
            "target {} engage {} for {} release {} for {} probe {} each {}",
            policy.target_utilization,
            policy.engage_utilization,
            humane(policy.engage_hold),
            policy.release_utilization,
            humane(policy.release_hold),
            policy.probe_step,
            humane(policy.probe_interval)
        ),
    }
}

fn humane(span: std::time::Duration) -> String {
    humantime_serde::re::humantime::format_duration(span).to_string()
}

pub(super) fn as_text(search: &Search, found: &Found, notes: &[String]) -> String {
    let mut out = String::new();
    let mut put = |line: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{line}");
    };
    for note in notes {
        put(format!("  {note}"));
    }
    let latency = latency_name(search);
    put(format!(
        "\nPareto front, cheapest first (on the first {:.0} % of the load)",
        (1.0 - search.holdout) * 100.0
    ));
    put(format!(
        "  {:>10} {:>10} {:>9} {:>11}  {}",
        "USD/h",
        format!("{latency} ms"),
        "diverted",
        "held out ms",
        "policy"
    ));
    for candidate in &found.front {
        put(row(search, found, candidate));
    }
    let (title, chosen) = match &found.best {
        Some(best) => (
            format!(
                "Cheapest that meets {} with a margin of {:.0} %{}",
                search.objective,
                search.margin * 100.0,
                best.held_out
                    .as_ref()
                    .map_or("", |_| ", and as it is on the part held out")
            ),
            best,
        ),
        None => (
            format!("None meets {}; the nearest", search.objective),
            &found.nearest,
        ),
    };
    put(format!("\n{title}\n  {}", name(&chosen.policy)));
    put(format!(
        "  where searched: {}",
        measures(search, &chosen.searched)
    ));
    match &chosen.held_out {
        Some(held_out) => put(format!(
            "  expected on the part not searched on: {}{}",
            measures(search, held_out),
            if search.objective.is_met(held_out) {
                ""
            } else {
                ", which does not meet the objective"
            }
        )),
        None => put("  nothing was held out".into()),
    }
    out
}

fn row(search: &Search, found: &Found, candidate: &Candidate) -> String {
    let latency = |seen: &PhaseOutcome| {
        let latency = seen.both().quantile_ms(search.objective.quantile());
        latency.map_or("unknown".into(), |ms| number(ms.round()))
    };
    let mark = if found
        .best
        .as_ref()
        .is_some_and(|best| best.policy == candidate.policy)
    {
        "*"
    } else {
        " "
    };
    format!(
        "{mark} {:>10} {:>10} {:>8.1}% {:>11}  {}",
        number(candidate.usd_per_hour()),
        latency(&candidate.searched),
        candidate.searched.diverted_share() * 100.0,
        candidate.held_out.as_ref().map_or("-".into(), latency),
        name(&candidate.policy)
    )
}

/// Why nothing is recommended.
pub(super) fn refusal(search: &Search, found: &Found) -> String {
    let (tried, nearest) = (found.tried.len(), &found.nearest);
    let margin = search.margin * 100.0;
    let named = name(&nearest.policy);
    let missed = |held_out: &&PhaseOutcome| !search.objective.is_met(held_out);
    let searched = search.objective.excess(&nearest.searched, search.margin);
    match nearest.held_out.as_ref().filter(missed) {
        Some(held_out) if searched <= 0.0 => format!(
            "no policy that meets {} with a margin of {margin:.0} % where it was searched meets it on the part held out: \
             the nearest of {tried} ({named}) has {} there",
            search.objective,
            measures(search, held_out)
        ),
        _ => format!(
            "no policy meets {} with a margin of {margin:.0} %: the nearest of {tried} ({named}) has {}",
            search.objective,
            measures(search, &nearest.searched)
        ),
    }
}

pub(super) fn as_json(search: &Search, found: &Found, notes: &[String]) -> String {
    let candidate = |candidate: &Candidate| {
        json!({
            "policy": candidate.policy,
            "searched": phase_json(&candidate.searched),
            "held_out": candidate.held_out.as_ref().map(phase_json),
        })
    };
    let value = json!({
        "objective": search.objective.to_string(),
        "margin": search.margin,
        "holdout": search.holdout,
        "notes": notes,
        "best": found.best.as_ref().map(candidate),
        "nearest": candidate(&found.nearest),
        "front": found.front.iter().map(candidate).collect::<Vec<_>>(),
        "tried": found.tried.len(),
    });
    format!("{value:#}\n")
}

pub(super) fn chart(search: &Search, found: &Found) -> plot::Chart {
    let point = |candidate: &Candidate| {
        let both = candidate.searched.both();
        let latency = both.quantile_ms(search.objective.quantile()).unwrap_or(0.0);
        (candidate.usd_per_hour(), latency)
    };
    let front: Vec<(f64, f64)> = found.front.iter().map(point).collect();
    super::chart::search(
        &format!("{}: {}", search.scenario.name, search.objective),
        &latency_name(search),
        search.objective.latency_ms(),
        &found.tried,
        &front,
        found.best.as_ref().map(point),
        &found.outcome.timeline,
    )
}
